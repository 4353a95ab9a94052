import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.errors import DatasetError
from tellapart.heads.head_data import HeadData, are_same, check_embeddings

EMBEDDINGS = np.arange(24, dtype=np.float32).reshape(8, 3)
LABELS = np.arange(8) % 2
GROUPS = np.arange(8)


def with_values(value: float, rows: list[int]) -> NDArray[np.float32]:
    changed = EMBEDDINGS.copy()
    changed[rows, 1] = value
    return changed


def test_what_can_be_learnt_from_passes() -> None:
    check_embeddings(HeadData(EMBEDDINGS, LABELS, GROUPS, 2))


@pytest.mark.parametrize(
    ("embeddings", "words"),
    [
        (with_values(np.nan, [4]), "Of 8 embeddings, 1 is not finite"),
        (with_values(np.inf, [1, 4]), "Of 8 embeddings, 2 are not finite .rows 1, 4"),
        (with_values(-np.inf, list(range(8))), "rows 0, 1, 2, 3, 4, ..."),
    ],
    ids=["one", "two", "all"],
)
def test_embeddings_that_are_not_finite_are_counted(embeddings: NDArray[np.float32], words: str) -> None:
    with pytest.raises(DatasetError, match=rf"{words}.*another `backbone`") as caught:
        check_embeddings(HeadData(embeddings, LABELS, GROUPS, 2))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "embeddings",
    [np.zeros((8, 3)), np.full((8, 3), 7.25), np.full((8, 3), 1e30), np.tile([1.0, 2, 3], (8, 1))],
    ids=["zeros", "one number", "huge", "one vector"],
)
def test_embeddings_that_are_all_the_same_are_refused(embeddings: NDArray[np.float64]) -> None:
    with pytest.raises(DatasetError, match=r"embeddings of all 8 photos are the same.*another `backbone`"):
        check_embeddings(HeadData(embeddings.astype(np.float32), LABELS, GROUPS, 2))


def test_embeddings_that_differ_by_rounding_alone_are_the_same() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-7, (8, 3))
    assert are_same((np.ones((8, 3)) + noise).astype(np.float32))


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e37])
def test_embeddings_that_differ_are_not_the_same_at_any_scale(scale: float) -> None:
    assert not are_same((EMBEDDINGS * scale - 10 * scale).astype(np.float32))


def test_a_feature_without_spread_is_no_obstacle() -> None:
    check_embeddings(HeadData(with_values(3.0, list(range(8))), LABELS, GROUPS, 2))


@pytest.mark.parametrize(
    ("labels", "num_classes", "words"),
    [
        (LABELS, 3, r"Of 3 classes, 1 has no photo to train on.*Add photos"),
        (np.full(8, 6), 9, r"Of 9 classes, 8 have no photo to train on .numbers 0, 1, 2, 3, 4, ..."),
        (LABELS, 1, r"A classifier needs at least 2 classes"),
        (LABELS + 1, 2, r"labels run from 1 to 2. Give numbers from 0 to 1"),
        (LABELS - 1, 2, r"labels run from -1 to 0. Give numbers from 0 to 1"),
    ],
    ids=["one class empty", "most classes empty", "one class", "too high", "negative"],
)
def test_labels_that_do_not_fit_the_classes_are_refused(
    labels: NDArray[np.int64], num_classes: int, words: str
) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        check_embeddings(HeadData(EMBEDDINGS, labels, GROUPS, num_classes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("embeddings", "labels", "groups"),
    [
        (EMBEDDINGS[:, 0], LABELS, GROUPS),
        (EMBEDDINGS[:0], LABELS[:0], GROUPS[:0]),
        (EMBEDDINGS, LABELS[:5], GROUPS),
        (EMBEDDINGS, LABELS, GROUPS[:5]),
        (EMBEDDINGS.astype(np.int64), LABELS, GROUPS),
        (EMBEDDINGS, LABELS.astype(float), GROUPS),
    ],
    ids=["one axis", "no photos", "few labels", "few groups", "whole numbers", "labels with fractions"],
)
def test_arrays_that_do_not_fit_each_other_are_refused(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> None:
    with pytest.raises(DatasetError, match=r"Give one embedding, one label.*float32 \(n, size\)"):
        check_embeddings(HeadData(embeddings, labels, groups, 2))


@pytest.mark.parametrize(("counts", "is_weighted"), [([30, 10], False), ([31, 10], True)], ids=["3:1", "3.1:1"])
def test_classes_are_weighted_from_three_to_one_on(counts: list[int], is_weighted: bool) -> None:
    labels = np.repeat([0, 1], counts)
    data = HeadData(np.zeros((len(labels), 1), np.float32), labels, np.arange(len(labels)), 2)
    assert (data.class_weights is not None) == is_weighted


def test_copies_of_a_photo_count_once() -> None:
    data = HeadData(EMBEDDINGS, LABELS, np.array([0, 1, 0, 3, 4, 3, 6, 3]), 2)
    assert data.num_different.tolist() == [3, 2]
