"""Unit vectors sorted into cells around centres, so that those which are far from a query need not be looked at.

Who looks at what is `neighbours.py`'s; what the vectors are made of is `duplicates.py`'s.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tellapart.randomness import named_generator

_VECTORS = NDArray[np.float32]
_ROWS = NDArray[np.int64]

# Vectors of a cell, at least, and cells for the square root of the number of vectors, at most.
_CELL_ROWS, _CELLS_TO_ROOT = 256, 2
# What centres are made of: so many vectors each, in so many steps.
_SAMPLE_EACH, _CENTRE_STEPS = 64, 4
# Vectors whose products with all centres are in memory at once.
_ROWS_AT_ONCE = 8192
# Rows that show where vectors differ; more change nothing that is measurable.
_SAMPLE_ROWS = 2048


@dataclass(frozen=True, eq=False)
class Cells:
    """Unit vectors, sorted by the centre that is nearest.

    Attributes:
        vectors: float32 `(n, d)`, cell by cell.
        rows: of which row each of them is, int64 `(n,)`; they ascend within a cell.
        places: where the vector of each row stands, int64 `(n,)`.
        starts: where each cell begins, and the end, int64 `(cells + 1,)`.
        centres: unit vectors, float32 `(cells, d)`.
    """

    vectors: _VECTORS
    rows: _ROWS
    places: _ROWS
    starts: _ROWS
    centres: _VECTORS

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, vectors: _VECTORS) -> "Cells":
        """The vectors, float32 `(n, d)`, of length 1 or 0, in cells; not modified."""
        num_cells = max(1, min(len(vectors) // _CELL_ROWS, int(_CELLS_TO_ROOT * len(vectors) ** 0.5)))
        centres = _find_centres(vectors, num_cells)
        nearest = _find_nearest(vectors, centres)
        order = np.argsort(nearest, kind="stable")
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        starts = np.searchsorted(nearest[order], np.arange(len(centres) + 1))
        return cls(vectors[order], order, places, starts, centres)


def _find_centres(vectors: _VECTORS, num_cells: int) -> _VECTORS:
    """Centres by spherical k-means on a sample (Dhillon & Modha 2001): float32, shape `(num_cells, d)` at most."""
    generator = named_generator(0, "cells")
    size = min(len(vectors), _SAMPLE_EACH * num_cells)
    sample = vectors[np.sort(generator.choice(len(vectors), size, replace=False))]
    centres = sample[generator.choice(size, min(size, num_cells), replace=False)]
    for _ in range(_CENTRE_STEPS):
        nearest = _find_nearest(sample, centres)
        members = csr_array((np.ones(size, np.float32), (nearest, np.arange(size))), shape=(len(centres), size))
        means = to_unit_length(np.asarray(members @ sample, np.float32))
        centres = np.where(means.any(axis=1, keepdims=True), means, centres)
    return centres


def _find_nearest(vectors: _VECTORS, centres: _VECTORS) -> _ROWS:
    """The number of the nearest centre of each vector."""
    nearest = np.zeros(len(vectors), np.int64)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        nearest[part] = (vectors[part] @ centres.T).argmax(axis=1)
    return nearest


def find_directions(vectors: _VECTORS, num_directions: int) -> _VECTORS:
    """The directions that hold most of vectors: float32 `(d, k)`.

    By a randomised range finder with one power iteration (Halko, Martinsson & Tropp 2011, algorithm 4.3).

    Args:
        vectors: float32 `(n, d)`: all, or those of `sample_rows`; not modified.
        num_directions: k at most; there are fewer where n or d is smaller.
    """
    size = min(num_directions, *vectors.shape)
    if size == vectors.shape[1]:
        return np.eye(size, dtype=np.float32)
    start = named_generator(0, "directions").standard_normal((vectors.shape[1], size), np.float32)
    return np.asarray(np.linalg.qr(vectors.T @ (vectors @ start))[0], np.float32)


def sample_rows(num_rows: int) -> _ROWS:
    """Rows that show where vectors differ, evenly spread."""
    return np.arange(0, num_rows, max(1, -(-num_rows // _SAMPLE_ROWS)))


def to_unit_length(vectors: _VECTORS) -> _VECTORS:
    """The vectors at length 1, in place; those of nearly no length become zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    vectors *= np.where(lengths > 1e-6, 1 / np.maximum(lengths, 1e-6), 0)
    return vectors
