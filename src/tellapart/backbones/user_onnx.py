"""Any ONNX file with one image as its input, turned into a backbone.

A backbone is ONNX with one input `image`, uint8 RGB `(batch, height, width, 3)`; an output `embedding`, float32
`(batch, size)`; and, where the embedding is a mean over places, an output `features`, float32 `(batch, size, h, w)`.
The file's own graph stays as it is: nodes before it make its input of the pixels, nodes behind it the embedding. What
the file does not say, `onnx_preprocessing.py` reads from the JSON beside it; nothing is guessed.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper

from tellapart.backbones.onnx_limits import OPERATORS, OnnxRefusedError, check_onnx
from tellapart.backbones.onnx_lowering import REPLACED_OPERATORS, lower_shapes
from tellapart.backbones.onnx_preprocessing import EXAMPLE, OnnxPreprocessing
from tellapart.backbones.onnx_session import ORT_ERRORS, open_session, refused
from tellapart.backbones.onnx_wire import keep_outputs
from tellapart.errors import BundleError, ConfigError, TellapartError
from tellapart.networks.onnx_nodes import EMBEDDING_NAME, FEATURES_NAME, INPUT_NAME, OWN_PREFIX, NodeList, prefix_names
from tellapart.photos.names import name_some
from tellapart.translation import gettext as _
from tellapart.untrusted import MAX_ONNX_BYTES
from tellapart.value_checks import did_you_mean

_USER_PREFIX = "backbone/"
_IR_VERSION = 8  # at least: before 4, constants have to be inputs
_FLOAT_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
# The nodes that are added need a little of what a message can hold.
_ROOM_BYTES = 2**20
_NOTES = frozenset({"doc_string", "metadata_props", "producer_name", "producer_version"})
_GIT_LFS_POINTER = b"version https://git-lfs"


class _Image(NamedTuple):
    """The input of the ONNX file: its name, its type, its four sides (0 is free), and where its channels are."""

    name: str
    element_type: int
    sides: list[int]
    layout: str

    @property
    def image_size(self) -> tuple[int, int]:
        """`(height, width)`, 0 where it is free."""
        height, width = self.sides[1:3] if self.layout == "nhwc" else self.sides[2:4]
        return height, width


def wrap_onnx(
    data: bytes, shown_name: str, preprocessing: OnnxPreprocessing | None, json_name: str = "net.json"
) -> tuple[bytes, tuple[int, int]]:
    """The ONNX file as a backbone, and the `(height, width)` of its image in pixels.

    Args:
        data: content of the file.
        shown_name: what the user called the backbone.
        preprocessing: what the JSON beside it says; `None` is none, which a file with whole pixels as its input can do.
        json_name: the JSON that is to be written where something is missing.

    Raises:
        BundleError: the file is damaged, or no model that can be a backbone.
        ConfigError: the JSON is needed and missing, or does not go with the model.
    """
    shown = f"`backbone` {shown_name!r}"
    try:
        model = _load(data, shown)
        image = _find_image(model.graph, preprocessing, shown, json_name)
        settings = preprocessing or OnnxPreprocessing(json_name)
        image_size = _agree_on_size(image, settings, shown)
        output = _choose_output(model.graph, settings, shown)
        prefix_names(model.graph, _USER_PREFIX)
        _put_in_front(model, image, image_size, settings)
        output = f"{_USER_PREFIX}{output}"
        model = onnx.load_model_from_string(_to_bytes(model, [output]))
        lower_shapes(model)
        data = _to_bytes(model, [output])
        _check_limits(data, shown, OPERATORS)
        probe = _probe(data, image_size, shown)
        names = _put_behind(model.graph, output, probe, image.layout, settings)
        return _to_bytes(model, names), image_size
    except TellapartError:
        raise
    except (DecodeError, TypeError, ValueError) as exc:  # names that are no text, messages cut short
        raise BundleError(
            _("{shown} is damaged or not an ONNX file. Download or export it again.").format(shown=shown)
        ) from exc


def _load(data: bytes, shown: str) -> ModelProto:
    if len(data) > MAX_ONNX_BYTES - _ROOM_BYTES:
        raise BundleError(
            _("{shown} has {found:.1f} GB. Give an ONNX file of less than 2 GB.").format(
                shown=shown, found=len(data) / 1e9
            )
        )
    if data.startswith(_GIT_LFS_POINTER):
        raise BundleError(
            _("{shown} is a Git LFS pointer, not the file itself. Download the file.").format(shown=shown)
        )
    _check_limits(data, shown, OPERATORS | REPLACED_OPERATORS, allows_computed_sizes=True)
    model = onnx.load_model_from_string(data)
    _drop_notes(model)
    if not model.ir_version or not model.graph.node or not model.graph.output:
        raise ValueError("no graph")
    return model


def _drop_notes(model: ModelProto) -> None:
    """Takes out what exporters write for people, such as the lines of a program with the paths of its files.

    It would travel with every model that is made of the backbone, and nothing reads it.
    """
    graph = model.graph
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    tensors = [*graph.initializer, *(attribute.t for attribute in attributes if attribute.HasField("t"))]
    values = [*graph.input, *graph.output, *graph.value_info]
    for part in (model, graph, *graph.node, *attributes, *tensors, *values):
        for name in _NOTES.intersection(part.DESCRIPTOR.fields_by_name):
            part.ClearField(name)


def _check_limits(data: bytes, shown: str, operators: Collection[str], allows_computed_sizes: bool = False) -> None:
    try:
        check_onnx(data, operators, allows_computed_sizes)
    except OnnxRefusedError as exc:
        raise BundleError(
            _("{shown} is not run: {reason}. {what_to_do}.").format(shown=shown, reason=exc, what_to_do=exc.what_to_do)
        ) from exc


def _find_image(graph: GraphProto, preprocessing: OnnxPreprocessing | None, shown: str, json_name: str) -> _Image:
    """The one input that is no weight, which has to be a colour image with a free batch axis."""
    weights = {tensor.name for tensor in graph.initializer} | {item.values.name for item in graph.sparse_initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = name_some([value.name for value in inputs]) or _("none")
        raise BundleError(
            _("{shown} has {num} inputs ({names}). Export the part with one image as its input.").format(
                shown=shown, num=len(inputs), names=names
            )
        )
    tensor = inputs[0].type.tensor_type
    sides = [axis.dim_value for axis in tensor.shape.dim]
    layout = (preprocessing and preprocessing.layout) or _find_layout(sides)
    is_image = len(sides) == 4 and tensor.elem_type in (*_FLOAT_TYPES, TensorProto.UINT8)
    if not is_image or sides[3 if layout == "nhwc" else 1] not in (0, 3):
        raise BundleError(
            _(
                "{shown} takes {found}. Give a model for colour photos. Its input must be float or uint8: "
                "(batch, 3, height, width) or (batch, height, width, 3)."
            ).format(shown=shown, found=_describe(inputs[0]))
        )
    image = _Image(inputs[0].name, tensor.elem_type, sides, layout or "")
    if preprocessing is None and (tensor.elem_type != TensorProto.UINT8 or 0 in image.image_size):
        raise ConfigError(
            _(
                "{shown} needs a file that says how photos are prepared. Write {json_name!r} with what the "
                "model was trained with, such as {example}"
            ).format(shown=shown, json_name=json_name, example=EXAMPLE)
        )
    if not layout:
        raise ConfigError(
            _(
                '{shown} takes {found}, which does not say where the channels are. Add "layout": '
                '"nchw" or "layout": "nhwc" to {json_name!r}.'
            ).format(shown=shown, found=_describe(inputs[0]), json_name=json_name)
        )
    if sides[0]:
        raise BundleError(
            _(
                "{shown} takes exactly {num} photos at a time. Export it with a free batch axis, as "
                "torch.onnx.export does with dynamic_axes={{{name!r}: {{0: 'batch'}}}}."
            ).format(shown=shown, num=sides[0], name=inputs[0].name)
        )
    return image


def _find_layout(sides: list[int]) -> str | None:
    """Where the three channels are, if the shape says it."""
    if len(sides) != 4 or (sides[1] == 3) == (sides[3] == 3):
        return None
    return "nchw" if sides[1] == 3 else "nhwc"


def _describe(value: ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    sides = ", ".join(axis.dim_param or str(axis.dim_value or "?") for axis in tensor.shape.dim)
    kind = TensorProto.DataType.Name(tensor.elem_type).lower() if tensor.elem_type else _("no tensor")
    return f"{value.name!r}, {kind} ({sides})"


def _agree_on_size(image: _Image, settings: OnnxPreprocessing, shown: str) -> tuple[int, int]:
    """`(height, width)`, on which the ONNX file and its JSON have to agree."""
    wanted = settings.image_size or image.image_size
    if 0 in wanted:
        raise ConfigError(
            _('{shown} takes any image size. Add "image_size": [height, width] to {source!r}.').format(
                shown=shown, source=settings.source
            )
        )
    if any(own not in (0, side) for own, side in zip(image.image_size, wanted, strict=True)):
        raise ConfigError(
            _(
                "{source!r} asks for images of {width}x{height} pixels (width x height), and {shown} "
                'takes {found}. Correct "image_size".'
            ).format(
                source=settings.source,
                width=wanted[1],
                height=wanted[0],
                shown=shown,
                found=f"{image.image_size[1] or '?'}x{image.image_size[0] or '?'}",
            )
        )
    if image.element_type == TensorProto.UINT8 and not settings.is_plain():
        raise ConfigError(
            _('{shown} takes whole pixels (uint8). Remove "scale", "mean" and "std" from {source!r}.').format(
                shown=shown, source=settings.source
            )
        )
    return wanted


def _choose_output(graph: GraphProto, settings: OnnxPreprocessing, shown: str) -> str:
    """The name of the tensor that is the embedding: the only output, or the one that the JSON names."""
    outputs = [str(value.name) for value in graph.output]
    tensors = {name for node in graph.node for name in node.output if name} | set(outputs)
    found = [name for name in settings.outputs if name in tensors]
    if found:
        return found[0]
    if len(outputs) == 1 and len(settings.outputs) != 1:
        return outputs[0]
    if len(settings.outputs) == 1:
        (wanted,) = settings.outputs
        said = _('"output" in {source!r}, {wanted!r}, is not in {shown}.{hint} Its outputs are {outputs}.')
        hint = did_you_mean(wanted, sorted(tensors))
        raise ConfigError(
            said.format(source=settings.source, wanted=wanted, shown=shown, hint=hint, outputs=name_some(outputs, 5))
        )
    raise ConfigError(
        _(
            '{shown} has {num} outputs: {outputs}. Name the embedding in {source!r}, such as "output": "{first}".'
        ).format(
            shown=shown,
            num=len(outputs),
            outputs=name_some(outputs),
            source=settings.source,
            first=outputs[0],
        )
    )


def _put_in_front(model: ModelProto, image: _Image, size: tuple[int, int], settings: OnnxPreprocessing) -> None:
    """The graph takes `image` afterwards, of which new nodes make what its own input was."""
    nodes, x = NodeList(), INPUT_NAME
    if settings.channel_order == "bgr":
        x = nodes.add("Gather", [x, nodes.constant("bgr", [2, 1, 0])], f"{OWN_PREFIX}reversed", axis=3)
    if image.element_type != TensorProto.UINT8:
        x = nodes.add("Cast", [x], f"{OWN_PREFIX}pixels", to=TensorProto.FLOAT)
        for operator, name in (("Mul", "scale"), ("Sub", "mean"), ("Div", "std")):
            constant = nodes.constant(name, getattr(settings, name))
            x = nodes.add(operator, [x, constant], f"{OWN_PREFIX}after_{name}")
    if image.layout == "nchw":
        x = nodes.add("Transpose", [x], f"{OWN_PREFIX}planes", perm=[0, 3, 1, 2])
    nodes.add("Cast", [x], f"{_USER_PREFIX}{image.name}", to=image.element_type)
    graph = model.graph
    all_nodes = [*nodes.nodes, *graph.node]
    # Shapes that the exporter wrote down may be for another size, and are found anew.
    for field in (graph.node, graph.input, graph.value_info, graph.quantization_annotation):
        del field[:]
    graph.node.extend(all_nodes)
    graph.initializer.extend(nodes.constants)
    graph.input.append(helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", *size, 3]))
    model.ir_version = max(model.ir_version, _IR_VERSION)


def _to_bytes(model: ModelProto, outputs: list[str]) -> bytes:
    """The model with these outputs and without what they do not need; those without a type get it from the runtime."""
    known = {value.name: value for value in model.graph.output if value.name in (EMBEDDING_NAME, FEATURES_NAME)}
    del model.graph.output[:]
    model.graph.output.extend(known.get(name, ValueInfoProto(name=name)) for name in outputs)
    return keep_outputs(model.SerializeToString(deterministic=True), outputs)


def _probe(model: bytes, image_size: tuple[int, int], shown: str) -> NDArray[np.floating]:
    """What the output is for two black photos."""
    session = open_session(model, 0, shown, _("Export it again"))
    try:
        (found,) = session.run(None, {INPUT_NAME: np.zeros((2, *image_size, 3), np.uint8)})
    except ORT_ERRORS as exc:
        raise refused(_("{shown} fails on two photos").format(shown=shown), exc, _("Export it again")) from exc
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.ndim not in (2, 3, 4) or len(found) != 2:
        kind = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise BundleError(
            _(
                "{shown} gives {found} for two photos. Name an output of numbers (batch, size), (batch, "
                "size, h, w) or (batch, tokens, size) with a free batch axis."
            ).format(shown=shown, found=kind)
        )
    return found


def _put_behind(
    graph: GraphProto, source: str, probe: NDArray[np.floating], layout: str, settings: OnnxPreprocessing
) -> list[str]:
    """Adds what makes `embedding`, and `features` where there are places; gives the names of these outputs."""
    nodes = NodeList()
    size, infos = probe.shape[-1], {}
    x = nodes.add("Cast", [source], f"{OWN_PREFIX}output", to=TensorProto.FLOAT)
    if probe.ndim == 4:
        shape = probe.shape[1:]
        if (settings.output_layout or layout) == "nhwc":
            x = nodes.add("Transpose", [x], f"{OWN_PREFIX}output_planes", perm=[0, 3, 1, 2])
            shape = (shape[2], *shape[:2])
        nodes.add("Identity", [x], FEATURES_NAME)
        nodes.mean_over_places(FEATURES_NAME, EMBEDDING_NAME)
        size, infos[FEATURES_NAME] = shape[0], shape
    elif probe.ndim == 2:
        nodes.add("Identity", [x], EMBEDDING_NAME)
    elif settings.pooling == "first":
        nodes.add("Gather", [x, nodes.constant("first", 0)], EMBEDDING_NAME, axis=1)
    else:
        tokens_last = nodes.add("Transpose", [x], f"{OWN_PREFIX}tokens_last", perm=[0, 2, 1])
        nodes.mean_over_places(tokens_last, EMBEDDING_NAME)
    infos = {EMBEDDING_NAME: (size,)} | infos
    graph.node.extend(nodes.nodes)
    graph.initializer.extend(nodes.constants)
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in infos.items()
    )
    return list(infos)
