"""The network of the recipe `scratch`: a narrow residual network behind first filters that are read off the photos."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.networks.backend import DataFormat, keras
from tellapart.networks.normalization import batch_norm

layers = keras.layers

WHITEN_NAME = "whiten"
WHITEN_SIZE = 3
_STAGES = (1, 2, 4, 8)
_BLOCKS_A_STAGE = 2
_PATCHES_A_PHOTO = 60
# Added to every variance, on the scale of pixels in [-1, 1]: directions with less than this are noise or compression.
_LEAST_VARIANCE = 2e-3


def build_residual_network(
    input_shape: tuple[int | None, int | None, int],
    num_classes: int,
    data_format: DataFormat = "channels_last",
    width: int = 32,
    *,
    is_merged: bool = False,
) -> keras.Model:
    """The network: 2,795,554 trainable parameters for two classes in colour at a width of 32.

    Fixed 3x3 filters at every second pixel, as `whitening_filters` makes them of the training photos, a 1x1
    convolution, 2x2 max-pooling; then four stages at 1/4 to 1/32 of the image with `width` to `8 * width` channels and
    two basic blocks each (He et al. 2015, section 4.1; the shortcut of a stage averages 2x2 pixels first, as in
    ResNet-D, He et al. 2018); mean over places, softmax.

    The weights have the same shapes and order in either data format, and at every image size.

    Args:
        input_shape: `(height, width, channels)`; height and width may be `None` to train at several sizes.
        num_classes: 2 or more.
        data_format: where the convolutions have their channel axis; the input has it last in either case.
        width: channels of the first stage; computing grows with its square.
        is_merged: whether the fixed filters and the 1x1 convolution are one, as `merge_first_layers` has them.

    Returns:
        A model from pixels 0 to 255, shape `(batch, height, width, channels)`, to the probability of every class, shape
        `(batch, num_classes)`.
    """
    image = keras.Input(input_shape, name="image")
    x = layers.Permute((3, 1, 2), name="channels_first")(image) if data_format == "channels_first" else image
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(x)
    make = _Maker(data_format)
    if is_merged:
        x = make.conv(width, WHITEN_SIZE, "stem_conv", strides=2)(x)
    else:
        x = make.conv(WHITEN_SIZE**2 * input_shape[2], WHITEN_SIZE, WHITEN_NAME, strides=2, trainable=False)(x)
        x = make.conv(width, 1, "stem_conv")(x)
    x = make.normalise(x, "stem_norm")
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.MaxPooling2D(2, padding="same", data_format=data_format, name="stem_pool")(x)
    for stage, multiple in enumerate(_STAGES, start=1):
        for block in range(1, _BLOCKS_A_STAGE + 1):
            stride = 2 if block == 1 and stage > 1 else 1
            x = _apply_block(make, x, f"stage{stage}_block{block}", width * multiple, stride)
    x = layers.GlobalAveragePooling2D(data_format=data_format, name="mean")(x)
    # Whole precision where the layers before it compute in half: the loss takes logarithms.
    output = layers.Dense(
        num_classes, activation="softmax", kernel_initializer="zeros", dtype="float32", name="probabilities"
    )(x)
    return keras.Model(image, output, name="residual")


def merge_first_layers(model: keras.Model) -> keras.Model:
    """The trained network with its fixed filters and the 1x1 convolution of them as one, which answers the same.

    It saves a tenth of the time of a prediction by ONNX Runtime (81 ms for 8 photos of 160x160 pixels, not 87: 2 busy
    cores, medians of 120 turns, 2026-11-28).

    Args:
        model: from `build_residual_network`; not modified.
    """
    stem = model.get_layer("stem_conv")
    shape, num_classes = model.input_shape[1:], model.output_shape[-1]
    merged = build_residual_network(shape, num_classes, stem.data_format, stem.filters, is_merged=True)
    filters, sums, *others = model.get_weights()
    merged.set_weights([np.tensordot(filters, sums[0, 0], 1), *others])
    return merged


def whitening_filters(images: NDArray[np.uint8], size: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Filters whose answers on patches of the photos are uncorrelated and of about unit variance.

    The principal directions of the patches over the square root of their variance (Coates and Ng 2012, "Learning
    feature representations with k-means", section 3), the strongest first.

    Args:
        images: uint8, shape `(n, height, width, channels)`, at least one; not modified.
        size: height and width of a filter, at most those of the images.
        generator: draws the patches.

    Returns:
        float32, shape `(size, size, channels, size * size * channels)`, for pixels scaled to `[-1, 1]`.
    """
    height, width, channels = images.shape[1:]
    patches = np.empty((len(images), _PATCHES_A_PHOTO, size, size, channels), np.uint8)
    for image, made in zip(images, patches, strict=True):
        tops = generator.integers(0, height - size + 1, _PATCHES_A_PHOTO)
        lefts = generator.integers(0, width - size + 1, _PATCHES_A_PHOTO)
        for patch, top, left in zip(made, tops, lefts, strict=True):
            patch[...] = image[top : top + size, left : left + size]
    scaled = patches.reshape(-1, size * size * channels).astype(np.float64) / 127.5 - 1
    scaled -= scaled.mean(axis=0)
    variances, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    filters = (directions / np.sqrt(np.maximum(variances, 0) + _LEAST_VARIANCE))[:, ::-1]
    # The sign of a direction is the linear algebra library's choice; fixed here, so that every machine gets the same.
    signs = np.sign(filters[np.abs(filters).argmax(axis=0), np.arange(filters.shape[1])])
    signed: NDArray[np.float64] = filters * signs
    return signed.reshape(size, size, channels, -1).astype(np.float32)


class _Maker:
    """Layers with the settings they all share."""

    def __init__(self, data_format: DataFormat) -> None:
        self.data_format = data_format

    def conv(self, filters: int, kernel_size: int, name: str, **settings: Any) -> keras.layers.Conv2D:
        """A convolution without bias, for a normalisation follows it."""
        return layers.Conv2D(
            filters,
            kernel_size,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            data_format=self.data_format,
            name=name,
            **settings,
        )

    def normalise(self, x: keras.KerasTensor, name: str, **settings: Any) -> keras.KerasTensor:
        return batch_norm(self.data_format, momentum=0.9, epsilon=1e-5, name=name, **settings)(x)

    def shortcut(self, x: keras.KerasTensor, name: str, filters: int) -> keras.KerasTensor:
        """What comes in, at half the size and with as many channels as the block gives."""
        x = layers.AveragePooling2D(2, padding="same", data_format=self.data_format, name=f"{name}_mean")(x)
        return self.normalise(self.conv(filters, 1, f"{name}_conv")(x), f"{name}_norm")


def _apply_block(make: _Maker, x: keras.KerasTensor, name: str, filters: int, stride: int) -> keras.KerasTensor:
    """Two 3x3 convolutions, added to what came in; at the start of training only what came in."""
    start = x if stride == 1 else make.shortcut(x, f"{name}_shortcut", filters)
    x = make.normalise(make.conv(filters, 3, f"{name}_conv1", strides=stride)(x), f"{name}_norm1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = make.normalise(make.conv(filters, 3, f"{name}_conv2")(x), f"{name}_norm2", gamma_initializer="zeros")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, start]))
