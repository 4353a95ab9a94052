"""A linear head appended to a backbone: one ONNX file from image to probabilities, with the class activation map.

A backbone here is ONNX with one input `image`, uint8 `(batch, height, width, 3)`, an output `embedding`, float32
`(batch, size)`, and where the embedding is a mean over places an output `features`, float32 `(batch, size, h, w)`.
Needs no Keras.
"""

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tellapart.heads.linear_models import TINY
from tellapart.heads.novelty import NUM_NEAREST, Novelty, whole_entries
from tellapart.networks.onnx_nodes import (
    DISTANCE_NAME,
    DIVIDED_MAP_NAME,
    EMBEDDING_NAME,
    EVENED_NAME,
    FEATURES_NAME,
    MAP_NAME,
    PROBABILITIES_NAME,
    NodeList,
    prefix_names,
)

# Of every name inside the backbone, which may otherwise be that of an output here.
_BACKBONE_PREFIX = "backbone/"
_PREFIX = "head/"


def add_head(
    backbone: bytes, weights: NDArray[np.float32], bias: NDArray[np.float32], novelty: Novelty | None = None
) -> bytes:
    """The backbone with `softmax(embedding / sqrt(|embedding|) @ weights + bias)` on top, as output `probabilities`.

    With `features`, a second output `activation_map`, float32 `(batch, num_classes, h, w)`, holds what each place adds:
    the head applied to the features there, divided by the root of the length of the embedding. Its mean over the places
    is the logit of the class, for behind the division the head is linear (Zhou et al. 2016, class activation mapping,
    section 2; exact here, with the bias spread over all places).

    Args:
        backbone: as the module says.
        weights: shape `(size, num_classes)`.
        bias: shape `(num_classes,)`.
        novelty: adds an output `distance`, float32 `(batch,)`: how unlike the training photos each photo is.
    """
    proto = onnx.load_model_from_string(backbone)
    prefix_names(proto.graph, _BACKBONE_PREFIX, keep={value.name for value in proto.graph.input})
    (opset,) = (imported.version for imported in proto.opset_import if imported.domain in ("", "ai.onnx"))
    backbone_outputs = {output.name: output for output in proto.graph.output}
    features = backbone_outputs.get(_BACKBONE_PREFIX + FEATURES_NAME)
    nodes, num_classes = NodeList(opset), len(bias)
    length = _add_length(nodes, len(weights))
    root = nodes.add("Sqrt", [length], _PREFIX + "root")
    vector = nodes.add("Div", [_BACKBONE_PREFIX + EMBEDDING_NAME, root], EVENED_NAME)
    shift = nodes.constant("bias", bias)
    logits = nodes.add("Gemm", [vector, nodes.constant("weights", weights), shift], _PREFIX + "logits")
    nodes.add("Softmax", [logits], PROBABILITIES_NAME, axis=-1)
    outputs = [helper.make_tensor_value_info(PROBABILITIES_NAME, TensorProto.FLOAT, ["batch", num_classes])]
    if features is not None:
        _add_map(nodes, features.name, root, weights, bias)
        places = [
            side.dim_value or side.dim_param or name
            for name, side in zip(("h", "w"), features.type.tensor_type.shape.dim[2:], strict=True)
        ]
        outputs.append(helper.make_tensor_value_info(MAP_NAME, TensorProto.FLOAT, ["batch", num_classes, *places]))
    if novelty is not None:
        _add_distance(nodes, length, novelty)
        outputs.append(helper.make_tensor_value_info(DISTANCE_NAME, TensorProto.FLOAT, ["batch"]))
    proto.graph.node.extend(nodes.nodes)
    proto.graph.initializer.extend(nodes.constants)
    del proto.graph.output[:]
    proto.graph.output.extend(outputs)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def count_parameters(model: bytes) -> int:
    """Floating-point constants of the model, the elements of all of them together."""
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    constants = onnx.load_model_from_string(model).graph.initializer
    return sum(math.prod(constant.dims) for constant in constants if constant.data_type in kinds)


def _add_length(nodes: NodeList, size: int) -> str:
    """The length of each embedding, float32 `(batch, 1)`.

    Sums over an axis that stays are products with ones, for `ReduceSum` takes its axes in another way from opset 13 on.
    """
    embedding = _BACKBONE_PREFIX + EMBEDDING_NAME
    squares = nodes.add("Mul", [embedding, embedding], _PREFIX + "squares")
    square = nodes.add("MatMul", [squares, nodes.constant("ones", np.ones((size, 1)))], _PREFIX + "square")
    return nodes.add(
        "Max",
        [nodes.add("Sqrt", [square], _PREFIX + "bare_length"), nodes.constant("tiny", [TINY])],
        _PREFIX + "length",
    )


def _add_map(
    nodes: NodeList, features: str, root: str, weights: NDArray[np.float32], bias: NDArray[np.float32]
) -> None:
    """The output `activation_map`; `root`, shape `(batch, 1)`, is what the head divides by."""
    kernel = nodes.constant("kernel", np.asarray(weights).T[:, :, np.newaxis, np.newaxis])
    places = nodes.add("Conv", [features, kernel], _PREFIX + "places")
    divisor = nodes.add("Reshape", [root, nodes.constant("a_number", [-1, 1, 1, 1])], _PREFIX + "divisor")
    divided = nodes.add("Div", [places, divisor], DIVIDED_MAP_NAME)
    shift = nodes.constant("spread_bias", np.asarray(bias)[:, np.newaxis, np.newaxis])
    nodes.add("Add", [divided, shift], MAP_NAME)


def _add_distance(nodes: NodeList, length: str, novelty: Novelty) -> None:
    """`Novelty.distances` of the embedding, as output `distance`."""
    vector = nodes.add("Div", [_BACKBONE_PREFIX + EMBEDDING_NAME, length], _PREFIX + "vector")
    squares = nodes.add("Mul", [vector, vector], _PREFIX + "vector_squares")
    ones = nodes.constant("vector_ones", np.ones((novelty.centres.shape[1], 1)))
    own_square = nodes.add("MatMul", [squares, ones], _PREFIX + "vector_square")
    numbers, steps = whole_entries(novelty.centres)
    nodes.constants.append(numpy_helper.from_array(np.ascontiguousarray(numbers.T), _PREFIX + "whole"))
    centres = nodes.add("Cast", [_PREFIX + "whole"], _PREFIX + "centres", to=TensorProto.FLOAT)
    products = nodes.add("MatMul", [vector, centres], _PREFIX + "products")
    doubled = nodes.add("Mul", [products, nodes.constant("steps", -2 * steps)], _PREFIX + "doubled")
    centre_squares = nodes.constant("centre_squares", np.square(novelty.centres).sum(axis=1))
    others = nodes.add("Add", [doubled, centre_squares], _PREFIX + "less_square")
    square = nodes.add("Relu", [nodes.add("Add", [others, own_square], _PREFIX + "rough")], _PREFIX + "square_distance")
    distances = nodes.add("Sqrt", [square], _PREFIX + "distances")
    scaled = nodes.add("Div", [distances, nodes.constant("scales", novelty.scales)], _PREFIX + "scaled")
    least, rows = _PREFIX + "least", _PREFIX + "rows"
    number = nodes.constant("num_nearest", [NUM_NEAREST])
    nodes.add_several("TopK", [scaled, number], [least, rows], largest=0)
    nodes.mean(least, [-1], DISTANCE_NAME)
