"""Where the marks of the page's figures stand: within the frame, in the right order, whatever the numbers."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.measure.scores import CurvePoint, LearningCurve, Reliability, ReliabilityBin
from tellapart.report.svg import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    curve_plot,
    make_ruler,
    reliability_plot,
    ticks_between,
)


def make_curve(measured: tuple[tuple[int, float], ...], fitted: tuple[CurvePoint, ...] = ()) -> LearningCurve:
    return LearningCurve(measured, fitted, (0.1, 0.5), max(measured)[0], "More photos would help.")


@given(low=st.floats(0, 1), span=st.floats(1e-4, 1e4))
def test_ticks_are_few_even_and_within_the_axis(low: float, span: float) -> None:
    ticks = ticks_between(low, low + span)
    gaps = [second - first for first, second in itertools.pairwise(ticks)]
    assert 2 <= len(ticks) <= 6
    assert low - 1e-6 * span <= ticks[0]
    assert ticks[-1] <= low + span * (1 + 1e-6)
    assert gaps == pytest.approx([gaps[0]] * len(gaps))


def test_ticks_are_round_numbers() -> None:
    assert ticks_between(0, 0.113) == pytest.approx((0, 0.025, 0.05, 0.075, 0.1))


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1)), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1)), max_size=6),
)
def test_a_learning_curve_stays_within_its_frame(
    measured: list[tuple[int, float]], fitted: list[tuple[int, float]]
) -> None:
    points = tuple(CurvePoint(number, error, error / 2, min(1.0, error * 2)) for number, error in fitted)
    plot = curve_plot(make_curve(tuple(measured), points))
    drawn = [(mark.x, mark.y) for mark in plot.points]
    for line in (plot.known, plot.beyond, plot.band):
        drawn += [tuple(map(float, pair.split(","))) for pair in line.split()]
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in drawn)


def test_the_forecast_begins_where_the_photos_end() -> None:
    points = tuple(CurvePoint(number, 8 / number, 4 / number, 16 / number) for number in (100, 200, 400, 800))
    plot = curve_plot(make_curve(((100, 0.08), (200, 0.04)), points))
    assert plot.known.split()[-1] == plot.beyond.split()[0]
    assert len(plot.known.split()) == 2
    assert len(plot.beyond.split()) == 3


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=8), st.lists(st.integers(1, 10**7), max_size=4))
def test_numbers_below_the_curve_do_not_touch_and_are_not_cut(tried: list[int], fitted: list[int]) -> None:
    points = tuple(CurvePoint(number, 0.1, 0.05, 0.2) for number in fitted)
    plot = curve_plot(make_curve(tuple((number, 0.1) for number in tried), points))
    extents = [tick.extent for tick in plot.x_ticks]
    assert all(second[0] - first[1] >= 8 for first, second in itertools.pairwise(extents))
    assert min(low for low, _ in extents) >= 0
    assert max(high for _, high in extents) <= WIDTH + 4


def test_the_ends_of_the_curve_have_their_numbers_first() -> None:
    plot = curve_plot(make_curve(tuple((number, 0.1) for number in (100, 101, 102, 103, 500))))
    assert [tick.text for tick in plot.x_ticks] == ["100", "500"]


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1)), min_size=1, max_size=6))
def test_the_name_of_now_has_room_within_the_frame(measured: list[tuple[int, float]]) -> None:
    plot = curve_plot(make_curve(tuple(measured)))
    start = plot.now - 36 if plot.is_now_left else plot.now
    assert start >= LEFT
    assert start + 36 <= WIDTH


def test_a_bin_that_is_right_as_often_as_it_says_lies_on_the_line() -> None:
    bins = (ReliabilityBin(40, 0.6, 0.6, (0.45, 0.75)), ReliabilityBin(40, 0.9, 0.7, (0.55, 0.82)))
    first, second = reliability_plot(Reliability(0.1, bins, None, None)).marks
    assert (first.x - LEFT) / (RIGHT - LEFT) == pytest.approx((BOTTOM - first.y) / (BOTTOM - TOP), abs=0.002)
    assert (second.x - LEFT) / (RIGHT - LEFT) > (BOTTOM - second.y) / (BOTTOM - TOP)


@given(accuracy=st.floats(0, 1), below=st.floats(0, 1), above=st.floats(0, 1), baseline=st.floats(0, 1))
def test_the_ruler_holds_the_whole_interval(accuracy: float, below: float, above: float, baseline: float) -> None:
    interval = (accuracy * below, accuracy + (1 - accuracy) * above)
    ruler = make_ruler(accuracy, interval, baseline)
    assert 0 <= ruler.low <= ruler.middle <= ruler.high <= 100
    assert 0 <= ruler.baseline <= 100
