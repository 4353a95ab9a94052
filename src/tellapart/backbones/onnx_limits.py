"""What an ONNX file may be, checked before ONNX Runtime sees it, without the `onnx` package.

A file may come from a stranger. ONNX Runtime runs whatever a graph says: loops without an end, functions that call
functions, constants made as large as the machine. So a graph may hold only operators of a list, no graph inside it and
no function, and bounded numbers of nodes and sizes of tensors. Whoever writes an ONNX file in a way that two readers
may take differently (a part given twice, a length beyond its type) is refused too. `docs/how-to/security.md` says what
a graph that passes may still cost. Called by `predict/` for model folders and by `backbones/` for files of users.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.onnx_wire import WireField, read_fields, read_varint
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop

MAX_NODES = 5_000
MAX_TENSOR_BYTES = 512 * 1024**2
# Fields of all messages together: the largest graph of 5,000 nodes has some 300,000.
_MAX_FIELDS = 1_500_000
# Sides of kernels, pads and results of `Resize`, in pixels, and factors of `Resize`.
_LARGEST_SIDE, _LARGEST_FACTOR = 4_096, 32
# Numbers in a list that is looked at: sides of a tensor, pads.
_MAX_LISTED = 64
_STANDARD_DOMAINS = ("", "ai.onnx")

# None of these gives much more than it takes, but for those of `_GROWING`. They are those of our own exports, and those
# that exports of ResNet, MobileNet, EfficientNet, ConvNeXt, ViT, DINOv2, CLIP, SigLIP and Swin consist of.
_ELEMENTWISE = (
    "Abs Add And BitShift Cast Ceil Celu Clip Cos Div Dropout Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual"
    " HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log LogSoftmax Max Mean Min Mish Mod Mul"
    " Neg Not Or PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign Sin Softmax Softplus Softsign Sqrt Sub Sum Swish"
    " Tanh ThresholdedRelu Where Xor"
)
_SHAPES = (
    "Concat Constant DepthToSpace Flatten Gather Pad Reshape Resize Shape Size Slice SpaceToDepth Split Squeeze"
    " Transpose Unsqueeze"
)
_LAYERS = (
    "AveragePool BatchNormalization Conv Gemm GlobalAveragePool GlobalMaxPool GroupNormalization"
    " InstanceNormalization LRN LayerNormalization LpNormalization MatMul MaxPool RMSNormalization"
)
_REDUCTIONS = (
    "ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"
    " ReduceSumSquare TopK"
)
_QUANTISED = "ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul QuantizeLinear"
OPERATORS = frozenset(" ".join((_ELEMENTWISE, _SHAPES, _LAYERS, _REDUCTIONS, _QUANTISED)).split())

# Those that make much of little, and which of their inputs say how much.
_GROWING = {"Pad": slice(1, 2), "Resize": slice(1, 4)}

# Bytes an element takes, by TensorProto.DataType; strings and types below a byte are not among them.
_ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}


class _Kind(NamedTuple):
    """What is looked at of a message: parts that are messages, texts, those refused, those that come only once."""

    parts: dict[int, str]
    texts: tuple[int, ...] = ()
    refused: Mapping[int, str] = MappingProxyType({})
    single: tuple[int, ...] = ()


_SUBGRAPH, _SPARSE = gettext_noop("a graph inside a node"), gettext_noop("sparse tensors")
_TYPES = gettext_noop("types")
# Field numbers are those of `onnx.proto`.
_KINDS = {
    "Model": _Kind(
        {7: "Graph", 8: "Opset", 14: "Entry"},
        texts=(2, 3, 4, 6),
        refused={20: gettext_noop("steps of a training"), 25: gettext_noop("functions")},
        single=(7,),
    ),
    "Opset": _Kind({}, texts=(1,), single=(1, 2)),
    "Entry": _Kind({}, texts=(1, 2)),
    "Graph": _Kind(
        {1: "Node", 5: "Tensor", 11: "Value", 12: "Value", 13: "Value", 14: "Annotation", 16: "Entry"},
        texts=(2, 10),
        refused={15: _SPARSE},
    ),
    "Annotation": _Kind({2: "Entry"}, texts=(1,)),
    "Node": _Kind({5: "Attribute", 9: "Entry"}, texts=(1, 2, 3, 4, 6, 7, 8), single=(4, 7)),
    "Attribute": _Kind(
        {5: "Tensor"},
        texts=(1, 4, 9, 13, 21),
        refused={
            6: _SUBGRAPH, 11: _SUBGRAPH, 10: gettext_noop("lists of tensors"),
 14: _TYPES, 15: _TYPES, 22: _SPARSE, 23: _SPARSE
        },
        single=(1, 5),
    ),
    "Tensor": _Kind(
        {16: "Entry"},
        texts=(8, 12),
        refused={3: gettext_noop("parts of tensors"), 6: gettext_noop("tensors of text")},
        single=(2, 8, 9, 14),
    ),
    "Value": _Kind({2: "Type", 4: "Entry"}, texts=(1, 3), single=(1, 2)),
    "Type": _Kind(
        {1: "TensorType"},
        texts=(6,),
        refused={
4: gettext_noop("lists"), 5: gettext_noop("maps"), 7: gettext_noop("types of its own"), 8: _SPARSE,
9: gettext_noop("values that may be missing"),
},
        single=(1,),
    ),
    "TensorType": _Kind({2: "Shape"}, single=(1, 2)),
    "Shape": _Kind({1: "Side"}),
    "Side": _Kind({}, texts=(2, 3), single=(1,)),
}  # fmt: skip
# The numbers of a tensor that are no raw bytes.
_TYPED = (4, 5, 7, 10, 11)
_PAD_ATTRIBUTES = ("pads", "kernel_shape", "dilations", "strides")


class OnnxRefusedError(ValueError):
    """The file is ONNX, and holds what is not run; the message says what, as in "it holds functions".

    Attributes:
        what_to_do: for the owner of the file.
    """

    def __init__(self, message: str, what_to_do: str | None = None) -> None:
        super().__init__(message)
        self.what_to_do = what_to_do or _("Export the network again without it, or give another")


class _Place(NamedTuple):
    """A message of the file, and the name of its kind."""

    kind: str
    start: int
    end: int


def check_onnx(model: bytes, operators: Collection[str] = OPERATORS, allows_computed_sizes: bool = False) -> None:
    """Nothing, if the file is one graph of these operators within the bounds, with all its weights inside.

    Args:
        model: content of the file.
        operators: those that are run.
        allows_computed_sizes: whether a graph may compute sizes and margins, as one that is still to be lowered may.

    Raises:
        OnnxRefusedError: it holds something else.
        ValueError: it is no ONNX file.
    """
    num_fields, has_graph = 0, False
    waiting = [_Place("Model", 0, len(model))]
    while waiting:
        place = waiting.pop()
        kind, fields = _KINDS[place.kind], []
        for field in read_fields(model, place.start, place.end):
            fields.append(field)
            if (num_fields := num_fields + 1) > _MAX_FIELDS:
                raise OnnxRefusedError(_("it has more than {most:,} parts").format(most=_MAX_FIELDS))
        _check_fields(model, place.kind, kind, fields)
        if place.kind == "Graph":
            _check_graph(model, fields, allows_computed_sizes)
        has_graph |= place.kind == "Graph"
        waiting += [
            _Place(kind.parts[field.number], field.value, field.end) for field in fields if field.number in kind.parts
        ]
        if (check := _CHECKS.get(place.kind)) is not None:
            check(model, fields, operators)
    if not has_graph:
        raise ValueError("it has no graph")


def _check_fields(model: bytes, name: str, kind: _Kind, fields: list[WireField]) -> None:
    """What holds for a message of any kind: texts are text, nothing is refused, what comes once comes once."""
    for field in fields:
        if field.number in kind.refused:
            raise OnnxRefusedError(_("it holds {part}, which is not run").format(part=_(kind.refused[field.number])))
        if field.number in kind.texts or field.number in kind.parts:
            if field.size is None:
                raise ValueError(f"a number where a {name} has text or a part")
            if field.number in kind.texts:
                model[field.value : field.end].decode()
    numbers = Counter(field.number for field in fields)
    if any(numbers[number] > 1 for number in kind.single):
        raise OnnxRefusedError(_("a part of it, {name}, is there twice").format(name=name.lower()))


def _check_node(model: bytes, fields: list[WireField], operators: Collection[str]) -> None:
    operator, domain = _text(model, fields, 4), _text(model, fields, 7)
    if operator not in operators or domain not in _STANDARD_DOMAINS:
        shown = operator if domain in _STANDARD_DOMAINS else f"{domain}.{operator}"
        raise OnnxRefusedError(
            _("it uses the operator {operator!r}, which is not run").format(operator=_shortened(shown))
        )


def _check_attribute(model: bytes, fields: list[WireField], _operators: Collection[str]) -> None:
    if _text(model, fields, 1) in _PAD_ATTRIBUTES:
        largest = max((abs(number) for number in _whole_numbers(model, fields, 8)), default=0)
        if largest > _LARGEST_SIDE:
            raise OnnxRefusedError(
                _("it asks for a kernel or margin of {found:,} pixels, more than {most:,}").format(
                    found=largest, most=_LARGEST_SIDE
                )
            )


def _check_tensor(model: bytes, fields: list[WireField], _operators: Collection[str]) -> None:
    """The tensor is of numbers, within the bound, and as large as its content."""
    numbers = {field.number: field.value for field in fields if field.size is None}
    if numbers.get(14, 0) != 0 or any(field.number == 13 for field in fields):
        raise OnnxRefusedError(
            _("it keeps its weights in another file"), _("Save it as one with onnx.save(onnx.load(FILE), NEW_FILE)")
        )
    if numbers.get(2) not in _ELEMENT_BYTES:
        raise OnnxRefusedError(
            _("it holds a tensor of the type {type}, which is not run").format(type=numbers.get(2, 0))
        )
    num_bytes = _product(_whole_numbers(model, fields, 1)) * _ELEMENT_BYTES[numbers[2]]
    _check_size(num_bytes)
    raw = [field.size for field in fields if field.number == 9]
    typed = sum(field.end - field.value if field.size is not None else 1 for field in fields if field.number in _TYPED)
    # A number of a typed list takes a byte at least.
    if (raw and raw[0] != num_bytes) or (not raw and typed * _ELEMENT_BYTES[numbers[2]] < num_bytes):
        raise ValueError("a tensor has not the values that its shape says")


def _check_shape(model: bytes, fields: list[WireField], _operators: Collection[str]) -> None:
    """A shape that the file states holds no more than a tensor may, free sides left out."""
    sides: list[int] = []
    for side in fields:
        if side.number == 1 and side.size is not None:
            sides += _whole_numbers(model, list(read_fields(model, side.value, side.end)), 1)
    _check_size(4 * _product([side for side in sides if side > 0]))


def _check_graph(model: bytes, fields: list[WireField], allows_computed_sizes: bool) -> None:
    """As many nodes as are run, and of those that can make much of little, sizes that stand in the file."""
    nodes = [field for field in fields if field.number == 1]
    if len(nodes) > MAX_NODES:
        raise OnnxRefusedError(
            _("it has {num:,} nodes, and at most {most:,} are run").format(num=len(nodes), most=MAX_NODES)
        )
    sizes: list[tuple[str, str]] = []
    tensors = {name: field for field in fields if field.number == 5 for name in _texts(model, field, 8)}
    for node in nodes:
        operator = "".join(_texts(model, node, 4))
        if operator in _GROWING:
            sizes += [(operator, name) for name in _texts(model, node, 1)[_GROWING[operator]] if name]
        elif operator == "Constant":
            inner = [part for attribute in _parts(model, node, 5) for part in _parts(model, attribute, 5)]
            tensors |= dict(zip(_texts(model, node, 2), inner, strict=False))
    for operator, name in sizes:
        if name not in tensors and allows_computed_sizes:
            continue
        if name not in tensors:
            raise OnnxRefusedError(
                _("its operator {operator!r} computes a size, which must be in the file").format(operator=operator)
            )
        numbers = _small_numbers(model, tensors[name])
        largest = _LARGEST_SIDE if numbers.dtype.kind == "i" else _LARGEST_FACTOR
        if not ((-largest <= numbers) & (numbers <= largest)).all():
            raise OnnxRefusedError(
                _("its operator {operator!r} asks for a size, margin or factor above {largest:,}").format(
                    operator=operator, largest=largest
                )
            )


def _small_numbers(model: bytes, tensor: WireField) -> NDArray[np.int64] | NDArray[np.float64]:
    """The numbers of a tensor that is a short list of them."""
    fields = list(read_fields(model, tensor.value, tensor.end))
    kind = next((field.value for field in fields if field.number == 2), 0)
    raw = b"".join(model[field.value : field.end] for field in fields if field.number in (4, 9, 10) and field.size)
    if kind == 7 and not raw:
        return np.array(_whole_numbers(model, fields, 7), np.int64)
    dtype = {1: "<f4", 7: "<i8", 11: "<f8"}.get(kind)
    if dtype is None or len(raw) % np.dtype(dtype).itemsize or len(raw) > 8 * _MAX_LISTED:
        raise OnnxRefusedError(_("a size in it is not a short list of numbers"))
    return np.frombuffer(raw, dtype)


def _product(sides: list[int]) -> int:
    if any(side < 0 for side in sides) or len(sides) > 64:
        raise ValueError("a tensor has a side below 0, or too many")
    return math.prod(sides)


def _check_size(num_bytes: int) -> None:
    if num_bytes > MAX_TENSOR_BYTES:
        raise OnnxRefusedError(
            _("it has a tensor of {num:,.0f} MB, and at most {most:,.0f} MB are run").format(
                num=num_bytes / 1e6, most=MAX_TENSOR_BYTES / 1e6
            )
            if num_bytes < 10**15
            else _("it has a tensor of far more than {most:,.0f} MB").format(most=MAX_TENSOR_BYTES / 1e6)
        )


def _whole_numbers(model: bytes, fields: list[WireField], number: int) -> list[int]:
    """The signed numbers of a field that is repeated, one by one or packed."""
    values: list[int] = []
    for field in fields:
        if field.number != number:
            continue
        if field.size is None:
            values.append(field.value)
        else:
            position = field.value
            while position < field.end:
                value, position = read_varint(model, position, field.end)
                values.append(value)
                if len(values) > _MAX_LISTED:
                    raise OnnxRefusedError(_("it has a list of more than {most} numbers").format(most=_MAX_LISTED))
    return [value - 2**64 if value >= 2**63 else value for value in values]


def _text(model: bytes, fields: list[WireField], number: int) -> str:
    return next((model[field.value : field.end].decode() for field in fields if field.number == number), "")


def _parts(model: bytes, parent: WireField, number: int) -> Iterator[WireField]:
    fields = read_fields(model, parent.value, parent.end)
    return (field for field in fields if field.number == number and field.size is not None)


def _texts(model: bytes, parent: WireField, number: int) -> list[str]:
    return [model[field.value : field.end].decode() for field in _parts(model, parent, number)]


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


_CHECKS = {
    "Node": _check_node,
    "Attribute": _check_attribute,
    "Tensor": _check_tensor,
    "Shape": _check_shape,
}
