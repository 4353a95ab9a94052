"""Which class the model takes for which, as a table with photos of its cells."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tellapart.measure.measurement import Measurement
from tellapart.measure.scores import Evaluation
from tellapart.report.pictures import Album, ShownPhoto

MOST_CLASSES_OPEN = 20
_MOST_CLASSES_IN_ORDER = 12
# Cells of the confusion matrix that get example photos.
_MOST_CELLS = 40
_MOST_CLASSES = 150  # a table of more cells is slow to open, and nobody reads it
_MOST_CLASSES_WITH_RIGHT = 12
_MOST_MIX_UPS, _MOST_EXAMPLES = 40, 4
_NUM_DEPTHS = 9


@dataclass(frozen=True)
class Cell:
    """One cell: its count, its depth of colour from 0 to 9, and the id of its examples where the page shows some."""

    count: int
    depth: int
    examples_id: str | None


@dataclass(frozen=True)
class MixUp:
    """Photos of one class that the model takes for another, or for what they are.

    Attributes:
        examples_id: names it within the page.
        label, predicted: the two classes.
        num_photos: how many there are, of `num_of_class` photos with that label.
        photos: some of them.
    """

    examples_id: str
    label: int
    predicted: int
    num_photos: int
    num_of_class: int
    photos: tuple[ShownPhoto, ...]


@dataclass(frozen=True)
class Matrix:
    """All the page says about which class is taken for which.

    Attributes:
        rows: `[label][predicted]`; empty where there are too many classes for a table.
        mix_ups: the most frequent first, at most 40.
        num_more: further pairs of classes that are mixed up.
        right: examples of right answers, for up to 12 classes.
        is_open: whether the table is small enough to be shown at once.
    """

    rows: tuple[tuple[Cell, ...], ...]
    mix_ups: tuple[MixUp, ...]
    num_more: int
    right: tuple[MixUp, ...]
    is_open: bool


def examples_of_cells(measurement: Measurement) -> dict[tuple[int, int], list[int]]:
    """Rows of some photos of each cell of the confusion matrix; the cells with the most mistakes, then the others."""
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place in np.argsort(-measurement.probabilities.max(axis=1), kind="stable"):
        cells[int(measurement.labels[place]), int(measurement.predicted[place])].append(int(measurement.rows[place]))
    order = sorted(sorted(cells), key=lambda cell: (cell[0] == cell[1], -len(cells[cell])))
    return {cell: cells[cell][:_MOST_EXAMPLES] for cell in order[:_MOST_CELLS]}


def class_order(evaluation: Evaluation) -> tuple[int, ...]:
    """The classes as a table lists them: from 13 on those found least come first."""
    scores = evaluation.per_class
    if len(scores) <= _MOST_CLASSES_IN_ORDER:
        return tuple(range(len(scores)))
    recalls = [2.0 if score.recall is None else score.recall for score in scores]
    return tuple(sorted(range(len(scores)), key=recalls.__getitem__))


def make_matrix(evaluation: Evaluation, examples: Mapping[tuple[int, int], list[int]], album: Album) -> Matrix:
    """The matrix and its examples.

    Args:
        evaluation: of at least 1 class.
        examples: rows of photos by `(label, predicted)`.
        album: now holds the examples that are shown.
    """
    counts = evaluation.confusion_matrix
    pairs = [
        (label, predicted)
        for label, row in enumerate(counts)
        for predicted, number in enumerate(row)
        if number and label != predicted
    ]
    pairs.sort(key=lambda pair: -counts[pair[0]][pair[1]])
    shown = [_mix_up(pair, counts, examples, album) for pair in pairs[:_MOST_MIX_UPS]]
    right: list[MixUp] = []
    if len(counts) <= _MOST_CLASSES_WITH_RIGHT:
        diagonal = [(label, label) for label in range(len(counts)) if examples.get((label, label))]
        right = [_mix_up(pair, counts, examples, album) for pair in diagonal]
    ids = {(one.label, one.predicted): one.examples_id for one in (*shown, *right)}
    rows: tuple[tuple[Cell, ...], ...] = ()
    if len(counts) <= _MOST_CLASSES:
        rows = tuple(matrix_cells(label, row, ids) for label, row in enumerate(counts))
    return Matrix(rows, tuple(shown), len(pairs) - len(shown), tuple(right), len(counts) <= MOST_CLASSES_OPEN)


def _mix_up(
    pair: tuple[int, int],
    counts: tuple[tuple[int, ...], ...],
    examples: Mapping[tuple[int, int], list[int]],
    album: Album,
) -> MixUp:
    label, predicted = pair
    photos = tuple(album.show(row) for row in examples.get(pair, ()))
    return MixUp(f"mix-{label}-{predicted}", label, predicted, counts[label][predicted], sum(counts[label]), photos)


def matrix_cells(label: int, counts: tuple[int, ...], ids: Mapping[tuple[int, int], str]) -> tuple[Cell, ...]:
    """A row of the matrix: its counts, and by `(label, predicted)` the ids of their examples."""
    total = max(1, sum(counts))
    return tuple(
        Cell(number, _depth(number / total), ids.get((label, predicted))) for predicted, number in enumerate(counts)
    )


def _depth(share: float) -> int:
    """0 without photos, else 1 to 9 by the square root of the share, so that rare mistakes show."""
    return 0 if share <= 0 else max(1, round(math.sqrt(share) * _NUM_DEPTHS))
