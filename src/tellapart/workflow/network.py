"""A network trained from scratch: decode, split, epochs with a checkpoint after each, and the finish."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tellapart.config import SourceConfig, TrainConfig
from tellapart.learn.backend import start_backend
from tellapart.learn.checkpoints import capture_state, load_checkpoint, restore_state, save_checkpoint
from tellapart.learn.fit import FitData, fit_epochs
from tellapart.learn.recipes import build_network, compile_network
from tellapart.photos.cache import cache_images
from tellapart.photos.photoset import PhotoSet, check_classes
from tellapart.photos.preprocess import PreprocessSpec
from tellapart.records import EpochRecord
from tellapart.workflow.cache import cache_root, images_dir
from tellapart.workflow.finish import FinishedTraining, finish_run
from tellapart.workflow.job import Run, TrainJob
from tellapart.workflow.prepare import hold_out, load_chosen
from tellapart.workflow.run_folder import (
    CHECKPOINT_DIR_NAME,
    claim_run,
    finish_run_file,
    write_history,
    write_skipped,
    write_split,
)

if TYPE_CHECKING:
    import keras


def train_network(job: TrainJob) -> Run:
    """The finished run of a recipe that trains in epochs.

    Raises:
        As `workflow.train.train` says.
    """
    started, config = time.perf_counter(), job.config
    assert isinstance(config, TrainConfig)
    backend = start_backend(config.seed)
    model = build_network(config, len(job.photos.class_names), backend.data_format)
    compile_network(model, config)
    data = prepare_photos(job.photos, job.source, config)
    photos, split = data.images.photos, data.split
    run_file = claim_run(job, data.images.key)
    write_split(job.run_dir, photos, split)
    write_skipped(job.run_dir, photos.skipped)
    job.watcher.on_prepared(photos, len(split.train), len(split.validation))
    resumed_seconds = _seconds_before(job)
    history, is_stopped = _fit(model, data, config, job)
    run = finish_run(FinishedTraining(job.run_dir, model, data, config, backend, history, is_stopped))
    finish_run_file(job.run_dir, run_file, is_stopped)
    return replace(run, seconds=resumed_seconds + time.perf_counter() - started)


def prepare_photos(photos: PhotoSet, source: SourceConfig, config: TrainConfig) -> FitData:
    """The usable photos decoded, labelled and split into train and validation.

    Raises:
        DatasetError: after leaving out what is unusable there are fewer than 2 classes, or a class has fewer than 2
            photos.
        OutputError: the decoded photos do not fit on the disk.
    """
    cache_dir = images_dir(cache_root(source.cache_dir))
    spec = PreprocessSpec(config.image_size, config.channels)
    images = load_chosen(
        photos, source.per_class, config.seed, lambda chosen: cache_images(chosen, spec, source.limits, cache_dir)
    )
    check_classes(images.photos.counts(), photos.source)
    labels = images.photos.labels
    assert labels is not None
    return FitData(images, labels, hold_out(images.photos, images.groups(), config.validation_fraction, config.seed))


def _seconds_before(job: TrainJob) -> float:
    """Seconds that the epochs of the run took which is about to be resumed."""
    state = load_checkpoint(job.run_dir / CHECKPOINT_DIR_NAME)
    return 0.0 if state is None else sum(record.seconds for record in state.history)


def _fit(
    model: "keras.Model", data: FitData, config: TrainConfig, job: TrainJob
) -> tuple[tuple[EpochRecord, ...], bool]:
    """Trains to the last epoch with a checkpoint after each; the history, and whether the user stopped it before."""
    checkpoint_dir = job.run_dir / CHECKPOINT_DIR_NAME
    history: tuple[EpochRecord, ...] = ()
    if (state := load_checkpoint(checkpoint_dir)) is not None:
        restore_state(model, state)
        history = state.history
    try:
        for record in fit_epochs(model, data, config, len(history), job.watcher.on_step):
            state = capture_state(model, (*history, record))
            save_checkpoint(checkpoint_dir, state)
            history = state.history
            write_history(job.run_dir, history)
            job.watcher.on_epoch(record)
    except KeyboardInterrupt:
        # The weights are those of some step inside an epoch; the checkpoint has those of its end.
        if (state := load_checkpoint(checkpoint_dir)) is None:
            raise
        restore_state(model, state)
        return state.history, True
    return history, False
