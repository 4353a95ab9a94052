"""A linear head appended to a backbone: one ONNX file from image to probabilities, with the class activation map.

A backbone here is ONNX with one input `image`, uint8 `(batch, height, width, 3)`, an output `embedding`, float32
`(batch, size)`, and where the embedding is a mean over places an output `features`, float32 `(batch, size, h, w)`.
Needs no Keras.
"""

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from tellapart.heads.linear_models import TINY
from tellapart.heads.novelty import NUM_NEAREST, Novelty
from tellapart.networks.onnx_nodes import (
    DISTANCE_NAME,
    EMBEDDING_NAME,
    FEATURES_NAME,
    MAP_NAME,
    PROBABILITIES_NAME,
    NodeList,
)

# Of every name inside the backbone, which may otherwise be that of an output here.
_BACKBONE_PREFIX = "backbone/"
_PREFIX = "head/"


def add_head(
    backbone: bytes, weights: NDArray[np.float32], bias: NDArray[np.float32], novelty: Novelty | None = None
) -> bytes:
    """The backbone with `softmax(embedding @ weights + bias)` on top, as output `probabilities`.

    With `features`, a second output `activation_map`, float32 `(batch, num_classes, h, w)`, holds what each place adds:
    the head applied to the features there. Its mean over the places is the logit of the class, for the head is linear
    (Zhou et al. 2016, class activation mapping, section 2; exact here, with the bias spread over all places).

    Args:
        backbone: as the module says.
        weights: shape `(size, num_classes)`.
        bias: shape `(num_classes,)`.
        novelty: adds an output `distance`, float32 `(batch,)`: how unlike the training photos each photo is.
    """
    proto = onnx.load_model_from_string(backbone)
    compose.add_prefix(proto, _BACKBONE_PREFIX, rename_inputs=False, inplace=True)
    outputs = {output.name: output for output in proto.graph.output}
    num_classes = len(bias)
    _append_constant(proto, "weights", weights)
    _append_constant(proto, "bias", bias)
    _append_node(
        proto, "Gemm", [_BACKBONE_PREFIX + EMBEDDING_NAME, _PREFIX + "weights", _PREFIX + "bias"], _PREFIX + "logits"
    )
    _append_node(proto, "Softmax", [_PREFIX + "logits"], PROBABILITIES_NAME, axis=-1)
    infos = [helper.make_tensor_value_info(PROBABILITIES_NAME, TensorProto.FLOAT, ["batch", num_classes])]
    features = _BACKBONE_PREFIX + FEATURES_NAME
    if features in outputs:
        _append_constant(proto, "kernel", np.asarray(weights).T[:, :, np.newaxis, np.newaxis])
        _append_node(proto, "Conv", [features, _PREFIX + "kernel", _PREFIX + "bias"], MAP_NAME)
        places = [
            side.dim_value or side.dim_param or name
            for name, side in zip(("h", "w"), outputs[features].type.tensor_type.shape.dim[2:], strict=True)
        ]
        infos.append(helper.make_tensor_value_info(MAP_NAME, TensorProto.FLOAT, ["batch", num_classes, *places]))
    if novelty is not None:
        _append_distance(proto, novelty)
        infos.append(helper.make_tensor_value_info(DISTANCE_NAME, TensorProto.FLOAT, ["batch"]))
    del proto.graph.output[:]
    proto.graph.output.extend(infos)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def count_parameters(model: bytes) -> int:
    """Floating-point constants of the model, the elements of all of them together."""
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    constants = onnx.load_model_from_string(model).graph.initializer
    return sum(math.prod(constant.dims) for constant in constants if constant.data_type in kinds)


def _append_distance(proto: onnx.ModelProto, novelty: Novelty) -> None:
    """`Novelty.distances` of the embedding, as output `distance`.

    Sums over an axis that stays are products with ones, for `ReduceSum` takes its axes in another way from opset 13 on.
    """
    (opset,) = (imported.version for imported in proto.opset_import if imported.domain in ("", "ai.onnx"))
    nodes, embedding = NodeList(opset), _BACKBONE_PREFIX + EMBEDDING_NAME
    ones = nodes.constant("ones", np.ones((novelty.centres.shape[1], 1)))
    squares = nodes.add("Mul", [embedding, embedding], _PREFIX + "squares")
    length = nodes.add("Sqrt", [nodes.add("MatMul", [squares, ones], _PREFIX + "square")], _PREFIX + "length")
    divisor = nodes.add("Max", [length, nodes.constant("tiny", [TINY])], _PREFIX + "divisor")
    vector = nodes.add("Div", [embedding, divisor], _PREFIX + "vector")
    squares = nodes.add("Mul", [vector, vector], _PREFIX + "vector_squares")
    own_square = nodes.add("MatMul", [squares, ones], _PREFIX + "vector_square")
    proto.graph.initializer.append(numpy_helper.from_array(novelty.centres.astype(np.float16), _PREFIX + "halves"))
    centres = nodes.add("Cast", [_PREFIX + "halves"], _PREFIX + "centres", to=TensorProto.FLOAT)
    centre_squares = nodes.constant("centre_squares", np.square(novelty.centres).sum(axis=1))
    others = nodes.add("Gemm", [vector, centres, centre_squares], _PREFIX + "less_square", alpha=-2.0, transB=1)
    square = nodes.add("Relu", [nodes.add("Add", [others, own_square], _PREFIX + "rough")], _PREFIX + "square_distance")
    distances = nodes.add("Sqrt", [square], _PREFIX + "distances")
    scaled = nodes.add("Div", [distances, nodes.constant("scales", novelty.scales)], _PREFIX + "scaled")
    least, rows = _PREFIX + "least", _PREFIX + "rows"
    number = nodes.constant("num_nearest", [NUM_NEAREST])
    nodes.nodes.append(helper.make_node("TopK", [scaled, number], [least, rows], name=_PREFIX + "TopK", largest=0))
    nodes.mean(least, [-1], DISTANCE_NAME)
    proto.graph.node.extend(nodes.nodes)
    proto.graph.initializer.extend(nodes.constants)


def _append_constant(proto: onnx.ModelProto, name: str, value: NDArray[np.float32]) -> None:
    proto.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), _PREFIX + name))


def _append_node(proto: onnx.ModelProto, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
    proto.graph.node.append(helper.make_node(operator, inputs, [output], name=f"{_PREFIX}{operator}", **attributes))
