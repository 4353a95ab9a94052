import numpy as np
import onnx
import pytest

from tellapart.backbones.embedder import Embedder
from tellapart.errors import BundleError

TYPES = onnx.TensorProto


def mean_backbone(
    factor: float = 1.0, image_size: tuple[int, int] = (4, 6), batch: str | int = "batch", output: str = "embedding"
) -> bytes:
    """ONNX bytes: the mean colour of the image, times `factor`."""
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["float"], to=TYPES.FLOAT),
        onnx.helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
        onnx.helper.make_node("Mul", ["mean", "factor"], [output]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "mean",
        [onnx.helper.make_tensor_value_info("image", TYPES.UINT8, [batch, *image_size, 3])],
        [onnx.helper.make_tensor_value_info(output, TYPES.FLOAT, [batch, 3])],
        [onnx.numpy_helper.from_array(np.array(factor, np.float32), "factor")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def test_an_embedding_is_what_the_backbone_gives() -> None:
    embedder = Embedder(mean_backbone(2.0), (4, 6), "mean.onnx")
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
    assert embedder.embedding_size == 3
    np.testing.assert_allclose(embedder.embed(images), 2 * images.mean((1, 2)), rtol=1e-5)


def test_the_key_changes_with_the_backbone_and_with_the_image_size() -> None:
    keys = {
        Embedder(mean_backbone(1.0), (4, 6), "one.onnx").key,
        Embedder(mean_backbone(2.0), (4, 6), "one.onnx").key,
        Embedder(mean_backbone(1.0, (6, 6)), (6, 6), "one.onnx").key,
    }
    assert len(keys) == 3
    assert Embedder(mean_backbone(1.0), (4, 6), "other name").key in keys


def test_numbers_that_are_not_finite_are_refused_with_the_backbones_name() -> None:
    with pytest.raises(BundleError, match=r"`backbone` 'broken\.onnx' gives numbers that are not finite.*another"):
        Embedder(mean_backbone(float("nan")), (4, 6), "broken.onnx")


@pytest.mark.parametrize(
    "model",
    [mean_backbone(batch=8), mean_backbone(image_size=(5, 5)), mean_backbone(output="logits")],
    ids=["fixed batch", "another image size", "another output"],
)
def test_a_graph_that_is_no_backbone_is_refused(model: bytes) -> None:
    with pytest.raises(BundleError, match=r"`backbone` 'odd\.onnx' is uint8 .* must be uint8 \(batch, 4, 6, 3\)"):
        Embedder(model, (4, 6), "odd.onnx")


def test_bytes_that_are_no_onnx_are_refused() -> None:
    with pytest.raises(BundleError, match=r"`backbone` 'text\.onnx' does not load.*Give another `backbone`"):
        Embedder(b"dear diary", (4, 6), "text.onnx")
