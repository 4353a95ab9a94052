"""Where the marks of the page's figures stand; the templates draw them, in colours that follow the reader's theme.

All coordinates are units of a drawing that is 400 wide, y downwards, rounded to a tenth.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tellapart.measure.number_words import count_photos, percent, round_percent
from tellapart.measure.scores import LearningCurve, Reliability
from tellapart.translation import gettext as _

LEFT, RIGHT, TOP, BOTTOM = 46.0, 378.0, 30.0, 236.0
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_TICKS = 6
WIDTH = 400.0
_LEAST_GAP = 8.0  # between two numbers below the axis
_LETTER = 7.6  # width of a digit, at most
_NOW_WIDTH = 36.0
_LEAST_SPAN = 0.01


@dataclass(frozen=True)
class Tick:
    """A place on an axis and the number there: its `middle`, or its `end` where the drawing ends."""

    place: float
    text: str
    anchor: str = "middle"

    @property
    def extent(self) -> tuple[float, float]:
        """Where a number below the axis begins and ends, at most."""
        width = _LETTER * len(self.text)
        start = self.place - width / 2 if self.anchor == "middle" else self.place + 4 - width
        return start, start + width


@dataclass(frozen=True)
class Mark:
    """A point, and the ends of its interval on the y axis."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class ReliabilityPlot:
    """How often the model is right (y) when it is so sure (x): marks, and the line on which the two are the same."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    line: tuple[float, float, float, float]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class CurvePlot:
    """Mistakes (y) by number of photos (x, logarithmic).

    Attributes:
        x_ticks, y_ticks: the numbers along the axes.
        points: of the models that were tried.
        known, beyond: `points` of the fitted polyline up to the photos there are, and from there on.
        band: `points` of the polygon between the bounds; all three empty without a fit.
        now: where the photos there are stand on the x axis.
        is_now_left: whether its name has room on the left of it.
    """

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Mark, ...]
    known: str
    beyond: str
    band: str
    now: float
    is_now_left: bool


@dataclass(frozen=True)
class TradeOffPlot:
    """Two shares against each other, both from 0 to 1.

    Attributes:
        ticks: the numbers along both axes: the place on x, the place on y, and the number.
        line: `points` of the polyline.
        band: `points` of the polygon between its bounds.
    """

    ticks: tuple[tuple[float, float, str], ...]
    line: str
    band: str

    @staticmethod
    def place(x: float, y: float) -> tuple[float, float]:
        """Where a pair of shares is."""
        return _x(x, 0, 1), _y(y, 0, 1)


@dataclass(frozen=True)
class Ruler:
    """An interval on a line from `start` to 1; places in percent of its width.

    `baseline` is the place of guessing, `low` and `high` bound the accuracy, which is at `middle`.
    """

    start: float
    baseline: float
    low: float
    middle: float
    high: float


def reliability_plot(reliability: Reliability) -> ReliabilityPlot:
    """The plot of bins that are not empty.

    Args:
        reliability: with at least 1 bin.
    """
    bins = reliability.bins
    lowest = min(min(one.mean_probability, one.interval_95[0]) for one in bins)
    start = max(0.0, math.floor(min(lowest, 0.95) * 10) / 10)
    marks = tuple(
        Mark(
            _x(one.mean_probability, start, 1),
            _y(one.accuracy, start, 1),
            _y(one.interval_95[0], start, 1),
            _y(one.interval_95[1], start, 1),
            _("{photos}: said {said}, right {right}").format(
                photos=count_photos(one.num_photos), said=percent(one.mean_probability), right=percent(one.accuracy)
            ),
        )
        for one in bins
    )
    values = ticks_between(start, 1)
    x_ticks = tuple(Tick(_x(value, start, 1), round_percent(round(value, 4))) for value in values)
    y_ticks = tuple(Tick(_y(value, start, 1), round_percent(round(value, 4))) for value in values)
    return ReliabilityPlot(x_ticks, y_ticks, (LEFT, BOTTOM, RIGHT, TOP), marks)


def curve_plot(curve: LearningCurve) -> CurvePlot:
    """The plot of a curve.

    Args:
        curve: with at least 1 measured model.
    """
    now = curve.num_photos
    numbers = [now, *(number for number, error in curve.measured)]
    numbers += [point.num_photos for point in curve.fitted[:1] + curve.fitted[-1:]]
    first, last = math.log(max(1, min(numbers))), math.log(max(2, *numbers))
    highest = max([error for number, error in curve.measured] + [point.high for point in curve.fitted[:1]])
    highest = max(min(1.0, max(highest, *(point.error for point in curve.fitted), 0) * 1.08), _LEAST_SPAN)

    def place(number: int, error: float) -> tuple[float, float]:
        return _x(math.log(max(1, number)), first, last), _y(min(error, highest), 0, highest)

    place_of_now = _x(math.log(max(1, now)), first, last)
    points = tuple(
        Mark(
            *place(number, error),
            0,
            0,
            _("{photos}: {share} wrong").format(photos=count_photos(number), share=percent(error)),
        )
        for number, error in curve.measured
    )
    fitted = sorted(curve.fitted, key=lambda point: point.num_photos)
    line = [place(point.num_photos, point.error) for point in fitted]
    is_known = [point.num_photos <= now for point in fitted]
    num_known = sum(is_known)
    upper = [place(point.num_photos, point.high) for point in fitted]
    lower = [place(point.num_photos, point.low) for point in fitted]
    return CurvePlot(
        x_ticks=_photo_ticks(numbers, now, first, last),
        y_ticks=tuple(
            Tick(_y(value, 0, highest), round_percent(round(value, 5))) for value in ticks_between(0, highest)
        ),
        points=points,
        known=_joined(line[:num_known]),
        beyond=_joined(line[max(0, num_known - 1) :]),
        band=_joined([*upper, *reversed(lower)]),
        now=place_of_now,
        is_now_left=place_of_now - _NOW_WIDTH > LEFT,
    )


def trade_off_plot(
    line: Sequence[tuple[float, float]], upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]]
) -> TradeOffPlot:
    """The plot of a curve of shares, and of the upper and the lower end of its band.

    Args:
        line, upper, lower: pairs of shares in order; at least one.
    """
    values = (0, 0.2, 0.4, 0.6, 0.8, 1)
    ticks = tuple((*TradeOffPlot.place(value, value), round_percent(value)) for value in values)
    places = [[TradeOffPlot.place(*pair) for pair in pairs] for pairs in (line, upper, lower)]
    # Pairs that fall on one place are drawn once.
    own, above, below = (list(dict.fromkeys(some)) for some in places)
    return TradeOffPlot(ticks, _joined(own), _joined([*above, *reversed(below)]))


def make_ruler(accuracy: float, interval: tuple[float, float], baseline: float) -> Ruler:
    """The ruler from guessing, or from a little below the interval where that is worse, to always being right."""
    start = min(baseline, max(0.0, interval[0] - 0.05))

    def place(value: float) -> float:
        return round(100 * (value - start) / max(1 - start, 1e-9), 2)

    return Ruler(start, place(baseline), place(interval[0]), place(accuracy), place(interval[1]))


def ticks_between(low: float, high: float) -> tuple[float, ...]:
    """At most 6 round numbers within `[low, high]`, evenly spaced.

    Args:
        low, high: `low` is smaller.
    """
    rough = (high - low) / (_MOST_TICKS - 1)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in _STEPS if factor * magnitude >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    number = math.floor(high / step + 1e-9) - first
    return tuple((first + index) * step for index in range(number + 1))


def _photo_ticks(numbers: Sequence[int], now: int, first: float, last: float) -> tuple[Tick, ...]:
    """Numbers of photos along the axis: what there is now, both ends, and of those tried what has room."""
    places: list[Tick] = []
    for number in (now, max(numbers), min(numbers), *sorted(number for number in numbers if number < now)):
        tick = Tick(_x(math.log(max(1, number)), first, last), f"{number:,}")
        if tick.extent[1] > WIDTH:
            tick = replace(tick, anchor="end")
        if all(_gap(tick.extent, other.extent) >= _LEAST_GAP for other in places):
            places.append(tick)
    return tuple(sorted(places, key=lambda tick: tick.place))


def _gap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Room between two extents; negative where they overlap."""
    return max(other[0] - one[1], one[0] - other[1])


def _x(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return round(LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, share)), 1)


def _y(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return round(BOTTOM - (BOTTOM - TOP) * min(1.0, max(0.0, share)), 1)


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
