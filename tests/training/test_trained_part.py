"""The frozen and the trained part together are the network they were cut from."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tellapart.backbones.efficientnet_lite import build_efficientnet_lite
from tellapart.backbones.embedder import Embedder
from tellapart.backbones.frozen_part import FrozenPart
from tellapart.backbones.pretrained import PACKAGED_BACKBONES, find_packaged
from tellapart.heads.linear_models import even_out_lengths
from tellapart.training.trained_part import TrainedPart


def cut(name: str, *, is_whole: bool = False) -> tuple[FrozenPart, TrainedPart]:
    """Both parts of a network, with a drawn head for 3 classes."""
    packaged = find_packaged(name)
    assert packaged is not None
    if not packaged.is_installed:
        pytest.skip(f"{packaged.package} is not installed")
    frozen = FrozenPart(packaged, is_empty=is_whole)
    generator = np.random.default_rng(1)
    weights = generator.normal(0, 0.1, (1280, 3)).astype(np.float32)
    bias = generator.normal(0, 1, 3).astype(np.float32)
    return frozen, TrainedPart(frozen.tensors, weights, bias, is_whole=is_whole)


def noise(number: int, side: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (number, side, side, 3), np.uint8)


def embed(parts: tuple[FrozenPart, TrainedPart], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    frozen, trained = parts
    with torch.no_grad():
        return trained.embed(torch.from_numpy(frozen.features(images))).numpy()


@pytest.mark.parametrize("side", [64, 75])
@pytest.mark.parametrize("is_whole", [False, True], ids=["last blocks", "all"])
@pytest.mark.parametrize("name", list(PACKAGED_BACKBONES))
def test_both_parts_give_the_embeddings_of_the_whole(name: str, is_whole: bool, side: int) -> None:
    parts = cut(f"{name}@{side}", is_whole=is_whole)
    whole = Embedder(build_efficientnet_lite(parts[0].tensors, (side, side)), (side, side), name)
    tolerance = 1e-4 if is_whole else 5e-3  # features are kept as float16

    np.testing.assert_allclose(embed(parts, noise(3, side)), whole.embed(noise(3, side)), atol=tolerance)


def test_features_are_small_or_the_pixels_themselves() -> None:
    few, all_pixels = (cut("efficientnet-lite0@64", is_whole=is_whole)[0] for is_whole in (False, True))

    assert (few.shape, few.dtype) == ((2, 2, 192), np.float16)
    assert (all_pixels.shape, all_pixels.dtype) == ((64, 64, 3), np.uint8)
    assert few.key != all_pixels.key


def test_the_logits_are_those_of_the_head_on_the_embeddings() -> None:
    frozen, trained = cut("efficientnet-lite0@64")
    arrays, embeddings = trained.to_arrays(), embed((frozen, trained), noise(4))
    with torch.no_grad():
        logits = trained(torch.from_numpy(frozen.features(noise(4)))).numpy()

    np.testing.assert_allclose(
        logits, even_out_lengths(embeddings) @ arrays["weights"] + arrays["bias"], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("is_whole", [False, True], ids=["last blocks", "all"])
def test_changed_weights_are_in_the_network_that_is_built_with_them(is_whole: bool) -> None:
    frozen, trained = cut("efficientnet-lite0@64", is_whole=is_whole)
    generator = np.random.default_rng(3)
    arrays = trained.to_arrays()
    changed = {
        name: value * generator.normal(1, 0.05, value.shape).astype(np.float32) for name, value in arrays.items()
    }
    trained.take_arrays(changed)
    embedder = Embedder(frozen.build_with(trained.to_tensors()), (64, 64), "changed")
    expected = embed((frozen, trained), noise(3))
    trained.take_arrays(arrays)

    np.testing.assert_allclose(embedder.embed(noise(3)), expected, atol=5e-3)
    assert np.abs(expected - embed((frozen, trained), noise(3))).max() > 0.05


@pytest.mark.parametrize("is_whole", [False, True], ids=["last blocks", "all"])
def test_the_step_size_grows_from_the_image_to_the_head(is_whole: bool) -> None:
    _frozen, trained = cut("efficientnet-lite0@64", is_whole=is_whole)
    shares = [share for _group, share in trained.rates()]

    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert sum(len(group) for group, _share in trained.rates()) == len(list(trained.parameters()))
