"""Any ONNX file with one image as its input, turned into a backbone.

A backbone is ONNX with one input `image`, uint8 RGB `(batch, height, width, 3)`; an output `embedding`, float32
`(batch, size)`; and, where the embedding is a mean over places, an output `features`, float32 `(batch, size, h, w)`.
The file's own graph stays as it is: nodes before it make its input of the pixels, nodes behind it the embedding.

Nothing is run here. What is refused is `foreign_model.py`'s, which output is taken `foreign_outputs.py`'s, what the
JSON beside the file says `onnx_preprocessing.py`'s.
"""

from dataclasses import dataclass

import onnx
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper

from tellapart.backbones.onnx_preprocessing import OnnxPreprocessing
from tellapart.backbones.user_model import ForeignInput, check_opset, find_input, find_subgraphs, read_model
from tellapart.backbones.user_outputs import (
    ForeignOutput,
    append_embedding,
    choose_output,
    describe_value,
    embedding_size,
)
from tellapart.errors import BundleError, ConfigError
from tellapart.networks.onnx_nodes import OWN_PREFIX, NodeList

_INPUT_NAME = "image"
_FOREIGN_PREFIX = "backbone/"
_IR_VERSION = 10
# ValueError is for types that ONNX does not know, and for messages of its own with damaged text in them.
_ONNX_ERRORS = (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError)


@dataclass(frozen=True)
class WrappedOnnx:
    """A backbone made of an ONNX file.

    Attributes:
        model: the backbone, as the module says.
        image_size: `(height, width)` of its input, in pixels.
        notes: sentences for the user.
    """

    model: bytes
    image_size: tuple[int, int]
    notes: tuple[str, ...] = ()


def wrap_onnx(data: bytes, shown_name: str, preprocessing: OnnxPreprocessing) -> WrappedOnnx:
    """The ONNX file as a backbone.

    Args:
        data: content of the file.
        shown_name: what the user passed to `--backbone`.
        preprocessing: what the JSON beside the file says.

    Raises:
        BundleError: the file is damaged, or no model that can be a backbone.
        ConfigError: the preprocessing does not go with the model.
    """
    model = read_model(data, shown_name)
    opset = check_opset(model, shown_name)
    taken = find_input(model.graph, shown_name)
    image_size = _agree_on_size(taken, preprocessing, shown_name)
    declared = [describe_value(output) for output in model.graph.output]
    _prefix_names(model.graph)
    front = NodeList(opset)
    _prepare_input(front, taken, preprocessing, shown_name)
    _set_input(model, front, image_size)
    outputs = _infer_outputs(model, declared, shown_name)
    chosen, notes = choose_output(outputs, preprocessing, shown_name)
    _check_sizes(chosen, shown_name, is_channels_last=taken.is_channels_last)
    back = NodeList(opset)
    source = f"{_FOREIGN_PREFIX}{chosen.name}"
    infos = append_embedding(back, source, chosen, preprocessing, is_channels_last=taken.is_channels_last)
    model.graph.node.extend(back.nodes)
    model.graph.initializer.extend(back.constants)
    _set_outputs(model.graph, infos)
    return WrappedOnnx(_to_bytes(model, shown_name), image_size, notes)


def _agree_on_size(taken: ForeignInput, preprocessing: OnnxPreprocessing, shown_name: str) -> tuple[int, int]:
    """`(height, width)`, which the ONNX file and its JSON say alike where both do."""
    wanted = preprocessing.image_size or (None, None)
    height, width = taken.height or wanted[0], taken.width or wanted[1]
    if height is None or width is None:
        raise ConfigError(
            f"neither --backbone {shown_name!r} nor {preprocessing.shown_source!r} says how large its input is; "
            f'accepted is "image_size": [height, width] in pixels. Add the one it was trained with to '
            f"{preprocessing.shown_source!r}."
        )
    if preprocessing.image_size not in (None, (height, width)):
        raise ConfigError(
            f"{preprocessing.shown_source!r} asks for images of {wanted[0]}x{wanted[1]} pixels (height x width), and "
            f"--backbone {shown_name!r} takes {taken.height or 'any'}x{taken.width or 'any'}; both must agree. Correct "
            "the size in the JSON, or export the model with free height and width."
        )
    return height, width


def _prepare_input(nodes: NodeList, taken: ForeignInput, preprocessing: OnnxPreprocessing, shown_name: str) -> None:
    """Adds what turns `image` into the input of the file."""
    source = _INPUT_NAME
    if preprocessing.channel_order == "bgr":
        source = nodes.add("Gather", [source, nodes.constant("bgr", [2, 1, 0])], f"{OWN_PREFIX}reversed", axis=3)
    if taken.element_type == TensorProto.UINT8:
        if not preprocessing.is_plain():
            raise ConfigError(
                f"{preprocessing.shown_source!r} asks for scaling, and --backbone {shown_name!r} takes whole pixels "
                '(uint8); accepted with it is no "scale", "mean" or "std". Remove them from the JSON.'
            )
    else:
        source = nodes.add("Cast", [source], f"{OWN_PREFIX}pixels", to=TensorProto.FLOAT)
        for operator, name, value in (
            ("Mul", "scale", preprocessing.scale),
            ("Sub", "mean", preprocessing.mean),
            ("Div", "std", preprocessing.std),
        ):
            source = nodes.add(operator, [source, nodes.constant(name, value)], f"{OWN_PREFIX}after_{name}")
    if not taken.is_channels_last:
        source = nodes.add("Transpose", [source], f"{OWN_PREFIX}transposed", perm=[0, 3, 1, 2])
    nodes.add("Cast", [source], f"{_FOREIGN_PREFIX}{taken.name}", to=taken.element_type)


def _prefix_names(graph: GraphProto) -> None:
    """Every name in the graph and its subgraphs begins with the prefix afterwards, so that none meets one of ours."""
    for node in graph.node:
        node.name = _prefixed(node.name)
        node.input[:] = [_prefixed(name) for name in node.input]
        node.output[:] = [_prefixed(name) for name in node.output]
        for attribute in node.attribute:
            for subgraph in find_subgraphs(attribute):
                _prefix_names(subgraph)
    sparse_values = [sparse.values for sparse in graph.sparse_initializer]
    for named in (*graph.input, *graph.output, *graph.value_info, *graph.initializer, *sparse_values):
        named.name = _prefixed(named.name)


def _prefixed(name: str) -> str:
    return f"{_FOREIGN_PREFIX}{name}" if name else name


def _set_input(model: ModelProto, front: NodeList, image_size: tuple[int, int]) -> None:
    """The graph takes `image` instead of its own input, of which `front` makes it.

    Shapes that the exporter wrote down are dropped: they were for free sizes, and are found anew.
    """
    graph = model.graph
    nodes = [*front.nodes, *graph.node]
    for field in (graph.node, graph.input, graph.value_info, graph.quantization_annotation):
        del field[:]
    graph.node.extend(nodes)
    graph.initializer.extend(front.constants)
    graph.input.append(helper.make_tensor_value_info(_INPUT_NAME, TensorProto.UINT8, ["batch", *image_size, 3]))
    model.ir_version = _IR_VERSION


def _infer_outputs(model: ModelProto, declared: list[ForeignOutput], shown_name: str) -> list[ForeignOutput]:
    """The outputs with the shapes they have for this image size; what cannot be found is as the file declares it."""
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except _ONNX_ERRORS as exc:
        raise _refuse(shown_name, exc) from exc
    return [_merge(old, describe_value(output)) for old, output in zip(declared, inferred.graph.output, strict=True)]


def _merge(declared: ForeignOutput, found: ForeignOutput) -> ForeignOutput:
    element_type = found.element_type or declared.element_type
    shape = found.shape
    if declared.shape is not None:
        # A batch of 1 is often declared where any is possible.
        old = (None, *declared.shape[1:])
        shape = old if shape is None else shape
        if len(shape) == len(old):
            shape = tuple(new or size for new, size in zip(shape, old, strict=True))
    return ForeignOutput(declared.name, element_type, shape)


def _check_sizes(chosen: ForeignOutput, shown_name: str, *, is_channels_last: bool) -> None:
    assert chosen.shape is not None
    if chosen.shape[0] is not None:
        raise BundleError(
            f"--backbone {shown_name!r} gives {chosen}, exactly {chosen.shape[0]} at a time; accepted is a free batch "
            "axis. Export it with one."
        )
    if embedding_size(chosen, is_channels_last=is_channels_last) is None:
        raise BundleError(
            f"--backbone {shown_name!r} does not say how many numbers its output {chosen} has a photo; accepted is a "
            'fixed number. Export it with a fixed size, or name another output in its JSON as "output".'
        )


def _set_outputs(graph: GraphProto, infos: list[ValueInfoProto]) -> None:
    del graph.output[:]
    graph.output.extend(infos)


def _to_bytes(model: ModelProto, shown_name: str) -> bytes:
    """The finished backbone, checked node by node."""
    del model.training_info[:]
    try:
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
    except _ONNX_ERRORS as exc:
        raise _refuse(shown_name, exc) from exc


def _refuse(shown_name: str, exc: Exception) -> BundleError:
    reason = " ".join(str(exc).split())[:200]
    return BundleError(
        f"--backbone {shown_name!r} is not valid ONNX ({reason}); accepted is a file that onnx.checker accepts. "
        "Download or export it again."
    )
