"""The tensors of an ONNX graph as Keras tensors while a Keras model is made of it, one a view of the image.

What an operator becomes is `keras_from_onnx.py`'s. Channels are the last axis here all the time.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tellapart.networks.backend import keras
from tellapart.networks.onnx_nodes import DIVIDED_MAP_NAME, EVENED_NAME, MAP_NAME, PROBABILITIES_NAME
from tellapart.networks.onnx_reading import OnnxGraph, attributes_of

layers = keras.layers

# Lengths of embeddings between these are divided by exactly; those of activations between 0 and 6 are within.
_LARGEST_LENGTH, _NUM_STEPS = 1024.0, 22
Tensors = tuple[Any, ...]
Converter = Callable[["KerasReader", onnx.NodeProto], Tensors]


class KerasReader:
    """The layers of a model, made from its outputs back to the image.

    Args:
        model: ONNX bytes.
        temperature: what the logits are divided by.
        converters: operator to the function that makes its layers.
    """

    def __init__(self, model: bytes, temperature: float, converters: Mapping[str, Converter]) -> None:
        self._graph, self._temperature, self._converters = OnnxGraph(model), temperature, converters
        (value,) = onnx.load_model_from_string(model).graph.input
        shape = [side.dim_value for side in value.type.tensor_type.shape.dim[1:]]
        self._image = keras.Input(shape, name="image")
        self._tensors: dict[str, Tensors] = {value.name: (self._image,)}
        # Tensors with four axes whose channels are the last in the ONNX file too.
        self._last = {value.name}
        self._names: set[str] = {"image"}
        self._inverse_roots: dict[str, Any] = {}
        self._tempered = self._find_tempered()

    def build(self) -> keras.Model:
        """The model, as `build_keras` gives it."""
        outputs = {PROBABILITIES_NAME: self.tensors(PROBABILITIES_NAME)[0]}
        if MAP_NAME in self._graph.outputs:
            maps = self.tensors(MAP_NAME)[0]
            outputs[MAP_NAME] = maps
            if self._temperature != 1:
                outputs[MAP_NAME] = layers.Rescaling(1 / self._temperature, name="tempered_map")(maps)
        return keras.Model(self._image, outputs if len(outputs) > 1 else outputs[PROBABILITIES_NAME], name="classifier")

    def tensors(self, name: str) -> Tensors:
        """The tensor of that name, one a view."""
        if name not in self._tensors:
            node = self._graph.maker(name)
            if name in (EVENED_NAME, DIVIDED_MAP_NAME):
                self._tensors[name] = self._even_out(node)
            elif node.op_type == "Split":
                self._split(node)
            else:
                convert = self._converters.get(node.op_type)
                if convert is None:
                    raise NotImplementedError(f"the operator {node.op_type} ({name!r}) has no counterpart in Keras")
                self._tensors[name] = convert(self, node)
        return self._tensors[name]

    def apply(self, node: onnx.NodeProto, layer: Any, weights: Sequence[NDArray[Any]] = ()) -> Tensors:
        """The layer with these weights, called for each view of the node's first input."""
        return self.call(layer, self.tensors(node.input[0]), weights)

    def call(self, layer: Any, sources: Sequence[Any], weights: Sequence[NDArray[Any]] = ()) -> Tensors:
        """The layer with these weights, called for each of the tensors."""
        found = tuple(layer(source) for source in sources)
        if weights:
            layer.set_weights([np.asarray(weight, np.float32) for weight in weights])
        return found

    def name(self, node: onnx.NodeProto, more: str = "") -> str:
        """A name for a layer that none has yet, after what the node makes."""
        stem = re.sub(r"\W+", "_", node.output[0].rpartition("/")[2] + more).strip("_") or "layer"
        name, number = stem, 1
        while name in self._names:
            number += 1
            name = f"{stem}_{number}"
        self._names.add(name)
        return name

    def constant(self, name: str) -> NDArray[Any] | None:
        """As `OnnxGraph.constant`."""
        return self._graph.constant(name)

    def constants(self, node: onnx.NodeProto, start: int = 0) -> list[NDArray[Any]]:
        """As `OnnxGraph.constants`."""
        return self._graph.constants(node, start)

    def only_source(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """As `OnnxGraph.only_source`."""
        return self._graph.only_source(node)

    def is_channels_last(self, name: str) -> bool:
        """Whether the channels of the tensor are the last axis in the ONNX file too."""
        return name in self._last

    def mark_channels_last(self, name: str) -> None:
        """Notes that they are."""
        self._last.add(name)

    def temper(self, node: onnx.NodeProto, logits: Tensors) -> Tensors:
        """The logits over the temperature, where the node makes probabilities of them."""
        if self._temperature == 1 or node.output[0] != self._tempered:
            return logits
        return self.call(layers.Rescaling(1 / self._temperature, name="temperature"), logits)

    def _find_tempered(self) -> str:
        """The name of what the last softmax or sigmoid gives."""
        node = self._graph.maker(PROBABILITIES_NAME)
        while node.op_type not in ("Softmax", "Sigmoid"):
            node = self._graph.maker(node.input[-1])
        return str(node.output[0])

    def _split(self, node: onnx.NodeProto) -> None:
        """The views of an image, each by itself."""
        views = self.tensors(node.input[0])
        if len(views) != len(node.output) or attributes_of(node).get("axis", 0) != 0:
            raise NotImplementedError("the operator Split has no counterpart in Keras")
        for name, view in zip(node.output, views, strict=True):
            self._tensors[name] = (view,)

    def _even_out(self, node: onnx.NodeProto) -> Tensors:
        """The embedding, or the map, over the root of the length of the embedding."""
        embedding = self._graph.maker(EVENED_NAME).input[0]
        if embedding not in self._inverse_roots:
            self._inverse_roots[embedding] = _inverse_root_of_length(self.tensors(embedding)[0])
        factor = self._inverse_roots[embedding]
        source = self.tensors(node.input[0])[0]
        if len(source.shape) == 4:
            factor = layers.Reshape((1, 1, 1), name=self.name(node, "_factor"))(factor)
        return (layers.Multiply(name=self.name(node))([source, factor]),)


def _inverse_root_of_length(embedding: Any) -> Any:
    """One over the root of the length of each embedding, `(batch, 1)`.

    Newton's method for `1 / sqrt(length)`: `y (3 - length y^2) / 2`, from below (Press et al., "Numerical Recipes",
    section 9.4).
    """
    unit = layers.UnitNormalization(name="unit")(embedding)
    length = layers.Dot(axes=1, name="length")([unit, embedding])
    guess, value = keras.Input((1,), name="guess"), keras.Input((1,), name="value")
    rest = layers.Rescaling(-0.5, offset=1.5, name="rest")(layers.Multiply(name="square")([value, guess, guess]))
    step = keras.Model([guess, value], layers.Multiply(name="better")([guess, rest]), name="newton_step")
    found = layers.Rescaling(0.0, offset=_LARGEST_LENGTH**-0.5, name="first_guess")(length)
    for _number in range(_NUM_STEPS):
        found = step([found, length])
    return found
