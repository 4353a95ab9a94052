"""Recipes side by side: how right, how long to train, how fast, how large, and what the paired tests say."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from tellapart.measure.mcnemar import describe_test
from tellapart.measure.number_words import percent
from tellapart.measure.scores import Comparison, PairedTest, RecipeResult
from tellapart.report.figures import INK, PALETTE, drawable, drawn_language, new_figure, style_axes
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop

_LONGEST_NAME = 28
_ROW_INCHES = 0.55
_LINE_INCHES = 0.2
_CHARACTERS_PER_INCH = 12.5  # of the caption
_LARGEST_RATIO = 10.0  # above it an axis is logarithmic
_TIME_UNITS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))
_SPEED_UNITS = ((1.0, gettext_noop("photos/s")),)
_SIZE_UNITS = ((1e3, "kB"), (1e6, "MB"), (1e9, "GB"))

_Units = Sequence[tuple[float, str]]


@drawn_language()
def draw_comparison(comparison: Comparison) -> Figure:
    """Four panels that share the recipe names, and below them what the tests say.

    Validation accuracy with its 95 % interval, training time, prediction speed and model size. Where the longest bar
    would be more than 10 times the shortest, the axis is logarithmic and the bars become points, for a bar there has no
    honest start.

    Args:
        comparison: 1 recipe or more, drawn from top to bottom.
    """
    results = comparison.results
    names = [drawable(result.recipe, longest=_LONGEST_NAME) for result in results]
    width = 10.5 + 0.09 * max(map(len, names))
    lines = _caption_lines(comparison.tests, round(width * _CHARACTERS_PER_INCH))
    figure = new_figure(width, 1.6 + _ROW_INCHES * len(results) + _LINE_INCHES * len(lines))
    panels = figure.subplots(1, 4, sharey=True, width_ratios=(1.35, 1, 1, 1))
    _draw_accuracy(panels[0], results)
    _draw_amounts(panels[1], _("Training time"), [result.train_seconds for result in results], _TIME_UNITS)
    _draw_amounts(panels[2], _("Prediction"), [result.photos_per_second for result in results], _SPEED_UNITS)
    _draw_amounts(panels[3], _("Model size"), [float(result.model_bytes) for result in results], _SIZE_UNITS)
    panels[0].set_yticks(range(len(names)), names, color=INK, fontsize=11)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    figure.supxlabel("\n".join(lines), x=0.012, ha="left", fontsize=10, color=INK, linespacing=1.4)
    return figure


def _caption_lines(tests: Sequence[PairedTest], longest: int) -> list[str]:
    lines: list[str] = []
    for test in tests:
        first, second = drawable(test.first, _LONGEST_NAME), drawable(test.second, _LONGEST_NAME)
        sentence = describe_test(replace(test, first=first, second=second))
        lines += textwrap.wrap(sentence, longest, subsequent_indent="    ", break_long_words=False)
    return lines


def _colour(place: int) -> str:
    return PALETTE[place % (len(PALETTE) - 1)]


def _draw_accuracy(axes: Axes, results: Sequence[RecipeResult]) -> None:
    for place, result in enumerate(results):
        accuracy, (low, high) = result.validation.accuracy, result.validation.interval_95
        colour = _colour(place)
        axes.plot([low, high], [place, place], color=colour, linewidth=2, marker="|", markersize=9, markeredgewidth=2)
        axes.plot(accuracy, place, color=colour, marker="o", markersize=7)
        axes.annotate(
            percent(accuracy, result.validation.num_photos), (accuracy, place), xytext=(0, 6),
            textcoords="offset points", ha="center", va="bottom", color=INK, fontsize=10,
        )  # fmt: skip
    style_axes(axes, grid_axis="x")
    axes.set_title(_("Validation accuracy, 95% interval"), fontsize=12, loc="left", pad=10, color=INK)
    lowest = min(result.validation.interval_95[0] for result in results)
    highest = max(result.validation.interval_95[1] for result in results)
    room = max(0.01, 0.12 * (highest - lowest))
    axes.set_xlim(max(lowest - room, -0.02), min(highest + room, 1 + room / 2))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, place: f"{share * 100:.3g}%" if share <= 1 else ""))


def _draw_amounts(axes: Axes, title: str, values: Sequence[float], units: _Units) -> None:
    """One panel of bars from 0, or of points on a logarithmic axis, each with its amount in the unit that suits it."""
    is_logarithmic = min(values) > 0 and max(values) > _LARGEST_RATIO * min(values)
    typical = math.sqrt(min(values) * max(values)) if is_logarithmic else max(values)
    size, unit = _fitting_unit(typical, units)
    for place, value in enumerate(values):
        if is_logarithmic:
            axes.plot(value / size, place, color=_colour(place), marker="o", markersize=8)
        else:
            axes.barh(place, value / size, height=0.5, color=_colour(place))
        axes.annotate(
            _words(value, units), (value / size, place), xytext=(8 if is_logarithmic else 5, 0),
            textcoords="offset points", va="center_baseline", color=INK, fontsize=10,
        )  # fmt: skip
    style_axes(axes, grid_axis="x")
    axes.set_title(f"{title}, {_(unit)}", fontsize=12, loc="left", pad=10, color=INK)
    if is_logarithmic:
        _set_logarithmic(axes, min(values) / size, max(values) / size)
    else:
        axes.set_xlim(0, (max(values) / size or 1) * 1.45)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, place: f"{number:,.6g}"))


def _set_logarithmic(axes: Axes, low: float, high: float) -> None:
    ratio = high / low
    axes.set_xscale("log")
    axes.set_xlim(low / ratio**0.1, high * ratio**0.5)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if ratio > 50 else (1.0, 3.0), numticks=4))
    axes.xaxis.set_minor_locator(NullLocator())


def _fitting_unit(value: float, units: _Units) -> tuple[float, str]:
    """The largest unit that the value holds at least once, else the smallest."""
    return max((unit for unit in units if unit[0] <= value), default=units[0])


def _words(value: float, units: _Units) -> str:
    """The amount with its unit; the unit of a panel that has only one stands in the title."""
    size, unit = _fitting_unit(value, units)
    number = value / size
    digits = f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
    return f"{digits} {unit}" if len(units) > 1 else digits
