"""Convolutions, pooling and padding as ONNX operators, for `onnx_layers.py`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tellapart.networks.onnx_activations import activate
from tellapart.networks.onnx_folding import require
from tellapart.networks.onnx_graph import Graph

_Layer = Any


def convert_conv(graph: Graph, layer: _Layer, source: str) -> str:
    """The name after a convolution and what is folded into it."""
    return _convert_convolution(graph, layer, source, layer.groups)


def convert_depthwise(graph: Graph, layer: _Layer, source: str) -> str:
    """The name after a convolution of each channel by itself, and what is folded into it."""
    require(layer, layer.depth_multiplier == 1, " with more than one filter a channel")
    return _convert_convolution(graph, layer, source, layer.input.shape[1])


def _convert_convolution(graph: Graph, layer: _Layer, source: str, groups: int) -> str:
    _require_channels_first(layer)
    if graph.folding.is_folded(layer):
        return activate(graph, layer, source)
    kernel, bias = graph.folding.weights(layer)
    inputs = [source, graph.constant(f"{layer.name}_kernel", kernel), graph.constant(f"{layer.name}_bias", bias)]
    output = graph.add(
        "Conv",
        inputs,
        layer.name,
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=groups,
        pads=_pads(layer, layer.kernel_size, layer.dilation_rate),
    )
    return activate(graph, layer, output)


def convert_max_pooling(graph: Graph, layer: _Layer, source: str) -> str:
    """The name after the greatest value of each window; padding is never the greatest."""
    return _convert_pooling(graph, layer, source, "MaxPool")


def convert_average_pooling(graph: Graph, layer: _Layer, source: str) -> str:
    """The name after the mean of each window, of which padding is no part.

    Keras on PyTorch repeats the edge instead where the padding of an axis is uneven, which gives another mean for
    windows of more than two places; such a network has no one meaning.
    """
    pads = _pads(layer, layer.pool_size)
    is_uneven = pads[:2] != pads[2:]
    is_wide = any(
        size > 2 and before + after > 0 for size, before, after in zip(layer.pool_size, pads[:2], pads[2:], strict=True)
    )
    require(
        layer,
        not (is_uneven and is_wide),
        f": windows {layer.pool_size!r} padded unevenly, which Keras' backends do in different ways; "
        "use windows of 2, or padding='valid'.",
    )
    return _convert_pooling(graph, layer, source, "AveragePool", count_include_pad=0)


def _convert_pooling(graph: Graph, layer: _Layer, source: str, operator: str, **attributes: Any) -> str:
    _require_channels_first(layer)
    return graph.add(
        operator,
        [source],
        layer.name,
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        pads=_pads(layer, layer.pool_size),
        **attributes,
    )


def convert_zero_padding(graph: Graph, layer: _Layer, source: str) -> str:
    """The name after rows and columns of zeros at the edges."""
    _require_channels_first(layer)
    (top, bottom), (left, right) = layer.padding
    pads = graph.constant(f"{layer.name}_pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    return graph.add("Pad", [source, pads], layer.name)


def convert_mean(graph: Graph, layer: _Layer, source: str) -> str:
    """The name after the mean over all places, with their two axes or without."""
    _require_channels_first(layer)
    if layer.keepdims:
        return graph.add("GlobalAveragePool", [source], layer.name)
    return graph.add("Flatten", [graph.add("GlobalAveragePool", [source], f"{layer.name}_mean")], layer.name, axis=1)


def _require_channels_first(layer: _Layer) -> None:
    is_first = layer.data_format == "channels_first"
    require(layer, is_first, f" in the format {layer.data_format!r}, not 'channels_first'")


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
