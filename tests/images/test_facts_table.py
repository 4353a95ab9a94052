"""Facts of many photos in one array: what goes in comes out, and rows that move stay what they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tellapart.images.facts import PhotoFacts
from tellapart.images.facts_table import FactsTable, move_rows


def draw_facts(seed: int) -> PhotoFacts:
    generator = np.random.default_rng(seed)
    return PhotoFacts(
        format=str(generator.choice(["JPEG", "PNG"])),
        height=int(generator.integers(1, 9000)),
        width=int(generator.integers(1, 9000)),
        has_exif_rotation=bool(generator.integers(2)),
        num_bytes=int(generator.integers(1, 10**12)),
        camera=generator.choice([None, "maker a", "maker b"]),
        captured_at=generator.choice([None, 1.5e9 + generator.uniform()]),
        brightness=generator.uniform(),
        contrast=generator.uniform(0, 0.5),
        sharpness=generator.uniform(1, 2),
        flatness=generator.uniform(),
        border=generator.uniform(0, 1, 20).astype(np.float32),
        thumbnail=generator.integers(0, 256, (48, 48), np.uint8),
        chroma=generator.integers(0, 256, (8, 8, 2), np.uint8),
    )


def as_bytes(facts: FactsTable | list[PhotoFacts]) -> list[bytes]:
    return [one.to_bytes() for one in facts]


@pytest.mark.parametrize("num", [0, 1, 7])
def test_facts_come_out_as_they_went_in(num: int) -> None:
    facts = [draw_facts(seed) for seed in range(num)]
    assert as_bytes(FactsTable.of(facts)) == as_bytes(facts)


def test_a_table_is_not_made_again() -> None:
    table = FactsTable.of([draw_facts(0)])
    assert FactsTable.of(table) is table


def test_rows_are_taken_in_the_order_asked_for() -> None:
    facts = [draw_facts(seed) for seed in range(6)]
    table = FactsTable.of(facts)
    assert as_bytes(table.take([4, 0, 4])) == as_bytes([facts[4], facts[0], facts[4]])
    assert as_bytes(table[1:3]) == as_bytes(facts[1:3])


def test_columns_have_a_number_of_each_photo() -> None:
    facts = [draw_facts(seed) for seed in range(20)]
    table = FactsTable.of(facts)
    assert table.column("num_bytes").tolist() == [one.num_bytes for one in facts]
    is_told = [one.camera is not None and one.captured_at is not None for one in facts]
    assert table.has_moment().tolist() == is_told
    numbers = dict(zip((one.camera for one in facts), table.cameras.tolist(), strict=True))
    assert table.cameras.tolist() == [numbers[one.camera] for one in facts]
    assert len(set(numbers.values())) == len(numbers)


def test_thumbnails_are_no_copies() -> None:
    table = FactsTable.of([draw_facts(seed) for seed in range(3)])
    assert np.shares_memory(table.thumbnails, table[2].thumbnail)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10_000)), max_size=60))
def test_kept_rows_have_the_values_of_their_sources(drawn: list[tuple[bool, int]]) -> None:
    sources: list[int] = []
    for row, (is_copy, number) in enumerate(drawn):
        originals = [place for place in range(row) if sources[place] == place]
        sources.append(originals[number % len(originals)] if is_copy and originals else row)
    rows: NDArray[np.int64] = np.flatnonzero([number % 3 != 0 for _is_copy, number in drawn]).astype(np.int64)
    values = np.arange(len(drawn)) * 10
    moved = move_rows(values.copy(), np.array(sources, np.int64), rows)
    assert moved.tolist() == values[np.array(sources, np.int64)][rows].tolist()
