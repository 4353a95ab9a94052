"""The end of a classifier in ONNX: probabilities of one view or of two, and the class activation map.

The layers before it are `onnx_layers.py`'s. Two views are an image and its mirror image: the logits of both are
averaged (Szegedy et al. 2015, section 5, with one kind of crop).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tellapart.networks.backend import keras
from tellapart.networks.onnx_folding import is_activation, to_array
from tellapart.networks.onnx_graph import Graph
from tellapart.networks.onnx_layers import IDLE_LAYERS, convert
from tellapart.networks.onnx_nodes import MAP_NAME, PROBABILITIES_NAME

_Layer = Any
_Shapes = dict[str, list[str | int]]


def add_classifier(graph: Graph, mirrored: bool) -> _Shapes:
    """The outputs of the graph, name to shape, after all layers of the model have been written into it.

    Args:
        graph: empty; built with the same `mirrored`.
        mirrored: whether the batch inside the graph holds each image and then each mirror image.

    Raises:
        NotImplementedError: a layer has no counterpart in ONNX, or two views have no logits to be averaged.
    """
    (output,) = convert(graph)
    logits, operator = graph.take_off(output, ("Softmax", "Sigmoid"))
    if mirrored:
        if operator is None:
            raise NotImplementedError(
                f"network {graph.model.name!r} ends in neither softmax nor sigmoid, so the logits of two views cannot "
                "be averaged; end it in one of them or export it without mirrored=True."
            )
        first, second = graph.add_halves(logits, "logits")
        logits = graph.add("Mean", [first, second], "logits_mean")
    shapes = _add_probabilities(graph, logits, operator)
    ending = _find_ending(graph.model)
    return shapes if ending is None else shapes | _add_map(graph, ending, mirrored)


def _add_probabilities(graph: Graph, logits: str, operator: str | None) -> _Shapes:
    """The output `probabilities`; a single number becomes the columns `1 - p` and `p`."""
    num_classes = graph.model.output_shape[-1]
    attributes = {"axis": -1} if operator == "Softmax" else {}
    if num_classes == 1:
        second = logits if operator is None else graph.add(operator, [logits], "second_class", **attributes)
        first = graph.add("Sub", [graph.constant("one", np.ones(1, np.float32)), second], "first_class")
        graph.finish("Concat", [first, second], PROBABILITIES_NAME, axis=1)
    elif operator is None:
        graph.name_output(logits, PROBABILITIES_NAME)
    else:
        graph.finish(operator, [logits], PROBABILITIES_NAME, **attributes)
    return {PROBABILITIES_NAME: ["batch", max(2, num_classes)]}


class _Ending(NamedTuple):
    """Mean over places, then a linear layer, then softmax: what makes logits a mean over places of something."""

    pooling: _Layer
    dense: _Layer


def _find_ending(model: keras.Model) -> _Ending | None:
    """The last layers of the model where they are such a chain; dropout may stand between them."""
    makers = {id(layer.output): layer for layer in model.layers}
    layer = makers[id(model.outputs[0])]
    is_softmax = isinstance(layer, keras.layers.Softmax) and layer.axis in (-1, 1)
    if is_softmax or (_has_activation(layer, "softmax", "sigmoid") and not isinstance(layer, keras.layers.Dense)):
        layer = makers.get(id(layer.input))
        is_last = _has_activation(layer, "linear")
    else:
        is_last = _has_activation(layer, "softmax", "sigmoid")
    if not (is_last and isinstance(layer, keras.layers.Dense)):
        return None
    pooling = makers.get(id(layer.input))
    while isinstance(pooling, IDLE_LAYERS):
        pooling = makers.get(id(pooling.input))
    is_mean = isinstance(pooling, keras.layers.GlobalAveragePooling2D) and not pooling.keepdims
    return _Ending(pooling, layer) if is_mean else None


def _has_activation(layer: _Layer, *names: str) -> bool:
    activation = getattr(layer, "activation", None)
    return activation is not None and any(is_activation(activation, name) for name in names)


def _add_map(graph: Graph, ending: _Ending, mirrored: bool) -> _Shapes:
    """The output `activation_map`: the linear layer applied at each place, so that its mean is the logit.

    Of two views, the mirrored one's map is mirrored back before the two are averaged. A single sigmoid of z is the
    softmax of -z/2 and z/2, and the maps are those two's. (Zhou et al. 2016, section 2.)
    """
    kernel, bias = _map_weights(ending.dense)
    features = ending.pooling.input
    inputs = [
        graph.values[id(features)],
        graph.constant("map_kernel", kernel.T[:, :, np.newaxis, np.newaxis]),
        graph.constant("map_bias", bias),
    ]
    if mirrored:
        first, second = graph.add_halves(graph.add("Conv", inputs, "maps"), "maps")
        graph.finish("Mean", [first, graph.add_mirror(second, "map_mirrored_back", axis=3)], MAP_NAME)
    else:
        graph.finish("Conv", inputs, MAP_NAME)
    return {MAP_NAME: ["batch", len(bias), *features.shape[2:]]}


def _map_weights(dense: _Layer) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel, `(size, num_classes)`, and bias of logits whose softmax the classifier gives; at least two classes."""
    kernel = to_array(dense.kernel)
    bias = to_array(dense.bias) if dense.use_bias else np.zeros(dense.units, np.float32)
    if dense.units > 1:
        return kernel, bias
    return np.concatenate([-kernel / 2, kernel / 2], axis=1), np.concatenate([-bias / 2, bias / 2])
