"""EfficientNet-Lite 0, 1 and 2 without their classifier: pixels in, an embedding and the features behind it out.

Where the weights come from is `backbones/pretrained.py`'s.
"""

import math
from typing import Any, NamedTuple

from tellapart.errors import ConfigError
from tellapart.networks.backbone_names import PACKAGED_BACKBONES, find_packaged
from tellapart.networks.backend import DataFormat, keras

layers = keras.layers

EMBEDDING_SIZE = 1280

_STEM_FILTERS = 32
_FILTERS_STEP = 8
_BATCH_NORM_MOMENTUM = 0.99
_BATCH_NORM_EPSILON = 1e-3
# (pixel - 127) / 128, the scaling the weights were trained with (efficientnet/lite/efficientnet_lite_builder.py).
# ImageNet's mean and deviation instead of it: 90.8 % of 120 cats and dogs right, against 93.3 %.
_PIXEL_OFFSET, _PIXEL_RANGE = 127, 128


class _Stage(NamedTuple):
    """Blocks of one kind in a row; the stride is the first block's, `expansion` the widening inside each block."""

    num_blocks: int
    kernel_size: int
    stride: int
    expansion: int
    filters: int


class _Scale(NamedTuple):
    """How a variant stretches the stages: factors for the filters and for the number of blocks."""

    width: float
    depth: float


# Table 1 of "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (arXiv 1905.11946), and
# `_DEFAULT_BLOCKS_ARGS` of efficientnet_lite_builder.py in github.com/tensorflow/tpu (models/official/efficientnet).
_STAGES = (
    _Stage(num_blocks=1, kernel_size=3, stride=1, expansion=1, filters=16),
    _Stage(num_blocks=2, kernel_size=3, stride=2, expansion=6, filters=24),
    _Stage(num_blocks=2, kernel_size=5, stride=2, expansion=6, filters=40),
    _Stage(num_blocks=3, kernel_size=3, stride=2, expansion=6, filters=80),
    _Stage(num_blocks=3, kernel_size=5, stride=1, expansion=6, filters=112),
    _Stage(num_blocks=4, kernel_size=5, stride=2, expansion=6, filters=192),
    _Stage(num_blocks=1, kernel_size=3, stride=1, expansion=6, filters=320),
)
# `efficientnet_lite_params` of the same file.
_SCALES = {
    "efficientnet-lite0": _Scale(width=1.0, depth=1.0),
    "efficientnet-lite1": _Scale(width=1.0, depth=1.1),
    "efficientnet-lite2": _Scale(width=1.1, depth=1.2),
}


def build_efficientnet_lite(name: str, data_format: DataFormat = "channels_last") -> keras.Model:
    """The network of that name with random weights, up to and without the classifier.

    EfficientNet without squeeze-and-excitation and with ReLU6 for swish; stem and head are not scaled. Drop-connect,
    which the weights were trained with, is left out. The weights have the same shapes and order in either data format.

    Args:
        name: a name of `PACKAGED_BACKBONES`; `@SIZE` may follow, for the weights fit any size of image.
        data_format: where the convolutions have their channel axis; the input has it last in either case.

    Returns:
        A model from pixels 0 to 255, shape `(batch, height, width, 3)`, to two outputs: the embedding, shape `(batch,
        1280)`, and the features of which it is the mean over positions, in `data_format`, 1280 channels of 1/32 of the
        image's height and width.

    Raises:
        ConfigError: there is no such network.
    """
    packaged = find_packaged(name)
    if packaged is None:
        raise ConfigError(f"No EfficientNet-Lite is called {name!r}. Give one of {', '.join(PACKAGED_BACKBONES)}.")
    variant = packaged.name.partition("@")[0]
    scale = _SCALES[variant]
    image = keras.Input((*packaged.image_size, 3), name="image")
    x = layers.Rescaling(1 / _PIXEL_RANGE, offset=-_PIXEL_OFFSET / _PIXEL_RANGE, name="rescale")(image)
    if data_format == "channels_first":
        x = layers.Permute((3, 1, 2), name="channels_first")(x)
    x = _Convolution("stem", data_format, 3, stride=2).full(x, _STEM_FILTERS)
    x = layers.ReLU(6, name="stem_relu")(x)
    number, filters = 0, _STEM_FILTERS
    for place, stage in enumerate(_STAGES):
        is_repeated = place not in (0, len(_STAGES) - 1)
        for repeat in range(math.ceil(scale.depth * stage.num_blocks) if is_repeated else stage.num_blocks):
            block = stage._replace(stride=1 if repeat else stage.stride, filters=_scale_filters(stage.filters, scale))
            x = _apply_block(x, f"block_{number}", block, filters, data_format)
            number, filters = number + 1, block.filters
    x = _Convolution("head", data_format).full(x, EMBEDDING_SIZE)
    features = layers.ReLU(6, name="features")(x)
    embedding = layers.GlobalAveragePooling2D(data_format=data_format, name="embedding")(features)
    return keras.Model(image, [embedding, features], name=variant.replace("-", "_"))


class _Convolution(NamedTuple):
    """A convolution without bias and the batch norm behind it; its layers are called `NAME_conv` and `NAME_norm`."""

    name: str
    data_format: DataFormat
    kernel_size: int = 1
    stride: int = 1

    def full(self, x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        """`filters` sums over all channels."""
        return self._normalise(layers.Conv2D(filters, **self._settings())(x))

    def depthwise(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Each channel by itself."""
        return self._normalise(layers.DepthwiseConv2D(**self._settings())(x))

    def _settings(self) -> dict[str, Any]:
        """What both kinds of convolution are built with."""
        return {
            "kernel_size": self.kernel_size,
            "strides": self.stride,
            "padding": "same",
            "use_bias": False,
            "data_format": self.data_format,
            "name": f"{self.name}_conv",
        }

    def _normalise(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.BatchNormalization(
            axis=1 if self.data_format == "channels_first" else -1,
            momentum=_BATCH_NORM_MOMENTUM,
            epsilon=_BATCH_NORM_EPSILON,
            name=f"{self.name}_norm",
        )(x)


def _apply_block(
    x: keras.KerasTensor, name: str, block: _Stage, num_channels: int, data_format: DataFormat
) -> keras.KerasTensor:
    """An inverted bottleneck (MobileNetV2, arXiv 1801.04381): widen, look around, narrow, and add what came in.

    Args:
        x: features with `num_channels` channels.
        name: what the names of the block's layers begin with.
        block: its kind; `num_blocks` is not used.
    """
    start = x
    if block.expansion != 1:
        x = _Convolution(f"{name}_expand", data_format).full(x, num_channels * block.expansion)
        x = layers.ReLU(6, name=f"{name}_expand_relu")(x)
    x = _Convolution(f"{name}_depthwise", data_format, block.kernel_size, block.stride).depthwise(x)
    x = layers.ReLU(6, name=f"{name}_depthwise_relu")(x)
    x = _Convolution(f"{name}_project", data_format).full(x, block.filters)
    if block.stride == 1 and block.filters == num_channels:
        x = layers.Add(name=f"{name}_add")([x, start])
    return x


def _scale_filters(filters: int, scale: _Scale) -> int:
    """`filters` times the width, to the nearest multiple of 8 that is not more than a tenth less (`round_filters`)."""
    wanted = filters * scale.width
    rounded = max(_FILTERS_STEP, int(wanted + _FILTERS_STEP / 2) // _FILTERS_STEP * _FILTERS_STEP)
    return rounded + _FILTERS_STEP if rounded < 0.9 * wanted else rounded
