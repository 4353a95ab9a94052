"""What a training is asked to do, and what it leaves."""

from dataclasses import dataclass, field
from pathlib import Path

from tellapart.config import RecipeConfig, SourceConfig
from tellapart.photos.photoset import PhotoSet
from tellapart.records import EpochRecord, Evaluation, Skipped
from tellapart.watcher import Watcher


@dataclass(frozen=True)
class RunFile:
    """What `run.json` says of a run: enough to continue it.

    Attributes:
        source: the photos, as they were named.
        config: the settings, with the number of epochs last asked for.
        per_class: photos taken of each class, or `None`.
        photos_key: names the content of the photos; another key means that they have changed.
        state: `training`, `stopped` by the user, or `finished`.
        views: computing a photo that a training by the clock was planned for; `None` for any other.
    """

    source: str
    config: RecipeConfig
    per_class: int | None
    photos_key: str
    state: str
    views: float | None = None


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
    resumed: RunFile | None
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
