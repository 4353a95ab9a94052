"""Which class the model takes for which: the confusion matrix as a figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tellapart.records import ClassScore, Evaluation
from tellapart.report.figures import FAINT_INK, INK, PALETTE, drawable, new_figure
from tellapart.report.wording import percent

_RIGHT_COLOUR, _WRONG_COLOUR, _NO_PHOTOS_COLOUR = PALETTE[0], PALETTE[5], "#EEEEEE"
_MOST_WITH_NUMBERS = 20
_MOST_WITH_LARGE_NAMES = 40
_MOST_NAMES = 100
_LONGEST_NAME = 24
_MOST_UPRIGHT_CHARACTERS = 40  # of all column names, were each as long as the longest
# Least depth of a cell that holds a photo; above `_MOST_NAMES` classes a cell is a dot that must be strong to be seen.
_PALEST, _PALEST_DOT = 0.12, 0.4
_DARK = 0.6  # depth of the colour from which white numbers are easier to read


def draw_confusion(evaluation: Evaluation) -> Figure:
    """The confusion matrix: a row for what a photo is, a column for what the model says.

    Blue cells are right, orange ones wrong, the darker the larger their share of the row; the depth is the square root
    of the share, and never quite white, so that rare mistakes show. A row without photos is grey. Up to 20 classes the
    cells hold their numbers and each row its recall; up to 100 all classes are named, above that evenly chosen ones.

    Args:
        evaluation: of at least 1 class; photos of none are allowed.
    """
    counts = np.array(evaluation.confusion_matrix, dtype=np.int64)
    num_classes = len(counts)
    names = [drawable(score.class_name, longest=_LONGEST_NAME) for score in evaluation.per_class]
    side, margin = _side_inches(num_classes), 0.085 * max(map(len, names))
    figure = new_figure(max(5.0, side + margin + 1.9), side + margin + 1.7)
    axes = figure.add_subplot()
    depths = _depths(counts)
    axes.imshow(_cell_colours(counts, depths), interpolation="nearest", aspect="equal")
    num_right, num_photos = int(np.trace(counts)), evaluation.num_photos
    title = f"right on {num_right:,} of {num_photos:,} photo{'s' * (num_photos != 1)}"
    axes.set_title(title, fontsize=13, loc="left", pad=12, color=INK)
    figure.supxlabel("blue: right, orange: wrong, darker: more of the row", fontsize=9, color=FAINT_INK)
    _name_classes(axes, names)
    _draw_frame(axes, num_classes)
    if num_classes <= _MOST_WITH_NUMBERS:
        _write_numbers(axes, counts, depths)
        _write_recalls(axes, evaluation.per_class)
    return figure


def _side_inches(num_classes: int) -> float:
    """Height and width of the matrix on paper."""
    if num_classes <= _MOST_WITH_NUMBERS:
        return max(2.2, 0.5 * num_classes)
    return min(13.0, 6.0 + 0.07 * num_classes)


def _depths(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """How strong the colour of each cell is, in `[0, 1]`; 0 where there are no photos."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    palest = _PALEST if len(counts) <= _MOST_NAMES else _PALEST_DOT
    return np.asarray(np.where(counts > 0, np.maximum(np.sqrt(shares), palest), 0.0), np.float64)


def _cell_colours(counts: NDArray[np.int64], depths: NDArray[np.float64]) -> NDArray[np.float64]:
    """RGB in `[0, 1]`, shape `(num_classes, num_classes, 3)`."""
    right = LinearSegmentedColormap.from_list("right", ["white", _RIGHT_COLOUR])
    wrong = LinearSegmentedColormap.from_list("wrong", ["white", _WRONG_COLOUR])
    is_right = np.eye(len(counts), dtype=bool)[:, :, np.newaxis]
    colours = np.where(is_right, right(depths)[:, :, :3], wrong(depths)[:, :, :3])
    colours[counts.sum(axis=1) == 0] = to_rgb(_NO_PHOTOS_COLOUR)
    return np.asarray(colours, np.float64)


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    step = -(-len(names) // _MOST_NAMES)
    places = range(0, len(names), step)
    shown = [names[place] for place in places]
    size = 10.0 if len(names) <= _MOST_WITH_LARGE_NAMES else 7.0
    is_upright = max(map(len, names)) * len(names) <= _MOST_UPRIGHT_CHARACTERS
    axes.set_yticks(places, shown, fontsize=size, color=INK)
    axes.set_xticks(places, shown, fontsize=size, color=INK, rotation=0 if is_upright else 90)
    axes.tick_params(length=0)
    axes.set_xlabel("what the model says", color=FAINT_INK, labelpad=8)
    axes.set_ylabel("what it is", color=FAINT_INK, labelpad=8)


def _draw_frame(axes: Axes, num_classes: int) -> None:
    """A fine line around the matrix and, where the cells are large enough, between its cells."""
    for spine in axes.spines.values():
        spine.set_color("#BBBBBB")
    if num_classes <= _MOST_NAMES:
        between = np.arange(num_classes - 1) + 0.5
        axes.set_xticks(between, minor=True)
        axes.set_yticks(between, minor=True)
        axes.grid(which="minor", color="#DDDDDD", linewidth=0.8 if num_classes <= _MOST_WITH_NUMBERS else 0.4)
        axes.tick_params(which="minor", length=0)


def _write_numbers(axes: Axes, counts: NDArray[np.int64], depths: NDArray[np.float64]) -> None:
    size = 11 if counts.max() < 1_000 else 9 if counts.max() < 10_000 else 7
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if depths[row, column] > _DARK else INK if count else "#BBBBBB"
        axes.text(column, row, f"{count:,}", ha="center", va="center_baseline", color=colour, fontsize=size)


def _write_recalls(axes: Axes, scores: Sequence[ClassScore]) -> None:
    """To the right of each row, the share of its photos that the model got right."""
    for row, score in enumerate(scores):
        words = "no photos" if score.recall is None else f"{percent(score.recall)} found"
        axes.annotate(
            words, (1, row), xycoords=axes.get_yaxis_transform(), xytext=(8, 0), textcoords="offset points",
            va="center_baseline", color=FAINT_INK, fontsize=10, annotation_clip=False,
        )  # fmt: skip
