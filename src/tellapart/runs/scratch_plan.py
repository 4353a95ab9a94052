"""What the recipe `scratch` decides for its user: how long to train at which sizes, and whether to mirror photos."""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tellapart.config import ScratchConfig
from tellapart.errors import ConfigError, ImageError
from tellapart.images.facts import PhotoFacts
from tellapart.images.gate import read_info
from tellapart.images.preprocess import format_size
from tellapart.networks.backend import Backend
from tellapart.photos.photoset import PhotoSet
from tellapart.randomness import named_generator
from tellapart.runs.job import TrainJob
from tellapart.training.fit import FitData
from tellapart.training.mirror import choose_mirroring
from tellapart.training.plan import (
    Length,
    Plan,
    choose_image_size,
    choose_regime,
    choose_width,
    cost_of,
    make_plan,
    usual_length,
)
from tellapart.training.recipes import check_image_size
from tellapart.training.speed import measure_pace, measure_rate
from tellapart.watcher import Watcher

# Photos whose headers say how large the photos of a collection are.
_NUM_LOOKED_AT = 50
# Training photos that the small model for flips is shown, at most.
_NUM_ASKED = 2500
# A pass forward alone takes a third of a step; the end of a training takes so many of them over the validation photos
# (the last look, and two views of each in Keras and in ONNX Runtime, which is twice as fast), some over others, and
# some seconds for files and pictures.
_FORWARD_SHARE, _FORWARDS_AT_END, _TRAINING_PHOTOS_AT_END, _SECONDS_AT_END = 1 / 3, 4, 1280, 6.0
# Photos that are larger by this factor than they are looked at lose details, which their owner may need.
_SHRUNK_MUCH = 2.5
# What of the rate of steps on one repeated batch is left in a training, with its views and its looks at the validation
# photos: 0.86 to 0.96 with the former alone (benchmarks/RESULTS.md).
_SHARE_IN_TRAINING = 0.85
# What must be left to train in, as a share of the time asked for.
_LEAST_LEFT = 0.3


def measure_if_needed(config: ScratchConfig, job: TrainJob, backend: Backend) -> float | None:
    """Views a second on this machine, where the training is to end by the clock."""
    check_image_size(config)
    if config.minutes is None:
        return None
    return measure_pace(config, max(2, len(job.photos.class_names)), _expected_train(config, job), backend)


def settle_size(config: ScratchConfig, pace: float | None, job: TrainJob) -> ScratchConfig:
    """The settings with the image size to predict at, before a photo is decoded.

    Args:
        config: with or without it.
        pace: from `measure_if_needed`.
        job: the photos, and since when it runs.
    """
    if config.image_size is not None:
        return config
    seconds = None if config.minutes is None else config.minutes * 60
    num_train = _expected_train(config, job)
    length = _length(config, pace, num_train, seconds)
    regime = choose_regime(length, choose_width(length, num_train))
    return replace(config, image_size=choose_image_size(regime, _native_side(job.photos)))


def _expected_train(config: ScratchConfig, job: TrainJob) -> int:
    """Photos to train with, if none turns out to be unusable."""
    num_photos = len(job.photos)
    if job.source.per_class is not None:
        num_photos = min(num_photos, job.source.per_class * len(job.photos.class_names))
    return max(1, round(num_photos * (1 - config.validation_fraction)))


def settle_flips(config: ScratchConfig, data: FitData, watcher: Watcher) -> ScratchConfig:
    """The settings with a decision whether training photos are mirrored, and a note when they are not."""
    if config.flip is not None:
        return config
    rows = named_generator(config.seed, "asked about flips").permutation(data.split.train)[:_NUM_ASKED]
    choice = choose_mirroring(data.images.gather(rows), data.labels[rows], data.images.groups()[rows], config.seed)
    if not choice.is_harmless:
        watcher.on_note(
            "photos are not mirrored in training: in cross-validation that made a small model tell the classes apart "
            f"less well (log-loss {choice.loss_with:.3f} with, {choice.loss_without:.3f} without). --flip mirrors them."
        )
    return replace(config, flip=choice.is_harmless)


def plan_training(config: ScratchConfig, pace: float | None, data: FitData, job: TrainJob) -> Plan:
    """Phases and length of the training.

    Args:
        config: with an image size.
        pace: from `measure_if_needed`.
        data: what is trained on, decoded.
        job: since when it runs; a run that goes on keeps the way it was begun.

    Raises:
        ConfigError: the time asked for is too short to train in.
    """
    assert config.image_size is not None
    num_train = len(data.split.train)
    seconds = None if pace is None else _seconds_left(config, pace, data, job)
    length = _length(config, pace, num_train, seconds)
    if job.resumed is not None and job.resumed.views is not None:
        length = Length(views=job.resumed.views)
    width = choose_width(length, num_train)
    return make_plan(choose_regime(length, width), config.image_size, length, width, seconds)


def time_phases(plan: Plan, config: ScratchConfig, data: FitData, backend: Backend) -> Plan:
    """A plan by the clock with the epochs that this machine takes its own steps for.

    What they are was estimated from steps of another network and size so far. The time this takes comes off the plan's.
    """
    assert plan.seconds is not None
    started, num_train = time.perf_counter(), len(data.split.train)
    settings = (config, len(data.images.photos.class_names), num_train, backend, plan.width)
    rates = [_SHARE_IN_TRAINING * measure_rate(*settings, phase.image_size) for phase in plan.phases]
    seconds = max(plan.seconds - (time.perf_counter() - started), _LEAST_LEFT * plan.seconds)
    return replace(plan, seconds=seconds).at_rates(rates, num_train)


def _length(config: ScratchConfig, pace: float | None, num_train: int, seconds: float | None) -> Length:
    """How long the training is: by the clock, by the epochs, or as usual."""
    if pace is not None and seconds is not None:
        return Length(views=pace * seconds / num_train)
    return usual_length(num_train) if config.epochs is None else Length(epochs=config.epochs)


def describe_plan(plan: Plan, facts: Sequence[PhotoFacts]) -> str:
    """The plan in a sentence, and in a second one what is too small to be seen in photos that are larger by far."""
    about = "about " if plan.seconds is not None else ""
    phases = [f"{_count(phase.epochs)} at {format_size(phase.image_size)} pixels" for phase in plan.phases]
    whole = f"{_count(plan.num_epochs)}: " if len(phases) > 1 else ""
    said = f"the plan: {about}{whole}{', then '.join(phases)}; predicts at {format_size(plan.image_size)}."
    shrinking = _median_side([one.height * one.width for one in facts]) / math.sqrt(math.prod(plan.image_size))
    if not _SHRUNK_MUCH <= shrinking < math.inf:
        return said
    return (
        f"{said} A pixel is {shrinking:.0f}x{shrinking:.0f} of a photo's own then; if classes differ in details of that"
        f" size, pass a larger --image-size, and the time for it."
    )


def _count(epochs: float) -> str:
    text = f"{epochs:.3g}"
    return f"{text} epoch{'' if text == '1' else 's'}"


def _seconds_left(config: ScratchConfig, pace: float, data: FitData, job: TrainJob) -> float:
    """Seconds for the epochs: what was asked for, without what is over and what comes after them."""
    assert config.minutes is not None and config.image_size is not None
    num_passes = len(data.split.validation) * _FORWARDS_AT_END + _TRAINING_PHOTOS_AT_END
    at_end = num_passes * cost_of(config.image_size) * _FORWARD_SHARE / pace + _SECONDS_AT_END
    over = time.perf_counter() - job.started
    seconds = config.minutes * 60 - over - at_end
    if seconds < _LEAST_LEFT * config.minutes * 60:
        least = math.ceil((over + at_end) / (1 - _LEAST_LEFT) / 6) / 10
        raise ConfigError(
            f"--minutes {config.minutes:g} is too short: reading these photos took {over:.0f} s, and measuring and "
            f"writing the result will take about {at_end:.0f} s. Pass at least --minutes {least:g}."
        )
    return seconds


def _native_side(photos: PhotoSet) -> float:
    """Side in pixels that photos of this set typically have: the root of their median area."""
    areas = []
    for row in np.unique(np.linspace(0, len(photos) - 1, _NUM_LOOKED_AT).astype(int)):
        try:
            info = read_info(photos.read(int(row)), photos.limits)
        except (ImageError, OSError):
            continue
        areas.append(info.height * info.width)
    return _median_side(areas)


def _median_side(areas: Sequence[int]) -> float:
    """The root of the median area; infinite for no photos."""
    return math.sqrt(statistics.median(areas)) if areas else math.inf
