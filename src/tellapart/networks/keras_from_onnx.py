"""An ONNX classifier of ours as one functional Keras model, `channels_last`, of Keras' own layers alone.

HDF5 files hold layers only, so there is none of `keras.ops` in it. Two views of an image are two tensors, and every
layer is called for each of them. What the head divides by, the root of a length, comes from a few steps of Newton's
method, which are sums and products. Distances have no counterpart.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tellapart.networks.backend import keras
from tellapart.networks.keras_reader import Converter, KerasReader, Tensors
from tellapart.networks.onnx_reading import attributes_of, find_padding

layers = keras.layers


def build_keras(model: bytes, temperature: float = 1.0) -> keras.Model:
    """The model with its `probabilities`, and its `activation_map`, `(batch, h, w, num_classes)`, where it has one.

    Its input is `image`, pixels from 0 to 255, `(batch, height, width, channels)`. With a map the outputs are a dict.

    Args:
        model: ONNX bytes, as a bundle holds them.
        temperature: what the logits are divided by.

    Raises:
        NotImplementedError: an operator has no counterpart here; the message names it.
    """
    return KerasReader(model, temperature, _CONVERTERS).build()


def _convert_nothing(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    sources = reader.tensors(node.input[0])
    if reader.is_channels_last(node.input[0]):
        reader.mark_channels_last(node.output[0])
    return sources


def _convert_transpose(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    """Nothing: channels are the last axis here all the time."""
    perm, sources = list(attributes_of(node)["perm"]), reader.tensors(node.input[0])
    is_last = reader.is_channels_last(node.input[0])
    if perm == [0, 2, 3, 1] and not is_last:
        reader.mark_channels_last(node.output[0])
    elif perm != [0, 3, 1, 2] or not is_last:
        raise NotImplementedError(f"the operator Transpose by {perm} has no counterpart in Keras")
    return sources


def _convert_conv(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    return _convolve(reader, node, *reader.constants(node, 1))


def _convolve(reader: KerasReader, node: onnx.NodeProto, kernel: NDArray[Any], *bias: NDArray[Any]) -> Tensors:
    """The convolution of the node with these numbers."""
    attributes = attributes_of(node)
    groups, (num_out, num_in, *window) = attributes.get("group", 1), kernel.shape
    padded, padding = _pad(reader, node, (window[0], window[1]))
    settings: dict[str, Any] = {
        "padding": padding,
        "strides": tuple(attributes.get("strides", (1, 1))),
        "dilation_rate": tuple(attributes.get("dilations", (1, 1))),
        "use_bias": bool(bias),
        "name": reader.name(node),
    }
    if groups == num_out and num_in == 1 and groups > 1:
        layer = layers.DepthwiseConv2D(tuple(window), **settings)
        return reader.call(layer, padded, [kernel.transpose(2, 3, 0, 1), *bias])
    layer = layers.Conv2D(num_out, tuple(window), groups=groups, **settings)
    return reader.call(layer, padded, [kernel.transpose(2, 3, 1, 0), *bias])


def _pad(reader: KerasReader, node: onnx.NodeProto, window: tuple[int, int]) -> tuple[Tensors, str]:
    """What goes into a convolution or pooling, and the padding that the layer adds: `same` where it is Keras' own."""
    sources, attributes = reader.tensors(node.input[0]), attributes_of(node)
    size = tuple(sources[0].shape[1:3])
    top, left, bottom, right = pads = find_padding(node, size, window)
    if not any(pads):
        return sources, "valid"
    same = onnx.NodeProto()
    same.CopyFrom(node)
    del same.attribute[:]
    kept = {name: attributes[name] for name in ("strides", "dilations") if name in attributes}
    same.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in kept.items())
    same.attribute.append(onnx.helper.make_attribute("auto_pad", "SAME_UPPER"))
    if pads == find_padding(same, size, window):
        return sources, "same"
    if node.op_type != "Conv":
        raise NotImplementedError(f"the operator {node.op_type} with the padding {pads} has no counterpart in Keras")
    layer = layers.ZeroPadding2D(((top, bottom), (left, right)), name=reader.name(node, "_padding"))
    return reader.call(layer, sources), "valid"


def _convert_pooling(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    attributes = attributes_of(node)
    window = tuple(attributes["kernel_shape"])
    padded, padding = _pad(reader, node, window)
    if padding != "valid" and attributes.get("count_include_pad"):
        raise NotImplementedError("the operator AveragePool over its padding has no counterpart in Keras")
    kind = layers.MaxPooling2D if node.op_type == "MaxPool" else layers.AveragePooling2D
    strides = tuple(attributes.get("strides", (1, 1)))
    return reader.call(kind(window, strides=strides, padding=padding, name=reader.name(node)), padded)


def _convert_norm(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    """The convolution before it with the normalisation multiplied into its kernels, where nothing else takes that."""
    epsilon = attributes_of(node).get("epsilon", 1e-5)
    scale, offset, mean, variance = numbers = reader.constants(node, 1)
    before = reader.only_source(node)
    if before is None or before.op_type != "Conv":
        return reader.apply(node, layers.BatchNormalization(epsilon=epsilon, name=reader.name(node)), numbers)
    kernel, *bias = reader.constants(before, 1)
    factor = scale / np.sqrt(variance.astype(np.float64) + epsilon)
    shift = offset + (sum(bias) - mean) * factor
    return _convolve(reader, before, kernel * factor.reshape(-1, 1, 1, 1), shift)


def _convert_clip(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    low, high = (float(value) for value in reader.constants(node, 1))
    if low != 0 or not high > 0:
        raise NotImplementedError(f"the operator Clip from {low:g} to {high:g} has no counterpart in Keras")
    return reader.apply(node, layers.ReLU(max_value=high, name=reader.name(node)))


def _convert_relu(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    return reader.apply(node, layers.ReLU(name=reader.name(node)))


def _convert_activation(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    kind = {"Sigmoid": "sigmoid", "HardSwish": "hard_silu", "Tanh": "tanh"}[node.op_type]
    sources = reader.temper(node, reader.tensors(node.input[0]))
    return reader.call(layers.Activation(kind, name=reader.name(node)), sources)


def _convert_softmax(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    sources = reader.temper(node, reader.tensors(node.input[0]))
    if len(sources[0].shape) != 2:
        raise NotImplementedError("the operator Softmax over places has no counterpart in Keras")
    return reader.call(layers.Softmax(name=reader.name(node)), sources)


def _convert_mean_over_places(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    return reader.apply(node, layers.GlobalAveragePooling2D(keepdims=True, name=reader.name(node)))


def _convert_flatten(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    sources = reader.tensors(node.input[0])
    has_places = len(sources[0].shape) == 4 and tuple(sources[0].shape[1:3]) != (1, 1)
    if has_places and not reader.is_channels_last(node.input[0]):
        raise NotImplementedError("the operator Flatten with the channels first has no counterpart in Keras")
    return reader.call(layers.Flatten(name=reader.name(node)), sources)


def _convert_linear(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    attributes = attributes_of(node)
    kernel, *bias = reader.constants(node, 1)
    if attributes.get("transB"):
        kernel = kernel.T
    is_plain = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0 and not attributes.get("transA")
    if not is_plain or kernel.ndim != 2:
        raise NotImplementedError(f"the operator {node.op_type} with factors has no counterpart in Keras")
    layer = layers.Dense(kernel.shape[1], use_bias=bool(bias), name=reader.name(node))
    return reader.apply(node, layer, [kernel, *(values.reshape(-1) for values in bias)])


def _convert_arithmetic(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    """A sum, difference, product or quotient with numbers, one for all or one a channel, or of two tensors."""
    first, second = (reader.constant(name) for name in node.input)
    if first is None and second is None:
        pairs = zip(*(reader.tensors(name) for name in node.input), strict=True)
        kinds = {"Add": layers.Add, "Mul": layers.Multiply, "Sub": layers.Subtract}
        if node.op_type not in kinds:
            raise NotImplementedError(f"the operator {node.op_type} of two tensors has no counterpart in Keras")
        layer = kinds[node.op_type](name=reader.name(node))
        return tuple(layer(list(pair)) for pair in pairs)
    if second is None:
        if node.op_type in ("Div", "Sub"):
            return _subtract_from(reader, node, first)
        first, second, source = None, first, node.input[1]
    else:
        source = node.input[0]
    assert second is not None
    scale, offset = {
        "Add": (np.ones_like(second), second),
        "Sub": (np.ones_like(second), -second),
        "Mul": (second, np.zeros_like(second)),
        "Div": (1 / second, np.zeros_like(second)),
    }[node.op_type]
    sources = reader.tensors(source)
    if reader.is_channels_last(source):
        reader.mark_channels_last(node.output[0])
    return _scale(reader, node, sources, scale, offset)


def _subtract_from(reader: KerasReader, node: onnx.NodeProto, number: NDArray[Any] | None) -> Tensors:
    if node.op_type == "Div" or number is None or number.size != 1:
        raise NotImplementedError(f"the operator {node.op_type} from numbers has no counterpart in Keras")
    layer = layers.Rescaling(-1.0, offset=float(number.reshape(())), name=reader.name(node))
    return reader.call(layer, reader.tensors(node.input[1]))


def _scale(
    reader: KerasReader, node: onnx.NodeProto, sources: Tensors, scale: NDArray[Any], offset: NDArray[Any]
) -> Tensors:
    """The tensors times one number or one a channel, plus such a number."""
    if scale.size == 1:
        factor, shift = float(scale.reshape(())), float(offset.reshape(()))
        return reader.call(layers.Rescaling(factor, offset=shift, name=reader.name(node)), sources)
    if scale.size != sources[0].shape[-1] or max(scale.shape) != scale.size:
        raise NotImplementedError(f"the operator {node.op_type} with a number a place has no counterpart in Keras")
    layer = layers.Normalization(
        mean=(-offset / scale).reshape(-1).tolist(),
        variance=(1 / scale**2).reshape(-1).tolist(),
        name=reader.name(node),
    )
    return reader.call(layer, sources)


def _convert_concat(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    """Several images of a batch are views; what is put side by side otherwise are columns or channels."""
    parts = [reader.tensors(name) for name in node.input]
    axis = attributes_of(node)["axis"]
    if axis == 0:
        if all(reader.is_channels_last(name) for name in node.input):
            reader.mark_channels_last(node.output[0])
        return tuple(view for part in parts for view in part)
    if axis not in (1, -1) or (axis == -1 and len(parts[0][0].shape) == 4):
        raise NotImplementedError(f"the operator Concat along axis {axis} has no counterpart in Keras")
    layer = layers.Concatenate(axis=-1, name=reader.name(node))
    return tuple(layer(list(views)) for views in zip(*parts, strict=True))


def _convert_slice(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    """The mirror image, left to right: a dense layer along the width with ones across, as no layer of Keras mirrors."""
    starts, _ends, axes, steps = (values.reshape(-1).tolist() for values in reader.constants(node, 1))
    sources = reader.tensors(node.input[0])
    width_axis = 2 if reader.is_channels_last(node.input[0]) else 3
    if (starts, axes, steps) != ([-1], [width_axis], [-1]):
        raise NotImplementedError("the operator Slice has no counterpart in Keras")
    width = sources[0].shape[2]
    columns = reader.call(layers.Permute((1, 3, 2), name=reader.name(node, "_columns")), sources)
    across = layers.Dense(width, use_bias=False, trainable=False, name=reader.name(node))
    mirrored = reader.call(across, columns, [np.eye(width)[::-1]])
    if width_axis == 2:
        reader.mark_channels_last(node.output[0])
    return reader.call(layers.Permute((1, 3, 2), name=reader.name(node, "_back")), mirrored)


def _convert_mean(reader: KerasReader, node: onnx.NodeProto) -> Tensors:
    layer = layers.Average(name=reader.name(node))
    views = zip(*(reader.tensors(name) for name in node.input), strict=True)
    return tuple(layer(list(pair)) for pair in views)


_CONVERTERS: dict[str, Converter] = {
    "Add": _convert_arithmetic,
    "AveragePool": _convert_pooling,
    "BatchNormalization": _convert_norm,
    "Cast": _convert_nothing,
    "Clip": _convert_clip,
    "Concat": _convert_concat,
    "Conv": _convert_conv,
    "Div": _convert_arithmetic,
    "Flatten": _convert_flatten,
    "Gemm": _convert_linear,
    "GlobalAveragePool": _convert_mean_over_places,
    "HardSwish": _convert_activation,
    "Identity": _convert_nothing,
    "MatMul": _convert_linear,
    "MaxPool": _convert_pooling,
    "Mean": _convert_mean,
    "Mul": _convert_arithmetic,
    "Relu": _convert_relu,
    "Sigmoid": _convert_activation,
    "Slice": _convert_slice,
    "Softmax": _convert_softmax,
    "Sub": _convert_arithmetic,
    "Tanh": _convert_activation,
    "Transpose": _convert_transpose,
}
