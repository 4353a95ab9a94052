"""Other people's networks without operators that make much of little: sizes that a graph computes become constants.

PyTorch writes what a network computes of its input's size as nodes, also where the size of the image is known: margins
of `Pad`, sizes of `Resize`, and in a vision transformer the class token, which `Expand` repeats for each photo. Here
the image has one size. So the graph is traced for batches of 1, 2 and 3 photos, without running it; numbers that come
out the same become constants, and a tensor that is repeated for each photo is added to a column of zeros, one a photo.
What is left over is refused by `onnx_limits.py`. Called by `user_onnx.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tellapart.backbones.onnx_limits import OPERATORS
from tellapart.networks.onnx_nodes import INPUT_NAME, OWN_PREFIX, NodeList

# What repeats or makes tensors, as other people's files may hold and ours may not.
REPLACED_OPERATORS = frozenset({"ConstantOfShape", "Expand", "Range", "Tile"})
_FOLDED = REPLACED_OPERATORS | frozenset(
    "Abs Add And Cast Ceil Concat Constant Div Equal Floor Gather Greater GreaterOrEqual Identity Less LessOrEqual Max"
    " Min Mod Mul Neg Not Or Pow Reshape Round Shape Slice Sqrt Squeeze Sub Transpose Unsqueeze Where".split()
)
assert _FOLDED - REPLACED_OPERATORS <= OPERATORS
# Numbers in a constant that is traced, and in one of zeros that a tensor is added to.
_MAX_NUMBERS, _MAX_ZEROS = 16_384, 1_000_000
_BATCHES = (1, 2, 3)
_MAX_ROUNDS = 40
_NUMBER_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.INT64)

_Shape = tuple[int, ...]


@dataclass
class _Trace:
    """What is known of the tensors of a graph for one number of photos."""

    values: dict[str, NDArray[Any]] = field(default_factory=dict)
    shapes: dict[str, _Shape] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)

    def add_value(self, name: str, value: NDArray[Any]) -> None:
        """A tensor is this constant."""
        self.values[name], self.shapes[name] = value, value.shape
        self.types[name] = helper.np_dtype_to_tensor_dtype(value.dtype)


def lower_shapes(model: ModelProto) -> None:
    """The graph computes the same, with constants for the numbers that its shapes decide and no tensor repeated.

    Args:
        model: changed; one input `image`, `(batch, height, width, 3)`, of which only the batch is free, and no graphs
            inside its nodes.
    """
    operators = {node.op_type for node in model.graph.node}
    if not operators & (REPLACED_OPERATORS | {"Pad", "Resize"}):
        return
    traces = [_trace(model, batch) for batch in _BATCHES]
    constants = _common_values(traces)
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=17)
    added = _Additions(NodeList(opset), traces)
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        folded = [name for name in node.output if name in constants]
        if folded and len(folded) == len(node.output):
            model.graph.initializer.extend(numpy_helper.from_array(constants[name], name) for name in folded)
        else:
            nodes += added.replace(node) or [node]
    del model.graph.node[:]
    model.graph.node.extend([*added.first_nodes(), *nodes])
    model.graph.initializer.extend(added.nodes.constants)


def _common_values(traces: Sequence[_Trace]) -> dict[str, NDArray[Any]]:
    """Those that are the same whatever the number of photos."""
    first, *others = traces
    return {
        name: value
        for name, value in first.values.items()
        if all(name in other.values and np.array_equal(other.values[name], value) for other in others)
    }


class _Additions:
    """Nodes in place of those that repeat or make tensors.

    Args:
        nodes: takes the constants.
        traces: the graph for each of `_BATCHES`.
    """

    def __init__(self, nodes: NodeList, traces: Sequence[_Trace]) -> None:
        self.nodes = nodes
        self._traces = traces
        self._zeros = f"{OWN_PREFIX}zero_a_photo"
        self._is_needed = False

    def first_nodes(self) -> list[NodeProto]:
        """What makes a zero of each photo, if that is needed: float32, shape `(batch,)`."""
        if not self._is_needed:
            return []
        start, x = len(self.nodes.nodes), INPUT_NAME
        for step in ("row", "pixel", "value"):
            x = self.nodes.add("Gather", [x, self.nodes.constant(f"first_{step}", 0)], f"{self._zeros}/{step}", axis=1)
        x = self.nodes.add("Cast", [x], f"{self._zeros}/number", to=TensorProto.FLOAT)
        self.nodes.add("Mul", [x, self.nodes.constant("zero", 0.0)], self._zeros)
        return self.nodes.nodes[start:]

    def replace(self, node: NodeProto) -> list[NodeProto] | None:
        """Nodes that give the same as one that repeats or makes a tensor; `None` where there are none."""
        if node.op_type not in ("Expand", "Tile", "ConstantOfShape"):
            return None
        output, start = node.output[0], len(self.nodes.nodes)
        shapes = [trace.shapes.get(output) for trace in self._traces]
        target = _per_photo([shape for shape in shapes if shape is not None])
        if target is None:
            return None
        prefix = f"{OWN_PREFIX}{output}"
        if node.op_type == "ConstantOfShape":
            source = self._filled(node, prefix)
            source_shape: _Shape | None = ()
            kind = self.nodes.constants[-1].data_type
        else:
            source = node.input[0]
            source_shape = self._traces[-1].shapes.get(source)
            kind = self._traces[-1].types.get(source, TensorProto.UNDEFINED)
        if kind not in _NUMBER_TYPES or source_shape is None or not _is_repeated(source_shape, target):
            return None
        for number, zeros in enumerate(self._zeros_of(target, prefix)):
            cast = self.nodes.add("Cast", [zeros], f"{prefix}/zeros_{number}", to=kind)
            source = self.nodes.add("Add", [source, cast], f"{prefix}/repeated_{number}")
        self.nodes.add("Identity", [source], output)
        return self.nodes.nodes[start:]

    def _filled(self, node: NodeProto, prefix: str) -> str:
        """The name of a constant: the one number that `ConstantOfShape` fills a tensor with."""
        given = [numpy_helper.to_array(attribute.t) for attribute in node.attribute if attribute.name == "value"]
        value = given[0].reshape(-1)[:1] if given else np.zeros(1, np.float32)
        self.nodes.constants.append(numpy_helper.from_array(value.reshape(()), f"{prefix}/value"))
        return f"{prefix}/value"

    def _zeros_of(self, target: tuple[int | None, ...], prefix: str) -> list[str]:
        """The names of zeros that, added to a tensor, give it the sides of `target`, `None` being one a photo."""
        fixed = [1 if side is None else side for side in target]
        zeros = [self.nodes.constant(f"{prefix}/zeros", np.zeros(fixed, np.float32))]
        if None in target:
            self._is_needed = True
            sides = self.nodes.constant(f"{prefix}/sides", [-1 if side is None else 1 for side in target])
            zeros.append(self.nodes.add("Reshape", [self._zeros, sides], f"{prefix}/zero_a_photo"))
        return zeros


def _per_photo(shapes: Sequence[_Shape]) -> tuple[int | None, ...] | None:
    """The sides for any number of photos, `None` for that number itself; `None` where they are of another form."""
    if len(shapes) != len(_BATCHES) or len({len(shape) for shape in shapes}) != 1:
        return None
    target: list[int | None] = []
    for sides in zip(*shapes, strict=True):
        if sides == _BATCHES:
            target.append(None)
        elif len(set(sides)) == 1:
            target.append(sides[0])
        else:
            return None
    is_small = math.prod(side for side in target if side is not None) <= _MAX_ZEROS
    return tuple(target) if is_small and target.count(None) <= 1 else None


def _is_repeated(source: _Shape, target: tuple[int | None, ...]) -> bool:
    """Whether a tensor, of as many photos as the last trace has, gets these sides by being repeated alone."""
    padded = (1,) * (len(target) - len(source)) + source
    wanted = [_BATCHES[-1] if side is None else side for side in target]
    return len(padded) == len(wanted) and all(side in (1, other) for side, other in zip(padded, wanted, strict=True))


def _trace(model: ModelProto, batch: int) -> _Trace:
    """What shapes and small constants say of the tensors, for so many photos; nothing large is made."""
    trace, small = _Trace(), _without_weights(model, batch)
    for tensor in small.graph.initializer:
        trace.add_value(tensor.name, numpy_helper.to_array(tensor))
    for _ in range(_MAX_ROUNDS):
        try:
            inferred = onnx.shape_inference.infer_shapes(small)
        except onnx.shape_inference.InferenceError:
            return trace
        for info in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
            tensor_type = info.type.tensor_type
            trace.types[info.name] = tensor_type.elem_type
            if tensor_type.HasField("shape") and all(side.HasField("dim_value") for side in tensor_type.shape.dim):
                trace.shapes[info.name] = tuple(side.dim_value for side in tensor_type.shape.dim)
        if not _fold(small, trace):
            break
    return trace


def _without_weights(model: ModelProto, batch: int) -> ModelProto:
    """A copy for so many photos, in which large constants are inputs of the same shape."""
    small = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph, copy = model.graph, small.graph
    copy.name = "traced"
    copy.node.extend(graph.node)
    copy.output.extend(graph.output)
    for value in graph.input:
        added = copy.input.add()
        added.CopyFrom(value)
        if value.name == INPUT_NAME:
            added.type.tensor_type.shape.dim[0].dim_value = batch
    for tensor in graph.initializer:
        if math.prod(tensor.dims) <= _MAX_NUMBERS:
            copy.initializer.append(tensor)
        else:
            copy.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return small


def _fold(small: ModelProto, trace: _Trace) -> bool:
    """Whether a node could be replaced by the constant that it gives."""
    kept: list[NodeProto] = []
    for node in small.graph.node:
        values = _evaluate(node, small, trace)
        if values is None:
            kept.append(node)
            continue
        for name, value in values.items():
            trace.add_value(name, value)
            small.graph.initializer.append(numpy_helper.from_array(value, name))
    is_changed = len(kept) < len(small.graph.node)
    del small.graph.node[:]
    small.graph.node.extend(kept)
    return is_changed


def _evaluate(node: NodeProto, small: ModelProto, trace: _Trace) -> dict[str, NDArray[Any]] | None:
    """The tensors that a node gives, where they are small and follow from what is known."""
    if node.op_type not in _FOLDED:
        return None
    if node.op_type == "Shape" and node.input[0] in trace.shapes:
        # Its attributes choose sides, so it is run as it is, on a tensor without content.
        inputs = {node.input[0]: np.broadcast_to(np.zeros((), np.float32), trace.shapes[node.input[0]])}
    elif all(name in trace.values for name in node.input if name):
        inputs = {name: trace.values[name] for name in node.input if name}
    else:
        return None
    if not _gives_little(node, inputs):
        return None
    graph = helper.make_graph(
        [node],
        "node",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)
         for name, value in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=small.opset_import)
    try:
        found = ReferenceEvaluator(proto).run(None, inputs)
    except (ArithmeticError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return None  # one that is wrong is refused when the model is opened
    values = {name: np.asarray(value) for name, value in zip(node.output, found, strict=True)}
    return values if all(value.size <= _MAX_NUMBERS for value in values.values()) else None


def _gives_little(node: NodeProto, inputs: Mapping[str, NDArray[Any]]) -> bool:
    """Whether what a node would make is known to be small before it is made."""
    if node.op_type == "Constant":
        return all(math.prod(attribute.t.dims) <= _MAX_NUMBERS for attribute in node.attribute)
    if node.op_type not in REPLACED_OPERATORS:
        return True  # no larger than all its inputs together
    arrays = [np.asarray(inputs[name], np.float64).reshape(-1) for name in node.input if name in inputs]
    if any(array.size > _MAX_NUMBERS or not np.isfinite(array).all() for array in arrays):
        return False
    if node.op_type == "Range":
        start, limit, delta = (float(array[0]) if array.size else 0.0 for array in arrays)
        return delta != 0 and abs((limit - start) / delta) <= _MAX_NUMBERS
    factors = np.maximum(np.abs(arrays[-1]), 1)
    own = 1 if node.op_type == "ConstantOfShape" else max(arrays[0].size, 1)
    return bool(np.log(factors).sum() + np.log(own) <= np.log(_MAX_NUMBERS) + 1e-9)
