"""A backbone that looks at each photo twice, the second time at its mirror image, and averages what it sees."""

import numpy as np
import onnx
from onnx import compose, helper

from tellapart.networks.onnx_nodes import EMBEDDING_NAME, FEATURES_NAME, INPUT_NAME, NodeList

_PREFIX = "one_view/"


def add_mirrored_view(backbone: bytes) -> bytes:
    """The backbone whose outputs are the mean of those for an image and for the image mirrored left to right.

    Both views go through the network as one batch. The features of the mirrored one are mirrored back, so that they
    lie where they are in the photo, and the embedding is still their mean over the places.

    Args:
        backbone: ONNX with the input `image`, uint8 `(batch, height, width, 3)`, and the outputs `embedding`, float32
            `(batch, size)`, and `features`, float32 `(batch, size, h, w)`.
    """
    proto = onnx.load_model_from_string(backbone)
    compose.add_prefix(proto, _PREFIX, inplace=True)
    (opset,) = (imported.version for imported in proto.opset_import if imported.domain in ("", "ai.onnx"))
    before, after = NodeList(opset), NodeList(opset)
    mirrored = before.add("Slice", [INPUT_NAME, *_reverse(before, "columns", 2)], f"{_PREFIX}mirrored_image")
    before.add("Concat", [INPUT_NAME, mirrored], _PREFIX + INPUT_NAME, axis=0)
    _add_mean(after, *_add_halves(after, EMBEDDING_NAME), EMBEDDING_NAME)
    first, second = _add_halves(after, FEATURES_NAME)
    back = after.add("Slice", [second, *_reverse(after, "places", 3)], f"{_PREFIX}features_mirrored_back")
    _add_mean(after, first, back, FEATURES_NAME)
    nodes = [*before.nodes, *proto.graph.node, *after.nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend([*before.constants, *after.constants])
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = value.name.removeprefix(_PREFIX)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def _reverse(nodes: NodeList, name: str, axis: int) -> list[str]:
    """The names of the numbers with which `Slice` puts an axis in reverse order."""
    numbers = {"starts": -1, "ends": np.iinfo(np.int64).min, "axes": axis, "steps": -1}
    return [nodes.constant(f"{name}_{key}", np.array([number], np.int64)) for key, number in numbers.items()]


def _add_halves(nodes: NodeList, name: str) -> tuple[str, str]:
    """The names of what the network gives for the images, and for their mirror images."""
    halves = (f"{_PREFIX}{name}_first", f"{_PREFIX}{name}_second")
    nodes.nodes.append(helper.make_node("Split", [_PREFIX + name], halves, name=f"{_PREFIX}{name}_split", axis=0))
    return halves


def _add_mean(nodes: NodeList, first: str, second: str, output: str) -> None:
    both = nodes.add("Add", [first, second], f"{_PREFIX}{output}_sum")
    nodes.add("Mul", [both, nodes.constant(f"{output}_half", [0.5])], output)
