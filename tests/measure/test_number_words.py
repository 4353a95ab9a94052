"""How numbers are written for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.measure.number_words import (
    count_classes,
    count_photos,
    join_words,
    percent,
    percent_range,
    quote_some,
    round_percent,
)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.984, "98.4%"), (1.0, "100%"), (0.99999, "99.9%"), (0.00001, "0.1%"), (0.0, "0%")],
    ids=str,
)
def test_only_what_is_exact_is_called_all_or_nothing(share: float, said: str) -> None:
    assert percent(share) == said


@pytest.mark.parametrize(("share", "said"), [(0.05, "5%"), (0.005, "0.5%"), (0.07, "7%")], ids=str)
def test_a_chosen_share_has_no_needless_decimals(share: float, said: str) -> None:
    assert round_percent(share) == said


@pytest.mark.parametrize(("num", "said"), [(0, "0 photos"), (1, "1 photo"), (1200, "1,200 photos")], ids=str)
def test_photos_agree_with_their_number(num: int, said: str) -> None:
    assert count_photos(num) == said


@pytest.mark.parametrize(("num", "said"), [(1, "1 class"), (2, "2 classes")], ids=str)
def test_classes_agree_with_their_number(num: int, said: str) -> None:
    assert count_classes(num) == said


@pytest.mark.parametrize(
    ("words", "said"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")], ids=str
)
def test_words_are_listed_as_in_a_sentence(words: list[str], said: str) -> None:
    assert join_words(words) == said


@pytest.mark.parametrize(
    ("num_right", "num_photos", "said"),
    [(14, 25, "56%"), (190, 200, "95%"), (191, 201, "95.0%"), (199, 200, "99.5%"), (1, 200, "0.5%"), (40, 40, "100%")],
)
def test_few_photos_have_no_decimals(num_right: int, num_photos: int, said: str) -> None:
    assert percent(num_right / num_photos, num_photos) == said


@given(st.integers(2, 5000), st.data())
def test_only_all_are_100_percent_and_only_none_are_0(num_photos: int, data: st.DataObject) -> None:
    num_right = data.draw(st.integers(1, num_photos - 1))
    assert percent(num_right / num_photos, num_photos) not in ("100%", "0%", "100.0%", "0.0%")


def test_an_interval_has_both_ends() -> None:
    assert percent_range((0.95, 0.992), 400) == "95.0% to 99.2%"


@pytest.mark.parametrize(
    ("names", "said"),
    [(["a"], "'a'"), (["a", "b"], "'a' and 'b'"), (list("abcde"), "'a', 'b', 'c' and 2 more")],
    ids=["one", "two", "many"],
)
def test_many_names_are_cut(names: list[str], said: str) -> None:
    assert quote_some(names) == said
