"""How a finding about some photos is put, and how all photos do in one respect."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tellapart.records import Finding

# Photos that are shown one by one, at most.
MOST_SINGLE = 24


@dataclass(frozen=True, eq=False)
class PhotoScores:
    """How each photo of a collection does in one respect.

    Attributes:
        name: of the respect, a noun or an adjective in the singular.
        scores: float64, shape `(n,)`, in `[0, 1]`: 1 is without fault, 0 the worst; NaN where nothing can be said.
        is_found: bool, shape `(n,)`: whether the check-up names the photo.
    """

    name: str
    scores: NDArray[np.float64]
    is_found: NDArray[np.bool_]


def scores_of_rows(name: str, scores: ArrayLike, rows: Sequence[int]) -> PhotoScores:
    """The scores of all photos, of which those in `rows` are named."""
    values = np.asarray(scores, np.float64)
    is_found = np.zeros(len(values), np.bool_)
    is_found[list(rows)] = True
    return PhotoScores(name, values, is_found)


def compare_with_bound(values: ArrayLike, bound: float) -> NDArray[np.float64]:
    """Scores of what is better the larger it is: 0 for 0, one half at the bound, towards 1 above it."""
    ratios = np.asarray(values, np.float64) / bound
    return np.asarray(ratios / (1 + ratios), np.float64)


def find_single(
    kind: str,
    rows: Sequence[int],
    title: Callable[[int], str],
    why: str,
    caption: Callable[[int], str] = lambda row: "",
    is_problem: bool = False,
) -> Finding | None:
    """A finding about photos one by one."""
    if not rows:
        return None
    shown = rows[:MOST_SINGLE]
    captions = tuple(caption(row) for row in shown)
    return Finding(kind, title(len(rows)), why, len(rows), tuple((row,) for row in shown), captions, is_problem)


def count_words(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun, in the singular for 1."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
