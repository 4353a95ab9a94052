"""Pairs of vectors that point the same way, by matrix products of blocks; no n x n matrix is ever held.

Each vector is compared with those of the cells about it, so that time grows as the number of vectors does; where there
are few cells, with all. What the vectors are made of, and what a pair means, is `duplicates.py`'s.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tellapart.checkup.cells import Cells
from tellapart.photos.loading import num_cores

_VECTORS = NDArray[np.float32]
_ROWS = NDArray[np.int64]
_ANSWERS = NDArray[np.bool_]

# Queries that a thread deals with at once, and those of them whose products with a cell are in memory at once.
_BLOCK_ROWS, _PRODUCT_ROWS = 8192, 1024
# A product of 80 numbers takes some 2 ns of a core: a million photos compared with all others would take 20 minutes.
# The angles to the centres of cells prove of one pair in ten that it cannot be near (50,000 thumbnails, 2026-11-28).
NUM_LOOKED_AT = 25_000
# More than what rounding does to a product.
_PRODUCT_SLACK = 1e-6
# Neighbours found for a query, on average, before only the nearest of them are kept.
_HELD_EACH = 64


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows, each once, `first < second`; int64, shape `(num_pairs,)`.

    Attributes:
        first, second: the rows.
        is_cut: bool, shape `(n,)`: rows with more neighbours than are listed here.
    """

    first: _ROWS
    second: _ROWS
    is_cut: _ANSWERS


def find_pairs(
    cells: Cells,
    least: float,
    most_each: int,
    queries: _VECTORS | None = None,
    num_looked_at: int = NUM_LOOKED_AT,
) -> Pairs:
    """Pairs whose product is at least `least`: all of them, and nearly all among more than `num_looked_at` vectors.

    Args:
        cells: of unit vectors.
        least: in `(0, 1)`.
        most_each: of the neighbours of a row so many are listed, the nearest; without `queries` of those behind it.
        queries: other unit vectors for the same rows, float32 `(n, d)`, each compared with all vectors but that of its
            own row; not modified.
        num_looked_at: about so many vectors are compared with each query.
    """
    num_rows = len(cells)
    is_cut = np.zeros(num_rows, np.bool_)

    def search(start: int) -> _ROWS:
        rows = np.arange(start, min(start + _BLOCK_ROWS, num_rows))
        block = cells.vectors[cells.places[rows]] if queries is None else queries[rows]
        nearest = _Nearest(len(rows), least, most_each)
        _look_into(cells, _Portion(block, start, queries is None), _choose_cells(cells, block, num_looked_at), nearest)
        is_cut[rows] = nearest.is_cut
        first, second = nearest.listed()
        return np.minimum(first + start, second) * num_rows + np.maximum(first + start, second)

    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(num_cores()) as pool:
        keys = list(pool.map(search, range(0, num_rows, _BLOCK_ROWS)))
    first, second = np.divmod(np.unique(np.concatenate([np.zeros(0, np.int64), *keys])), max(1, num_rows))
    return Pairs(first, second, is_cut)


@dataclass(frozen=True, eq=False)
class _Portion:
    """Queries of successive rows.

    Attributes:
        vectors: float32 `(m, d)`.
        start: row of the first.
        is_behind: whether only vectors of later rows count; else all but that of the own row.
    """

    vectors: _VECTORS
    start: int
    is_behind: bool


class _Nearest:
    """The nearest neighbours of some queries, as far as they are known.

    Attributes:
        floor: what a product must be at least to change anything, float32, one a query.
    """

    def __init__(self, num_queries: int, least: float, most_each: int) -> None:
        self.floor = np.full(num_queries, least, np.float32)
        self.most_each = most_each
        self._queries, self._rows = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._products = np.zeros(0, np.float32)
        self._fresh: list[tuple[_ROWS, _ROWS, NDArray[np.float32]]] = []
        self._num_fresh = 0

    @property
    def is_cut(self) -> _ANSWERS:
        """Which queries have more neighbours than are listed, bool, one a query; after `keep_nearest`."""
        return np.bincount(self._queries, minlength=len(self.floor)) > self.most_each

    def add(self, queries: _ROWS, rows: _ROWS, products: NDArray[np.float32]) -> None:
        """Enters neighbours, each once."""
        self._fresh.append((queries, rows, products))
        self._num_fresh += len(queries)
        if self._num_fresh > _HELD_EACH * len(self.floor):
            self.keep_nearest()

    def keep_nearest(self) -> None:
        """Forgets all but one more than are listed, and raises the floor of queries that have so many."""
        parts = [(self._queries, self._rows, self._products), *self._fresh]
        queries, rows, products = (np.concatenate(part) for part in zip(*parts, strict=True))
        kept = _take_nearest(queries, products, self.most_each + 1)
        self._queries, self._rows, self._products = queries[kept], rows[kept], products[kept]
        self._fresh, self._num_fresh = [], 0
        cut = np.flatnonzero(self.is_cut)
        last = np.searchsorted(self._queries, cut) + self.most_each - 1
        self.floor[cut] = np.maximum(self.floor[cut], self._products[last] - _PRODUCT_SLACK)

    def listed(self) -> tuple[_ROWS, _ROWS]:
        """Number of the query, and row, of each neighbour that is listed; after `keep_nearest`."""
        kept = _take_nearest(self._queries, self._products, self.most_each)
        return self._queries[kept], self._rows[kept]


def _choose_cells(cells: Cells, queries: _VECTORS, num_looked_at: int) -> _ANSWERS:
    """The nearest cells of each query, so many that they hold about `num_looked_at` vectors: bool `(cells, queries)`.

    A query that is nothing looks at none.
    """
    products = cells.centres @ queries.T
    num_cells = len(products)
    most = min(num_cells, -(-num_looked_at * num_cells // max(1, len(cells))))
    least = np.partition(products, num_cells - most, axis=0)[num_cells - most]
    return np.asarray((products >= least) & queries.any(axis=1), np.bool_)


def _look_into(cells: Cells, block: _Portion, is_due: _ANSWERS, nearest: _Nearest) -> None:
    """Enters what queries of a block find in the cells that are due for them, bool `(cells, queries)`."""
    end = block.start + len(block.vectors)
    for cell in np.flatnonzero(is_due.any(axis=1)):
        place, cell_end = cells.starts[cell], cells.starts[cell + 1]
        own, own_end = place + np.searchsorted(cells.rows[place:cell_end], (block.start, end))
        place = own if block.is_behind else place
        if place == cell_end:
            continue
        rows, others = cells.rows[place:cell_end], cells.vectors[place:cell_end]
        due = np.flatnonzero(is_due[cell])
        for left in range(0, len(due), _PRODUCT_ROWS):
            asked = due[left : left + _PRODUCT_ROWS]
            products = block.vectors[asked] @ others.T
            # Only rows of the block can be the own one, or in front of it when all of the cell are not.
            within, own_rows = slice(own - place, own_end - place), asked[:, None] + block.start
            is_other = rows[within] > own_rows if block.is_behind else rows[within] != own_rows
            products[:, within][~is_other] = -1
            _enter(products, asked, rows, nearest)
    nearest.keep_nearest()


def _enter(products: NDArray[np.float32], asked: _ROWS, rows: _ROWS, nearest: _Nearest) -> None:
    """Enters the vectors whose product with a query reaches its floor.

    Args:
        products: float32 `(len(asked), len(rows))`.
        asked: numbers of queries.
        rows: of the vectors.
        nearest: of the queries.
    """
    hit = np.flatnonzero(products.max(axis=1) >= nearest.floor[asked])
    products, asked = products[hit], asked[hit]
    floor, most = nearest.floor[asked][:, None], nearest.most_each + 1
    flat = np.flatnonzero(products >= floor)
    if len(flat) > len(hit) * most:
        columns = np.argpartition(products, -most, axis=1)[:, -most:]
        flat = (columns + np.arange(len(hit))[:, None] * len(rows)).reshape(-1)
        flat = flat[(products >= floor).reshape(-1)[flat]]
    queries, columns = np.divmod(flat, len(rows))
    nearest.add(asked[queries], rows[columns], products.reshape(-1)[flat])


def _take_nearest(queries: _ROWS, products: NDArray[np.float32], most: int) -> _ROWS:
    """Places of the `most` largest products of each query, by query, the largest first."""
    order = np.lexsort((-products, queries))
    ordered = queries[order]
    rank = np.arange(len(queries)) - np.searchsorted(ordered, ordered)
    return order[rank < most]
