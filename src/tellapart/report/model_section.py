"""What the page shows of a model: its numbers, which class it takes for which, its mistakes and its doubts."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.measure.measurement import Measurement
from tellapart.measure.scores import ClassScore
from tellapart.measure.verdict import weakest_class
from tellapart.report.confusion import Matrix, class_order, examples_of_cells, make_matrix
from tellapart.report.pictures import Album, ShownPhoto
from tellapart.report.print_summary import PrintSummary, make_print_summary, summary_rows
from tellapart.report.svg import CurvePlot, ReliabilityPlot, Ruler, curve_plot, make_ruler, reliability_plot
from tellapart.report.wording import NotSure, not_sure_offer, not_sure_table

_MOST_MISTAKES, _MOST_UNSURE = 24, 12
# From this probability on the model is said to be sure.
SURE = 0.8


@dataclass(frozen=True)
class AnswerCard:
    """A photo and what the model said of it.

    Attributes:
        photo: the photo, of several that belong together the first.
        heatmap_id: of the picture where the model looked; `None` where there is nothing to see.
        map_state: `clear`, or why there is nothing to see: `none`, `coarse` or `flat`.
        label, predicted: its class, and the one it was given.
        probability: of the class it was given.
        other_rows: further photos of its group, such as copies, that the card stands for.
    """

    photo: ShownPhoto
    heatmap_id: str | None
    map_state: str
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
        summary: the first sheet of a printed page.
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
    summary: PrintSummary
    matrix: Matrix
    reliability: ReliabilityPlot | None
    curve: CurvePlot | None
    not_sure: tuple[NotSure, ...]
    offer: NotSure | None
    sure_mistakes: tuple[AnswerCard, ...]
    other_mistakes: tuple[AnswerCard, ...]
    num_more: int
    unsure: tuple[AnswerCard, ...]

    @property
    def map_states(self) -> frozenset[str]:
        """What there is of maps among the answers that are shown."""
        return frozenset(card.map_state for card in (*self.sure_mistakes, *self.other_mistakes, *self.unsure))


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
        class_order=class_order(evaluation),
        summary=make_print_summary(measurement, album),
        matrix=make_matrix(evaluation, examples_of_cells(measurement), album),
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
    shown = [*folded, *examples_of_cells(measurement).values(), summary_rows(measurement)]
    return list(dict.fromkeys([*answer_rows(measurement), *(row for rows in shown for row in rows)]))


def _surest_mistakes(measurement: Measurement) -> NDArray[np.int64]:
    """Places of the wrong answers it was surest of, the surest first."""
    wrong = np.flatnonzero(~measurement.is_right)
    best = measurement.probabilities.max(axis=1)
    return measurement.without_copies(wrong[np.argsort(-best[wrong], kind="stable")])[:_MOST_MISTAKES]


def _least_sure(measurement: Measurement) -> NDArray[np.int64]:
    """Places of the answers it was least sure of, right or wrong."""
    return measurement.without_copies(np.argsort(measurement.probabilities.max(axis=1), kind="stable"))[:_MOST_UNSURE]


def _folded_rows(measurement: Measurement, places: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """For each place the rows of the other photos that it stands for."""
    cards = measurement.cards
    of_card = {int(card): np.flatnonzero(cards == card) for card in np.unique(cards[places])}
    return [
        tuple(measurement.rows[other].item() for other in of_card[int(cards[place])] if other != place)
        for place in places.tolist()
    ]


def _answer_cards(measurement: Measurement, places: NDArray[np.int64], album: Album) -> tuple[AnswerCard, ...]:
    best = measurement.probabilities.max(axis=1)
    rows, labels, predicted = (
        some[places].tolist() for some in (measurement.rows, measurement.labels, measurement.predicted)
    )
    others = _folded_rows(measurement, places)
    return tuple(
        AnswerCard(
            album.show(row),
            album.show_heatmap(row),
            album.map_state(row),
            label,
            answer,
            float(best[place]),
            folded,
        )
        for place, row, label, answer, folded in zip(places, rows, labels, predicted, others, strict=True)
    )
