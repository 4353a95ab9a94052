"""Keras layers as ONNX operators: one converter a kind of layer, for `export.py` and `onnx_classifier.py`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tellapart.networks.backend import keras
from tellapart.networks.onnx_activations import activate, convert_relu, convert_softmax
from tellapart.networks.onnx_folding import inputs_of, norm_scale_and_shift, require, to_array
from tellapart.networks.onnx_graph import Graph
from tellapart.networks.onnx_windows import (
    convert_average_pooling,
    convert_conv,
    convert_depthwise,
    convert_max_pooling,
    convert_mean,
    convert_zero_padding,
)

# What only a training does something with.
IDLE_LAYERS = (
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
)
_Layer = Any


def convert(graph: Graph) -> list[str]:
    """The names of the values that hold the model's outputs, in order; all layers are in the graph afterwards.

    A layer of a class of the project's own is written as the Keras class it was derived from.

    Raises:
        NotImplementedError: a layer has no counterpart here; it names the layer.
    """
    graph.values[id(graph.model.inputs[0])] = graph.add_image()
    for layer in graph.model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        convert_layer = next((_CONVERTERS[kind] for kind in type(layer).__mro__ if kind in _CONVERTERS), None)
        require(layer, convert_layer is not None, "")
        assert convert_layer is not None
        sources = [graph.values[id(tensor)] for tensor in inputs_of(layer)]
        graph.values[id(layer.output)] = convert_layer(graph, layer, *sources)
    return [graph.values[id(tensor)] for tensor in graph.model.outputs]


def _convert_rescaling(graph: Graph, layer: _Layer, source: str) -> str:
    if graph.folding.is_folded(layer):
        return source
    scale, offset = (np.asarray(value, np.float32) for value in (layer.scale, layer.offset))
    scaled = graph.add("Mul", [source, graph.constant(f"{layer.name}_scale", scale)], f"{layer.name}_scaled")
    if not np.any(offset):
        return scaled
    return graph.add("Add", [scaled, graph.constant(f"{layer.name}_offset", offset)], layer.name)


def _convert_permute(graph: Graph, layer: _Layer, source: str) -> str:
    if graph.folding.is_folded(layer):
        return source
    return graph.add("Transpose", [source], layer.name, perm=[0, *layer.dims])


def _convert_norm(graph: Graph, layer: _Layer, source: str) -> str:
    """A normalisation that no convolution can do."""
    if graph.folding.is_folded(layer):
        return source
    rank = len(layer.input.shape)
    axis = layer.axis % rank
    scale, shift = (value.astype(np.float32) for value in norm_scale_and_shift(layer))
    if axis == 1:
        # One operator in one pass over the features, and ONNX Runtime keeps them in its own blocked format for it.
        variance = np.ones_like(scale)
        values = {"scale": scale, "shift": shift, "mean": np.zeros_like(scale), "variance": variance}
        inputs = [graph.constant(f"{layer.name}_{key}", value) for key, value in values.items()]
        return graph.add("BatchNormalization", [source, *inputs], layer.name, epsilon=0.0)
    shape = [-1 if place == axis else 1 for place in range(1, rank)]
    factor = graph.constant(f"{layer.name}_scale", scale.reshape(shape))
    scaled = graph.add("Mul", [source, factor], f"{layer.name}_scaled")
    return graph.add("Add", [scaled, graph.constant(f"{layer.name}_shift", shift.reshape(shape))], layer.name)


def _convert_add(graph: Graph, layer: _Layer, *sources: str) -> str:
    return _combine(graph, layer, "Add", sources)


def _convert_multiply(graph: Graph, layer: _Layer, *sources: str) -> str:
    return _combine(graph, layer, "Mul", sources)


def _combine(graph: Graph, layer: _Layer, operator: str, sources: tuple[str, ...]) -> str:
    """The name after the operator, which takes two values, has been applied to all of them from left to right."""
    ranks = {len(tensor.shape) for tensor in layer.input}
    require(layer, len(ranks) == 1, " for values with different numbers of axes")
    result = sources[0]
    for number, source in enumerate(sources[1:], start=1):
        is_last = number == len(sources) - 1
        result = graph.add(operator, [result, source], layer.name if is_last else f"{layer.name}_{number}")
    return result


def _convert_flatten(graph: Graph, layer: _Layer, source: str) -> str:
    # Keras flattens with the channels last, whatever the data format, so that dense weights fit both.
    if layer.data_format == "channels_first" and len(layer.input.shape) == 4:
        source = graph.add("Transpose", [source], f"{layer.name}_channels_last", perm=[0, 2, 3, 1])
    return graph.add("Flatten", [source], layer.name, axis=1)


def _convert_reshape(graph: Graph, layer: _Layer, source: str) -> str:
    # 0 keeps the size of the batch.
    shape = graph.constant(f"{layer.name}_shape", np.array([0, *layer.output.shape[1:]], np.int64))
    return graph.add("Reshape", [source, shape], layer.name)


def _convert_nothing(graph: Graph, layer: _Layer, source: str) -> str:
    return source


def _convert_dense(graph: Graph, layer: _Layer, source: str) -> str:
    require(layer, len(layer.input.shape) == 2, f" on values of shape {layer.input.shape!r}; flatten them first")
    inputs = [source, graph.constant(f"{layer.name}_kernel", to_array(layer.kernel))]
    if layer.use_bias:
        inputs.append(graph.constant(f"{layer.name}_bias", to_array(layer.bias)))
    return activate(graph, layer, graph.add("Gemm", inputs, layer.name))


# A class stands for those derived from it too: `Dropout` for `SpatialDropout2D`.
_CONVERTERS: dict[type, Callable[..., str]] = {
    keras.layers.Activation: activate,
    keras.layers.Add: _convert_add,
    keras.layers.AveragePooling2D: convert_average_pooling,
    keras.layers.BatchNormalization: _convert_norm,
    keras.layers.Conv2D: convert_conv,
    keras.layers.Dense: _convert_dense,
    keras.layers.DepthwiseConv2D: convert_depthwise,
    keras.layers.Flatten: _convert_flatten,
    keras.layers.GlobalAveragePooling2D: convert_mean,
    keras.layers.MaxPooling2D: convert_max_pooling,
    keras.layers.Multiply: _convert_multiply,
    keras.layers.Permute: _convert_permute,
    keras.layers.ReLU: convert_relu,
    keras.layers.Rescaling: _convert_rescaling,
    keras.layers.Reshape: _convert_reshape,
    keras.layers.Softmax: convert_softmax,
    keras.layers.ZeroPadding2D: convert_zero_padding,
    **dict.fromkeys(IDLE_LAYERS, _convert_nothing),
}
