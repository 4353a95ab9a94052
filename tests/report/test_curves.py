import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.report.curves import smooth

VALUES = st.lists(st.floats(-1e6, 1e6))


def test_smooth_keeps_the_first_value_and_pulls_the_rest_towards_it() -> None:
    assert smooth([1.0, 0.0, 0.0]) == pytest.approx([1.0, 0.7, 0.49])


def test_smooth_of_nothing_is_nothing() -> None:
    assert smooth([]) == []


@given(VALUES)
def test_factor_zero_changes_nothing(values: list[float]) -> None:
    assert smooth(values, 0.0) == values


@given(VALUES, st.floats(0, 1))
def test_smoothed_values_stay_between_the_smallest_and_the_largest(values: list[float], factor: float) -> None:
    smoothed = smooth(values, factor)
    assert len(smoothed) == len(values)
    tolerance = 1e-9 * (1 + max(map(abs, values), default=0.0))
    assert all(min(values) - tolerance <= value <= max(values) + tolerance for value in smoothed)
