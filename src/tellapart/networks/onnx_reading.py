"""An ONNX graph to be read: its constants as arrays, which node makes a tensor, and attributes with their defaults.

Whoever writes a model in another format (`keras_from_onnx.py`, `export/coreml_model.py`) goes from the outputs back to
the image, so that what they do not need is never looked at.
"""

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_Array = NDArray[Any]


class OnnxGraph:
    """The graph of a model.

    Args:
        model: ONNX bytes.

    Attributes:
        inputs, outputs: names of the tensors, in order.
    """

    def __init__(self, model: bytes) -> None:
        graph = onnx.load_model_from_string(model).graph
        self.inputs = tuple(value.name for value in graph.input)
        self.outputs = tuple(value.name for value in graph.output)
        self._makers: dict[str, onnx.NodeProto] = {output: node for node in graph.node for output in node.output}
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._takers = Counter(chain(self.outputs, *(node.input for node in graph.node)))
        for node in graph.node:
            if node.op_type == "Constant":
                self._constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)

    def maker(self, name: str) -> onnx.NodeProto:
        """The node that makes the tensor.

        Raises:
            NotImplementedError: none does.
        """
        if name not in self._makers:
            raise NotImplementedError(f"nothing makes the tensor {name!r}")
        node: onnx.NodeProto = self._makers[name]
        return node

    def only_source(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The node that makes the first input of this one; `None` where none does, or that is taken elsewhere too."""
        name = node.input[0]
        return self._makers.get(name) if self._takers[name] == 1 else None

    def constant(self, name: str) -> _Array | None:
        """The values of a tensor that is the same for all images; `None` for another. A cast of one is one."""
        if name in self._constants:
            return self._constants[name]
        node = self._makers.get(name)
        if node is not None and node.op_type in ("Cast", "Identity") and node.input[0] in self._constants:
            array = self._constants[node.input[0]]
            return array.astype(np.float32) if node.op_type == "Cast" else array
        return None

    def constants(self, node: onnx.NodeProto, start: int = 0) -> list[_Array]:
        """The values of the node's inputs from `start` on, those that are left out passed over.

        Raises:
            NotImplementedError: one is no constant.
        """
        found = []
        for name in node.input[start:]:
            array = self.constant(name) if name else None
            if name and array is None:
                raise NotImplementedError(f"the input {name!r} of {node.op_type} is computed")
            if array is not None:
                found.append(array)
        return found


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes that the node has; texts are `str`."""
    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def find_padding(node: onnx.NodeProto, size: tuple[int, int], window: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixels that a convolution or pooling adds at top, left, bottom and right.

    Args:
        node: with its `strides`, `dilations`, `auto_pad` and `pads`.
        size: `(height, width)` of what goes in.
        window: `(height, width)` of the kernel.
    """
    attributes = attributes_of(node)
    if attributes.get("auto_pad", "NOTSET") in ("NOTSET", "VALID"):
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        return top, left, bottom, right
    strides, dilations = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    is_upper, sides = attributes["auto_pad"] == "SAME_UPPER", []
    for side, length, stride, dilation in zip(size, window, strides, dilations, strict=True):
        total = max(0, (-(-side // stride) - 1) * stride + (length - 1) * dilation + 1 - side)
        less = total // 2
        sides.append((less, total - less) if is_upper else (total - less, less))
    (top, bottom), (left, right) = sides
    return top, left, bottom, right
