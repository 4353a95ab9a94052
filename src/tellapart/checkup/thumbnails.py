"""Thumbnails of a collection: in few cells, from the middle, turned and mirrored, and the matrices that do it.

Everything here works on the square of luma of `facts.py`. What thumbnails say about photos is `likeness.py`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tellapart.checkup.cells import to_unit_length
from tellapart.images.facts import THUMBNAIL_SIDE
from tellapart.images.facts_table import FactsTable

_FLOATS = NDArray[np.float32]
_ROWS = NDArray[np.int64]
_Value = TypeVar("_Value", bound=np.generic)

# All ways to turn and mirror a square, as three bits: mirror left to right, top to bottom, swap the two.
NUM_TURNS = 8
# Cells of a coarse thumbnail, for searching.
COARSE_SIDE = 12
# Grey levels between the darkest and the lightest cell of a photo of one shade.
_FLAT_RANGE = 6
_PHOTOS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """Thumbnails of many photos, for comparison.

    Attributes:
        luma: uint8 `(n, 48, 48)`.
        chroma: uint8 `(n, 8, 8, 2)`.
        is_flat: bool `(n,)`: photos of one shade.
    """

    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]
    is_flat: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.luma)

    @classmethod
    def of(cls, facts: FactsTable) -> "Thumbnails":
        """Those of photos, at least one; not copied."""
        return cls.made_of(facts.thumbnails, facts.chroma)

    @classmethod
    def made_of(cls, luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> "Thumbnails":
        """Those with this luma and chroma, at least one."""
        return cls(luma, chroma, luma.max(axis=(1, 2)) - luma.min(axis=(1, 2)) <= _FLAT_RANGE)

    def coarse(self, rows: _ROWS, share: float = 1.0) -> _FLOATS:
        """The middle of photos in 12 x 12 cells, less their mean, as unit vectors: float32 `(len(rows), 144)`.

        A photo of one shade has zeros.

        Args:
            rows: of the photos.
            share: of the height and of the width, that counts as the middle.
        """
        means = interval_means([((1 - share) / 2, share)], COARSE_SIDE)
        coarse = np.empty((len(rows), COARSE_SIDE**2), np.float32)
        for start in range(0, len(rows), _PHOTOS_AT_ONCE):
            part = slice(start, start + _PHOTOS_AT_ONCE)
            luma = self.luma[rows[part]].astype(np.float32)
            coarse[part] = (means @ luma @ means.T).reshape(-1, COARSE_SIDE**2)
        coarse -= coarse.mean(axis=1, keepdims=True)
        coarse[self.is_flat[rows]] = 0
        return to_unit_length(coarse)

    def mean_colours(self, rows: _ROWS) -> _FLOATS:
        """Mean luma, Cr and Cb of photos, float32 `(len(rows), 3)`."""
        luma = self.luma[rows].mean(axis=(1, 2), dtype=np.float32)
        return np.column_stack([luma, self.chroma[rows].mean(axis=(1, 2), dtype=np.float32)])


def turn_squares(squares: NDArray[_Value], number: int) -> NDArray[_Value]:
    """The squares, shape `(n, side, side, ...)`, turned in the way of that number, of `NUM_TURNS`; 0 leaves them."""
    if number & 4:
        squares = squares.swapaxes(1, 2)
    if number & 2:
        squares = squares[:, ::-1]
    return squares[:, :, ::-1] if number & 1 else squares


def turn_each(squares: NDArray[_Value], turns: _ROWS) -> NDArray[_Value]:
    """The squares, each turned in its own way."""
    turned = np.empty_like(squares)
    for number in np.unique(turns):
        rows = turns == number
        turned[rows] = turn_squares(squares[rows], int(number))
    return turned


def interval_means(intervals: Sequence[tuple[float, float]], cells: int) -> _FLOATS:
    """The matrix that makes of an axis of a thumbnail the means of `cells` parts of each interval."""
    edges = np.concatenate([start + length * np.arange(cells + 1) / cells for start, length in intervals])
    edges = edges.reshape(len(intervals), -1) * THUMBNAIL_SIDE
    low, high = edges[:, :-1].reshape(-1, 1), edges[:, 1:].reshape(-1, 1)
    place = np.arange(THUMBNAIL_SIDE)
    covered = np.clip(np.minimum(high, place + 1) - np.maximum(low, place), 0, None)
    return np.asarray(covered / (high - low), np.float32)


def smoothing(sigma: float) -> _FLOATS:
    """The matrix that smooths an axis of a thumbnail, mirrored at its ends: float32 `(48, 48)`."""
    side = THUMBNAIL_SIDE
    cells = np.arange(-side, 2 * side)
    weights = np.exp(-0.5 * ((cells[None] - np.arange(side)[:, None]) / sigma) ** 2)
    folded = weights[:, side : 2 * side] + weights[:, :side][:, ::-1] + weights[:, 2 * side :][:, ::-1]
    return np.asarray(folded / folded.sum(axis=1, keepdims=True), np.float32)
