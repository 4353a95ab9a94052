"""A look into ONNX bytes without the `onnx` package, for one question: does the model point to files outside itself?

ONNX Runtime resolves such a reference against the working directory even when the model comes from bytes, so whoever
makes a model folder could pull in a file of the person who loads it. Field numbers are those of `onnx.proto`, and the
encoding is Protocol Buffers' wire format. Called by `infer/bundle.py`.
"""

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of TensorProto

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
        for number, value, size in _fields(model, start, end):
            if message == "Tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
                return True
            if number in _CHILDREN[message] and size is not None:
                pending.append((_CHILDREN[message][number], value, value + size))
    return False


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """Each field as its number, its value, and `None`; or for bytes its number, where they begin, and their length."""
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
        yield number, value, size


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
