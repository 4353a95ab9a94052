"""How many photos each class has, as bars."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tellapart.measure.number_words import count_classes, count_photos
from tellapart.report.figures import FAINT_INK, INK, PALETTE, drawable, drawn_language, new_figure, style_axes
from tellapart.translation import gettext as _

_MOST_UPRIGHT = 8
_LONGEST_UPRIGHT = 12
# Beyond, a picture with a bar for each would be metres long.
_MOST_NAMED = 100


@drawn_language()
def draw_class_counts(counts: Mapping[str, int]) -> Figure:
    """A bar for every class with its number of photos; bars lie down when the classes are many or their names long.

    More than 100 classes have no names, and stand by their numbers of photos.

    Args:
        counts: class name to number of photos, in the order to draw; none gives a note that says so.
    """
    names = [drawable(name) for name in counts]
    values = list(counts.values())
    is_upright = len(names) <= _MOST_UPRIGHT and max(map(len, names), default=0) <= _LONGEST_UPRIGHT
    if len(names) > _MOST_NAMED:
        figure = new_figure(7.5, 3.8)
    elif is_upright:
        figure = new_figure(max(4.2, 1.6 + 0.95 * len(names)), 3.8)
    else:
        figure = new_figure(7.5, 1.3 + max(0.27, 0.38 - 0.002 * len(names)) * len(names))
    axes = figure.add_subplot()
    if not names:
        axes.set_axis_off()
        axes.text(0.5, 0.5, _("no labelled photos"), ha="center", va="center", color=FAINT_INK, fontsize=12)
        return figure
    title = _("{photos}, {classes}").format(photos=count_photos(sum(values)), classes=count_classes(len(names)))
    axes.set_title(title, fontsize=13, loc="left", pad=12, color=INK)
    if len(names) > _MOST_NAMED:
        _draw_steps(axes, values)
    else:
        _draw_bars(axes, names, values, is_upright)
    return figure


def _draw_steps(axes: Axes, values: list[int]) -> None:
    """The numbers of photos of many classes, the largest first."""
    ordered = sorted(values, reverse=True)
    axes.stairs(ordered, fill=True, color=PALETTE[0])
    style_axes(axes, grid_axis="y")
    axes.set_xlim(0, len(ordered))
    axes.set_ylim(0, max(1, ordered[0]) * 1.1)
    for numbers in (axes.xaxis, axes.yaxis):
        numbers.set_major_locator(MaxNLocator(nbins=6, integer=True))
        numbers.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel(_("classes, the largest first"), color=FAINT_INK)
    axes.set_ylabel(_("photos"), color=FAINT_INK)


def _draw_bars(axes: Axes, names: list[str], values: list[int], is_upright: bool) -> None:
    # Places instead of names: two names may look the same once shortened, and would share a bar.
    places = list(range(len(names)))
    is_coloured = len(names) <= _MOST_UPRIGHT
    colours = [PALETTE[place % (len(PALETTE) - 1) if is_coloured else 0] for place in places]
    if is_upright:
        axes.bar(places, values, width=0.68, color=colours)
    else:
        axes.barh(places, values, height=0.68, color=colours)
    style_axes(axes, grid_axis="y" if is_upright else "x")
    if is_upright:
        axes.set_xticks(places, names, color=INK, fontsize=11)
        room = max(0.6, 1.2 - len(names) / 2)
        axes.set_xlim(-room, len(names) - 1 + room)
        axes.set_ylim(0, max(1, *values) * 1.1)
    else:
        axes.set_yticks(places, names, color=INK, fontsize=10)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0, max(1, *values) * 1.12)
    numbers = axes.yaxis if is_upright else axes.xaxis
    numbers.set_major_locator(MaxNLocator(nbins=6, integer=True))
    numbers.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("" if is_upright else _("photos"), color=FAINT_INK)
    axes.set_ylabel(_("photos") if is_upright else "", color=FAINT_INK)
    for place, value in zip(places, values, strict=True):
        point = (place, value) if is_upright else (value, place)
        axes.annotate(
            f"{value:,}", point, xytext=(0, 3) if is_upright else (4, 0), textcoords="offset points", color=INK,
            ha="center" if is_upright else "left", va="bottom" if is_upright else "center_baseline", fontsize=10,
        )  # fmt: skip
