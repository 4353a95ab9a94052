"""Keras layers as ONNX operators: one function a kind of layer. The end of a classifier is `keras_export.py`'s.

Every function takes the nodes so far, the layer, what its values are called, and the values that go into it; it gives
the value that comes out. Batch normalisation is written as it is: ONNX Runtime multiplies it into the kernels.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from tellapart.networks.backend import keras
from tellapart.networks.onnx_nodes import NodeList

# What only a training does something with.
IDLE_LAYERS = (
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
)
_Layer = Any


def convert(nodes: NodeList, model: keras.Model, image: str) -> dict[int, str]:
    """The names of the values that hold the model's tensors, by the id of the tensor; all layers are nodes afterwards.

    A layer of a class of the project's own is written as the Keras class it was derived from. A value is called
    `layer/...`, which is never the name of an output.

    Args:
        nodes: where the layers are added.
        model: functional; its convolutions are `channels_first`, as ONNX has them.
        image: the value that is the model's input, uint8. Where moving the channels comes first, it is bytes that are
            moved, a quarter of the floats.

    Raises:
        NotImplementedError: a layer has no counterpart here; it names the layer.
    """
    values, pixels = {id(model.inputs[0]): image}, {image}
    floats: dict[str, str] = {}

    def value_of(tensor: Any, as_bytes: bool) -> str:
        value = values[id(tensor)]
        if value not in pixels or as_bytes:
            return value
        if value not in floats:
            floats[value] = nodes.add("Cast", [value], f"{value}_float", to=TensorProto.FLOAT)
        return floats[value]

    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        convert_layer = next((_CONVERTERS[kind] for kind in type(layer).__mro__ if kind in _CONVERTERS), None)
        _require(layer, convert_layer is not None, "")
        assert convert_layer is not None
        is_moved = isinstance(layer, keras.layers.Permute)
        sources = [value_of(tensor, is_moved) for tensor in keras.tree.flatten(layer.input)]
        values[id(layer.output)] = output = convert_layer(nodes, layer, f"layer/{layer.name}", *sources)
        if is_moved and sources[0] in pixels:
            pixels.add(output)
    return values


def to_array(variable: Any) -> NDArray[np.float32]:
    """The values of a weight of a layer."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float32)


def is_activation(activation: Any, name: str) -> bool:
    """Whether this is Keras' own activation function of that name."""
    return bool(keras.activations.serialize(activation) == name)


def _require(layer: _Layer, is_accepted: bool, reason: str) -> None:
    """Nothing, if the layer can be written.

    Raises:
        NotImplementedError: it cannot, for `reason`, which follows its name and type.
    """
    if not is_accepted:
        raise NotImplementedError(
            f"layer {layer.name!r} of type {type(layer).__name__} cannot be written as ONNX{reason}"
        )


def _require_channels_first(layer: _Layer) -> None:
    is_first = layer.data_format == "channels_first"
    _require(layer, is_first, f" in the format {layer.data_format!r}, not 'channels_first'")


def _activate(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    """The activation that `layer` carries inside, or is."""
    kind = keras.activations.serialize(layer.activation)
    if kind == "linear":
        return source
    output = f"{name}_{kind}"
    if kind == "relu":
        return nodes.add("Relu", [source], output)
    if kind == "sigmoid":
        return nodes.add("Sigmoid", [source], output)
    if kind == "softmax":
        return nodes.add("Softmax", [source], output, axis=-1)
    if kind == "silu":
        return nodes.add("Mul", [source, nodes.add("Sigmoid", [source], f"{output}_gate")], output)
    if kind == "gelu":
        return _add_gelu(nodes, source, output)
    raise NotImplementedError(f"activation {kind!r} of layer {layer.name!r} cannot be written as ONNX")


def _add_gelu(nodes: NodeList, source: str, name: str) -> str:
    """Half of x (1 + erf(x / sqrt 2)) (Hendrycks and Gimpel 2016), in the steps that ONNX Runtime fuses to one."""
    root, one, half = (
        nodes.constant(f"{name}_{key}", value) for key, value in (("root", math.sqrt(2)), ("one", 1.0), ("half", 0.5))
    )
    error = nodes.add("Erf", [nodes.add("Div", [source, root], f"{name}_divided")], f"{name}_erf")
    gate = nodes.add("Add", [error, one], f"{name}_gate")
    return nodes.add("Mul", [nodes.add("Mul", [source, gate], f"{name}_gated"), half], name)


def _convert_relu(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    _require(layer, layer.negative_slope == 0 and layer.threshold == 0, " with a slope or a threshold")
    if layer.max_value is None:
        return nodes.add("Relu", [source], name)
    limits = [nodes.constant(f"{name}_low", 0.0), nodes.constant(f"{name}_high", float(layer.max_value))]
    return nodes.add("Clip", [source, *limits], name)


def _convert_softmax(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    _require(layer, isinstance(layer.axis, int), " over more than one axis")
    return nodes.add("Softmax", [source], name, axis=layer.axis)


def _convert_rescaling(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    scale, offset = (np.asarray(value, np.float32) for value in (layer.scale, layer.offset))
    scaled = nodes.add("Mul", [source, nodes.constant(f"{name}_scale", scale)], f"{name}_scaled")
    return nodes.add("Add", [scaled, nodes.constant(f"{name}_offset", offset)], name) if offset.any() else scaled


def _convert_permute(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    return nodes.add("Transpose", [source], name, perm=[0, *layer.dims])


def _convert_norm(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    """Ioffe and Szegedy 2015: gamma (x - mean) / sqrt(variance + epsilon) + beta, with the averages of the training."""
    _require(layer, layer.axis % len(layer.input.shape) == 1, f" along the axis {layer.axis!r}; only 1 can be")
    weights = {
        "gamma": np.ones(layer.moving_mean.shape) if layer.gamma is None else to_array(layer.gamma),
        "beta": np.zeros(layer.moving_mean.shape) if layer.beta is None else to_array(layer.beta),
        "mean": to_array(layer.moving_mean),
        "variance": to_array(layer.moving_variance),
    }
    inputs = [nodes.constant(f"{name}_{key}", value) for key, value in weights.items()]
    return nodes.add("BatchNormalization", [source, *inputs], name, epsilon=layer.epsilon)


def _convert_conv(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    kernel = to_array(layer.kernel).transpose(3, 2, 0, 1)
    return _add_conv(nodes, layer, name, source, kernel, layer.groups)


def _convert_depthwise(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    _require(layer, layer.depth_multiplier == 1, " with more than one filter a channel")
    kernel = to_array(layer.kernel).transpose(2, 3, 0, 1)
    return _add_conv(nodes, layer, name, source, kernel, len(kernel))


def _add_conv(nodes: NodeList, layer: _Layer, name: str, source: str, kernel: NDArray[np.float32], groups: int) -> str:
    """A convolution with this kernel, `(out, in / groups, height, width)`, and its activation."""
    _require_channels_first(layer)
    inputs = [source, nodes.constant(f"{name}_kernel", kernel)]
    if layer.use_bias:
        inputs.append(nodes.constant(f"{name}_bias", to_array(layer.bias)))
    settings = {"strides": list(layer.strides), "dilations": list(layer.dilation_rate), "group": groups}
    pads = _pads(layer, layer.kernel_size, layer.dilation_rate)
    return _activate(nodes, layer, name, nodes.add("Conv", inputs, name, pads=pads, **settings))


def _convert_max_pooling(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    """Padding is never the greatest."""
    return _add_pooling(nodes, layer, name, source, "MaxPool")


def _convert_average_pooling(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    """Padding is no part of a mean.

    Keras on PyTorch repeats the edge instead where the padding of an axis is uneven, which gives another mean for
    windows of more than two places; such a network has no one meaning.
    """
    pads = _pads(layer, layer.pool_size)
    is_wide = any(
        size > 2 and before + after > 0 for size, before, after in zip(layer.pool_size, pads[:2], pads[2:], strict=True)
    )
    _require(
        layer,
        pads[:2] == pads[2:] or not is_wide,
        f": windows {layer.pool_size!r} padded unevenly, which Keras' backends do in different ways; "
        "use windows of 2, or padding='valid'.",
    )
    return _add_pooling(nodes, layer, name, source, "AveragePool", count_include_pad=0)


def _add_pooling(nodes: NodeList, layer: _Layer, name: str, source: str, operator: str, **settings: Any) -> str:
    _require_channels_first(layer)
    settings |= {"kernel_shape": list(layer.pool_size), "strides": list(layer.strides)}
    return nodes.add(operator, [source], name, pads=_pads(layer, layer.pool_size), **settings)


def _pads(layer: _Layer, window: Sequence[int], dilations: Sequence[int] = (1, 1)) -> list[int]:
    """Padding at top, left, bottom and right; Keras' "same" puts the odd pixel at the bottom and right."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    starts, ends = [], []
    for size, length, stride, dilation in zip(layer.input.shape[2:], window, layer.strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + (length - 1) * dilation + 1 - size)
        starts.append(total // 2)
        ends.append(total - total // 2)
    return starts + ends


def _convert_zero_padding(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    _require_channels_first(layer)
    (top, bottom), (left, right) = layer.padding
    return nodes.add("Pad", [source, nodes.constant(f"{name}_pads", [0, 0, top, left, 0, 0, bottom, right])], name)


def _convert_mean(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    _require_channels_first(layer)
    if layer.keepdims:
        return nodes.add("GlobalAveragePool", [source], name)
    return nodes.mean_over_places(source, name)


def _combine(operator: str, nodes: NodeList, layer: _Layer, name: str, *sources: str) -> str:
    """The operator, which takes two values, applied to all of them from left to right."""
    ranks = {len(tensor.shape) for tensor in layer.input}
    _require(layer, len(ranks) == 1, " for values with different numbers of axes")
    result = sources[0]
    for number, source in enumerate(sources[1:], start=1):
        is_last = number == len(sources) - 1
        result = nodes.add(operator, [result, source], name if is_last else f"{name}_{number}")
    return result


def _convert_flatten(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    # Keras flattens with the channels last, whatever the data format, so that dense weights fit both.
    if layer.data_format == "channels_first" and len(layer.input.shape) == 4:
        source = nodes.add("Transpose", [source], f"{name}_channels_last", perm=[0, 2, 3, 1])
    return nodes.add("Flatten", [source], name, axis=1)


def _convert_reshape(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    # 0 keeps the size of the batch.
    shape = nodes.constant(f"{name}_shape", [0, *layer.output.shape[1:]])
    return nodes.add("Reshape", [source, shape], name)


def _convert_nothing(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    return source


def _convert_dense(nodes: NodeList, layer: _Layer, name: str, source: str) -> str:
    _require(layer, len(layer.input.shape) == 2, f" on values of shape {layer.input.shape!r}; flatten them first")
    inputs = [source, nodes.constant(f"{name}_kernel", to_array(layer.kernel))]
    if layer.use_bias:
        inputs.append(nodes.constant(f"{name}_bias", to_array(layer.bias)))
    return _activate(nodes, layer, name, nodes.add("Gemm", inputs, name))


# A class stands for those derived from it too: `Dropout` for `SpatialDropout2D`.
_CONVERTERS: dict[type, Callable[..., str]] = {
    keras.layers.Activation: _activate,
    keras.layers.Add: partial(_combine, "Add"),
    keras.layers.AveragePooling2D: _convert_average_pooling,
    keras.layers.BatchNormalization: _convert_norm,
    keras.layers.Conv2D: _convert_conv,
    keras.layers.Dense: _convert_dense,
    keras.layers.DepthwiseConv2D: _convert_depthwise,
    keras.layers.Flatten: _convert_flatten,
    keras.layers.GlobalAveragePooling2D: _convert_mean,
    keras.layers.MaxPooling2D: _convert_max_pooling,
    keras.layers.Multiply: partial(_combine, "Mul"),
    keras.layers.Permute: _convert_permute,
    keras.layers.ReLU: _convert_relu,
    keras.layers.Rescaling: _convert_rescaling,
    keras.layers.Reshape: _convert_reshape,
    keras.layers.Softmax: _convert_softmax,
    keras.layers.ZeroPadding2D: _convert_zero_padding,
    **dict.fromkeys(IDLE_LAYERS, _convert_nothing),
}
