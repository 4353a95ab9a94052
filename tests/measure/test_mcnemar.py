"""The paired test: its p-value against a sum done by hand, and the words it is told in."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tellapart.errors import DatasetError
from tellapart.measure.mcnemar import compare_paired, describe_test
from tellapart.measure.scores import PairedTest


def answers(num_only_first: int, num_only_second: int, num_both: int = 5) -> tuple[NDArray[np.bool_], ...]:
    """Right or wrong for each photo, of the first and of the second recipe; one photo is wrong in both."""
    first = [True] * num_only_first + [False] * num_only_second + [True] * num_both + [False]
    second = [False] * num_only_first + [True] * num_only_second + [True] * num_both + [False]
    return np.array(first), np.array(second)


def sum_by_hand(num_only_first: int, num_only_second: int) -> float:
    total = num_only_first + num_only_second
    tail = sum(math.comb(total, k) for k in range(min(num_only_first, num_only_second) + 1))
    return min(1.0, 2 * tail / 2**total)


def told(p_value: float, num_only_first: int = 9, num_only_second: int = 1) -> str:
    return describe_test(PairedTest("transfer", "classic", num_only_first, num_only_second, p_value))


@settings(deadline=None)
@given(st.integers(0, 120), st.integers(0, 120), st.integers(0, 50))
def test_the_p_value_is_the_binomial_sum(num_only_first: int, num_only_second: int, num_both: int) -> None:
    test = compare_paired("a", "b", *answers(num_only_first, num_only_second, num_both))
    assert (test.num_only_first, test.num_only_second) == (num_only_first, num_only_second)
    assert test.p_value == pytest.approx(sum_by_hand(num_only_first, num_only_second), rel=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_swapping_the_recipes_swaps_the_counts_and_keeps_the_p_value(pairs: list[tuple[bool, bool]]) -> None:
    first, second = np.array(pairs, bool).reshape(-1, 2).T
    test, swapped = compare_paired("a", "b", first, second), compare_paired("b", "a", second, first)
    assert swapped == replace(
        test, first="b", second="a", num_only_first=test.num_only_second, num_only_second=test.num_only_first
    )


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_swapping_the_answers_swaps_the_names_in_the_sentence(num_only_first: int, num_only_second: int) -> None:
    first, second = answers(num_only_first, num_only_second)
    swapped = describe_test(compare_paired("<b>", "<a>", first, second))
    sentence = describe_test(compare_paired("<a>", "<b>", first, second))
    assert swapped == sentence.replace("<a>", "<?>").replace("<b>", "<a>").replace("<?>", "<b>")


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_the_better_one_is_better_in_whatever_order_they_are_given(num_only_first: int, num_only_second: int) -> None:
    first, second = answers(num_only_first, 2 * num_only_first + num_only_second + 20)
    for test in (compare_paired("a", "b", first, second), compare_paired("b", "a", second, first)):
        assert describe_test(test).startswith("b is better than a: ")


def test_no_photo_that_only_one_got_right_gives_a_p_value_of_one() -> None:
    assert compare_paired("a", "b", *answers(0, 0)).p_value == 1
    assert compare_paired("a", "b", np.zeros(0, bool), np.zeros(0, bool)).p_value == 1


def test_the_answers_are_not_modified() -> None:
    first, second = answers(7, 3)
    compare_paired("a", "b", first, second)
    for array, expected in zip((first, second), answers(7, 3), strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.ones(3, bool), np.ones(4, bool)),
        (np.ones(3, bool), np.ones(3, int)),
        (np.ones(3), np.ones(3, bool)),
        (np.ones((3, 1), bool), np.ones(3, bool)),
    ],
    ids=["other length", "ints", "floats", "two axes"],
)
def test_answers_that_do_not_fit_are_refused(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> None:
    with pytest.raises(DatasetError, match=r"Give bool of shape \(n,\).*on the same photos"):
        compare_paired("transfer", "classic", first, second)


@pytest.mark.parametrize(
    ("p_value", "words"),
    [
        (0.0499, "1 time in 20"),
        (1 / 23, "1 time in 23"),
        (1 / 1234, "1 time in 1,200"),
        (1e-4, "1 time in 10,000"),
        (1e-6, "1 time in 1,000,000"),
        (9e-7, "less than 1 time in a million"),
        (0.0, "less than 1 time in a million"),
    ],
)
def test_a_clear_difference_says_which_is_better_and_how_rare_it_is(p_value: float, words: str) -> None:
    assert told(p_value) == f"transfer is better than classic: chance alone gives such a difference {words}"


@pytest.mark.parametrize(
    ("p_value", "words"),
    [
        (0.05, "1 time in 20"),
        (1 / 3, "1 time in 3"),
        (0.4, "4 times in 10"),
        (0.5, "5 times in 10"),
        (0.75, "8 times in 10"),
        (0.95, "9 times in 10"),
        (0.99, "nearly every time"),
        (1.0, "every time"),
    ],
)
def test_a_difference_that_chance_often_gives_decides_nothing(p_value: float, words: str) -> None:
    assert told(p_value) == (
        f"transfer and classic do about equally well: chance alone gives such a difference {words}"
    )


def test_the_same_right_photos_have_their_own_sentence() -> None:
    assert told(1.0, 0, 0) == "transfer and classic are right on exactly the same photos"


@given(st.floats(1e-6, 0.35))
def test_the_figure_is_within_rounding_of_the_p_value_and_has_two_digits(p_value: float) -> None:
    figure = told(p_value).rsplit(" ", 1)[1].replace(",", "")
    assert len(figure.rstrip("0")) <= 2
    assert abs(int(figure) - 1 / p_value) <= max(0.5, 0.05 / p_value)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), st.integers(1, 9))
def test_copies_of_photos_change_nothing(pairs: list[tuple[bool, bool]], num_copies: int) -> None:
    first, second = np.array(pairs, bool).reshape(-1, 2).T
    groups = np.repeat(np.arange(len(pairs)), num_copies)
    copied = compare_paired("a", "b", np.repeat(first, num_copies), np.repeat(second, num_copies), groups)
    assert copied == compare_paired("a", "b", first, second)


def test_a_group_counts_for_the_recipe_that_got_more_of_it_right() -> None:
    first, second = np.array([True, True, False, True, False]), np.array([False, False, True, False, True])
    test = compare_paired("a", "b", first, second, np.array([0, 0, 0, 1, 1]))
    assert (test.num_only_first, test.num_only_second, test.p_value) == (1, 0, 1.0)
