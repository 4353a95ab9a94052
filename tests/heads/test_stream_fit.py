from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.heads.cross_validation import SHRINKAGES
from tellapart.heads.head import FittedHead, fit_head
from tellapart.heads.head_data import HeadData
from tellapart.heads.linear_models import LDA, even_out_lengths, fit_lda, make_examples
from tellapart.heads.stream_fit import Batch, draw_sample, fit_lda_stream

Floats = NDArray[np.float32]


def draw_photos(counts: list[int], num_features: int = 20, seed: int = 0, distance: float = 4.0) -> HeadData:
    """Photos in random order, of each class around a mean of its own that `seed` does not change."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(counts)), counts))
    embeddings = 3 + distance * np.eye(len(counts), num_features)[labels]
    embeddings = embeddings + generator.normal(0, 1, embeddings.shape)
    return HeadData(embeddings.astype(np.float32), labels, np.arange(len(labels)), len(counts))


def in_batches(data: HeadData, size: int) -> Iterator[Batch]:
    for start in range(0, len(data.labels), size):
        yield data.embeddings[start : start + size], data.labels[start : start + size]


@pytest.mark.parametrize("size", [1, 7, 64, 5_000])
@pytest.mark.parametrize(
    ("counts", "is_corrected"), [([40, 30, 50], False), ([300, 20], True), ([5] * 40, False)], ids=str
)
def test_lda_of_a_stream_is_that_of_all_photos_at_once(counts: list[int], is_corrected: bool, size: int) -> None:
    data = draw_photos(counts, 48)
    models = fit_lda_stream(lambda: in_batches(data, size), len(counts), is_corrected=is_corrected)
    vectors = even_out_lengths(data.embeddings)
    expected = fit_lda(make_examples(vectors, data.labels, len(counts), is_corrected=is_corrected), SHRINKAGES)
    assert tuple(models) == SHRINKAGES
    for found, model in zip(models.values(), expected, strict=True):
        np.testing.assert_allclose(found.logits(vectors), model.logits(vectors), rtol=2e-3, atol=2e-2)


def test_photos_that_are_all_the_same_within_their_class_can_be_streamed() -> None:
    embeddings = np.repeat(np.eye(2, 6, dtype=np.float32) + 1, 30, axis=0)
    data = HeadData(embeddings, np.repeat([0, 1], 30), np.arange(60), 2)
    models = fit_lda_stream(lambda: in_batches(data, 16), 2, is_corrected=False)
    for model in models.values():
        assert (model.logits(even_out_lengths(embeddings)).argmax(axis=1) == data.labels).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_has_its_share_of_each_class(seed: int) -> None:
    labels = draw_photos([6_000, 3_000, 1_000]).labels
    contents = np.random.default_rng(seed).permutation(len(labels)).astype(np.uint64)
    is_drawn = draw_sample(labels, contents, 500, seed, fewest=10)
    assert np.bincount(labels[is_drawn]).tolist() == [300, 150, 50]


def test_a_sample_has_some_of_a_rare_class_and_all_of_a_rarer_one() -> None:
    labels = np.repeat([0, 1, 2], [20_000, 60, 3])
    is_drawn = draw_sample(labels, np.arange(len(labels), dtype=np.uint64), 1_000, 0, fewest=50)
    counts = np.bincount(labels[is_drawn])
    assert counts[0] >= 990
    assert counts[1:].tolist() == [50, 3]


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_in_a_sample_together_or_not_at_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels, contents = generator.integers(0, 3, 2_000), generator.integers(0, 700, 2_000).astype(np.uint64)
    is_drawn = draw_sample(labels, contents, 300, seed, fewest=5)
    assert 300 <= is_drawn.sum() < 2_000
    assert not set(contents[is_drawn]) & set(contents[~is_drawn])


def test_the_order_of_the_photos_does_not_matter_and_the_seed_does() -> None:
    labels, contents = np.arange(900) % 3, np.arange(900, dtype=np.uint64)
    order = np.random.default_rng(0).permutation(900)
    is_drawn = draw_sample(labels, contents, 90, 0, fewest=1)
    np.testing.assert_array_equal(draw_sample(labels[order], contents[order], 90, 0, fewest=1), is_drawn[order])
    assert (draw_sample(labels, contents, 90, 1, fewest=1) != is_drawn).any()


@pytest.mark.parametrize("num", [1, 50, 100])
def test_few_photos_are_all_drawn(num: int) -> None:
    assert draw_sample(np.zeros(num, np.int64), np.zeros(num, np.uint64), 100, 0).all()


def accuracy(head: FittedHead, data: HeadData) -> float:
    return float((head.probabilities(data.embeddings).argmax(axis=1) == data.labels).mean())


def test_a_head_takes_the_lda_of_many_more_photos_and_is_better_for_it() -> None:
    counts, few = [4_000] * 3, draw_photos([40] * 3, 200, seed=1, distance=2.5)
    many, new = draw_photos(counts, 200, seed=2, distance=2.5), draw_photos([1_000] * 3, 200, seed=3, distance=2.5)
    streamed = fit_lda_stream(lambda: in_batches(many, 1_000), 3, is_corrected=False)
    head = fit_head(few, 5, 0, streamed=streamed)
    assert any(name.startswith(LDA) for name in head.chosen)
    assert accuracy(head, new) > accuracy(fit_head(few, 5, 0), new) + 0.02
    best = make_examples(even_out_lengths(many.embeddings), many.labels, 3)
    full = fit_lda(best, (None,))[0].logits(even_out_lengths(new.embeddings)).argmax(axis=1) == new.labels
    assert accuracy(head, new) > full.mean() - 0.01


def test_what_was_streamed_is_tried_like_any_other_candidate() -> None:
    data = draw_photos([60, 60])
    streamed = fit_lda_stream(lambda: in_batches(draw_photos([500, 500], seed=5), 100), 2, is_corrected=False)
    head = fit_head(data, 5, 0, streamed=streamed)
    names = [candidate.setting for candidate in head.tried if candidate.name == LDA]
    assert names == ["shrinkage of Ledoit and Wolf", "shrinkage 0.5", "shrinkage 0.8"]
    assert all(candidate.log_loss is not None for candidate in head.tried)
