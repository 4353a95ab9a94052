from hypothesis import given
from hypothesis import strategies as st

from tellapart.photos.names import class_name, name_some, natural_key, printable


def test_natural_order_counts_numbers_by_value_and_keeps_case() -> None:
    names = ["b10", "b9", "b1", "b01", "B2", "a"]

    assert sorted(names, key=lambda name: natural_key((name,))) == ["B2", "a", "b01", "b1", "b9", "b10"]


@given(st.lists(st.text(max_size=8)))
def test_natural_order_does_not_depend_on_the_order_before(names: list[str]) -> None:
    def ordered(values: list[str]) -> list[str]:
        return sorted(values, key=lambda name: natural_key((name,)))

    assert ordered(names[::-1]) == ordered(names)


def test_thousands_of_digits_are_compared() -> None:
    assert natural_key(("9" * 5000,)) < natural_key(("1" + "0" * 5000,))


def test_bytes_that_are_not_utf8_become_printable() -> None:
    assert printable(b"caf\xe9".decode("utf-8", "surrogateescape")) == r"caf\xe9"


def test_lone_surrogates_become_printable() -> None:
    assert printable("\ud800x") == r"\ud800x"


def test_class_names_have_one_unicode_form() -> None:
    assert class_name(" cafe\u0301 ") == "café"


def test_at_most_five_names_are_shown_and_the_rest_counted() -> None:
    assert name_some("abcdefg") == "'a', 'b', 'c', 'd', 'e' and 2 more"
