"""Pairs that point the same way are those of a comparison of all with all, whatever the vectors, by few products."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tellapart.checkup import neighbours
from tellapart.checkup.cells import Cells, to_unit_length
from tellapart.checkup.neighbours import find_pairs

Vectors = np.ndarray
NUM_DIRECTIONS = 24
# What rounding may change of a product.
ROUNDING = 1e-5


def spread(generator: np.random.Generator, num: int) -> Vectors:
    """Directions without any order."""
    return generator.normal(size=(num, NUM_DIRECTIONS))


def decaying(generator: np.random.Generator, num: int) -> Vectors:
    """Most of each vector in few directions, as with photos."""
    return generator.normal(size=(num, NUM_DIRECTIONS)) / np.arange(1, NUM_DIRECTIONS + 1)


def clustered(generator: np.random.Generator, num: int) -> Vectors:
    """Some hundred directions, with a little of their own each."""
    centres = generator.normal(size=(max(1, num // 12), NUM_DIRECTIONS))
    return centres[generator.integers(len(centres), size=num)] + generator.normal(0, 0.15, (num, NUM_DIRECTIONS))


def nearly_equal(generator: np.random.Generator, num: int) -> Vectors:
    """One direction, and next to nothing else."""
    return generator.normal(size=NUM_DIRECTIONS) + generator.normal(0, 1e-3, (num, NUM_DIRECTIONS))


def equal(generator: np.random.Generator, num: int) -> Vectors:
    """Two directions, each many times."""
    return generator.normal(size=(2, NUM_DIRECTIONS))[generator.integers(2, size=num)]


def opposed(generator: np.random.Generator, num: int) -> Vectors:
    """Vectors and what is opposed to them, and some that are nothing."""
    vectors = decaying(generator, num) * generator.choice([-1, 1], (num, 1))
    vectors[:: max(1, num // 7)] = 0
    return vectors


KINDS = {kind.__name__: kind for kind in (spread, decaying, clustered, nearly_equal, equal, opposed)}
Draw = Callable[[np.random.Generator, int], Vectors]


def draw(kind: str, seed: int, num: int) -> tuple[Vectors, Vectors]:
    """Unit vectors, and queries near them."""
    generator = np.random.default_rng(seed)
    vectors = to_unit_length(KINDS[kind](generator, num).astype(np.float32))
    queries = to_unit_length(vectors + generator.normal(0, 0.05, vectors.shape).astype(np.float32))
    return vectors, queries


def assert_nearest(vectors: Vectors, queries: Vectors | None, least: float, most_each: int) -> None:
    """The pairs are those of all products, but for what rounding decides."""
    found = find_pairs(Cells.of(vectors), least, most_each, queries)
    asked = vectors if queries is None else queries
    products = asked.astype(np.float64) @ vectors.T.astype(np.float64)
    row, column = np.indices(products.shape)
    products[(column <= row) if queries is None else (column == row)] = -1
    last = np.sort(np.concatenate([products, np.full((len(products), most_each), -1.0)], axis=1), axis=1)
    bound = np.maximum(least, last[:, -most_each])[:, None]
    must, may = products > bound + ROUNDING, products >= bound - ROUNDING
    is_found = np.zeros_like(must)
    is_found[found.first, found.second] = True
    # A pair may have been listed by either of the two.
    assert (is_found | is_found.T)[must].all()
    assert (may | may.T)[is_found].all()
    assert (found.first < found.second).all()
    assert (found.is_cut >= ((products > least + ROUNDING).sum(axis=1) > most_each)).all()
    assert (found.is_cut <= ((products > least - ROUNDING).sum(axis=1) > most_each)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_other", [False, True], ids=["among themselves", "by other vectors"])
def test_all_nearest_are_found_in_many_cells(kind: str, is_other: bool) -> None:
    vectors, queries = draw(kind, 0, 2000)

    assert_nearest(vectors, queries if is_other else None, 0.65, 4)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 2**16),
    st.integers(1, 700),
    st.floats(0.2, 0.95),
    st.integers(1, 6),
    st.booleans(),
)
def test_all_nearest_are_found_among_drawn_vectors(
    kind: str, seed: int, num: int, least: float, most_each: int, is_other: bool
) -> None:
    vectors, queries = draw(kind, seed, num)

    assert_nearest(vectors, queries if is_other else None, least, most_each)


def test_no_vectors_have_no_pairs() -> None:
    found = find_pairs(Cells.of(np.zeros((0, 3), np.float32)), 0.5, 2)

    assert (len(found.first), len(found.is_cut)) == (0, 0)


def count_products(monkeypatch: pytest.MonkeyPatch, num: int) -> int:
    """Products that a search among so many vectors takes when each looks at 1,000."""
    sizes: list[int] = []
    enter = neighbours._enter
    with monkeypatch.context() as patched:
        patched.setattr(
            neighbours, "_enter", lambda products, *others: sizes.append(products.size) or enter(products, *others)
        )
        find_pairs(Cells.of(draw("decaying", 0, num)[0]), 0.65, 4, num_looked_at=1000)
    return sum(sizes)


def test_products_grow_as_vectors_do_and_not_as_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_products(monkeypatch, 16000) < 4 * 1.3 * count_products(monkeypatch, 4000)


@pytest.mark.parametrize("kind", ["decaying", "clustered"])
def test_near_vectors_are_found_among_many_by_looking_at_a_few(kind: str) -> None:
    vectors = draw(kind, 0, 6000)[0]
    copies = to_unit_length(
        vectors[:1000] + np.random.default_rng(1).normal(0, 0.02, (1000, NUM_DIRECTIONS)).astype("f4")
    )

    found = find_pairs(Cells.of(np.concatenate([vectors, copies])), 0.65, 4, num_looked_at=1000)

    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert sum((row, 6000 + row) in pairs for row in range(1000)) >= 950


def search_alike(num: int) -> tuple[int, int]:
    """Pairs among so many vectors that are nearly equal, and the memory that finding them takes."""
    cells = Cells.of(draw("nearly_equal", 0, num)[0])
    tracemalloc.start()
    found = find_pairs(cells, 0.65, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return len(found.first), peak


def test_where_all_are_alike_memory_grows_as_vectors_do_and_not_as_pairs() -> None:
    (few, few_bytes), (many, many_bytes) = search_alike(1000), search_alike(4000)

    assert few <= 4 * 1000
    assert many <= 4 * 4000
    assert many_bytes < 4 * 1.3 * few_bytes
