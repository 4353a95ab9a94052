"""What a layer computes in training on PyTorch, by PyTorch's own functions.

Keras looks up types, shapes, devices and precision in every call of every layer. All of that happens in the Python
interpreter, which one thread at a time can use, so that shares of a batch in several threads wait for one another some
hundred times a step (docs/decisions/008-a-share-of-the-batch-a-core.md). Needs PyTorch.
"""

import functools
import inspect
from collections.abc import Callable

import torch

from tellapart.networks.backend import keras
from tellapart.networks.normalization import FusedBatchNormalization

_Call = Callable[..., torch.Tensor]


def call_of(layer: keras.layers.Layer) -> _Call:
    """The function of one tensor, or of several, that gives what the built layer gives in training.

    Convolutions, normalisation, pooling, ReLU and sums, as our networks have them, are PyTorch's; all else is the
    layer's own function, without what Keras does around it.
    """
    torch_call = _MAKERS[type(layer)](layer) if type(layer) in _MAKERS else None
    return torch_call or _own_call(layer)


def _own_call(layer: keras.layers.Layer) -> _Call:
    own = layer.call
    settings = {"training": True} if "training" in inspect.signature(own).parameters else {}

    def call(*given: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = own(list(given) if len(given) > 1 else given[0], **settings)
        return result

    return call


def _convolution(layer: keras.layers.Conv2D) -> _Call | None:
    """Convolutions without bias or activation; zeros go around the image as Keras puts them, an odd one at the end."""
    if (
        (layer.data_format, layer.use_bias) != ("channels_first", False)
        or (layer.groups, tuple(layer.dilation_rate)) != (1, (1, 1))
        or layer.activation is not keras.activations.linear
    ):
        return None
    kernel, strides, is_padded = layer.kernel.value, tuple(layer.strides), layer.padding == "same"
    sizes = tuple(layer.kernel_size)

    def call(images: torch.Tensor) -> torch.Tensor:
        zeros = [
            _num_zeros(length, size, stride) if is_padded else 0
            for length, size, stride in zip(images.shape[2:], sizes, strides, strict=True)
        ]
        padding = [num // 2 for num in zeros]
        if any(num % 2 for num in zeros):
            (top, left), (height, width) = padding, zeros
            images, padding = torch.nn.functional.pad(images, (left, width - left, top, height - top)), [0, 0]
        return torch.nn.functional.conv2d(images, kernel.permute(3, 2, 0, 1), None, strides, padding)

    return call


def _num_zeros(length: int, size: int, stride: int) -> int:
    """Zeros on both sides together with which a kernel of this size sees every `stride`-th pixel."""
    return max(0, (-(-length // stride) - 1) * stride + size - length)


def _pooling(
    pool: Callable[..., torch.Tensor], layer: keras.layers.MaxPooling2D | keras.layers.AveragePooling2D
) -> _Call | None:
    """Pooling of parts that lie side by side; images that they do not fill go through the layer's own function."""
    size = tuple(layer.pool_size)
    if layer.data_format != "channels_first" or tuple(layer.strides) != size:
        return None
    own = _own_call(layer)

    def call(images: torch.Tensor) -> torch.Tensor:
        is_filled = not any(length % part for length, part in zip(images.shape[2:], size, strict=True))
        return pool(images, size) if is_filled else own(images)

    return call


def _normalisation(layer: FusedBatchNormalization) -> _Call | None:
    return layer.training_call() if layer.trainable else None


def _relu(layer: keras.layers.ReLU) -> _Call | None:
    is_plain = (layer.max_value, layer.negative_slope, layer.threshold) == (None, 0, 0)
    return torch.relu if is_plain else None


def _sum(_: keras.layers.Add) -> _Call:
    return lambda *given: functools.reduce(torch.add, given)


_MAKERS: dict[type, Callable[..., _Call | None]] = {
    FusedBatchNormalization: _normalisation,
    keras.layers.Conv2D: _convolution,
    keras.layers.MaxPooling2D: functools.partial(_pooling, torch.nn.functional.max_pool2d),
    keras.layers.AveragePooling2D: functools.partial(_pooling, torch.nn.functional.avg_pool2d),
    keras.layers.ReLU: _relu,
    keras.layers.Add: _sum,
}
