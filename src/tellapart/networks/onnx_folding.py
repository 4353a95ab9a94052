"""Which layers of a Keras network need no ONNX operator of their own, for a convolution does their work.

`onnx_layers.py` writes the other layers, with the weights from here.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tellapart.networks.backend import keras

_Layer = Any
_FLOATS = NDArray[np.float64]


def require(layer: _Layer, is_accepted: bool, reason: str) -> None:
    """Nothing, if the layer can be written.

    Raises:
        NotImplementedError: it cannot, for `reason`, which follows its name and type.
    """
    if not is_accepted:
        raise NotImplementedError(
            f"layer {layer.name!r} of type {type(layer).__name__} cannot be written as ONNX{reason}"
        )


def to_array(variable: Any, dtype: type = np.float32) -> NDArray[Any]:
    """The values of a weight of a layer."""
    return np.asarray(keras.ops.convert_to_numpy(variable), dtype)


def inputs_of(layer: _Layer) -> list[Any]:
    """The tensors that go into the layer, in order; none into an input layer."""
    if isinstance(layer, keras.layers.InputLayer):
        return []
    return list(layer.input) if isinstance(layer.input, (list, tuple)) else [layer.input]


def norm_scale_and_shift(norm: _Layer) -> tuple[_FLOATS, _FLOATS]:
    """What the normalisation multiplies each channel by when predicting, and what it adds then; two of `(channels,)`.

    Ioffe and Szegedy 2015: gamma (x - mean) / sqrt(variance + epsilon) + beta.
    """
    mean, variance = (to_array(value, np.float64) for value in (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.gamma is not None:
        scale = scale * to_array(norm.gamma, np.float64)
    shift = -mean * scale
    if norm.beta is not None:
        shift = shift + to_array(norm.beta, np.float64)
    return scale, shift


class Start(NamedTuple):
    """Scaling, moving the channels to the front, and a convolution, one after the other behind the image.

    `scale` and `offset` are those of the scaling, each of `(channels,)`.
    """

    rescaling: _Layer
    permute: _Layer
    convolution: _Layer
    scale: _FLOATS
    offset: _FLOATS


class Folding:
    """The convolutions of a model, each with the layers whose work is done by its kernel and bias.

    Attributes:
        start: the first three layers of the network, where the first of them can be folded into the third.
    """

    def __init__(self, model: keras.Model) -> None:
        followers = _find_followers(model)
        self.start = _find_start(model, followers)
        self._tails: dict[int, list[_Layer]] = {}
        self._folded = {id(self.start.rescaling), id(self.start.permute)} if self.start else set()
        for layer in model.layers:
            is_convolution = isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
            if is_convolution and not self.is_folded(layer):
                self._tails[id(layer)] = tail = _find_tail(layer, followers)
                self._folded.update(map(id, tail))

    def is_folded(self, layer: _Layer) -> bool:
        """Whether another layer does the work of this one, up to the activation that it carries inside."""
        return id(layer) in self._folded

    def weights(self, convolution: _Layer) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Kernel `(out, in / groups, height, width)` and bias `(out,)`, with all that is folded into them."""
        kernel, bias = _own_weights(convolution)
        if self.start is not None and convolution is self.start.convolution:
            kernel = kernel * self.start.scale[:, np.newaxis, np.newaxis]
        for layer in self._tails[id(convolution)]:
            if isinstance(layer, keras.layers.BatchNormalization):
                scale, shift = norm_scale_and_shift(layer)
                kernel, bias = kernel * scale[:, np.newaxis, np.newaxis, np.newaxis], bias * scale + shift
            else:
                mixing, more = _own_weights(layer)
                mixing = mixing[:, :, 0, 0]
                kernel, bias = np.tensordot(mixing, kernel, 1), mixing @ bias + more
        return kernel.astype(np.float32), bias.astype(np.float32)


def _own_weights(convolution: _Layer) -> tuple[_FLOATS, _FLOATS]:
    """Kernel, `(out, in / groups, height, width)`, and bias, `(out,)`, of the layer alone."""
    axes = (2, 3, 0, 1) if isinstance(convolution, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)
    kernel = to_array(convolution.kernel, np.float64).transpose(axes)
    bias = to_array(convolution.bias, np.float64) if convolution.use_bias else np.zeros(len(kernel))
    return kernel, bias


def _find_followers(model: keras.Model) -> dict[int, _Layer]:
    """The one layer that uses a tensor, by the id of the tensor; tensors used twice, or given out, are left out."""
    users: dict[int, list[_Layer | None]] = {}
    for layer in model.layers:
        for tensor in inputs_of(layer):
            users.setdefault(id(tensor), []).append(layer)
    for tensor in model.outputs:
        users.setdefault(id(tensor), []).append(None)
    return {key: found[0] for key, found in users.items() if len(found) == 1 and found[0] is not None}


def _find_start(model: keras.Model, followers: dict[int, _Layer]) -> Start | None:
    kinds = (keras.layers.Rescaling, keras.layers.Permute, keras.layers.Conv2D)
    chain: list[_Layer] = []
    tensor = model.inputs[0]
    for kind in kinds:
        layer = followers.get(id(tensor))
        if not isinstance(layer, kind):
            return None
        chain.append(layer)
        tensor = layer.output
    rescaling, permute, convolution = chain
    channels = model.input_shape[-1]
    numbers = [np.asarray(value, np.float64) for value in (rescaling.scale, rescaling.offset)]
    is_per_channel = all(value.shape in ((), (1,), (channels,)) for value in numbers)
    if not is_per_channel or tuple(permute.dims) != (3, 1, 2) or convolution.groups != 1:
        return None
    return Start(*chain, *(np.broadcast_to(value, (channels,)) for value in numbers))


def _find_tail(convolution: _Layer, followers: dict[int, _Layer]) -> list[_Layer]:
    """The layers right behind the convolution that are linear as it is, in order."""
    tail: list[_Layer] = []
    layer = convolution
    while _is_linear(layer):
        layer = followers.get(id(layer.output))
        is_norm = isinstance(layer, keras.layers.BatchNormalization) and layer.axis in (1, -3)
        if not (is_norm or _is_cheaper_as_one(convolution, layer)):
            break
        tail.append(layer)
    return tail


def _is_linear(layer: _Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization) or is_activation(layer.activation, "linear")


def is_activation(activation: Any, name: str) -> bool:
    """Whether this is Keras' own activation function of that name."""
    return bool(keras.activations.serialize(activation) == name)


def _is_cheaper_as_one(first: _Layer, second: _Layer | None) -> bool:
    """Whether a 1x1 convolution behind another one multiplies less often once both are a single one.

    As behind fixed first filters: 27 of 3x3x3 pixels and 32 sums of them are 32 of 3x3x3.
    """
    pair = (first, second)
    if not all(isinstance(layer, keras.layers.Conv2D) and layer.groups == 1 for layer in pair) or second is None:
        return False
    if second.kernel_size != (1, 1) or second.strides != (1, 1) or second.data_format != first.data_format:
        return False
    num_inputs = int(np.prod(first.kernel.shape[:3]))
    return bool(num_inputs * second.filters < (num_inputs + second.filters) * first.filters)
