"""The first page of a printed report: every class with three photos, how many are found, and what it is taken for."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tellapart.measure.measurement import Measurement
from tellapart.measure.scores import ClassScore, Evaluation
from tellapart.report.confusion import Cell, class_order, matrix_cells
from tellapart.report.pictures import Album, ShownPhoto

# What one sheet has room for, and from how many classes its columns are numbered instead of named.
MOST_ROWS, _MOST_NAMED_COLUMNS = 20, 6
_PHOTOS_OF_CLASS = 3
_STEPS = (4, 8, 12, MOST_ROWS)


@dataclass(frozen=True)
class SummaryRow:
    """A class on the sheet.

    Attributes:
        number: of its row and column, from 1.
        score: how it is found.
        photos: up to 3, those it is surest of first.
        cells: its row of the confusion matrix; empty where there are more classes than the sheet has room for.
        taken_for: the class it is most often taken for and how often; `None` where it is always found.
    """

    number: int
    score: ClassScore
    photos: tuple[ShownPhoto, ...]
    cells: tuple[Cell, ...]
    taken_for: tuple[str, int] | None


@dataclass(frozen=True)
class PrintSummary:
    """The sheet.

    Attributes:
        rows: at most `MOST_ROWS` classes: all of them, or those that are found least.
        num_more: classes that have no row.
        has_names: whether columns are named and not numbered.
        room_for: so many rows have room: 4, 8, 12 or 20; the fewer, the taller their photos.
    """

    rows: tuple[SummaryRow, ...]
    num_more: int
    has_names: bool
    room_for: int


def make_print_summary(measurement: Measurement, album: Album) -> PrintSummary:
    """The sheet of a measurement.

    Args:
        measurement: at least one photo.
        album: has the photos of `summary_rows`; now holds them.
    """
    evaluation = measurement.evaluation
    labels = _labels(evaluation)
    num_more = len(evaluation.per_class) - len(labels)
    rows_of = _photos_of(measurement, labels)
    rows = tuple(
        SummaryRow(
            number,
            evaluation.per_class[label],
            tuple(album.show(row) for row in rows_of[label]),
            () if num_more else matrix_cells(label, evaluation.confusion_matrix[label], {}),
            _taken_for(evaluation, label),
        )
        for number, label in enumerate(labels, start=1)
    )
    room_for = next(most for most in _STEPS if len(rows) <= most)
    return PrintSummary(rows, num_more, len(rows) <= _MOST_NAMED_COLUMNS, room_for)


def summary_rows(measurement: Measurement) -> list[int]:
    """Rows of the photos on the sheet."""
    return [row for rows in _photos_of(measurement, _labels(measurement.evaluation)).values() for row in rows]


def _labels(evaluation: Evaluation) -> tuple[int, ...]:
    """The classes on the sheet: all in their order, or those that are found least."""
    if len(evaluation.per_class) <= MOST_ROWS:
        return tuple(range(len(evaluation.per_class)))
    return class_order(evaluation)[:MOST_ROWS]


def _photos_of(measurement: Measurement, labels: Iterable[int]) -> dict[int, list[int]]:
    """For each class the rows of up to 3 photos: right answers first, the surest first, and no two that are copies."""
    best = measurement.probabilities.max(axis=1)
    order = measurement.without_copies(np.lexsort((-best, ~measurement.is_right)))
    return {
        label: measurement.rows[order[measurement.labels[order] == label][:_PHOTOS_OF_CLASS]].tolist()
        for label in labels
    }


def _taken_for(evaluation: Evaluation, label: int) -> tuple[str, int] | None:
    wrong = [0 if answer == label else number for answer, number in enumerate(evaluation.confusion_matrix[label])]
    most = max(wrong)
    return (evaluation.per_class[wrong.index(most)].class_name, most) if most else None
