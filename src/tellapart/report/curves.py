"""How accuracy and loss went over the epochs of a run."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tellapart.records import EpochRecord
from tellapart.report.figures import (
    FAINT_INK,
    INK,
    TRAIN_COLOUR,
    VALIDATION_COLOUR,
    drawn_language,
    new_figure,
    style_axes,
)
from tellapart.translation import gettext as _

SMOOTHING = 0.7


@drawn_language()
def draw_curves(history: Sequence[EpochRecord]) -> Figure:
    """Two panels, accuracy and loss, for train and validation: measured values pale, smoothed ones strong.

    Args:
        history: finished epochs in order; one epoch is drawn as points, none leaves the panels empty.
    """
    figure = new_figure(11, 4.2)
    accuracy, loss = figure.subplots(1, 2)
    epochs = [record.epoch for record in history]
    _draw_panel(
        accuracy, _("Accuracy"), epochs,
        [record.train_accuracy for record in history], [record.validation_accuracy for record in history],
    )  # fmt: skip
    _draw_panel(
        loss,
        _("Loss"),
        epochs,
        [record.train_loss for record in history],
        [record.validation_loss for record in history],
    )
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    low, high = accuracy.get_ylim()
    accuracy.set_ylim(max(low, -0.02), min(max(high, low + 0.05), 1.02))
    accuracy.legend(frameon=False, fontsize=10, loc="best", labelcolor=INK)
    figure.supxlabel(
        _("pale: as measured, strong: smoothed with factor {factor:g}").format(factor=SMOOTHING),
        fontsize=9,
        color=FAINT_INK,
    )
    return figure


def _draw_panel(
    axes: Axes, title: str, epochs: list[int], train: Sequence[float], validation: Sequence[float | None]
) -> None:
    _draw_line(axes, _("training"), TRAIN_COLOUR, list(zip(epochs, train, strict=True)))
    looked = [(epoch, value) for epoch, value in zip(epochs, validation, strict=True) if value is not None]
    _draw_line(axes, _("validation"), VALIDATION_COLOUR, looked)
    style_axes(axes, grid_axis="y")
    axes.set_title(title, fontsize=13, loc="left", pad=10, color=INK)
    axes.set_xlabel(_("epoch"), color=FAINT_INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9, min_n_ticks=1))
    if epochs:
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + max(0.5, 0.01 * len(epochs)))
    else:
        axes.set_ylim(0, 1)


def _draw_line(axes: Axes, name: str, colour: str, points: Sequence[tuple[int, float]]) -> None:
    """The values at their epochs; where most epochs have none each is a mark, for smoothing would hide how few."""
    epochs, values = [epoch for epoch, value in points], [value for epoch, value in points]
    if epochs and len(epochs) <= (epochs[-1] - epochs[0] + 1) / 2:
        axes.plot(epochs, values, color=colour, linewidth=2.4, marker="o", label=name)
        return
    marker = "o" if len(epochs) == 1 else ""
    axes.plot(epochs, values, color=colour, linewidth=1.0, alpha=0.35)
    axes.plot(epochs, smooth(values, SMOOTHING), color=colour, linewidth=2.4, marker=marker, label=name)


def smooth(values: Sequence[float], factor: float = 0.7) -> list[float]:
    """Exponentially smoothed values, as many as given: `s[0] = v[0]`, `s[t] = factor * s[t-1] + (1 - factor) * v[t]`.

    Args:
        values: one number an epoch; not modified.
        factor: weight of the past in `[0, 1]`; 0 changes nothing. 0.7 is what the Keras tutorial draws with.
    """
    smoothed: list[float] = []
    for value in values:
        smoothed.append(factor * smoothed[-1] + (1 - factor) * value if smoothed else float(value))
    return smoothed
