import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from tellapart.errors import DatasetError
from tellapart.heads.cross_validation import on_one_core
from tellapart.heads.head import cross_validate_head, out_of_fold_probabilities
from tellapart.heads.head_data import HeadData


def draw_data(counts: list[int], num_features: int = 16, distance: float = 6.0, seed: int = 0) -> HeadData:
    """Photos of each class around a mean of their own, each a group of its own."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    means = generator.normal(0, 1, (len(counts), num_features))
    means *= distance / np.linalg.norm(means, axis=1, keepdims=True)
    embeddings = 3 + means[labels] + generator.normal(0, 1, (len(labels), num_features))
    return HeadData(embeddings.astype(np.float32), labels, np.arange(len(labels)), len(counts))


def accuracy(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float((probabilities.argmax(axis=1) == labels).mean())


def log_loss(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize(
    "counts", [[3, 3], [40, 60], [200, 20, 5], [3] * 100, [5] * 30], ids=lambda counts: str(len(counts))
)
def test_every_photo_gets_probabilities_that_sum_to_one(counts: list[int]) -> None:
    data = draw_data(counts, num_features=64)
    probabilities = out_of_fold_probabilities(data, 5, 0)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (len(data.labels), len(counts))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("counts", [[3, 3], [10, 10, 10], [5] * 40], ids=["3 each", "10 each", "40 classes"])
def test_photos_that_were_not_seen_are_told_apart(counts: list[int]) -> None:
    data = draw_data(counts, num_features=64, distance=12.0)
    assert accuracy(out_of_fold_probabilities(data, 5, 0), data.labels) > 0.9


def test_a_class_with_one_photo_is_never_held_out_but_may_be_suggested() -> None:
    data = draw_data([20, 20, 1])
    probabilities = out_of_fold_probabilities(data, 5, 0)
    np.testing.assert_array_equal(np.isnan(probabilities).any(axis=1), data.labels == 2)
    assert (probabilities[:40, 2] > 0).all()


def test_copies_of_one_photo_are_never_held_out() -> None:
    data = draw_data([20, 20, 4])
    groups = np.where(data.labels == 2, 1000, data.groups)
    probabilities = out_of_fold_probabilities(HeadData(data.embeddings, data.labels, groups, 3), 5, 0)
    np.testing.assert_array_equal(np.isnan(probabilities).all(axis=1), data.labels == 2)


def test_without_a_class_of_two_photos_nothing_is_known() -> None:
    assert np.isnan(out_of_fold_probabilities(draw_data([1, 1, 1]), 5, 0)).all()


def test_two_photos_a_class_are_judged_by_the_nearest_mean() -> None:
    data = draw_data([2, 2], distance=20.0)
    probabilities = out_of_fold_probabilities(data, 5, 0)
    assert accuracy(probabilities, data.labels) == 1.0
    assert probabilities.max() < 0.999


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_mean_nothing_are_not_recognised(seed: int) -> None:
    data = draw_data([200, 200], distance=0.0, seed=seed)
    probabilities = out_of_fold_probabilities(data, 5, seed)
    assert accuracy(probabilities, data.labels) == pytest.approx(0.5, abs=0.1)
    assert log_loss(probabilities, data.labels) < np.log(2) + 0.05


def test_a_copy_in_the_same_group_gives_nothing_away() -> None:
    data = draw_data([100, 100], num_features=400, distance=0.0)
    pairs = np.random.default_rng(0).permutation(200) % 100
    embeddings = data.embeddings[pairs]
    labels = np.random.default_rng(1).integers(0, 2, 100)[pairs]
    grouped = out_of_fold_probabilities(HeadData(embeddings, labels, pairs, 2), 5, 0)
    leaking = out_of_fold_probabilities(HeadData(embeddings, labels, np.arange(200), 2), 5, 0)
    assert accuracy(grouped, labels) < 0.65
    assert accuracy(leaking, labels) > 0.75


@pytest.mark.parametrize(("counts", "distance"), [([150, 150], 2.5), ([60, 60, 60], 1.5), ([300, 40], 2.5)], ids=str)
def test_its_probabilities_are_about_as_honest_as_those_of_the_whole_choice(counts: list[int], distance: float) -> None:
    data = draw_data(counts, num_features=32, distance=distance)
    whole = log_loss(cross_validate_head(data, 5, 0), data.labels)
    assert log_loss(out_of_fold_probabilities(data, 5, 0), data.labels) < whole * 1.1 + 0.02


def test_the_same_seed_gives_the_same_probabilities() -> None:
    data = draw_data([30, 30], distance=1.0)
    first = out_of_fold_probabilities(data, 5, 4)
    np.testing.assert_array_equal(first, out_of_fold_probabilities(data, 5, 4))
    assert np.abs(first - out_of_fold_probabilities(data, 5, 5)).max() > 1e-3


def test_the_arrays_are_not_modified() -> None:
    data = draw_data([10, 10])
    before = data.embeddings.copy(), data.labels.copy(), data.groups.copy()
    out_of_fold_probabilities(data, 5, 0)
    for array, copy in zip((data.embeddings, data.labels, data.groups), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_embeddings_that_are_all_the_same_make_all_classes_as_probable() -> None:
    data = HeadData(np.ones((8, 5), np.float32), np.repeat([0, 1], 4), np.arange(8), 2)
    np.testing.assert_array_equal(out_of_fold_probabilities(data, 5, 0), np.full((8, 2), 0.5, np.float32))


def test_a_single_class_is_refused() -> None:
    with pytest.raises(DatasetError, match="needs at least 2 classes. Add photos of another class"):
        out_of_fold_probabilities(draw_data([8]), 5, 0)


def test_a_number_that_is_not_finite_is_refused() -> None:
    data = draw_data([8, 8])
    data.embeddings[3, 0] = np.nan
    with pytest.raises(DatasetError, match="1 is not finite .row 3"):
        out_of_fold_probabilities(data, 5, 0)


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(1, 7), min_size=2, max_size=5), folds=st.integers(2, 6), seed=st.integers(0, 99))
def test_a_photo_has_all_its_probabilities_or_none(counts: list[int], folds: int, seed: int) -> None:
    probabilities = out_of_fold_probabilities(draw_data(counts, seed=seed), folds, seed)
    known = ~np.isnan(probabilities).all(axis=1)
    assert np.isfinite(probabilities[known]).all()
    assert known.sum() == sum(count for count in counts if count > 1)


def cores_of_products() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.parametrize("num_photos", [2, 400, 4_999])
def test_products_of_few_photos_use_one_core(num_photos: int) -> None:
    found = on_one_core(lambda data: cores_of_products())(draw_data([num_photos - 1, 1], num_features=2))
    assert set(found) == {1}


def test_products_of_many_photos_use_all_cores_and_those_of_others_are_left_alone() -> None:
    before = cores_of_products()
    found = on_one_core(lambda data: cores_of_products())(draw_data([5_000, 1], num_features=2))
    assert (found, cores_of_products()) == (before, before)
