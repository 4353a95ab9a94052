"""What a threshold on one class misses, and what it calls by its name."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta

from tellapart.measure.intervals import grouped_interval
from tellapart.measure.operating import (
    ROUND_THRESHOLDS,
    TABLE_THRESHOLDS,
    false_alarm_interval,
    missed_interval,
    num_needed,
    operating_curve,
    operating_curves,
    operating_to_json,
    point_at,
    point_for_missed,
    point_without_misses,
)
from tellapart.measure.scores import OperatingCurve, OperatingPoint

# Of the probabilities that photos of the class get.
OF_CLASS = (4, 1.5)
Drawn = tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.int64]]


def draw(num_class: int, num_others: int, seed: int, copies: int = 1) -> Drawn:
    """Photos of a class and others, with a probability of the class each; every photo is there so many times."""
    generator = np.random.default_rng(seed)
    own, others = generator.beta(*OF_CLASS, num_class), generator.beta(1, 6, num_others)
    is_class = np.arange(num_class + num_others) < num_class
    probabilities = np.concatenate([own, others]).astype(np.float32)
    groups = np.arange(len(is_class))
    return np.tile(is_class, copies), np.tile(probabilities, copies), np.tile(groups, copies)


def curve_of(drawn: Drawn) -> OperatingCurve:
    curve = operating_curve("cracked", *drawn)
    assert curve is not None
    return curve


collections = st.builds(draw, st.integers(1, 120), st.integers(1, 200), st.integers(0, 10**6))


@settings(max_examples=60, deadline=None)
@given(collections)
def test_each_point_counts_the_photos_on_either_side_of_its_threshold(drawn: Drawn) -> None:
    is_class, probabilities, _ = drawn
    exact = probabilities.astype(np.float64)
    for point in curve_of(drawn).points:
        assert point.num_missed == (exact[is_class] < point.threshold).sum()
        assert point.num_false_alarms == (exact[~is_class] >= point.threshold).sum()


@settings(max_examples=60, deadline=None)
@given(collections)
def test_the_curve_begins_without_misses_and_its_thresholds_rise(drawn: Drawn) -> None:
    points = curve_of(drawn).points
    thresholds = [point.threshold for point in points]
    assert points[0].num_missed == 0
    assert thresholds == sorted(set(thresholds))
    assert set(ROUND_THRESHOLDS) <= set(thresholds)


def test_the_points_of_many_photos_are_few() -> None:
    assert len(curve_of(draw(20_000, 20_000, 0)).points) < 300


@settings(max_examples=60, deadline=None)
@given(collections, st.sampled_from([0.02, 0.05, 0.1, 0.3, 0.7]))
def test_the_threshold_for_misses_is_the_largest_that_keeps_to_them(drawn: Drawn, max_missed: float) -> None:
    is_class, probabilities, _ = drawn
    own = np.sort(probabilities[is_class].astype(np.float64))
    allowed = int(np.floor(max_missed * (len(own) + 1) + 1e-9)) - 1
    point = point_for_missed(curve_of(drawn), max_missed)
    assert (point is None) == (allowed < 0)
    if point is not None and allowed < 20:
        assert point.threshold >= own[min(allowed, len(own) - 1)]
        assert point.num_missed <= allowed


@pytest.mark.parametrize(("max_missed", "number"), [(0.02, 49), (0.05, 19), (0.1, 9), (0.5, 1), (0.005, 199)])
def test_so_many_photos_as_are_said_to_be_needed_are_enough(max_missed: float, number: int) -> None:
    assert num_needed(max_missed) == number
    assert point_for_missed(curve_of(draw(number, 50, 1)), max_missed) is not None
    assert number == 1 or point_for_missed(curve_of(draw(number - 1, 50, 1)), max_missed) is None


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize(("num_class", "max_missed"), [(25, 0.05), (60, 0.02), (60, 0.1), (200, 0.02), (200, 0.1)])
def test_new_photos_are_missed_as_seldom_as_promised(num_class: int, max_missed: float, copies: int) -> None:
    missed = []
    for seed in range(400):
        point = point_for_missed(curve_of(draw(num_class, 5, seed, copies)), max_missed)
        assert point is not None
        missed.append(beta.cdf(point.threshold, *OF_CLASS))
    assert np.mean(missed) <= 1.08 * max_missed


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(2, 60), st.integers(2, 7), st.sampled_from([0.02, 0.1, 0.4]))
def test_copies_of_every_photo_change_no_threshold(num_class: int, num_others: int, copies: int, share: float) -> None:
    once, often = (curve_of(draw(num_class, num_others, 5, number)) for number in (1, copies))
    assert (point_for_missed(once, share) is None) == (point_for_missed(often, share) is None)
    assert point_without_misses(once).threshold == point_without_misses(often).threshold


@settings(max_examples=60, deadline=None)
@given(collections, st.floats(0, 1))
def test_a_threshold_between_two_points_is_never_told_too_good(drawn: Drawn, threshold: float) -> None:
    is_class, probabilities, _ = drawn
    exact = probabilities.astype(np.float64)
    found = point_at(curve_of(drawn), threshold)
    assert found.num_missed >= (exact[is_class] < threshold).sum()
    assert found.num_false_alarms >= (exact[~is_class] >= threshold).sum()


@pytest.mark.parametrize("threshold", TABLE_THRESHOLDS)
def test_a_round_threshold_is_told_exactly(threshold: float) -> None:
    is_class, probabilities, groups = draw(80, 300, 9)
    exact = probabilities.astype(np.float64)
    found = point_at(curve_of((is_class, probabilities, groups)), threshold)
    expected = ((exact[is_class] < threshold).sum(), (exact[~is_class] >= threshold).sum())
    assert (found.num_missed, found.num_false_alarms) == expected


@settings(max_examples=30, deadline=None)
@given(collections, st.integers(1, 30))
def test_intervals_count_independent_photos(drawn: Drawn, num_groups: int) -> None:
    is_class, probabilities, _ = drawn
    groups = np.arange(len(is_class)) % num_groups
    curve = curve_of((is_class, probabilities, groups))
    point = point_at(curve, 0.5)
    is_called = probabilities.astype(np.float64) >= 0.5
    expected = (
        grouped_interval(~is_called[is_class], groups[is_class]),
        grouped_interval(is_called[~is_class], groups[~is_class]),
    )
    np.testing.assert_allclose((missed_interval(curve, point), false_alarm_interval(curve, point)), expected)


@pytest.mark.parametrize("is_class", [np.ones(5, np.bool_), np.zeros(5, np.bool_)], ids=["no others", "none of it"])
def test_a_class_without_photos_or_others_has_no_curve(is_class: NDArray[np.bool_]) -> None:
    assert operating_curve("cracked", is_class, np.full(5, 0.5, np.float32), np.arange(5)) is None


def test_classes_without_photos_are_left_out() -> None:
    probabilities = np.full((4, 3), 1 / 3, np.float32)
    curves = operating_curves(np.array([0, 0, 2, 2]), probabilities, ("a", "b", "c"), np.arange(4))
    assert [curve.class_name for curve in curves] == ["a", "c"]


def test_many_classes_have_fewer_points_each() -> None:
    labels = np.arange(300) % 30
    probabilities = np.random.default_rng(0).dirichlet(np.ones(30), 300).astype(np.float32)
    curves = operating_curves(labels, probabilities, [f"class {number}" for number in range(30)], np.arange(300))
    assert max(len(curve.points) for curve in curves) <= 10 + len(TABLE_THRESHOLDS)


def test_the_table_is_in_photos_of_a_thousand() -> None:
    points = (OperatingPoint(0.001, 0, 30), OperatingPoint(0.5, 5, 3), OperatingPoint(0.999, 50, 0))
    (rows,) = operating_to_json([OperatingCurve("cracked", 50, 300, 50.0, 300.0, points)]).values()
    row = next(row for row in rows if row["threshold"] == 0.5)
    assert (row["missed_per_1000"], row["false_alarms_per_1000"]) == (100.0, 10.0)
    assert 0 < row["missed_per_1000_95"][0] < 100 < row["missed_per_1000_95"][1] < 1000


def test_prediction_needs_numpy_only_for_a_dial() -> None:
    code = "import sys, tellapart.measure.operating; print({'scipy', 'sklearn', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
