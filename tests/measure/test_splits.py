import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tellapart.errors import DatasetError
from tellapart.measure.splits import fold_numbers, split_indices

Arrays = tuple[NDArray[np.int64], NDArray[np.int64]]

FRACTIONS = st.floats(0.001, 0.999)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def grouped_photos(draw: st.DrawFn, max_group: int = 4) -> Arrays:
    """Labels and groups in any order: 1 to 4 classes of at least 2 groups, of 1 to `max_group` photos each."""
    sizes = draw(
        st.lists(st.lists(st.integers(1, max_group), min_size=2, max_size=12), min_size=1, max_size=4), label="sizes"
    )
    flat = [(label, size) for label, row in enumerate(sizes) for size in row]
    names = draw(st.lists(st.integers(-(2**40), 2**40), min_size=len(flat), max_size=len(flat), unique=True))
    labels = np.repeat([label for label, _ in flat], [size for _, size in flat])
    groups = np.repeat(names, [size for _, size in flat])
    order = np.array(draw(st.permutations(range(len(labels)))))
    return labels[order].astype(np.int64), groups[order].astype(np.int64)


@settings(deadline=None)
@given(photos=grouped_photos(), fraction=FRACTIONS, seed=SEEDS)
def test_every_photo_is_on_exactly_one_side(photos: Arrays, fraction: float, seed: int) -> None:
    split = split_indices(*photos, fraction, seed)

    rows = np.concatenate([split.train, split.validation])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(photos[0])))


@settings(deadline=None)
@given(photos=grouped_photos(), fraction=FRACTIONS, seed=SEEDS)
def test_row_numbers_are_sorted_int64(photos: Arrays, fraction: float, seed: int) -> None:
    split = split_indices(*photos, fraction, seed)

    for rows in (split.train, split.validation):
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()


@settings(deadline=None)
@given(photos=grouped_photos(), fraction=FRACTIONS, seed=SEEDS)
def test_duplicates_stay_on_one_side(photos: Arrays, fraction: float, seed: int) -> None:
    groups = photos[1]

    split = split_indices(*photos, fraction, seed)

    assert not set(groups[split.train]) & set(groups[split.validation])


@settings(deadline=None)
@given(photos=grouped_photos(), fraction=FRACTIONS, seed=SEEDS)
def test_every_class_is_on_both_sides(photos: Arrays, fraction: float, seed: int) -> None:
    labels = photos[0]

    split = split_indices(*photos, fraction, seed)

    assert set(labels[split.train]) == set(labels[split.validation]) == set(labels)


@settings(deadline=None)
@given(photos=grouped_photos(max_group=1), fraction=FRACTIONS, seed=SEEDS)
def test_every_class_gives_its_share_within_one_photo(photos: Arrays, fraction: float, seed: int) -> None:
    labels = photos[0]

    split = split_indices(*photos, fraction, seed)

    given_away = np.bincount(labels[split.validation], minlength=labels.max() + 1)
    np.testing.assert_allclose(given_away, fraction * np.bincount(labels), rtol=0, atol=1)


@settings(deadline=None)
@given(photos=grouped_photos(), fraction=FRACTIONS, seed=SEEDS)
def test_the_same_seed_gives_the_same_split(photos: Arrays, fraction: float, seed: int) -> None:
    first, second = (split_indices(*photos, fraction, seed) for _ in range(2))

    np.testing.assert_array_equal(first.train, second.train)
    np.testing.assert_array_equal(first.validation, second.validation)


def test_another_seed_gives_another_split() -> None:
    labels, groups = np.repeat([0, 1], 30), np.arange(60)

    splits = {tuple(split_indices(labels, groups, 0.2, seed).validation) for seed in range(10)}

    assert len(splits) == 10


def test_every_photo_comes_to_validate_under_some_seed() -> None:
    labels, groups = np.repeat([0, 1], 5), np.arange(10)

    chosen = np.concatenate([split_indices(labels, groups, 0.2, seed).validation for seed in range(60)])

    assert set(chosen) == set(range(10))


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.2, 200), (0.25, 250), (0.001, 1), (0.9999, 999)], ids=["0.2", "0.25", "tiny", "huge"]
)
def test_the_fraction_is_that_of_the_photos_of_a_class(fraction: float, expected: int) -> None:
    labels = np.repeat([0, 1], 1000)

    split = split_indices(labels, np.arange(2000), fraction, seed=0)

    np.testing.assert_array_equal(np.bincount(labels[split.validation]), [expected, expected])


def test_a_photo_that_is_in_two_classes_is_on_one_side_in_both() -> None:
    labels, groups = np.repeat([0, 1], 4), np.array([0, 1, 2, 3, 0, 4, 5, 6])

    for seed in range(20):
        validation = set(split_indices(labels, groups, 0.5, seed).validation.tolist())
        assert (0 in validation) == (4 in validation)


def test_labels_and_groups_are_not_modified() -> None:
    labels, groups = np.repeat([0, 1], 10), np.arange(20) // 2 * 7
    labels.setflags(write=False)
    groups.setflags(write=False)

    split_indices(labels, groups, 0.2, seed=0)

    np.testing.assert_array_equal(labels, np.repeat([0, 1], 10))
    np.testing.assert_array_equal(groups, np.arange(20) // 2 * 7)


@pytest.mark.parametrize(
    ("labels", "groups", "number", "found"),
    [
        ([0, 0, 1], [0, 1, 2], 1, 1),
        ([0, 0, 0, 1, 1], [7, 7, 7, 8, 9], 0, 1),
        ([0, 0, 1, 1], [0, 1, 0, 1], 1, 0),
    ],
    ids=["one photo", "three copies of one photo", "copies of another class"],
)
def test_a_class_of_fewer_than_two_different_photos_is_refused(
    labels: list[int], groups: list[int], number: int, found: int
) -> None:
    with pytest.raises(
        DatasetError, match=rf"class number {number} has {found} different photo.*at least 2\. Add photos"
    ) as caught:
        split_indices(np.array(labels), np.array(groups), 0.5, seed=0)

    assert "\n" not in str(caught.value)


@st.composite
def any_photos(draw: st.DrawFn) -> Arrays:
    """Labels and groups without any order between them: a group may hold several classes."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(-6, 6)), min_size=1, max_size=40))
    labels, groups = np.array(pairs, np.int64).T
    return labels, groups


@settings(deadline=None)
@given(photos=any_photos(), num_folds=st.integers(2, 7), seed=SEEDS)
def test_a_group_is_never_divided_between_folds(photos: Arrays, num_folds: int, seed: int) -> None:
    folds = fold_numbers(*photos, num_folds, seed)

    pairs = set(zip(photos[1].tolist(), folds.tolist(), strict=True))
    assert len(pairs) == len(set(photos[1].tolist()))


@settings(deadline=None)
@given(photos=any_photos(), num_folds=st.integers(2, 7), seed=SEEDS)
def test_every_class_is_trained_on_whatever_fold_is_held_out(photos: Arrays, num_folds: int, seed: int) -> None:
    labels = photos[0]

    folds = fold_numbers(*photos, num_folds, seed)

    for number in range(num_folds):
        assert set(labels[folds != number]) == set(labels)


@settings(deadline=None)
@given(photos=any_photos(), num_folds=st.integers(2, 7), seed=SEEDS)
def test_fold_numbers_are_int64_from_minus_one(photos: Arrays, num_folds: int, seed: int) -> None:
    folds = fold_numbers(*photos, num_folds, seed)

    assert folds.dtype == np.int64
    assert folds.shape == photos[0].shape
    assert set(folds) <= set(range(-1, num_folds))


@settings(deadline=None)
@given(photos=grouped_photos(max_group=1), num_folds=st.integers(2, 7), seed=SEEDS)
def test_every_fold_holds_out_its_share_of_every_class(photos: Arrays, num_folds: int, seed: int) -> None:
    labels = photos[0]

    folds = fold_numbers(*photos, num_folds, seed)

    for label in set(labels):
        counts = np.bincount(folds[labels == label], minlength=num_folds)
        assert counts.max() - counts.min() <= 1


@settings(deadline=None)
@given(photos=any_photos(), num_folds=st.integers(2, 7), seed=SEEDS)
def test_the_same_seed_gives_the_same_folds(photos: Arrays, num_folds: int, seed: int) -> None:
    first, second = (fold_numbers(*photos, num_folds, seed) for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_another_seed_gives_other_folds() -> None:
    labels, groups = np.repeat([0, 1], 30), np.arange(60)

    assert len({tuple(fold_numbers(labels, groups, 5, seed)) for seed in range(10)}) == 10


def test_copies_of_one_photo_are_always_trained_on() -> None:
    labels, groups = np.array([0, 0, 0, 1, 1, 1]), np.array([7, 7, 7, 1, 2, 3])

    folds = fold_numbers(labels, groups, 3, seed=0)

    np.testing.assert_array_equal(folds[:3], [-1, -1, -1])
    assert set(folds[3:]) == {0, 1, 2}


def test_a_photo_in_two_classes_is_held_out_in_both_at_once() -> None:
    labels, groups = np.repeat([0, 1], 4), np.array([0, 1, 2, 3, 0, 4, 5, 6])

    for seed in range(20):
        folds = fold_numbers(labels, groups, 2, seed)
        assert folds[0] == folds[4]


def test_small_classes_are_spread_so_that_the_folds_are_of_one_size() -> None:
    labels = np.repeat(np.arange(50), 2)

    folds = fold_numbers(labels, np.arange(100), 5, seed=0)

    np.testing.assert_array_equal(np.bincount(folds), [20] * 5)


def test_fold_numbers_do_not_modify_labels_and_groups() -> None:
    labels, groups = np.repeat([0, 1], 10), np.arange(20) // 2 * 7
    labels.setflags(write=False)
    groups.setflags(write=False)

    fold_numbers(labels, groups, 5, seed=0)

    np.testing.assert_array_equal(groups, np.arange(20) // 2 * 7)


def test_no_photos_have_no_folds() -> None:
    none = np.zeros(0, np.int64)

    assert fold_numbers(none, none, 5, seed=0).shape == (0,)
