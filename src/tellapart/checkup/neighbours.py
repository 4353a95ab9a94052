"""Pairs of vectors that point the same way, found exactly by matrix products of blocks; no n x n matrix is ever held.

What the vectors are made of, and what a pair means, is `duplicates.py`'s.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.randomness import named_generator

_VECTORS = NDArray[np.float32]
_ROWS = NDArray[np.int64]

# A block of products is 16 MB, which the caches of a desktop processor nearly hold.
_BLOCK_ROWS, _BLOCK_COLUMNS = 512, 8192
# Rows that show where vectors differ; more change nothing that is measurable.
_SAMPLE_ROWS = 2048


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows, each once, `first < second`; int64, shape `(num_pairs,)`.

    Attributes:
        first, second: the rows.
        is_cut: bool, shape `(n,)`: rows with more neighbours than are listed here.
    """

    first: _ROWS
    second: _ROWS
    is_cut: NDArray[np.bool_]


def project(vectors: _VECTORS, num_directions: int) -> _VECTORS:
    """The vectors as unit vectors in the directions that hold most of them: float32 `(n, k)`.

    Directions by a randomised range finder with one power iteration (Halko, Martinsson & Tropp 2011, algorithm 4.3).

    Args:
        vectors: float32 `(n, d)`; not modified.
        num_directions: k at most; the result has fewer columns where n or d is smaller.
    """
    size = min(num_directions, *vectors.shape)
    if size == vectors.shape[1]:
        return to_unit_length(vectors.copy())
    sample = vectors[:: max(1, -(-len(vectors) // _SAMPLE_ROWS))]
    start = named_generator(0, "directions").standard_normal((vectors.shape[1], size), np.float32)
    return to_unit_length(vectors @ np.linalg.qr(sample.T @ (sample @ start))[0])


def to_unit_length(vectors: _VECTORS) -> _VECTORS:
    """The vectors at length 1, in place; those of nearly no length become zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    vectors *= np.where(lengths > 1e-6, 1 / np.maximum(lengths, 1e-6), 0)
    return vectors


def find_pairs(vectors: _VECTORS, least: float, most_each: int, queries: _VECTORS | None = None) -> Pairs:
    """Pairs whose product is at least `least`.

    Args:
        vectors: float32 `(n, d)`, unit vectors; not modified.
        least: in `(0, 1)`.
        most_each: of the neighbours of a row so many are listed, the nearest; without `queries` of those behind it.
        queries: other unit vectors for the same rows, float32 `(n, d)`, each compared with all of `vectors` but its
            own; not modified.
    """
    num_rows = len(vectors)
    is_cut = np.zeros(num_rows, np.bool_)
    found = [np.zeros(0, np.int64)]
    for start in range(0, num_rows, _BLOCK_ROWS):
        rows, columns, products = _find_in_block(vectors, queries, start, least, most_each)
        is_cut[start : start + _BLOCK_ROWS] = np.bincount(rows - start, minlength=_BLOCK_ROWS)[: num_rows - start] > (
            most_each
        )
        kept = _nearest(rows, products, most_each)
        rows, columns = rows[kept], columns[kept]
        found.append(np.minimum(rows, columns) * num_rows + np.maximum(rows, columns))
    first, second = np.divmod(np.unique(np.concatenate(found)), max(1, num_rows))
    return Pairs(first, second, is_cut)


def _find_in_block(
    vectors: _VECTORS, queries: _VECTORS | None, start: int, least: float, most_each: int
) -> tuple[_ROWS, _ROWS, NDArray[np.float32]]:
    """Row, column and product of pairs whose row is in the block from `start` on; at least the nearest of each row."""
    block = (vectors if queries is None else queries)[start : start + _BLOCK_ROWS]
    own = np.arange(start, start + len(block))[:, None]
    parts: list[tuple[_ROWS, _ROWS, NDArray[np.float32]]] = []
    for left in range(start if queries is None else 0, len(vectors), _BLOCK_COLUMNS):
        others = vectors[left : left + _BLOCK_COLUMNS]
        products = block @ others.T
        if left < start + len(block) and start < left + len(others):
            columns = np.arange(left, left + len(others))
            # Each pair is met twice where there are no queries: here, and from the other row's block or side.
            products[columns <= own if queries is None else columns == own] = -1
        flat = np.flatnonzero(products >= least)
        if len(flat) > len(block) * (most_each + 1):
            nearest = np.argpartition(products, -min(most_each + 1, len(others)), axis=1)[:, -(most_each + 1) :]
            flat = (nearest + np.arange(len(block))[:, None] * len(others)).reshape(-1)
            flat = flat[products.reshape(-1)[flat] >= least]
        rows, columns = np.divmod(flat, len(others))
        parts.append((rows + start, columns + left, products.reshape(-1)[flat]))
    rows, columns, products = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, columns, products


def _nearest(rows: _ROWS, products: NDArray[np.float32], most_each: int) -> _ROWS:
    """Places of the `most_each` largest products of each row."""
    order = np.lexsort((-products, rows))
    ordered = rows[order]
    rank = np.arange(len(rows)) - np.searchsorted(ordered, ordered)
    return order[rank < most_each]
