"""Skipped files, grouped by reason."""

from hypothesis import given
from hypothesis import strategies as st

from tellapart.photos.skipped import group_skipped
from tellapart.records import Skipped


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
