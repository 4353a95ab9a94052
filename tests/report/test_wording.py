"""How the page says names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.report.wording import isolate, shorten, visible


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


@pytest.mark.parametrize(
    ("text", "apart"),
    [
        ("called 30 'סדוק' (4%).", ["סדוק"]),
        ("חתול שחור, כלב or ציפור?", ["חתול שחור", "כלב", "ציפור"]),
        ("قطة 12 كلب: 3 of 5", ["قطة 12 كلب"]),
        ("cat, 猫 and dog", []),
    ],
)
def test_what_is_read_from_the_right_is_set_apart(text: str, apart: list[str]) -> None:
    assert re.findall("\u2068(.*?)\u2069", isolate(text)) == apart


@given(st.text(st.characters(codec=None)))
def test_setting_apart_changes_no_letter(text: str) -> None:
    shown = visible(text)
    assert isolate(shown).replace("\u2068", "").replace("\u2069", "") == shown
