"""How far a training or an export is, in a file that another process reads: `--progress FILE`, as Studio gives it."""

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from tellapart.errors import OutputError, TellapartError
from tellapart.records import EmbedRecord, EpochRecord, StepRecord
from tellapart.runs.outputs import OutputFile, check_output_files, has_keys
from tellapart.store import open_whole, to_json_bytes
from tellapart.translation import gettext as _
from tellapart.untrusted import read_json
from tellapart.watcher import Watcher

# Written at most this often.
_SECONDS_BETWEEN = 0.5
_Record = TypeVar("_Record")

ProgressState = Literal["training", "stopped", "finished", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        state: `training` while it runs, and when it was killed; `stopped` by a signal, `finished` or `failed`.
        pid: number of the process.
        stage: what is being done, in words.
        share: of the epochs or of the photos being read that is done, in `[0, 1]`; `None` where that is not known.
        epoch, num_epochs: the one under way, from 1, and how many there are; `None` before the first.
        seconds_left: until the end of the training, or of reading; `None` where that is not known.
        validation_accuracy: after the last epoch that was measured.
        message: why it failed, or what it has made, in one line.
    """

    state: ProgressState
    pid: int
    stage: str = ""
    share: float | None = None
    epoch: int | None = None
    num_epochs: int | None = None
    seconds_left: float | None = None
    validation_accuracy: float | None = None
    message: str = ""


class ProgressFile:
    """Keeps the file up to date for the time of a `with` block; how the block ends is the last thing it says.

    A file that cannot be written, as on a full disk, stops no training.

    Args:
        path: of the file; `None` writes none.

    Attributes:
        is_stopped: to be set where a training ended early without an error.
        message: to be set to what was made, in one line.
    """

    def __init__(self, path: Path | None) -> None:
        self.is_stopped = False
        self.message = ""
        self._path = path
        self._progress = Progress("training", os.getpid())
        self._written_at = 0.0

    def __enter__(self) -> Self:
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state: ProgressState = "stopped" if self.is_stopped else "finished"
        message = self.message
        if error is not None:
            state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            is_ours = isinstance(error, TellapartError)
            message = " ".join((str(error) if is_ours else f"{kind and kind.__name__}: {error}").split())
        self._progress = dataclasses.replace(
            self._progress, state=state, message="" if state == "stopped" else message, seconds_left=None
        )
        self._write()

    def watch(self, watcher: Watcher) -> Watcher:
        """The watcher, whose training also writes the file."""
        return dataclasses.replace(
            watcher,
            on_stage=_both(watcher.on_stage, self._on_stage),
            on_embedded=_both(watcher.on_embedded, self._on_embedded),
            on_step=_both(watcher.on_step, self._on_step),
            on_epoch=_both(watcher.on_epoch, self._on_epoch),
        )

    def _on_stage(self, stage: str) -> None:
        self._written_at = -math.inf  # what is done now may take long, with nothing else told meanwhile
        self._tell(stage=stage, share=None, seconds_left=None)

    def _on_embedded(self, record: EmbedRecord) -> None:
        self._tell(share=record.num_done / max(1, record.num_photos), seconds_left=record.seconds_left)

    def _on_step(self, record: StepRecord) -> None:
        done = (record.epoch - 1 + record.step / max(1, record.num_steps)) / max(1, record.num_epochs)
        self._tell(
            stage="",
            share=min(1.0, done),
            epoch=record.epoch,
            num_epochs=record.num_epochs,
            seconds_left=record.seconds_left,
        )

    def _on_epoch(self, record: EpochRecord) -> None:
        known = self._progress.validation_accuracy
        accuracy = known if record.validation_accuracy is None else record.validation_accuracy
        self._tell(epoch=record.epoch, share=record.progress, validation_accuracy=accuracy)

    def _tell(self, **changes: Any) -> None:
        self._progress = dataclasses.replace(self._progress, **changes)
        if time.monotonic() - self._written_at >= _SECONDS_BETWEEN:
            self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        self._written_at = time.monotonic()
        described = {"kind": "tellapart progress", **asdict(self._progress)}
        try:
            with open_whole(self._path, is_synced=False) as file:
                file.write(to_json_bytes(described))
        except (OutputError, ValueError):
            return  # a training is worth more than what is said of it


def check_progress_path(path: Path, sources: Iterable[str | Path | None]) -> None:
    """Nothing, if a file of progress can be written there.

    Args:
        path: of the file; an earlier one may be there.
        sources: of the photos, which it must not be in.

    Raises:
        OutputError: it is among the photos, cannot be written, or is something else.
    """
    is_own = has_keys("kind", "state", "pid")
    check_output_files([OutputFile(path, "progress", _("a file of progress"), is_own)], sources)


def read_progress(path: Path) -> Progress | None:
    """What the file says; `None` where there is none that can be read."""
    try:
        found = read_json(path)
        return Progress(**{field.name: found[field.name] for field in dataclasses.fields(Progress)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _both(first: Callable[[_Record], None], second: Callable[[_Record], None]) -> Callable[[_Record], None]:
    def call(record: _Record) -> None:
        first(record)
        second(record)

    return call
