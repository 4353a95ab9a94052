"""Nodes and constants to be added to an ONNX graph, valid in its version of the operators."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from onnx import NodeProto, TensorProto, helper, numpy_helper

# Outputs of our ONNX files.
EMBEDDING_NAME, FEATURES_NAME = "embedding", "features"
PROBABILITIES_NAME, MAP_NAME, DISTANCE_NAME = "probabilities", "activation_map", "distance"
OWN_PREFIX = "tellapart/"
# From here on, ReduceMean takes its axes as an input.
_AXES_AS_INPUT = 18


class NodeList:
    """Nodes in the order they run, and their constants.

    Args:
        opset: version of the ONNX operators of the graph they will stand in, 11 to 22.
    """

    def __init__(self, opset: int) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._opset = opset

    def constant(self, name: str, value: ArrayLike) -> str:
        """The name of a new constant: int64 where `value` is whole, else float32."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        self.constants.append(numpy_helper.from_array(array, f"{OWN_PREFIX}{name}"))
        return f"{OWN_PREFIX}{name}"

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """The name `output` of what a new node gives."""
        name = output if output.startswith(OWN_PREFIX) else f"{OWN_PREFIX}{output}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def mean(self, source: str, axes: list[int], output: str) -> str:
        """The name `output` of the mean of `source` over the axes, which are gone afterwards."""
        if self._opset < _AXES_AS_INPUT:
            return self.add("ReduceMean", [source], output, axes=axes, keepdims=0)
        return self.add("ReduceMean", [source, self.constant("axes", axes)], output, keepdims=0)
