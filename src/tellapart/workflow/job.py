"""What a training is asked to do, whom it tells about it, and what it leaves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tellapart.config import RecipeConfig, SourceConfig
from tellapart.photos.photoset import PhotoSet
from tellapart.records import EmbedRecord, EpochRecord, Evaluation, Finding, Skipped, StepRecord

if TYPE_CHECKING:
    from tellapart.workflow.run_folder import RunFile


def _ignore(*records: object) -> None:
    pass


@dataclass(frozen=True)
class Watcher:
    """Who is told how a training goes; every call returns at once and must not raise.

    Attributes:
        on_prepared: once, when the usable photos are known: they, and how many of them train and validate.
        on_checked: once, before anything is learnt: what the check-up found, problems first.
        on_embedded: while photos are embedded, and at the end of it.
        on_step: after every step of a network's training.
        on_epoch: after every epoch, when its checkpoint is safe.
        on_note: a sentence the user should read, such as that a cache was damaged and is made anew.
    """

    on_prepared: Callable[[PhotoSet, int, int], None] = _ignore
    on_checked: Callable[[tuple[Finding, ...]], None] = _ignore
    on_embedded: Callable[[EmbedRecord], None] = _ignore
    on_step: Callable[[StepRecord], None] = _ignore
    on_epoch: Callable[[EpochRecord], None] = _ignore
    on_note: Callable[[str], None] = _ignore


@dataclass(frozen=True)
class TrainJob:
    """A training that has been checked and is about to start.

    Attributes:
        photos: what to learn from, not decoded yet.
        run_dir: the folder of the run; not made yet.
        config: how to train.
        source: how labels are found and how many photos are taken.
        resumed: what an earlier run in the folder says of itself, if it is to go on.
        watcher: who is told about the progress.
        started: when it began, as `time.perf_counter` says it.
        confirmed: content and class of each photo whose label a person has decided on.
    """

    photos: PhotoSet
    run_dir: Path
    config: RecipeConfig
    source: SourceConfig
    resumed: "RunFile | None"
    watcher: Watcher
    started: float
    confirmed: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Run:
    """What a training left.

    Attributes:
        run_dir: the folder; `tellapart.load` opens it.
        validation: how the model does on photos it has not learnt from; `None` when every class has a single photo.
        validation_paths: the photos behind `validation`, in order.
        is_right: whether the model was right on each of them.
        is_cross_validated: whether `validation` comes from models like this one, each trained without a part of the
            photos, while this one is trained on all of them.
        skipped: files that were left out, and why.
        seconds: from the first photo to the last file, those before a run was resumed included.
        num_found_in_cache: photos whose embedding an earlier run had left.
        history: one record an epoch; empty where nothing is trained in epochs.
        is_stopped: the user stopped it before its last epoch.
    """

    run_dir: Path
    validation: Evaluation | None
    validation_paths: tuple[str, ...]
    is_right: tuple[bool, ...] = field(repr=False)
    is_cross_validated: bool
    skipped: tuple[Skipped, ...]
    seconds: float
    num_found_in_cache: int = 0
    history: tuple[EpochRecord, ...] = ()
    is_stopped: bool = False
