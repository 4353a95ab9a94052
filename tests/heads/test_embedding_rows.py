"""Rows of embeddings that are read in blocks are as good as a matrix of them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.heads import embedding_rows
from tellapart.heads.embedding_rows import EmbeddingRows
from tellapart.heads.head import cross_validate_head, fit_head, out_of_fold_probabilities
from tellapart.heads.head_data import HeadData
from tellapart.heads.learning_curve import measure_learning_curve
from tellapart.heads.linear_models import even_out_lengths

ROWS = np.array([5, 0, 3, 3, 8])


@pytest.fixture
def values() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(2, 1, (9, 4)).astype(np.float32)


def draw_data(num_photos: int, num_classes: int) -> HeadData:
    generator = np.random.default_rng(0)
    labels = np.arange(num_photos) % num_classes
    embeddings = generator.normal(0, 1, (num_photos, 30)) + 2 * np.eye(num_classes, 30)[labels]
    return HeadData(embeddings.astype(np.float32), labels, np.arange(num_photos), num_classes)


def test_rows_are_taken_for_a_matrix(values: NDArray[np.float32]) -> None:
    some = EmbeddingRows(values, ROWS)
    assert (len(some), some.shape, some.ndim, some.dtype) == (5, (5, 4), 2, np.float32)
    np.testing.assert_array_equal(np.asarray(some), values[ROWS])
    np.testing.assert_array_equal(some[1:3], values[[0, 3]])


def test_rows_of_rows_are_changed_alike(values: NDArray[np.float32]) -> None:
    some = EmbeddingRows(values, ROWS).changed(even_out_lengths).changed(lambda block: block[:, :2])
    expected = even_out_lengths(values[ROWS])[:, :2]
    is_taken = np.array([True, False, False, True, True])
    assert some.shape == (5, 2)
    np.testing.assert_allclose(some.take(is_taken)[:], expected[is_taken], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_blocks_are_all_rows_in_turn(values: NDArray[np.float32], size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_rows, "_ROWS_AT_ONCE", size)
    found = np.zeros((5, 4), np.float32)
    for part, block in EmbeddingRows(values, ROWS).blocks():
        assert len(block) <= size
        found[part] = block
    np.testing.assert_array_equal(found, values[ROWS])


@pytest.mark.parametrize("num_classes", [2, 5])
def test_heads_are_the_same_whatever_is_read_at_once(num_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = draw_data(120, num_classes)
    shuffled = np.random.default_rng(1).permutation(240)
    spread = np.zeros((240, 30), np.float32)
    spread[shuffled[:120]] = data.embeddings
    rows = HeadData(EmbeddingRows(spread, shuffled[:120]), data.labels, data.groups, num_classes)
    whole = [fit_head(data, 5, 0).probabilities(data.embeddings), out_of_fold_probabilities(data, 5, 0)]
    curve = measure_learning_curve(data, 0)
    monkeypatch.setattr(embedding_rows, "_ROWS_AT_ONCE", 17)
    found = [fit_head(rows, 5, 0).probabilities(rows.embeddings), out_of_fold_probabilities(rows, 5, 0)]
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    again = measure_learning_curve(rows, 0)
    assert curve is not None
    assert again is not None
    assert again.measured == curve.measured


def test_cross_validation_copies_no_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    data = draw_data(300, 3)
    monkeypatch.setattr(embedding_rows, "_ROWS_AT_ONCE", 16)
    largest = []
    real = EmbeddingRows.__getitem__

    def read(self: EmbeddingRows, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        block = real(self, rows)
        largest.append(len(block))
        return block

    monkeypatch.setattr(EmbeddingRows, "__getitem__", read)
    cross_validate_head(data, 3, 0, {"LDA": (0.5,)})
    assert max(largest) <= 16
