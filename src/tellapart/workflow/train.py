"""`tellapart train`: from photos to a run folder with a classifier in it, or the continuation of one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tellapart.config import SourceConfig, TrainConfig
from tellapart.errors import DatasetError, OutputError
from tellapart.learn.backend import start_backend
from tellapart.learn.checkpoints import capture_state, load_checkpoint, restore_state, save_checkpoint
from tellapart.learn.fit import FitData, fit_epochs
from tellapart.learn.recipes import build_network, compile_network
from tellapart.photos.sources import PhotoSet, open_photos
from tellapart.records import EpochRecord, StepRecord
from tellapart.store import check_outside, claim_dir, remove_partials
from tellapart.workflow.finish import FinishedTraining, Run, finish_run
from tellapart.workflow.prepare import prepare_photos
from tellapart.workflow.run_folder import (
    CHECKPOINT_DIR_NAME,
    RUN_FILE_NAME,
    RunFile,
    check_same_settings,
    read_run_file,
    write_history,
    write_run_file,
    write_skipped,
    write_split,
)

if TYPE_CHECKING:
    import keras


def _ignore(record: object) -> None:
    pass


@dataclass(frozen=True)
class Watcher:
    """Who is told how a training goes; every call returns at once and must not raise.

    Attributes:
        on_prepared: once, when the photos are decoded and split.
        on_step: after every step.
        on_epoch: after every epoch, when its checkpoint is safe.
    """

    on_prepared: Callable[[FitData], None] = _ignore
    on_step: Callable[[StepRecord], None] = _ignore
    on_epoch: Callable[[EpochRecord], None] = _ignore


def train(
    photos: PhotoSet | str | Path,
    out: str | Path,
    config: TrainConfig | None = None,
    *,
    source: SourceConfig | None = None,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> Run:
    """A trained classifier in the folder `out`, with its curves, numbers and split.

    A `KeyboardInterrupt` stops the training at the last finished epoch and leaves a folder that is as usable as that
    of a finished run, and can be resumed.

    Args:
        photos: an opened photo set, or anything `open_photos` takes.
        out: folder of the run; new, empty, or an earlier run to resume.
        config: how to train; `None` is the default, or with `resume` the settings of the run.
        source: how labels are found and how many photos are taken.
        resume: go on with the run in `out`, killed or finished, up to `config.epochs`.
        watcher: who is told about the progress.

    Raises:
        ConfigError: a setting is not accepted, or differs from those of the run to resume.
        DatasetError: the photos cannot be used, or differ from those of the run to resume.
        BundleError: there is no run to resume, or it is damaged.
        OutputError: `out` is not ours, or cannot be written.
        KeyboardInterrupt: the user stopped it before the first epoch was over.
    """
    run_dir, watcher = Path(out), watcher or Watcher()
    if run_dir.exists():  # found now rather than after the photos are decoded
        claim_dir(run_dir, RUN_FILE_NAME)
    check_outside(run_dir, Path(photos.source if isinstance(photos, PhotoSet) else photos))
    config, source, stored = _settings(run_dir, config, source or SourceConfig(), resume)
    photos = photos if isinstance(photos, PhotoSet) else open_photos(photos, source)
    backend = start_backend(config.seed)
    model = build_network(config, len(photos.class_names), backend.data_format)
    compile_network(model, config)
    data = prepare_photos(photos, source, config)
    if stored is not None and stored.photos_key != data.images.key:
        raise DatasetError(
            f"the photos of {photos.source!r} are not those that {str(run_dir)!r} was trained on;"
            " --resume needs the same ones. Train anew with another --out."
        )
    run_file = RunFile(photos.source, config, source.per_class, data.images.key, "training")
    claim_dir(run_dir, RUN_FILE_NAME)
    write_run_file(run_dir, run_file)
    write_split(run_dir, data)
    write_skipped(run_dir, data.images.photos.skipped)
    watcher.on_prepared(data)
    history, is_stopped = _fit(model, data, config, run_dir, watcher)
    run = finish_run(FinishedTraining(run_dir, model, data, config, backend, history, is_stopped))
    write_run_file(run_dir, replace(run_file, state="stopped" if is_stopped else "finished"))
    return run


def _settings(
    run_dir: Path, config: TrainConfig | None, source: SourceConfig, resume: bool
) -> tuple[TrainConfig, SourceConfig, RunFile | None]:
    """The settings to train with, and those of the run to resume, if one is."""
    if not resume:
        if (run_dir / RUN_FILE_NAME).exists():
            raise OutputError(
                f"{str(run_dir)!r} holds a run already; pass --resume to go on with it, or another --out."
            )
        return config or TrainConfig(), source, None
    stored = read_run_file(run_dir)
    remove_partials(run_dir)
    config = config or stored.config
    check_same_settings(stored.config, config)
    return config, replace(source, per_class=stored.per_class), stored


def _fit(
    model: "keras.Model", data: FitData, config: TrainConfig, run_dir: Path, watcher: Watcher
) -> tuple[tuple[EpochRecord, ...], bool]:
    """Trains to the last epoch with a checkpoint after each; the history, and whether the user stopped it before."""
    checkpoint_dir = run_dir / CHECKPOINT_DIR_NAME
    history: tuple[EpochRecord, ...] = ()
    if (state := load_checkpoint(checkpoint_dir)) is not None:
        restore_state(model, state)
        history = state.history
    try:
        for record in fit_epochs(model, data, config, len(history), watcher.on_step):
            state = capture_state(model, (*history, record))
            save_checkpoint(checkpoint_dir, state)
            history = state.history
            write_history(run_dir, history)
            watcher.on_epoch(record)
    except KeyboardInterrupt:
        # The weights are those of some step inside an epoch; the checkpoint has those of its end.
        if (state := load_checkpoint(checkpoint_dir)) is None:
            raise
        restore_state(model, state)
        return state.history, True
    return history, False
