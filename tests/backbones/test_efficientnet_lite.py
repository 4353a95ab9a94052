from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from tellapart.backbones.efficientnet_lite import build_efficientnet_lite
from tellapart.backbones.pretrained import PACKAGED_BACKBONES, read_weights
from tellapart.config import ImageLimits
from tellapart.demo.drawing import DEMO_CLASSES, draw_photo
from tellapart.images.preprocess import PreprocessSpec, load_image, resize_image

REAL_PHOTOS_DIR = Path(__file__).parents[2] / "../shared/data/cats-dogs/train"
LITE0, LITE1, LITE2 = PACKAGED_BACKBONES
Images = NDArray[np.uint8]

needs_real_photos = [
    pytest.mark.real_data,
    pytest.mark.skipif(not REAL_PHOTOS_DIR.is_dir(), reason="no photos in ../shared/data"),
]


def drawn_images(size: tuple[int, int], num_images: int) -> Images:
    generator = np.random.default_rng(3)
    kinds = [DEMO_CLASSES[number % len(DEMO_CLASSES)] for number in range(num_images)]
    return np.stack([resize_image(draw_photo(kind, generator), PreprocessSpec(size)) for kind in kinds])


def real_images(size: tuple[int, int], num_images: int) -> Images:
    paths = sorted(REAL_PHOTOS_DIR.rglob("*.jpg"))
    chosen = [paths[len(paths) * number // num_images] for number in range(num_images)]
    return np.stack([load_image(path.read_bytes(), PreprocessSpec(size), ImageLimits()) for path in chosen])


def built(name: str, size: tuple[int, int]) -> bytes:
    pytest.importorskip(PACKAGED_BACKBONES[name].module)
    return build_efficientnet_lite(read_weights(PACKAGED_BACKBONES[name]), size)


def run(model: bytes, images: Images) -> list[NDArray[np.float32]]:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"image": images})


def run_reference(name: str, images: Images) -> NDArray[np.float32]:
    """The features of the network as published for PyTorch, padded for the size of these images as TensorFlow does."""
    published = pytest.importorskip("efficientnet_lite_pytorch")
    network = published.EfficientNet.from_name(name)
    weights = read_weights(PACKAGED_BACKBONES[name])
    network.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in weights.items()})
    for layer in network.modules():
        if isinstance(layer, published.utils.Conv2dStaticSamePadding):
            layer.__class__ = published.utils.Conv2dDynamicSamePadding
    pixels = torch.from_numpy((images.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
    with torch.no_grad():
        return network.eval().extract_features(pixels).numpy()


@pytest.mark.parametrize(
    ("name", "size", "num_images", "images_of"),
    [
        pytest.param(LITE0, (224, 224), 1, drawn_images, id="lite0-one"),
        pytest.param(LITE0, (224, 224), 3, drawn_images, id="lite0-three"),
        pytest.param(LITE0, (224, 224), 3, real_images, id="lite0-real", marks=needs_real_photos),
        pytest.param(LITE0, (101, 67), 3, drawn_images, id="lite0-odd"),
        pytest.param(LITE0, (260, 260), 3, drawn_images, id="lite0-260", marks=pytest.mark.slow),
        pytest.param(LITE0, (288, 288), 3, drawn_images, id="lite0-288", marks=pytest.mark.slow),
        pytest.param(LITE1, (240, 240), 1, drawn_images, id="lite1", marks=pytest.mark.slow),
        pytest.param(LITE2, (260, 260), 1, drawn_images, id="lite2-one", marks=pytest.mark.slow),
        pytest.param(LITE2, (260, 260), 3, drawn_images, id="lite2-three", marks=pytest.mark.slow),
    ],
)
def test_the_graph_answers_as_the_published_network_does(
    name: str, size: tuple[int, int], num_images: int, images_of: Callable[[tuple[int, int], int], Images]
) -> None:
    images = images_of(size, num_images)
    expected = run_reference(name, images)
    embedding, features = run(built(name, size), images)
    np.testing.assert_allclose(features, expected, rtol=0, atol=2e-4)
    np.testing.assert_allclose(embedding, expected.mean(axis=(2, 3)), rtol=0, atol=2e-5)


def test_onnx_runtime_multiplies_the_normalisation_into_the_convolutions(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(built(LITE0, (64, 64)), options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["Conv"] + kinds["FusedConv"] == 49
    assert not kinds.keys() & {"BatchNormalization", "Clip", "Add"}


def test_the_graph_has_the_agreed_inputs_and_outputs() -> None:
    model = onnx.load_model_from_string(built(LITE0, (65, 96)))
    shapes = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"image": ["batch", 65, 96, 3], "embedding": ["batch", 1280], "features": ["batch", 1280, 3, 3]}
    assert (model.opset_import[0].version, model.ir_version) == (17, 10)


def test_the_same_weights_give_the_same_bytes() -> None:
    assert built(LITE0, (64, 64)) == built(LITE0, (64, 64))
