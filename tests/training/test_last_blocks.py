"""The first and the last blocks together are the network they were cut from."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tellapart.backbones.efficientnet_lite import build_efficientnet_lite
from tellapart.backbones.embedder import Embedder
from tellapart.backbones.first_blocks import FirstBlocks
from tellapart.backbones.pretrained import PACKAGED_BACKBONES, find_packaged
from tellapart.heads.linear_models import even_out_lengths
from tellapart.training.last_blocks import LastBlocks


def cut(name: str) -> tuple[FirstBlocks, LastBlocks]:
    """Both parts of a network, with a drawn head for 3 classes."""
    packaged = find_packaged(f"{name}@64")
    assert packaged is not None
    if not packaged.is_installed:
        pytest.skip(f"{packaged.package} is not installed")
    first = FirstBlocks(packaged)
    generator = np.random.default_rng(1)
    weights = generator.normal(0, 0.1, (1280, 3)).astype(np.float32)
    return first, LastBlocks(first.tensors, weights, generator.normal(0, 1, 3).astype(np.float32))


def noise(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (number, 64, 64, 3), np.uint8)


def to_torch(features: NDArray[np.float16]) -> torch.Tensor:
    return torch.from_numpy(features.astype(np.float32)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", list(PACKAGED_BACKBONES))
def test_both_parts_give_the_embeddings_of_the_whole(name: str) -> None:
    first, last = cut(name)
    whole = Embedder(build_efficientnet_lite(first.tensors, (64, 64)), (64, 64), name)
    with torch.no_grad():
        embeddings = last.embed(to_torch(first.features(noise(3)))).numpy()

    np.testing.assert_allclose(embeddings, whole.embed(noise(3)), atol=5e-3)
    assert first.shape == (2, 2, first.features(noise(1)).shape[3])


def test_the_logits_are_those_of_the_head_on_the_embeddings() -> None:
    first, last = cut("efficientnet-lite0")
    features, arrays = to_torch(first.features(noise(4))), last.to_arrays()
    with torch.no_grad():
        logits, embeddings = last(features).numpy(), last.embed(features).numpy()

    np.testing.assert_allclose(
        logits, even_out_lengths(embeddings) @ arrays["weights"] + arrays["bias"], rtol=1e-4, atol=1e-4
    )


def test_changed_weights_are_in_the_network_that_is_built_with_them() -> None:
    first, last = cut("efficientnet-lite0")
    generator = np.random.default_rng(3)
    arrays = last.to_arrays()
    changed = {
        name: value * generator.normal(1, 0.05, value.shape).astype(np.float32) for name, value in arrays.items()
    }
    last.take_arrays(changed)
    embedder = Embedder(first.build_with(last.to_tensors()), (64, 64), "changed")
    with torch.no_grad():
        expected = last.embed(to_torch(first.features(noise(3)))).numpy()
    last.take_arrays(arrays)
    with torch.no_grad():
        before = last.embed(to_torch(first.features(noise(3)))).numpy()

    np.testing.assert_allclose(embedder.embed(noise(3)), expected, atol=5e-3)
    assert np.abs(expected - before).max() > 0.05


def test_the_step_size_grows_from_the_image_to_the_head() -> None:
    _first, last = cut("efficientnet-lite0")
    shares = [share for _group, share in last.rates()]

    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert sum(len(group) for group, _share in last.rates()) == len(list(last.parameters()))
