"""One trial: a recipe with some settings, fitted to the photos of the search and measured on some of them.

Knows no engine: what decides whether a trial goes on is a function that takes the epoch and the accuracy so far.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from tellapart.config import RecipeConfig, SourceConfig
from tellapart.errors import TellapartError, is_out_of_memory
from tellapart.photos.photoset import PhotoSet
from tellapart.predict.bundle import Bundle
from tellapart.records import EpochRecord
from tellapart.runs.job import TrainJob
from tellapart.runs.train import open_recipe
from tellapart.translation import gettext as _
from tellapart.watcher import Watcher

# From the epoch, counted from 1, and the validation accuracy after it to whether the trial is to end.
Report = Callable[[int, float], bool]
TRIAL_PREFIX = "trial-"


class TrialPrunedError(Exception):
    """The engine has ended a trial that is behind the others.

    Attributes:
        num_epochs, accuracy: how far it has come.
    """

    def __init__(self, num_epochs: int, accuracy: float) -> None:
        super().__init__(num_epochs, accuracy)
        self.num_epochs, self.accuracy = num_epochs, accuracy


class TrialFailedError(Exception):
    """A trial has no result; the message says why, for the person who tunes."""


@dataclass(frozen=True)
class TrialFit:
    """What a trial has come to.

    Attributes:
        bundle: its model.
        accuracy, log_loss: on photos of the search that it held out.
        num_epochs: that it trained; 0 where nothing is trained in epochs.
    """

    bundle: Bundle
    accuracy: float
    log_loss: float
    num_epochs: int


@dataclass(frozen=True)
class Objective:
    """Photos and folders that all trials share.

    Attributes:
        photos: of the search; no trial sees others.
        source: how they are read; `per_class` has been applied.
        work_dir: where a trial keeps its checkpoints while it runs.
        confirmed: content and class of each photo whose label a person has decided on.
        watcher: told about steps and stages.
    """

    photos: PhotoSet
    source: SourceConfig
    work_dir: Path
    confirmed: frozenset[tuple[str, str]]
    watcher: Watcher

    def fit(self, config: RecipeConfig, report: Report, most_seconds: float | None = None) -> TrialFit:
        """The trial of these settings.

        Args:
            config: a whole recipe.
            report: is told of each epoch after which the held out photos were looked at.
            most_seconds: after so many a trial in epochs ends with the epochs it has; `None` lets it finish.

        Raises:
            TrialPrunedError: `report` has ended it.
            TrialFailedError: it diverged, ran out of memory, or crashed.
            TellapartError: a setting or the photos cannot be used.
            KeyboardInterrupt: the user stopped it.
        """
        epochs = _Epochs(report, most_seconds, time.perf_counter())
        quiet = Watcher(on_step=self.watcher.on_step, on_embedded=self.watcher.on_embedded, on_epoch=epochs.add)
        try:
            with tempfile.TemporaryDirectory(prefix=TRIAL_PREFIX, dir=self.work_dir) as folder:
                started = time.perf_counter()
                job = TrainJob(self.photos, Path(folder), config, self.source, None, quiet, started, self.confirmed)
                with open_recipe(job) as recipe:
                    checkup = recipe.look()
                    fitted = recipe.fit(checkup, recipe.split(checkup))
        except (TrialPrunedError, TrialFailedError, TellapartError):
            raise
        except Exception as exc:  # whatever a library raises with these settings, the other trials are not lost
            reason = _("out of memory") if is_out_of_memory(exc) else f"{type(exc).__name__}: {exc}"
            raise TrialFailedError(" ".join(reason.split())) from exc
        if fitted.is_stopped and not epochs.is_over:
            raise KeyboardInterrupt
        if fitted.measurement is None:
            raise TrialFailedError(_("no photos were left to measure it on"))
        evaluation = fitted.measurement.evaluation
        if not math.isfinite(evaluation.log_loss):
            raise TrialFailedError(_("the training diverged"))
        return TrialFit(fitted.bundle, evaluation.accuracy, evaluation.log_loss, epochs.num)


@dataclass
class _Epochs:
    """Watches the epochs of a trial, and ends it where it is behind, has diverged or has had its time.

    Attributes:
        num: epochs so far.
        is_over: whether its time is.
    """

    report: Report
    most_seconds: float | None
    started: float
    num: int = 0
    is_over: bool = False

    def add(self, record: EpochRecord) -> None:
        """Takes an epoch.

        Raises:
            TrialFailedError: the loss is no number.
            TrialPrunedError: the trial is behind the others.
            KeyboardInterrupt: its time is over; a training then keeps the epochs it has.
        """
        self.num = record.epoch
        if not math.isfinite(record.train_loss):
            raise TrialFailedError(_("the training diverged"))
        accuracy = record.validation_accuracy
        if accuracy is not None and self.report(record.epoch, accuracy):
            raise TrialPrunedError(record.epoch, accuracy)
        seconds = time.perf_counter() - self.started
        if self.most_seconds is not None and seconds * (self.num + 1) / self.num > self.most_seconds:
            self.is_over = record.progress < 1
            if self.is_over:
                raise KeyboardInterrupt


def with_length(config: RecipeConfig, num_epochs: int | None, seconds: float | None) -> RecipeConfig:
    """`config` trained for a time where its recipe can be given one, else for a number of epochs, else as it is."""
    changed: Any = config
    if hasattr(config, "minutes") and seconds is not None:
        counted = {name: None for name in ("epochs", "steps") if hasattr(config, name)}
        changed = replace(changed, minutes=max(0.1, seconds / 60), **counted)
    elif hasattr(config, "epochs") and not hasattr(config, "minutes") and num_epochs is not None:
        changed = replace(changed, epochs=num_epochs)
    return cast(RecipeConfig, changed)
