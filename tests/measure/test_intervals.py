import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tellapart.errors import DatasetError
from tellapart.measure.intervals import grouped_interval, wilson_interval


@given(st.integers(1, 5000), st.floats(0, 1))
def test_the_wilson_interval_is_scipys(num_photos: int, share: float) -> None:
    num_right = round(share * num_photos)
    expected = binomtest(num_right, num_photos).proportion_ci(0.95, method="wilson")
    assert wilson_interval(num_right, num_photos) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 10**9))
def test_the_wilson_interval_of_all_or_nothing_reaches_the_end(num_photos: int) -> None:
    assert wilson_interval(0, num_photos)[0] == 0.0
    assert wilson_interval(num_photos, num_photos)[1] == 1.0


@pytest.mark.parametrize(("num_right", "num_photos"), [(0, 0), (2, 1), (-1, 3)])
def test_an_interval_of_impossible_counts_is_refused(num_right: int, num_photos: int) -> None:
    with pytest.raises(DatasetError, match="Give at least 1 photo"):
        wilson_interval(num_right, num_photos)


def draw_groups(seed: int, num_groups: int, together: float) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong, and the group of each photo; the photos of a group of 1 to 6 agree as often as `together`."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(num_groups), generator.integers(1, 7, num_groups))
    of_group, alone = generator.random(num_groups) < 0.9, generator.random(len(groups)) < 0.9
    return np.where(generator.random(len(groups)) < together, of_group[groups], alone), groups


@pytest.mark.parametrize("together", [0.0, 0.5, 1.0], ids=["independent", "half", "copies"])
def test_an_interval_of_groups_holds_the_truth_95_times_in_100(together: float) -> None:
    held = []
    for seed in range(600):
        low, high = grouped_interval(*draw_groups(seed, 60, together))
        held.append(low <= 0.9 <= high)
    assert np.mean(held) >= 0.93


def test_an_interval_of_files_would_be_too_narrow_for_copies() -> None:
    held = []
    for seed in range(300):
        is_right, _ = draw_groups(seed, 60, 1.0)
        low, high = wilson_interval(int(is_right.sum()), len(is_right))
        held.append(low <= 0.9 <= high)
    assert np.mean(held) < 0.9


@given(st.integers(1, 200), st.integers(1, 9), st.floats(0, 1))
def test_copies_of_every_photo_change_no_interval(num_photos: int, copies: int, share: float) -> None:
    is_right = np.arange(num_photos) < round(share * num_photos)
    found = grouped_interval(np.tile(is_right, copies), np.tile(np.arange(num_photos), copies))
    assert found == pytest.approx(wilson_interval(int(is_right.sum()), num_photos), abs=1e-12)


def test_an_interval_without_mistakes_keeps_a_width() -> None:
    low, high = grouped_interval(np.ones(70, np.bool_), np.arange(70) // 7)
    assert (low, high) == (wilson_interval(10, 10)[0], 1.0)
