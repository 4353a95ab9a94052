"""Activation functions as ONNX operators, inside other layers and as layers of their own, for `onnx_layers.py`."""

import math
from typing import Any

import numpy as np

from tellapart.networks.backend import keras
from tellapart.networks.onnx_folding import require
from tellapart.networks.onnx_graph import Graph

_Layer = Any


def activate(graph: Graph, layer: _Layer, source: str) -> str:
    """The name after the activation that `layer` carries inside."""
    name = keras.activations.serialize(layer.activation)
    if name == "linear":
        return source
    output = f"{layer.name}_{name}"
    if name == "relu":
        return graph.add("Relu", [source], output)
    if name == "sigmoid":
        return graph.add("Sigmoid", [source], output)
    if name == "softmax":
        return graph.add("Softmax", [source], output, axis=-1)
    if name == "silu":
        return graph.add("Mul", [source, graph.add("Sigmoid", [source], f"{output}_gate")], output)
    if name == "gelu":
        return _add_gelu(graph, source, output)
    raise NotImplementedError(f"activation {name!r} of layer {layer.name!r} cannot be written as ONNX")


def convert_relu(graph: Graph, layer: _Layer, source: str) -> str:
    """The name after a ReLU, with an upper limit or without."""
    require(layer, layer.negative_slope == 0 and layer.threshold == 0, " with a slope or a threshold")
    if layer.max_value is None:
        return graph.add("Relu", [source], layer.name)
    limits = [
        graph.constant(f"{layer.name}_{end}", np.array(value, np.float32))
        for end, value in (("low", 0), ("high", layer.max_value))
    ]
    return graph.add("Clip", [source, *limits], layer.name)


def convert_softmax(graph: Graph, layer: _Layer, source: str) -> str:
    """The name after a softmax over one axis."""
    require(layer, isinstance(layer.axis, int), " over more than one axis")
    return graph.add("Softmax", [source], layer.name, axis=layer.axis)


def _add_gelu(graph: Graph, source: str, name: str) -> str:
    """The name of x / 2 (1 + erf(x / sqrt 2)) (Hendrycks and Gimpel 2016), in the steps ONNX Runtime fuses to one."""
    root, one, half = (
        graph.constant(f"{name}_{key}", np.array(value, np.float32))
        for key, value in (("root", math.sqrt(2)), ("one", 1), ("half", 0.5))
    )
    error = graph.add("Erf", [graph.add("Div", [source, root], f"{name}_divided")], f"{name}_erf")
    gate = graph.add("Add", [error, one], f"{name}_gate")
    return graph.add("Mul", [graph.add("Mul", [source, gate], f"{name}_gated"), half], name)
