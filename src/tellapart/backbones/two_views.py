"""A backbone that looks at each photo twice, the second time at its mirror image, and averages what it sees."""

import onnx
from onnx import compose

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
    before.both_views(INPUT_NAME, _PREFIX + INPUT_NAME)
    after.mean_of_views(_PREFIX + EMBEDDING_NAME, EMBEDDING_NAME)
    after.mean_of_views(_PREFIX + FEATURES_NAME, FEATURES_NAME, has_places=True)
    nodes = [*before.nodes, *proto.graph.node, *after.nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend([*before.constants, *after.constants])
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = value.name.removeprefix(_PREFIX)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))
