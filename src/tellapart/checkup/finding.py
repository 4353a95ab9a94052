"""How a finding about some photos is put, how all photos do in one respect, and what each threshold is held against."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tellapart.checkup.thresholds import THRESHOLDS
from tellapart.records import Figure, Finding
from tellapart.translation import gettext as _


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


@dataclass(frozen=True, eq=False)
class Judgement:
    """What one part of the check-up has to say: findings, how each photo does, and figures with their thresholds."""

    findings: tuple[Finding, ...] = ()
    scores: tuple[PhotoScores, ...] = ()
    figures: tuple[Figure, ...] = ()


def judgement(finding: Finding | None, scores: PhotoScores | None = None, figure: Figure | None = None) -> Judgement:
    """A judgement of at most one of each."""
    return Judgement(
        () if finding is None else (finding,), () if scores is None else (scores,), () if figure is None else (figure,)
    )


def join_judgements(parts: Iterable[Judgement]) -> Judgement:
    """All of them as one."""
    listed = list(parts)
    return Judgement(
        tuple(one for part in listed for one in part.findings),
        tuple(one for part in listed for one in part.scores),
        tuple(one for part in listed for one in part.figures),
    )


def scores_of_rows(name: str, scores: ArrayLike, rows: Sequence[int]) -> PhotoScores:
    """The scores of all photos, of which those in `rows` are named."""
    values = np.asarray(scores, np.float64)
    is_found = np.zeros(len(values), np.bool_)
    is_found[list(rows)] = True
    return PhotoScores(name, values, is_found)


def compare_with_bound(values: ArrayLike, bound: float) -> NDArray[np.float64]:
    """Scores of what is better the larger it is: 0 for 0, one half at the bound, towards 1 above it."""
    numbers = np.asarray(values, np.float64)
    if not bound:
        return np.ones(len(numbers))
    ratios = numbers / bound
    return np.asarray(ratios / (1 + ratios), np.float64)


def make_figure(name: str, values: ArrayLike, threshold: float, num_found: int, *, is_low_worst: bool) -> Figure:
    """The middle and the worst of some values, beside the threshold of this name.

    Args:
        name: a field of `CheckConfig`.
        values: of the photos, classes or clues; those that are not finite are left out.
        threshold: what they are held against.
        num_found: how many photos, classes or clues are named.
        is_low_worst: whether low values are the bad ones.
    """
    numbers = np.asarray(values, np.float64)
    known = numbers[np.isfinite(numbers)]
    median = worst = None
    if len(known):
        median, worst = float(np.median(known)), float(known.min() if is_low_worst else known.max())
    return Figure(name, _(THRESHOLDS[name]), float(threshold), median, worst, num_found)


def number_tiles(groups: NDArray[np.int64], labels: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Equal numbers for photos that are shown as one: of one group and, where there are labels, of one class.

    Args:
        groups: ints, shape `(n,)`: equal numbers are copies, near-copies or of one burst.
        labels: ints, shape `(n,)`.
    """
    if labels is None:
        return groups
    keys = np.stack([groups, labels.astype(np.int64)], axis=1)
    return np.asarray(np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1), np.int64)


@dataclass(frozen=True)
class SingleWords:
    """What is said of photos one by one.

    Attributes:
        title: from their number to what was found.
        why: as in `Finding`.
        caption: from a row to what is said of that photo.
        action: as in `Finding`; a finding with `is_problem` has one.
    """

    title: Callable[[int], str]
    why: str
    caption: Callable[[int], str] = lambda row: ""
    is_problem: bool = False
    action: str = ""


def find_single(kind: str, rows: Sequence[int], tiles: NDArray[np.int64], words: SingleWords) -> Finding | None:
    """A finding about photos one by one; those that belong together and of which the same is said are one example.

    Args:
        kind: as in `Finding`.
        rows: of the photos, the first to be shown first.
        tiles: of the whole collection, as `number_tiles` gives them.
        words: what is said.
    """
    if not rows:
        return None
    together: dict[tuple[int, str], list[int]] = {}
    for row in rows:
        together.setdefault((int(tiles[row]), words.caption(row)), []).append(row)
    examples, captions = tuple(map(tuple, together.values())), tuple(caption for _tile, caption in together)
    title = words.title(len(rows))
    return Finding(kind, title, words.why, len(rows), examples, captions, words.is_problem, words.action, True)
