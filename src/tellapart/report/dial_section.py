"""What the page shows of thresholds: for each class a table, a slider, and two curves with their bands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tellapart.measure.intervals import grouped_interval
from tellapart.measure.measurement import Measurement
from tellapart.measure.number_words import per_thousand, threshold_text
from tellapart.measure.operating import (
    TABLE_THRESHOLDS,
    false_alarm_interval,
    missed_interval,
    point_at,
    point_for_missed,
)
from tellapart.measure.scores import OperatingCurve, OperatingPoint
from tellapart.measure.verdict import leading_class
from tellapart.photos.names import printable
from tellapart.records import Dial
from tellapart.report.svg import TradeOffPlot, trade_off_plot

# Each class takes about 20 kB of the page.
_MOST_CLASSES = 12
# Where the slider stops.
_STOPS = tuple(
    sorted(
        {0.001, 0.002, 0.005, 0.995, 0.998, 0.999}
        | {round(number / 100, 2) for number in (*range(1, 10), *range(10, 91, 5), *range(91, 100))}
    )
)
# Shares that may be missed for which the page says whether that can be promised.
_MAX_MISSED = (0.01, 0.02, 0.05, 0.1)
_Pair = tuple[float, float]


@dataclass(frozen=True)
class DialStop:
    """What one threshold does, in words: of 1,000 photos of the class missed, of 1,000 others called by its name.

    `is_row` says whether the table has it; the places are those of its marks in the two curves.
    """

    threshold: str
    missed: str
    missed_range: str
    false_alarms: str
    false_alarms_range: str
    is_row: bool
    roc: tuple[float, float]
    precision_recall: tuple[float, float]

    @property
    def words(self) -> tuple[str, ...]:
        """What changes with the slider, in the order in which the page numbers it."""
        return self.threshold, self.missed, self.missed_range, self.false_alarms, self.false_alarms_range


@dataclass(frozen=True)
class MissedPromise:
    """The largest threshold for a share that may be missed; `threshold` is `None` with too few photos to promise it."""

    max_missed: float
    threshold: str | None
    false_alarms: str


@dataclass(frozen=True)
class DialCard:
    """All the page says about a threshold for one class.

    Attributes:
        class_name: the class.
        num_photos, num_independent: photos of it that the model was measured on.
        stops: where the slider stops, the lowest threshold first.
        start: the stop at which it begins: the threshold of the model, else one half.
        promises: for some shares that may be missed.
        roc, precision_recall: the curves.
    """

    class_name: str
    num_photos: int
    num_independent: int
    stops: tuple[DialStop, ...]
    start: int
    promises: tuple[MissedPromise, ...]
    roc: TradeOffPlot
    precision_recall: TradeOffPlot


def dial_cards(measurement: Measurement, dial: Dial | None = None) -> tuple[DialCard, ...]:
    """The cards of up to 12 classes: the one with a threshold, a rare one, then those found least.

    Args:
        measurement: at least one photo.
        dial: of the model.
    """
    first = leading_class(measurement.evaluation)
    recalls = {score.class_name: score.recall or 0.0 for score in measurement.evaluation.per_class}

    def order(curve: OperatingCurve) -> tuple[bool, bool, float]:
        has_dial = dial is not None and curve.class_name == dial.class_name
        return not has_dial, first is None or curve.class_name != first.class_name, recalls[curve.class_name]

    curves = sorted(measurement.operating, key=order)[:_MOST_CLASSES]
    return tuple(_make_card(measurement, curve, dial) for curve in curves)


def card_data(cards: Sequence[DialCard]) -> list[dict[str, Any]]:
    """For the script: of each card its class and its stops, of each stop its words and its places in the curves."""
    stops = [[[*stop.words, *stop.roc, *stop.precision_recall] for stop in card.stops] for card in cards]
    return [{"name": printable(card.class_name), "stops": own} for card, own in zip(cards, stops, strict=True)]


def _make_card(measurement: Measurement, curve: OperatingCurve, dial: Dial | None) -> DialCard:
    own = dial.threshold if dial is not None and dial.class_name == curve.class_name else None
    thresholds = sorted({*_STOPS, *(() if own is None else (own,))})
    start = 0.5 if own is None else own
    return DialCard(
        class_name=curve.class_name,
        num_photos=curve.num_photos,
        num_independent=int(curve.num_independent),
        stops=tuple(_stop(curve, threshold) for threshold in thresholds),
        start=thresholds.index(start),
        promises=tuple(_promise(curve, share) for share in _MAX_MISSED),
        roc=_roc(curve),
        precision_recall=_precision_recall(measurement, curve),
    )


def _stop(curve: OperatingCurve, threshold: float) -> DialStop:
    point = point_at(curve, threshold)
    missed, alarms = point.num_missed / curve.num_photos, point.num_false_alarms / curve.num_others
    return DialStop(
        threshold_text(threshold),
        per_thousand(missed),
        _range(missed_interval(curve, point)),
        per_thousand(alarms),
        _range(false_alarm_interval(curve, point)),
        threshold in TABLE_THRESHOLDS,
        TradeOffPlot.place(alarms, 1 - missed),
        TradeOffPlot.place(1 - missed, _precision(curve, point)),
    )


def _range(interval: tuple[float, float]) -> str:
    return "\u2013".join(map(per_thousand, interval))


def _promise(curve: OperatingCurve, max_missed: float) -> MissedPromise:
    point = point_for_missed(curve, max_missed)
    if point is None:
        return MissedPromise(max_missed, None, "")
    alarms = per_thousand(point.num_false_alarms / curve.num_others)
    return MissedPromise(max_missed, threshold_text(point.threshold), alarms)


def _precision(curve: OperatingCurve, point: OperatingPoint) -> float:
    """The share of photos called by the name of the class that are of it; 1 where none is."""
    num_found = curve.num_photos - point.num_missed
    return num_found / max(1, num_found + point.num_false_alarms) if num_found or point.num_false_alarms else 1.0


def _roc(curve: OperatingCurve) -> TradeOffPlot:
    """Found photos (y) by false alarms (x); its band joins the intervals of each threshold.

    The band runs through the corners of the boxes that the two intervals of a threshold make (Macskassy and Provost
    2004, "Confidence bands for ROC curves", section 3.2, with Wilson's intervals by independent photos): it holds the
    point of each threshold with 95 % in either direction, not the whole curve at once.
    """
    line, upper, lower = [(0.0, 0.0)], list[_Pair](), list[_Pair]()
    for point in reversed(curve.points):
        low_missed, high_missed = missed_interval(curve, point)
        low_alarm, high_alarm = false_alarm_interval(curve, point)
        line.append((point.num_false_alarms / curve.num_others, 1 - point.num_missed / curve.num_photos))
        upper.append((low_alarm, 1 - low_missed))
        lower.append((high_alarm, 1 - high_missed))
    line.append((1.0, 1.0))
    upper = [(0.0, upper[0][1]), *upper, (1.0, 1.0)]
    lower = [(lower[0][0], 0.0), *lower, (1.0, lower[-1][1])]
    return trade_off_plot(line, upper, lower)


def _precision_recall(measurement: Measurement, curve: OperatingCurve) -> TradeOffPlot:
    """Precision (y) by recall (x); its band is the interval of the precision at each threshold.

    The interval is Wilson's, by the independent ones among the photos that are called by the name of the class.
    """
    names = [score.class_name for score in measurement.evaluation.per_class]
    label = names.index(curve.class_name)
    shares, is_class = measurement.probabilities[:, label].astype(np.float64), measurement.labels == label
    line, upper, lower = list[_Pair](), list[_Pair](), list[_Pair]()
    for point in reversed(curve.points):
        is_called = shares >= point.threshold
        recall = 1 - point.num_missed / curve.num_photos
        if not is_called.any() or (line and line[-1] == (recall, _precision(curve, point))):
            continue
        low, high = grouped_interval(is_class[is_called], measurement.groups[is_called])
        line.append((recall, _precision(curve, point)))
        upper.append((recall, high))
        lower.append((recall, low))
    return trade_off_plot(line, upper, lower)
