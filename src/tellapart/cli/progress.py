"""How a training or a prediction shows itself: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tellapart.cli.output import list_classes, make_console, print_line, print_note
from tellapart.measure.number_words import count_photos
from tellapart.records import EmbedRecord, EpochRecord, Finding, PreparedRecord, StepRecord
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.watcher import Watcher

# Without a terminal a line is shown in between at most this often.
_PLAIN_SECONDS = 60.0
# Predictions of a small model come faster than a terminal need be redrawn.
_LIVE_SECONDS = 0.1


@contextmanager
def watch_training() -> Iterator["Watcher"]:
    """A watcher that prints, for the time of a training."""
    console = make_console()
    with _show_progress(console) as progress:
        yield _make_watcher(console, progress)


@contextmanager
def watch_prediction(now: Callable[[], float] = time.monotonic) -> Iterator[Callable[[int, int], None]]:
    """What takes the number of photos done and of all photos, and shows them on stderr with the time left."""
    started = now()
    next_shown = started
    with _show_progress(make_console(stderr=True), now) as progress:

        def show(num_done: int, num_photos: int) -> None:
            nonlocal next_shown
            moment = now()
            if moment >= next_shown or num_done == num_photos:
                next_shown = moment + _LIVE_SECONDS
                seconds_left = (moment - started) / num_done * (num_photos - num_done)
                progress.show(_count_text(num_done, num_photos), num_done, num_photos, _left_text(seconds_left))

        yield show


@contextmanager
def _show_progress(
    console: "Console", now: Callable[[], float] = time.monotonic
) -> Iterator["_PlainProgress | _LiveProgress"]:
    """A line that shows how far things are, as the console allows."""
    if not console.is_terminal:
        yield _PlainProgress(console, now)
        return

    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=console, transient=True) as progress:
        yield _LiveProgress(progress)


def _make_watcher(console: "Console", progress: "_PlainProgress | _LiveProgress") -> "Watcher":
    from tellapart.watcher import Watcher

    return Watcher(
        on_stage=progress.show_stage,
        on_prepared=lambda record: _print_prepared(console, record),
        on_checked=lambda findings: _print_findings(console, findings),
        on_embedded=lambda record: _show_photos(progress, record),
        on_step=lambda record: progress.show(
            _("epoch {num_done}/{num_all}").format(num_done=record.epoch, num_all=record.num_epochs),
            record.step,
            record.num_steps,
            _step_text(record),
        ),
        on_epoch=lambda record: _print_epoch(console, record),
        on_note=lambda text: print_note(console, text),
    )


class _LiveProgress:
    """A line that is drawn over itself."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task(_("finding photos"), state="", total=None)

    def show_stage(self, text: str) -> None:
        self._progress.reset(self._task, description=text, total=None, state="")

    def show(self, what: str, num_done: int, num_all: int, state: str) -> None:
        self._progress.update(self._task, description=what, completed=num_done, total=num_all, state=state)


class _PlainProgress:
    """Plain lines, at most one a minute."""

    def __init__(self, console: "Console", now: Callable[[], float]) -> None:
        self._console = console
        self._now = now
        self._last_shown = now()

    def show_stage(self, text: str) -> None:
        self._show_seldom(text)

    def show(self, what: str, num_done: int, num_all: int, state: str) -> None:
        if num_done == num_all:
            self._last_shown = self._now()
        self._show_seldom(f"{what}, {state}")

    def _show_seldom(self, text: str) -> None:
        if self._now() - self._last_shown >= _PLAIN_SECONDS:
            self._last_shown = self._now()
            print_line(self._console, f"  {text}")


def format_seconds(seconds: float) -> str:
    """A duration as a person says it: `42 s`, `3 min 05 s`, `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return _("{seconds} s").format(seconds=whole)
    if whole < 3600:
        return _("{minutes} min {seconds:02d} s").format(minutes=whole // 60, seconds=whole % 60)
    return _("{hours} h {minutes:02d} min").format(hours=whole // 3600, minutes=whole % 3600 // 60)


def _show_photos(progress: "_PlainProgress | _LiveProgress", record: EmbedRecord) -> None:
    what = _count_text(record.num_done, record.num_photos)
    progress.show(what, record.num_done, record.num_photos, _left_text(record.seconds_left) if record.num_done else "")


def _count_text(num_done: int, num_photos: int) -> str:
    return _("photo {num_done:,}/{num_all:,}").format(num_done=num_done, num_all=num_photos)


def _left_text(seconds: float) -> str:
    return _("{duration} left").format(duration=format_seconds(seconds))


def _step_text(record: StepRecord) -> str:
    return _("step {step}/{num_steps}  loss {loss:.3f}  accuracy {accuracy}  {left}").format(
        step=record.step,
        num_steps=record.num_steps,
        loss=record.train_loss,
        accuracy=_percent(record.train_accuracy),
        left=_left_text(record.seconds_left),
    )


def _print_prepared(console: "Console", record: PreparedRecord) -> None:
    num = sum(record.counts.values())
    classes = list_classes(record.counts)
    print_line(console, _("{photos}: {classes}").format(photos=count_photos(num), classes=classes))
    if record.num_skipped:
        said = ngettext(
            "{num:,} file skipped. skipped.csv in the run folder says why.",
            "{num:,} files skipped. skipped.csv in the run folder says why.",
            record.num_skipped,
        )
        print_line(console, said.format(num=record.num_skipped))
    photos = count_photos(record.num_train)
    if record.num_validation:
        said = _("Training on {photos}, testing on {others}.")
        others = count_photos(record.num_validation)
        print_line(console, said.format(photos=photos, others=others))
    else:
        print_line(console, _("Training on {photos}, testing by cross-validation.").format(photos=photos))


def _print_findings(console: "Console", findings: tuple[Finding, ...]) -> None:
    """What should be fixed, a line each, and how much else there is to know."""
    for finding in findings:
        if finding.is_problem:
            print_line(console, _("Problem: {title}.").format(title=finding.title))
    num = sum(not finding.is_problem for finding in findings)
    if num:
        said = ngettext(
            "{num} note about the photos in report.html", "{num} notes about the photos in report.html", num
        )
        print_line(console, said.format(num=num))


def _print_epoch(console: "Console", record: EpochRecord) -> None:
    said = _("epoch {epoch:3d}  loss {loss:.3f}  accuracy {accuracy}  {speed:.0f} photos/s")
    if record.validation_loss is not None and record.validation_accuracy is not None:
        said = _(
            "epoch {epoch:3d}  loss {loss:.3f}  accuracy {accuracy}  validation loss {validation_loss:.3f}  validation"
            " accuracy {validation_accuracy}  {speed:.0f} photos/s"
        )
    print_line(
        console,
        said.format(
            epoch=record.epoch,
            loss=record.train_loss,
            accuracy=_percent(record.train_accuracy),
            validation_loss=record.validation_loss,
            validation_accuracy=_percent(record.validation_accuracy or 0.0),
            speed=record.images_per_second,
        ),
    )


def _percent(share: float) -> str:
    from tellapart.measure.number_words import percent

    return f"{percent(share):>6}"
