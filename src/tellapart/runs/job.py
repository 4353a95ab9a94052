"""What a training is asked to do, what its recipe makes of it, and what it leaves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tellapart.config import DialConfig, RecipeConfig, SourceConfig
from tellapart.measure.scores import Evaluation, Step, Verdict
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Dial, EpochRecord, Skipped
from tellapart.runs.run_folder import RunFile
from tellapart.watcher import Watcher

if TYPE_CHECKING:  # a `Run` is at hand without what it takes to make one
    from tellapart.checkup.check_up import Checkup
    from tellapart.measure.measurement import Measurement
    from tellapart.measure.splits import Split
    from tellapart.predict.bundle import Bundle
    from tellapart.predict.model import Model


@dataclass(frozen=True)
class TrainJob:
    """A training that has been checked and is about to start.

    Attributes:
        photos: what to learn from, not decoded yet.
        run_dir: the folder of the run, which is claimed.
        config: how to train.
        source: how labels are found and how many photos are taken.
        resumed: what an earlier run in the folder says of itself, if it is to go on.
        watcher: who is told about the progress.
        started: when it began, as `time.perf_counter` says it.
        confirmed: content and class of each photo whose label a person has decided on.
        dial: from which probability on the model is to answer with one of the classes.
    """

    photos: PhotoSet
    run_dir: Path
    config: RecipeConfig
    source: SourceConfig
    resumed: RunFile | None
    watcher: Watcher
    started: float
    confirmed: frozenset[tuple[str, str]] = frozenset()
    dial: DialConfig = DialConfig()


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a recipe has made of the photos.

    Attributes:
        bundle: the model; it answers as what was trained does, on photos or on drawn images.
        predictor: the bundle, opened.
        measurement: how it does on photos it has not seen; `None` where there are none.
        metrics: what `metrics.json` says of this recipe alone.
        make_files: the content of further files by name, such as the network for Keras.
        history: one record an epoch; empty where nothing is trained in epochs.
        is_stopped: the user stopped it before its last epoch.
        seconds_before: seconds that the epochs took which it had when it was resumed.
        split: what it was trained and measured on, where that is not the split that the recipe was given; else `None`.
    """

    bundle: "Bundle"
    predictor: "Model"
    measurement: "Measurement | None"
    metrics: Mapping[str, Any]
    make_files: Callable[[], Mapping[str, bytes]] = dict
    history: tuple[EpochRecord, ...] = ()
    is_stopped: bool = False
    seconds_before: float = 0.0
    split: "Split | None" = None


class Recipe(Protocol):
    """A way to train, asked for its parts in this order; it knows the job."""

    def look(self) -> "Checkup":
        """The photos that are learnt from, and what is to be said of them.

        Raises:
            DatasetError: they are too few.
        """

    def split(self, checkup: "Checkup") -> "Split":
        """The rows that train, and those that are held out; with that the settings are complete.

        Raises:
            DatasetError: a class has too few different photos.
            ConfigError: a setting does not fit these photos.
        """

    def run_file(self, checkup: "Checkup") -> RunFile:
        """What `run.json` has to say for the run to be resumed."""

    def fit(self, checkup: "Checkup", split: "Split") -> Fitted:
        """The model, checked against its export, and how it does.

        Raises:
            TellapartError: the exported model answers differently.
            KeyboardInterrupt: the user stopped it before there was anything to keep.
        """


@dataclass(frozen=True)
class Run:
    """What a training left.

    Attributes:
        run_dir: the folder; `tellapart.load` opens it.
        validation: how the model does on photos it has not learnt from; `None` when every class has a single photo.
        validation_paths: the photos behind `validation`, in order.
        is_right: whether the model was right on each of them.
        validation_groups: a number for each of them, equal for photos that belong together, such as copies.
        is_cross_validated: whether `validation` comes from models like this one, each trained without a part of the
            photos, while this one is trained on all of them.
        skipped: files that were left out, and why.
        seconds: from the first photo to the last file, those before a run was resumed included.
        num_found_in_cache: photos whose embedding an earlier run had left.
        history: one record an epoch; empty where nothing is trained in epochs.
        is_stopped: the user stopped it before its last epoch.
        verdict: whether the model is worth using; `None` in a run that was not assessed.
        steps: what to do next, the costliest neglect first.
        dial: from which probability on the model answers with one of the classes; `None` where the most probable one
            wins.
    """

    run_dir: Path
    validation: Evaluation | None
    validation_paths: tuple[str, ...]
    is_right: tuple[bool, ...] = field(repr=False)
    validation_groups: tuple[int, ...] = field(repr=False)
    is_cross_validated: bool
    skipped: tuple[Skipped, ...]
    seconds: float
    num_found_in_cache: int = 0
    history: tuple[EpochRecord, ...] = ()
    is_stopped: bool = False
    verdict: Verdict | None = None
    steps: tuple[Step, ...] = ()
    dial: Dial | None = None
