"""How the page says numbers and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.report.wording import count, percent, round_percent, shorten, visible


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.984, "98.4 %"), (1.0, "100 %"), (0.99999, "99.9 %"), (0.00001, "0.1 %"), (0.0, "0 %")],
    ids=str,
)
def test_only_what_is_exact_is_called_all_or_nothing(share: float, said: str) -> None:
    assert percent(share) == said


@pytest.mark.parametrize(("share", "said"), [(0.05, "5 %"), (0.005, "0.5 %"), (0.07, "7 %")], ids=str)
def test_a_chosen_share_has_no_needless_decimals(share: float, said: str) -> None:
    assert round_percent(share) == said


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(1, "photo", "1 photo"), (1200, "photo", "1,200 photos"), (2, "class", "2 classes"), (1, "class", "1 class")],
    ids=str,
)
def test_nouns_agree_with_their_number(number: int, noun: str, said: str) -> None:
    assert count(number, noun) == said


def test_what_cannot_be_seen_is_written_out() -> None:
    assert visible("a\nb\u202ec\udcffd") == "a\\nb\\u202ec\\xffd"


@given(st.text(st.characters(codec=None)))
def test_every_text_becomes_one_line_of_utf_8(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown


@given(st.text(st.characters(codec=None), max_size=100), st.integers(4, 40))
def test_a_shortened_text_keeps_its_end(text: str, longest: int) -> None:
    shown = shorten(text, longest)
    assert len(shown) <= longest
    assert visible(text).endswith(shown[-2:])
