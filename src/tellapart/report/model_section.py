"""What the page shows of a model: its numbers, which class it takes for which, its mistakes and its doubts."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.measure.measurement import Measurement
from tellapart.measure.scores import ClassScore, Evaluation
from tellapart.measure.verdict import weakest_class
from tellapart.report.pictures import Album, ShownPhoto
from tellapart.report.svg import CurvePlot, ReliabilityPlot, Ruler, curve_plot, make_ruler, reliability_plot
from tellapart.report.wording import NotSure, not_sure_offer, not_sure_table

MOST_CLASSES_OPEN = 20
_MOST_MISTAKES, _MOST_UNSURE = 24, 12
# From this probability on the model is said to be sure.
SURE = 0.8
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


@dataclass(frozen=True)
class AnswerCard:
    """A photo and what the model said of it.

    Attributes:
        photo: the photo, of several that belong together the first.
        heatmap_id: of the picture where the model looked; `None` where there is none.
        label, predicted: its class, and the one it was given.
        probability: of the class it was given.
        other_rows: further photos of its group, such as copies, that the card stands for.
    """

    photo: ShownPhoto
    heatmap_id: str | None
    label: int
    predicted: int
    probability: float
    other_rows: tuple[int, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """The photo, and those that the card stands for besides."""
        return (self.photo.row, *self.other_rows)


@dataclass(frozen=True)
class ModelView:
    """What the page shows of a measurement, worked out.

    Attributes:
        ruler: the interval beside guessing.
        even_log_loss: the log-loss of giving every class the same chance, in nats.
        num_mistakes: all there are, of which `mistakes` are the surest.
        weakest: the class that is missed most, or `None`.
        class_order: the classes as the table lists them: the worst first where they are many.
        matrix, reliability, curve: figures; `None` where there is nothing to draw.
        not_sure: the table, and the line of it that the head mentions.
        sure_mistakes, other_mistakes: wrong answers with a probability of at least `SURE`, and the others, the surest
            first; `num_more` further ones are not shown. `unsure` has the lowest probabilities. Copies share a card.
    """

    ruler: Ruler
    even_log_loss: float
    num_mistakes: int
    weakest: ClassScore | None
    class_order: tuple[int, ...]
    matrix: Matrix
    reliability: ReliabilityPlot | None
    curve: CurvePlot | None
    not_sure: tuple[NotSure, ...]
    offer: NotSure | None
    sure_mistakes: tuple[AnswerCard, ...]
    other_mistakes: tuple[AnswerCard, ...]
    num_more: int
    unsure: tuple[AnswerCard, ...]


def make_view(measurement: Measurement, album: Album) -> ModelView:
    """The view of a measurement.

    Args:
        measurement: at least one photo.
        album: has the photos of `shown_rows`; now holds those that are shown.
    """
    evaluation, curve = measurement.evaluation, measurement.method.curve
    not_sure = not_sure_table(measurement)
    wrong = _answer_cards(measurement, _surest_mistakes(measurement), album)
    return ModelView(
        ruler=make_ruler(evaluation.accuracy, evaluation.interval_95, evaluation.constant_accuracy),
        even_log_loss=math.log(max(1, len(evaluation.per_class))),
        num_mistakes=int((~measurement.is_right).sum()),
        weakest=weakest_class(evaluation),
        class_order=_class_order(evaluation),
        matrix=make_matrix(evaluation, _examples(measurement), album),
        reliability=reliability_plot(measurement.reliability) if measurement.reliability.bins else None,
        curve=curve_plot(curve) if curve and curve.measured else None,
        not_sure=not_sure,
        offer=not_sure_offer(measurement, not_sure),
        sure_mistakes=tuple(card for card in wrong if card.probability >= SURE),
        other_mistakes=tuple(card for card in wrong if card.probability < SURE),
        num_more=int((~measurement.is_right).sum()) - sum(len(card.rows) for card in wrong),
        unsure=_answer_cards(measurement, _least_sure(measurement), album),
    )


def answer_rows(measurement: Measurement) -> list[int]:
    """Rows of the photos whose answers the page shows, each once: mistakes and doubts."""
    places = [*_surest_mistakes(measurement), *_least_sure(measurement)]
    return list(dict.fromkeys(measurement.rows[places].tolist()))


def shown_rows(measurement: Measurement) -> list[int]:
    """Rows of all photos that the page shows for the model, or that a photo it shows stands for, each once."""
    folded = _folded_rows(measurement, np.concatenate([_surest_mistakes(measurement), _least_sure(measurement)]))
    shown = [*folded, *_examples(measurement).values()]
    return list(dict.fromkeys([*answer_rows(measurement), *(row for rows in shown for row in rows)]))


def _surest_mistakes(measurement: Measurement) -> NDArray[np.int64]:
    """Places of the wrong answers it was surest of, the surest first."""
    wrong = np.flatnonzero(~measurement.is_right)
    best = measurement.probabilities.max(axis=1)
    return _fold(measurement, wrong[np.argsort(-best[wrong], kind="stable")])[:_MOST_MISTAKES]


def _least_sure(measurement: Measurement) -> NDArray[np.int64]:
    """Places of the answers it was least sure of, right or wrong."""
    return _fold(measurement, np.argsort(measurement.probabilities.max(axis=1), kind="stable"))[:_MOST_UNSURE]


def _fold(measurement: Measurement, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places without those that follow another of their group with the same label and the same answer."""
    return places[np.sort(np.unique(measurement.cards[places], return_index=True)[1])]


def _folded_rows(measurement: Measurement, places: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """For each place the rows of the other photos that it stands for."""
    cards = measurement.cards
    of_card = {int(card): np.flatnonzero(cards == card) for card in np.unique(cards[places])}
    return [
        tuple(measurement.rows[other].item() for other in of_card[int(cards[place])] if other != place)
        for place in places.tolist()
    ]


def _examples(measurement: Measurement) -> dict[tuple[int, int], list[int]]:
    """Rows of some photos of each cell of the confusion matrix; the cells with the most mistakes, then the others."""
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place in np.argsort(-measurement.probabilities.max(axis=1), kind="stable"):
        cells[int(measurement.labels[place]), int(measurement.predicted[place])].append(int(measurement.rows[place]))
    order = sorted(sorted(cells), key=lambda cell: (cell[0] == cell[1], -len(cells[cell])))
    return {cell: cells[cell][:_MOST_EXAMPLES] for cell in order[:_MOST_CELLS]}


def _answer_cards(measurement: Measurement, places: NDArray[np.int64], album: Album) -> tuple[AnswerCard, ...]:
    best = measurement.probabilities.max(axis=1)
    rows, labels, predicted = (
        some[places].tolist() for some in (measurement.rows, measurement.labels, measurement.predicted)
    )
    others = _folded_rows(measurement, places)
    return tuple(
        AnswerCard(album.show(row), album.show_heatmap(row), label, answer, float(best[place]), folded)
        for place, row, label, answer, folded in zip(places, rows, labels, predicted, others, strict=True)
    )


def _class_order(evaluation: Evaluation) -> tuple[int, ...]:
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
        rows = tuple(_cells(label, row, ids) for label, row in enumerate(counts))
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


def _cells(label: int, counts: tuple[int, ...], ids: Mapping[tuple[int, int], str]) -> tuple[Cell, ...]:
    total = max(1, sum(counts))
    return tuple(
        Cell(number, _depth(number / total), ids.get((label, predicted))) for predicted, number in enumerate(counts)
    )


def _depth(share: float) -> int:
    """0 without photos, else 1 to 9 by the square root of the share, so that rare mistakes show."""
    return 0 if share <= 0 else max(1, round(math.sqrt(share) * _NUM_DEPTHS))
