"""An ONNX file from somewhere else: read, with everything refused that cannot become a backbone, and what it takes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto

from tellapart.backbones.onnx_preprocessing import check_onnx_size
from tellapart.backbones.user_outputs import FLOAT_TYPES, describe_value
from tellapart.errors import BundleError

_OPSETS = range(11, 23)
_GIT_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class ForeignInput:
    """The image that the ONNX file takes; `height` and `width` are `None` where they are free."""

    name: str
    element_type: int
    is_channels_last: bool
    height: int | None
    width: int | None


def read_model(data: bytes, shown_name: str) -> ModelProto:
    """The ONNX model in `data`, all of which is inside.

    Raises:
        BundleError: the file is damaged, no ONNX, too large, or keeps tensors in other files.
    """
    check_onnx_size(len(data), f"--backbone {shown_name!r}")
    advice = "accepted is a whole ONNX file. Download or export it again."
    if data.startswith(_GIT_LFS_POINTER):
        raise BundleError(f"--backbone {shown_name!r} is a Git LFS pointer, not the file itself; {advice}")
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as exc:
        raise BundleError(f"--backbone {shown_name!r} is damaged or no ONNX file; {advice}") from exc
    if any(isinstance(value.name, bytes) for value in (*model.graph.input, *model.graph.output)):
        # What Protocol buffers give for text that is not UTF-8.
        raise BundleError(f"--backbone {shown_name!r} is damaged: the name of an input or output is no text; {advice}")
    if not model.ir_version or not model.graph.node or not model.graph.output:
        raise BundleError(f"--backbone {shown_name!r} holds no ONNX graph; {advice}")
    external = [tensor.name for tensor in _all_tensors(model) if tensor.data_location == TensorProto.EXTERNAL]
    if external:
        raise BundleError(
            f"--backbone {shown_name!r} keeps {len(external)} tensors, such as {external[0]!r}, in another file; "
            "accepted is one file with everything inside. Save it with onnx.save(onnx.load(FILE), NEW_FILE)."
        )
    return model


def _all_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every constant of the model, those of its subgraphs and functions too."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for subgraph in find_subgraphs(attribute):
                yield from _graph_tensors(subgraph)


def find_subgraphs(attribute: AttributeProto) -> Iterator[GraphProto]:
    """The graphs inside an attribute of a node, such as the branches of an `If`."""
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def check_opset(model: ModelProto, shown_name: str) -> int:
    """The version of the ONNX operators that the model is written for.

    Raises:
        BundleError: it is too old or too new to add nodes to.
    """
    found = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    if not found or found[0] not in _OPSETS:
        raise BundleError(
            f"--backbone {shown_name!r} has version {found[0] if found else 'unknown'} of the ONNX operators (its "
            f"opset); accepted is {_OPSETS[0]} to {_OPSETS[-1]}. Export it with opset 17."
        )
    return int(found[0])


def find_input(graph: GraphProto, shown_name: str) -> ForeignInput:
    """The one input that is no weight, which is an image with a free batch axis.

    Raises:
        BundleError: there are several, or it is not such an image.
    """
    weights = {tensor.name for tensor in graph.initializer}
    weights.update(sparse.values.name for sparse in graph.sparse_initializer)
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(repr(value.name) for value in inputs[:5])
        more = f" and {len(inputs) - 5} more" if len(inputs) > 5 else ""
        found = f"{len(inputs)} inputs, {names}{more}" if inputs else "no input"
        raise BundleError(
            f"--backbone {shown_name!r} has {found}; accepted is exactly one, the image. Export the image part of the "
            "model alone."
        )
    shape = inputs[0].type.tensor_type.shape.dim
    element_type = inputs[0].type.tensor_type.elem_type
    is_channels_last = _find_layout(shape)
    if element_type not in (*FLOAT_TYPES, TensorProto.UINT8) or is_channels_last is None:
        raise BundleError(
            f"--backbone {shown_name!r} takes {describe_value(inputs[0])}, which is no colour image; accepted is a "
            "float input (batch, 3, height, width) or (batch, height, width, 3). Pass a model that looks at photos."
        )
    if shape[0].dim_value:
        raise BundleError(
            f"--backbone {shown_name!r} takes exactly {shape[0].dim_value} photos at a time; accepted is a free batch "
            "axis. Export it with one, as torch.onnx.export does with dynamic_axes="
            f"{{{inputs[0].name!r}: {{0: 'batch'}}}}."
        )
    height, width = (shape[1], shape[2]) if is_channels_last else (shape[2], shape[3])
    return ForeignInput(
        inputs[0].name, element_type, is_channels_last, height.dim_value or None, width.dim_value or None
    )


def _find_layout(shape: Sequence[TensorShapeProto.Dimension]) -> bool | None:
    """Whether the channels come last, `None` where no axis can be the three channels."""
    sizes = [axis.dim_value for axis in shape]
    if len(sizes) != 4:
        return None
    if 3 in (sizes[1], sizes[3]):
        return bool(sizes[1] != 3)
    # Exporters of transformers leave even the channel axis free, and these models take it first.
    return False if sizes[1] == 0 else None
