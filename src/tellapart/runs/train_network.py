"""A network trained from scratch: decode, split, epochs with a checkpoint after each, and the finish."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.cache_folder import cache_root, images_dir
from tellapart.backbones.photo_pass import look_at
from tellapart.checkup.check_up import Checkup, check_up
from tellapart.config import ClassicConfig, ScratchConfig, SourceConfig
from tellapart.images.preprocess import PreprocessSpec
from tellapart.networks.backend import start_backend
from tellapart.photos.decoded_cache import cache_images
from tellapart.photos.photoset import PhotoSet, check_classes
from tellapart.records import EpochRecord, PreparedRecord
from tellapart.runs.held_out import hold_out, load_chosen
from tellapart.runs.job import Run, TrainJob
from tellapart.runs.network_files import FinishedTraining, finish_run
from tellapart.runs.run_folder import (
    CHECKPOINT_DIR_NAME,
    claim_run,
    finish_run_file,
    write_history,
    write_skipped,
    write_split,
)
from tellapart.runs.scratch_plan import (
    describe_plan,
    measure_if_needed,
    plan_training,
    settle_flips,
    settle_size,
    time_phases,
)
from tellapart.training.checkpoints import capture_state, load_checkpoint, restore_state, save_checkpoint
from tellapart.training.fit import Course, FitData, fit_epochs
from tellapart.training.recipes import NetworkConfig, make_learner, open_course
from tellapart.watcher import Watcher

if TYPE_CHECKING:
    import keras


def train_network(job: TrainJob) -> Run:
    """The finished run of a recipe that trains in epochs.

    Raises:
        As `workflow.train.train` says.
    """
    config = job.config
    assert isinstance(config, (ClassicConfig, ScratchConfig))
    backend = start_backend(config.seed)
    pace = None
    if isinstance(config, ScratchConfig):
        pace = measure_if_needed(config, job, backend)
        config = settle_size(config, pace, job)
    data, checkup = prepare_photos(job.photos, job.source, config, job.watcher)
    photos, split = data.images.photos, data.split
    job.watcher.on_checked(checkup.findings)
    plan, views = None, None
    if isinstance(config, ScratchConfig):
        config = settle_flips(config, data, job.watcher)
        plan = plan_training(config, pace, data, job)
        if plan.seconds is not None:
            views, plan = plan.num_views, time_phases(plan, config, data, backend)
    model = make_learner(config, data, backend, plan)
    job = replace(job, config=config)
    run_file = claim_run(job, data.images.key, views)
    groups = groups_of(photos, checkup)
    write_split(job.run_dir, photos, split, data.images.digests, groups)
    write_skipped(job.run_dir, photos.skipped)
    job.watcher.on_prepared(
        PreparedRecord(photos.counts(), len(photos.skipped), len(split.train), len(split.validation))
    )
    if plan is not None:
        job.watcher.on_note(describe_plan(plan, photos))
    resumed_seconds = _seconds_before(job)
    with open_course(model, data, config, backend, plan) as course:
        history, is_stopped = _fit(model, data, course, job)
        with course.settled(is_final=True):
            trained = FinishedTraining(
                job.run_dir, model, data, groups, checkup, config, plan, backend, history, is_stopped
            )
            run = finish_run(trained)
    finish_run_file(job.run_dir, run_file, is_stopped)
    return replace(run, seconds=resumed_seconds + time.perf_counter() - job.started)


def prepare_photos(
    photos: PhotoSet, source: SourceConfig, config: NetworkConfig, watcher: Watcher = Watcher()
) -> tuple[FitData, Checkup]:
    """The usable photos decoded, labelled and split into train and validation, and what the check-up says of them.

    The check-up goes without embeddings: no pretrained network may know such photos.

    Args:
        photos: not decoded yet.
        source: how many of them are taken, and where decoded ones are kept.
        config: of `scratch`, with an image size.
        watcher: told when a cache was damaged.

    Raises:
        DatasetError: after leaving out what is unusable there are fewer than 2 classes, or a class has fewer than 2
            photos.
        OutputError: the decoded photos do not fit on the disk.
    """
    cache_dir = images_dir(cache_root(source.cache_dir))
    assert config.image_size is not None
    spec = PreprocessSpec(config.image_size, config.channels)
    images = load_chosen(
        photos, source.per_class, config.seed, lambda chosen: cache_images(chosen, spec, source.limits, cache_dir)
    )
    check_classes(images.photos.counts(), photos.source)
    labels = images.photos.labels
    assert labels is not None
    checkup = check_up(look_at(images.photos, cache_dir=source.cache_dir, watcher=watcher), config.seed)
    groups = groups_of(images.photos, checkup)
    split = hold_out(images.photos, groups, config.validation_fraction, config.seed)
    return FitData(images, labels, split), checkup


def groups_of(photos: PhotoSet, checkup: Checkup) -> NDArray[np.int64]:
    """The group number of each photo; one that the check-up could not look at is alone in its group."""
    known = dict(zip(checkup.photos.paths, checkup.group_numbers.tolist(), strict=True))
    return np.array([known.get(path, len(known) + row) for row, path in enumerate(photos.paths)], np.int64)


def _seconds_before(job: TrainJob) -> float:
    """Seconds that the epochs of the run took which is about to be resumed."""
    state = load_checkpoint(job.run_dir / CHECKPOINT_DIR_NAME)
    return 0.0 if state is None else sum(record.seconds for record in state.history)


def _fit(model: "keras.Model", data: FitData, course: Course, job: TrainJob) -> tuple[tuple[EpochRecord, ...], bool]:
    """Trains to the last epoch with a checkpoint after each; the history, and whether the user stopped it before."""
    checkpoint_dir = job.run_dir / CHECKPOINT_DIR_NAME

    def restore() -> tuple[EpochRecord, ...] | None:
        if (state := load_checkpoint(checkpoint_dir)) is None:
            return None
        restore_state(model, state)
        course.restore_averages(state.averages)
        return state.history

    history = restore() or ()
    try:
        for record in fit_epochs(data, course, history, job.watcher.on_step):
            history = (*history, record)
            save_checkpoint(checkpoint_dir, capture_state(model, history, course.averages()))
            write_history(job.run_dir, history)
            job.watcher.on_epoch(record)
    except KeyboardInterrupt:
        # The weights are those of some step inside an epoch; the checkpoint has those of its end.
        if (kept := restore()) is None:
            raise
        return kept, True
    return history, False
