"""ONNX bytes without the `onnx` package: the fields of a message, and the part of a model behind one output.

ONNX Runtime computes every node of a graph, whatever outputs are asked for (1.32, with `only_execute_path_to_fetches`
too), so what is not wanted has to be taken out. The encoding is Protocol Buffers' wire format, and field numbers are
those of `onnx.proto`. What a file may hold is `onnx_limits.py`'s. Called by `predict/` and `backbones/`.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Fields of ModelProto, GraphProto, NodeProto and ValueInfoProto on the way to the names of tensors.
_GRAPH = 7
_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_INPUT, _NODE_OUTPUT = 1, 2
_NAME = 1


class WireField(NamedTuple):
    """A field; `value` is its number, or for bytes where they begin, of which there are `size`; `end` is past it."""

    number: int
    value: int
    size: int | None
    end: int


def output_names(model: bytes) -> list[str]:
    """The names of the model's outputs, in order.

    Raises:
        ValueError: the bytes are not in Protocol Buffers' wire format.
    """
    graphs = [field for field in read_fields(model, 0, len(model)) if field.number == _GRAPH and field.size is not None]
    return [
        name
        for graph in graphs
        for output in _children(model, graph, _GRAPH_OUTPUT)
        for name in _texts(model, output, _NAME)
    ]


def keep_outputs(model: bytes, names: Collection[str]) -> bytes:
    """The model, without graphs inside its nodes, with only these outputs and the nodes that they depend on.

    Initialisers stay: ONNX Runtime drops those that no node uses.

    Raises:
        ValueError: the bytes are not in Protocol Buffers' wire format.
    """
    parts: list[bytes] = []
    start = 0
    for field in read_fields(model, 0, len(model)):
        if field.number == _GRAPH and field.size is not None:
            graph = _keep_graph_outputs(model, field, names)
            parts.append(write_field(_GRAPH, graph))
        else:
            parts.append(model[start : field.end])
        start = field.end
    return b"".join(parts)


def _keep_graph_outputs(model: bytes, graph: WireField, names: Collection[str]) -> bytes:
    needed_outputs = frozenset(names)
    needed = set(names)
    unneeded: set[int] = set()
    # Nodes stand in an order in which each comes after those it depends on.
    for node in reversed(_children(model, graph, _NODE)):
        if needed.isdisjoint(filter(None, _texts(model, node, _NODE_OUTPUT))):
            unneeded.add(node.value)
        else:
            needed.update(_texts(model, node, _NODE_INPUT))
    parts: list[bytes] = []
    start = graph.value
    for field in read_fields(model, graph.value, graph.end):
        is_other = field.number == _GRAPH_OUTPUT and needed_outputs.isdisjoint(_texts(model, field, _NAME))
        if not (is_other or (field.number == _NODE and field.value in unneeded)):
            parts.append(model[start : field.end])
        start = field.end
    return b"".join(parts)


def _children(model: bytes, parent: WireField, *numbers: int) -> list[WireField]:
    fields = read_fields(model, parent.value, parent.end)
    return [field for field in fields if field.number in numbers and field.size is not None]


def _texts(model: bytes, parent: WireField, number: int) -> list[str]:
    return [model[field.value : field.end].decode() for field in _children(model, parent, number)]


def read_fields(data: bytes, start: int, end: int) -> Iterator[WireField]:
    """Each field between two places.

    Raises:
        ValueError: the bytes are not in Protocol Buffers' wire format.
    """
    position = start
    while position < end:
        key, position = read_varint(data, position, end)
        if key >= 2**32:  # others would cut the number of the field
            raise ValueError(f"a field number of more than 29 bits at byte {position}")
        number, kind = key >> 3, key & 7
        size = None
        if kind == _VARINT:
            value, position = read_varint(data, position, end)
        elif kind == _BYTES:
            size, value = read_varint(data, position, end)
            position = value + size
        elif kind in (_FIXED64, _FIXED32):
            value, position = 0, position + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"wire type {kind} at byte {position}")
        if position > end:
            raise ValueError(f"a field runs past byte {end}")
        yield WireField(number, value, size, position)


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The number that begins at `position`, seven bits a byte, lowest first, and where the next thing begins.

    Raises:
        ValueError: it does not end in time.
    """
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


def write_field(number: int, value: bytes) -> bytes:
    """A field of that number that holds bytes, text or a message."""
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
