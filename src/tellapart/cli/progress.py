"""How a training shows itself: a live line on a terminal, one plain line an epoch elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tellapart.cli.output import make_console, print_line
from tellapart.records import EpochRecord, StepRecord

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.learn.fit import FitData
    from tellapart.workflow.train import Watcher

# Without a terminal an epoch that takes longer than this shows a line in between.
_PLAIN_SECONDS = 60.0


@contextmanager
def watch_training() -> Iterator["Watcher"]:
    """A watcher that prints, for the time of a training."""
    from tellapart.workflow.train import Watcher

    console = make_console()
    if not console.is_terminal:
        plain = _PlainProgress(console)
        yield Watcher(lambda data: _print_prepared(console, data), plain.show_step, lambda r: _print_epoch(console, r))
        return

    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("training", epoch="", state="reading photos", total=None)

        def show_step(record: StepRecord) -> None:
            progress.update(
                task,
                completed=record.step,
                total=record.num_steps,
                epoch=f"{record.epoch}/{record.num_epochs}",
                state=_step_text(record),
            )

        yield Watcher(lambda data: _print_prepared(console, data), show_step, lambda r: _print_epoch(console, r))


class _PlainProgress:
    """Steps as plain lines, at most one a minute."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._last_shown = time.monotonic()

    def show_step(self, record: StepRecord) -> None:
        if record.step == record.num_steps:
            self._last_shown = time.monotonic()
        if time.monotonic() - self._last_shown >= _PLAIN_SECONDS:
            self._last_shown = time.monotonic()
            print_line(self._console, f"  epoch {record.epoch}/{record.num_epochs}, {_step_text(record)}")


def format_seconds(seconds: float) -> str:
    """A duration as a person says it: `42 s`, `3 min 05 s`, `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _step_text(record: StepRecord) -> str:
    return (
        f"step {record.step}/{record.num_steps}  loss {record.train_loss:.3f}  accuracy {record.train_accuracy:.3f}"
        f"  {format_seconds(record.seconds_left)} left"
    )


def _print_prepared(console: "Console", data: "FitData") -> None:
    photos, split = data.images.photos, data.split
    classes = ", ".join(f"{name} {num:,}" for name, num in photos.counts().items())
    print_line(console, f"{len(photos):,} photos: {classes}")
    if photos.skipped:
        print_line(console, f"{len(photos.skipped):,} files skipped; skipped.csv in the run folder says why")
    print_line(console, f"{len(split.train):,} to train, {len(split.validation):,} to validate")


def _print_epoch(console: "Console", record: EpochRecord) -> None:
    print_line(
        console,
        f"epoch {record.epoch:3d}  loss {record.train_loss:.3f}  accuracy {record.train_accuracy:.3f}"
        f"  validation loss {record.validation_loss:.3f}  validation accuracy {record.validation_accuracy:.3f}"
        f"  {record.images_per_second:.0f} photos/s",
    )
