"""Some rows of the embeddings of a collection, read a block at a time, so that these are in memory once.

What is done to each row on the way, such as evening out its length, is the caller's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLOATS = NDArray[np.float32]
_ROWS = NDArray[np.int64] | NDArray[np.bool_] | slice
# Rows read at once: with 1,280 features some 10 MB.
_ROWS_AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class EmbeddingRows:
    """Rows of a matrix that behave as a matrix of their own; NumPy takes them for one, and then makes it.

    Attributes:
        values: float32, shape `(N, size)`; not modified.
        rows: int64, shape `(n,)`: which of them, in this order.
        changes: what is done to a block of rows when it is read, one after the other; the size may change.
    """

    values: _FLOATS
    rows: NDArray[np.int64]
    changes: tuple[Callable[[_FLOATS], _FLOATS], ...] = ()

    @classmethod
    def of(cls, embeddings: "_FLOATS | EmbeddingRows") -> "EmbeddingRows":
        """All rows of an array; rows are given back as they are."""
        return embeddings if isinstance(embeddings, EmbeddingRows) else cls(embeddings, np.arange(len(embeddings)))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: _ROWS) -> _FLOATS:
        block = self.values[self.rows[rows]]
        for change in self.changes:
            block = change(block)
        return block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    @property
    def ndim(self) -> int:
        """2, as of any matrix."""
        return self.values.ndim

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """That of the values."""
        return self.values.dtype

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns as they are read."""
        return len(self), self[:1].shape[1] if self.changes else self.values.shape[1]

    def take(self, rows: _ROWS) -> "EmbeddingRows":
        """Those of the rows, by their numbers here; nothing is read."""
        return EmbeddingRows(self.values, self.rows[rows], self.changes)

    def changed(self, change: Callable[[_FLOATS], _FLOATS]) -> "EmbeddingRows":
        """The rows with one thing more done to each block; `change` may be given no rows, and modifies none."""
        return EmbeddingRows(self.values, self.rows, (*self.changes, change))

    def blocks(self) -> Iterator[tuple[slice, _FLOATS]]:
        """All rows in turn, some at a time, with their numbers here; no block where there are no rows."""
        for start in range(0, len(self), _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, len(self)))
            yield part, self[part]


Embeddings = _FLOATS | EmbeddingRows
