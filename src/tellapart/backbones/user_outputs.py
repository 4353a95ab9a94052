"""Which output of an ONNX file is the embedding, and the nodes that make `embedding` and `features` of it."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from onnx import TensorProto, ValueInfoProto, helper

from tellapart.backbones.onnx_preprocessing import OnnxPreprocessing
from tellapart.errors import BundleError, ConfigError
from tellapart.networks.onnx_nodes import EMBEDDING_NAME, FEATURES_NAME, NodeList

FLOAT_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_TELLING_NAMES = ("pool", "embed")


@dataclass(frozen=True)
class ForeignOutput:
    """An output of the ONNX file.

    Attributes:
        name: as the file has it.
        element_type: of `onnx.TensorProto`; 0 where it is no tensor.
        shape: sizes of the axes, `None` for those that are free; `None` where the number of axes is not known.
    """

    name: str
    element_type: int
    shape: tuple[int | None, ...] | None

    @property
    def rank(self) -> int:
        """Number of axes, 0 where not known."""
        return len(self.shape or ())

    @property
    def is_usable(self) -> bool:
        """Whether an embedding can be made of it."""
        return self.element_type in FLOAT_TYPES and self.rank in (2, 3, 4)

    def __str__(self) -> str:
        sizes = "?" if self.shape is None else ", ".join("?" if size is None else str(size) for size in self.shape)
        known = self.element_type in TensorProto.DataType.values() and self.element_type
        kind = TensorProto.DataType.Name(self.element_type).lower() if known else "of unknown type"
        return f"{self.name!r} {kind} ({sizes})"


def describe_value(value: ValueInfoProto) -> ForeignOutput:
    """Name, type and shape of an input or output of a graph."""
    tensor = value.type.tensor_type
    shape = tuple(axis.dim_value or None for axis in tensor.shape.dim) if tensor.HasField("shape") else None
    return ForeignOutput(value.name, tensor.elem_type, shape)


def choose_output(
    outputs: Sequence[ForeignOutput], preprocessing: OnnxPreprocessing, shown_name: str
) -> tuple[ForeignOutput, tuple[str, ...]]:
    """The output to embed with, and a sentence for the user where there was a choice.

    Without `preprocessing.output` it is the first output `(batch, size)` whose name speaks of pooling or embedding,
    else the first `(batch, size)`, else the first with places, `(batch, size, h, w)`, else the first with tokens.

    Raises:
        ConfigError: there is no output of the name asked for, or `pooling` does not go with it.
        BundleError: no output can be an embedding, or the one asked for cannot.
    """
    usable = [output for output in outputs if output.is_usable]
    notes: tuple[str, ...] = ()
    if preprocessing.output is not None:
        chosen = _find_output(outputs, preprocessing, shown_name)
        usable = [chosen] if chosen.is_usable else []
    if not usable:
        shown = [str(output) for output in (outputs if preprocessing.output is None else [chosen])]
        raise BundleError(
            f"--backbone {shown_name!r} has no output that could be an embedding: {_some(shown)}; accepted is a float "
            "output (batch, size), (batch, size, h, w) or (batch, tokens, size). Export the model with one of these."
        )
    if preprocessing.output is None:
        chosen = min(usable, key=_preference)
        if len(usable) > 1:
            others = _some([repr(output.name) for output in usable if output is not chosen])
            notes = (
                f"--backbone {shown_name!r}: {chosen.name!r} is taken as the embedding, not {others}; to take another, "
                'name it as "output" in the JSON beside a FILE.onnx.',
            )
    if preprocessing.pooling == "first" and chosen.rank != 3:
        raise ConfigError(
            f"pooling in {preprocessing.shown_source!r} is 'first', and the output {chosen} has no tokens; accepted is "
            'an output (batch, tokens, size). Remove "pooling", or name another "output".'
        )
    return chosen, notes


def _find_output(outputs: Sequence[ForeignOutput], preprocessing: OnnxPreprocessing, shown_name: str) -> ForeignOutput:
    by_name = {output.name: output for output in outputs}
    name = preprocessing.output or ""
    if name not in by_name:
        nearest = difflib.get_close_matches(name, by_name, n=1, cutoff=0.0)
        raise ConfigError(
            f"output {name!r} in {preprocessing.shown_source!r} is not in --backbone {shown_name!r}; accepted: "
            f"{_some([repr(known) for known in by_name])}. Did you mean {nearest[0]!r}?"
        )
    return by_name[name]


def _preference(output: ForeignOutput) -> tuple[int, bool]:
    """Smaller is better; equal ones are taken in the order of the graph."""
    is_telling = any(word in output.name.lower() for word in _TELLING_NAMES)
    return (2, 4, 3).index(output.rank), output.rank == 2 and not is_telling


def append_embedding(
    nodes: NodeList, source: str, output: ForeignOutput, preprocessing: OnnxPreprocessing, *, is_channels_last: bool
) -> list[ValueInfoProto]:
    """The outputs of the finished graph: `embedding`, and `features` where the embedding is a mean over places.

    Args:
        nodes: what turns `source` into the outputs is added here.
        source: name of the value that holds `output` in the graph.
        is_channels_last: whether the file takes its input `(batch, height, width, 3)`, which decides where the channels
            of a square or unknown shape are.
    """
    assert output.shape is not None
    if output.rank == 4:
        return _append_features(nodes, source, output.shape, is_channels_last)
    if output.rank == 2:
        nodes.add("Cast", [source], EMBEDDING_NAME, to=TensorProto.FLOAT)
    else:
        tokens = nodes.add("Cast", [source], "tellapart/tokens", to=TensorProto.FLOAT)
        if preprocessing.pooling == "first":
            nodes.add("Gather", [tokens, nodes.constant("first", 0)], EMBEDDING_NAME, axis=1)
        else:
            nodes.mean(tokens, [1], EMBEDDING_NAME)
    return [_float_info(EMBEDDING_NAME, [output.shape[-1]])]


def embedding_size(output: ForeignOutput, *, is_channels_last: bool) -> int | None:
    """Length of the embedding made of `output`, `None` where its shape does not say."""
    assert output.shape is not None
    if output.rank == 4 and not _has_channels_last(output.shape, is_channels_last):
        return output.shape[1]
    return output.shape[-1]


def _append_features(
    nodes: NodeList, source: str, shape: tuple[int | None, ...], is_channels_last: bool
) -> list[ValueInfoProto]:
    sizes: list[int | None] = list(shape[1:])
    if _has_channels_last(shape, is_channels_last):
        source = nodes.add("Transpose", [source], "tellapart/channels_first", perm=[0, 3, 1, 2])
        sizes = [shape[3], shape[1], shape[2]]
    nodes.add("Cast", [source], FEATURES_NAME, to=TensorProto.FLOAT)
    nodes.mean(FEATURES_NAME, [2, 3], EMBEDDING_NAME)
    places = [size or name for size, name in zip(sizes[1:], ("h", "w"), strict=True)]
    return [_float_info(EMBEDDING_NAME, sizes[:1]), _float_info(FEATURES_NAME, [sizes[0], *places])]


def _has_channels_last(shape: tuple[int | None, ...], is_channels_last: bool) -> bool:
    """Places form a square more often than a channel and a side are equal; where that does not tell, as the input."""
    is_square_first, is_square_last = shape[1] == shape[2], shape[2] == shape[3]
    if is_square_first != is_square_last and None not in shape[1:]:
        return is_square_first
    return is_channels_last


def _float_info(name: str, sizes: Sequence[int | str | None]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes])


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
