"""ONNX bytes without the `onnx` package: does a model point to files outside itself, and the part behind one output.

ONNX Runtime resolves such a reference against the working directory even when the model comes from bytes, so whoever
makes a model folder could pull in a file of the person who loads it. And it computes every node of a graph, whatever
outputs are asked for (1.32, with `only_execute_path_to_fetches` too), so what is not wanted has to be taken out. Field
numbers are those of `onnx.proto`, and the encoding is Protocol Buffers' wire format. Called by `predict/` and
`backbones/user_onnx.py`.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of TensorProto

# Fields of ModelProto, GraphProto, NodeProto, AttributeProto and ValueInfoProto on the way to the names of tensors.
_GRAPH = 7
_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_INPUT, _NODE_OUTPUT, _ATTRIBUTE = 1, 2, 5
_ATTRIBUTE_GRAPHS = (6, 11)
_NAME = 1

# message -> field number -> message found there; everything else cannot hold a tensor and is stepped over
_CHILDREN: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}


def has_external_data(model: bytes) -> bool:
    """Whether any tensor of the ONNX model, in subgraphs and functions too, keeps its values in another file.

    Raises:
        ValueError: the bytes are not in Protocol Buffers' wire format.
    """
    pending = [("Model", 0, len(model))]
    while pending:
        message, start, end = pending.pop()
        for number, value, size, _ in _fields(model, start, end):
            if message == "Tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
                return True
            if number in _CHILDREN[message] and size is not None:
                pending.append((_CHILDREN[message][number], value, value + size))
    return False


def output_names(model: bytes) -> list[str]:
    """The names of the model's outputs, in order.

    Raises:
        ValueError: the bytes are not in Protocol Buffers' wire format.
    """
    graphs = [field for field in _fields(model, 0, len(model)) if field.number == _GRAPH and field.size is not None]
    return [
        name
        for graph in graphs
        for output in _children(model, graph, _GRAPH_OUTPUT)
        for name in _texts(model, output, _NAME)
    ]


def keep_outputs(model: bytes, names: Collection[str]) -> bytes:
    """The model with only these outputs, and without the nodes that they do not depend on.

    Initialisers stay: ONNX Runtime drops those that no node uses.

    Raises:
        ValueError: the bytes are not in Protocol Buffers' wire format.
    """
    parts: list[bytes] = []
    start = 0
    for field in _fields(model, 0, len(model)):
        if field.number == _GRAPH and field.size is not None:
            graph = _keep_graph_outputs(model, field, names)
            parts += [_varint(_GRAPH << 3 | _BYTES), _varint(len(graph)), graph]
        else:
            parts.append(model[start : field.end])
        start = field.end
    return b"".join(parts)


def _keep_graph_outputs(model: bytes, graph: "_Field", names: Collection[str]) -> bytes:
    needed_outputs = frozenset(names)
    needed = set(names)
    unneeded: set[int] = set()
    # Nodes stand in an order in which each comes after those it depends on.
    for node in reversed(_children(model, graph, _NODE)):
        if needed.isdisjoint(filter(None, _texts(model, node, _NODE_OUTPUT))):
            unneeded.add(node.value)
        else:
            needed.update(_names_used(model, node))
    parts: list[bytes] = []
    start = graph.value
    for field in _fields(model, graph.value, graph.end):
        is_other = field.number == _GRAPH_OUTPUT and needed_outputs.isdisjoint(_texts(model, field, _NAME))
        if not (is_other or (field.number == _NODE and field.value in unneeded)):
            parts.append(model[start : field.end])
        start = field.end
    return b"".join(parts)


def _names_used(model: bytes, node: "_Field") -> Iterator[str]:
    """What the node takes in, the graphs inside it included, which may use any name of the graph around them."""
    yield from _texts(model, node, _NODE_INPUT)
    for attribute in _children(model, node, _ATTRIBUTE):
        for graph in _children(model, attribute, *_ATTRIBUTE_GRAPHS):
            for inner in _children(model, graph, _NODE):
                yield from _names_used(model, inner)
            for output in _children(model, graph, _GRAPH_OUTPUT):
                yield from _texts(model, output, _NAME)


def _children(model: bytes, parent: "_Field", *numbers: int) -> list["_Field"]:
    fields = _fields(model, parent.value, parent.end)
    return [field for field in fields if field.number in numbers and field.size is not None]


def _texts(model: bytes, parent: "_Field", number: int) -> list[str]:
    return [model[field.value : field.end].decode() for field in _children(model, parent, number)]


class _Field(NamedTuple):
    """A field; `value` is its number, or for bytes where they begin, of which there are `size`; `end` is past it."""

    number: int
    value: int
    size: int | None
    end: int


def _fields(data: bytes, start: int, end: int) -> Iterator[_Field]:
    """Each field between two places."""
    position = start
    while position < end:
        key, position = _read_varint(data, position, end)
        number, kind = key >> 3, key & 7
        size = None
        if kind == _VARINT:
            value, position = _read_varint(data, position, end)
        elif kind == _BYTES:
            size, value = _read_varint(data, position, end)
            position = value + size
        elif kind in (_FIXED64, _FIXED32):
            value, position = 0, position + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"wire type {kind} at byte {position}")
        if position > end:
            raise ValueError(f"a field runs past byte {end}")
        yield _Field(number, value, size, position)


def _read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The number that begins at `position`, seven bits a byte, lowest first, and where the next thing begins."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise ValueError(f"a number runs past byte {end}")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError(f"a number longer than 10 bytes before byte {position}")


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
