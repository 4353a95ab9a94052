import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tellapart.backbones.efficientnet_lite import add_mirrored_view

SIZE = 5


def backbone(opset: int = 17) -> bytes:
    """A backbone whose features tell left from right: a convolution of 3x3 places over 4x6 pixels, and its mean."""
    kernel = np.random.default_rng(6).normal(0, 0.01, (SIZE, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["raw"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["raw"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
    ]
    outputs = [
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", SIZE]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", SIZE, 4, 6]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 4, 6, 3])
    graph = helper.make_graph(nodes, "small", [image], outputs, [numpy_helper.from_array(kernel, "kernel")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(model.SerializeToString())


def run(model: bytes, images: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"image": images})


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("opset", [13, 17, 18, 22])
def test_the_embedding_is_the_mean_of_both_views(images: np.ndarray, opset: int) -> None:
    plain, mirrored = run(backbone(opset), images)[0], run(backbone(opset), images[:, :, ::-1])[0]
    assert np.abs(plain - mirrored).max() > 0.01
    found = run(add_mirrored_view(backbone(opset)), images)[0]
    np.testing.assert_allclose(found, (plain + mirrored) / 2, rtol=1e-5)


def test_the_features_of_the_mirrored_view_lie_where_they_are_in_the_photo(images: np.ndarray) -> None:
    plain, mirrored = run(backbone(), images)[1], run(backbone(), images[:, :, ::-1])[1]
    embedding, features = run(add_mirrored_view(backbone()), images)
    np.testing.assert_allclose(features, (plain + mirrored[..., ::-1]) / 2, rtol=1e-5)
    np.testing.assert_allclose(features.mean(axis=(2, 3)), embedding, rtol=1e-5)


def test_a_mirror_image_gets_the_embedding_of_its_photo(images: np.ndarray) -> None:
    model = add_mirrored_view(backbone())
    np.testing.assert_allclose(run(model, images)[0], run(model, images[:, :, ::-1])[0], rtol=1e-5)


def test_inputs_and_outputs_are_those_of_any_backbone() -> None:
    graph = onnx.load_model_from_string(add_mirrored_view(backbone())).graph
    assert [value.name for value in graph.input] == ["image"]
    assert [value.name for value in graph.output] == ["embedding", "features"]
