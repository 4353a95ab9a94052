import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.photos.names import class_name, compare_names, group_skipped, name_some, natural_key, printable
from tellapart.records import Skipped


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


def test_skipped_files_are_grouped_by_reason_the_commonest_first() -> None:
    skipped = [Skipped("a", "empty"), *(Skipped(f"b{n}", "cut short") for n in range(8))]
    first, second = group_skipped(skipped)
    assert (first.reason, first.num_files, first.first) == ("cut short", 8, ("b0", "b1", "b2", "b3", "b4"))
    assert (second.reason, second.num_files) == ("empty", 1)


def test_reasons_that_differ_in_numbers_are_one_group() -> None:
    (group,) = group_skipped([Skipped("a", "it has 1,000 pixels"), Skipped("b", "it has 25 pixels")])
    assert group.reason == "it has … pixels"


@given(st.lists(st.sampled_from("abcdefgh")), st.integers(1, 6))
def test_no_file_is_lost_where_reasons_are_put_together(reasons: list[str], most: int) -> None:
    groups = group_skipped([Skipped(f"{row}.jpg", reason) for row, reason in enumerate(reasons)], most=most)
    assert len(groups) <= most
    assert sum(group.num_files for group in groups) == len(reasons)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1", "1.0", "01", "2"], ["The classes '1' and '1.0' and '01' are the same number. If"]),
        (["Cat", "cat", "dog"], ["The classes 'Cat' and 'cat' differ only in upper and lower case. If"]),
        (["A", "a", "B", "b", "7", "7."], ["'7' and '7.' are", "'A' and 'a', 'B' and 'b' differ"]),
        (["cat", "cats", "1", "10", "1.5", "x1"], []),
        (["nan", "inf", "1e3", "1000"], []),
    ],
    ids=["numbers", "case", "both", "none", "words that Python takes for numbers"],
)
def test_classes_that_may_be_one_are_said_in_a_line(names: list[str], words: list[str]) -> None:
    notes = compare_names(names)

    assert len(notes) == len(words)
    assert all(part in note for part, note in zip(words, notes, strict=True))
