import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tellapart.heads.head_data import HeadData
from tellapart.heads.linear_models import even_out_lengths
from tellapart.heads.novelty import Novelty, fit_novelty
from tellapart.heads.onnx_head import add_head, count_parameters

SIZE, NUM_CLASSES = 5, 3


def backbone(has_features: bool = True, opset: int = 17) -> bytes:
    """A backbone graph by the convention: a 1x1 convolution of 4x6 pixels, and its mean."""
    kernel = np.random.default_rng(6).normal(0, 0.01, (SIZE, 3, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
    ]
    outputs = [
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", SIZE]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", SIZE, 4, 6]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 4, 6, 3])
    graph = helper.make_graph(
        nodes, "small", [image], outputs[: 1 + has_features], [numpy_helper.from_array(kernel, "kernel")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(8).normal(0, 1, (SIZE, NUM_CLASSES)).astype(np.float32)


@pytest.fixture
def bias() -> np.ndarray:
    return np.array([0.5, -1, 2], np.float32)


@pytest.fixture
def novelty(images: np.ndarray) -> Novelty:
    """Of photos whose embeddings are much like those of `images`."""
    generator = np.random.default_rng(9)
    embeddings = run(backbone(), images)["embedding"][generator.integers(0, 3, 40)]
    noisy = (embeddings + generator.normal(0, 0.1, embeddings.shape)).astype(np.float32)
    found = fit_novelty(HeadData(noisy, np.arange(40) % 2, np.arange(40), 2), 0)
    assert found is not None
    return found


def run(model: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": images}), strict=True))


def test_probabilities_are_the_softmax_of_the_linear_head(
    images: np.ndarray, weights: np.ndarray, bias: np.ndarray
) -> None:
    logits = even_out_lengths(run(backbone(), images)["embedding"]) @ weights + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = run(add_head(backbone(), weights, bias), images)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)


def test_the_mean_of_the_activation_map_is_the_logit(images: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> None:
    logits = even_out_lengths(run(backbone(), images)["embedding"]) @ weights + bias
    maps = run(add_head(backbone(), weights, bias), images)["activation_map"]
    assert maps.shape == (3, NUM_CLASSES, 4, 6)
    np.testing.assert_allclose(maps.mean(axis=(2, 3)), logits, atol=1e-5)


def test_the_outputs_are_probabilities_and_the_map_only(weights: np.ndarray, bias: np.ndarray) -> None:
    graph = onnx.load_model_from_string(add_head(backbone(), weights, bias)).graph
    assert [output.name for output in graph.output] == ["probabilities", "activation_map"]


def test_a_backbone_without_features_gets_no_map(images: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> None:
    assert list(run(add_head(backbone(has_features=False), weights, bias), images)) == ["probabilities"]


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 22])
@pytest.mark.parametrize("has_features", [True, False], ids=["features", "plain"])
def test_the_distance_is_that_of_the_embedding(
    images: np.ndarray, weights: np.ndarray, bias: np.ndarray, novelty: Novelty, has_features: bool, opset: int
) -> None:
    expected = novelty.distances(run(backbone(), images)["embedding"])
    found = run(add_head(backbone(has_features, opset), weights, bias, novelty), images)
    assert found["distance"].shape == (3,)
    assert found["distance"].dtype == np.float32
    np.testing.assert_allclose(found["distance"], expected, atol=1e-3)


def test_one_photo_has_the_distance_it_has_among_others(
    images: np.ndarray, weights: np.ndarray, bias: np.ndarray, novelty: Novelty
) -> None:
    model = add_head(backbone(), weights, bias, novelty)
    np.testing.assert_allclose(run(model, images[:1])["distance"], run(model, images)["distance"][:1], atol=1e-4)


def test_the_distance_changes_no_other_output(
    images: np.ndarray, weights: np.ndarray, bias: np.ndarray, novelty: Novelty
) -> None:
    without = run(add_head(backbone(), weights, bias), images)
    found = run(add_head(backbone(), weights, bias, novelty), images)
    assert list(found) == ["probabilities", "activation_map", "distance"]
    np.testing.assert_array_equal(found["probabilities"], without["probabilities"])
    np.testing.assert_array_equal(found["activation_map"], without["activation_map"])


def test_centres_take_a_quarter_of_the_bytes_of_float32(weights: np.ndarray, bias: np.ndarray) -> None:
    centres = np.random.default_rng(10).random((1000, SIZE)).astype(np.float32)
    scales = np.ones(1000, np.float32)
    grown = len(add_head(backbone(), weights, bias, Novelty(centres, scales, scales)))
    # Besides the centres, the scale, the step and the square of each.
    assert grown - len(add_head(backbone(), weights, bias)) < 1000 * (SIZE + 12) + 2000


def test_a_backbone_that_already_uses_the_name_of_an_output_gets_a_head(
    images: np.ndarray, weights: np.ndarray, bias: np.ndarray
) -> None:
    model = onnx.load_model_from_string(backbone())
    model.graph.node[1].output[0] = model.graph.node[2].input[0] = "probabilities"
    expected = run(add_head(backbone(), weights, bias), images)["probabilities"]
    found = run(add_head(model.SerializeToString(), weights, bias), images)["probabilities"]
    np.testing.assert_allclose(found, expected)


def test_parameters_are_the_floating_point_constants() -> None:
    assert count_parameters(backbone()) == SIZE * 3


def test_a_head_is_added_without_loading_keras() -> None:
    code = "import sys, tellapart.heads.onnx_head; print({'keras', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
