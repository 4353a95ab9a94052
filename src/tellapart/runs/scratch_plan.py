"""What the recipe `scratch` decides for its user: how long to train, and at which sizes."""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tellapart.backbones.photo_pass import look_at
from tellapart.config import ScratchConfig
from tellapart.errors import ConfigError, ImageError
from tellapart.images.facts import PhotoFacts
from tellapart.images.gate import read_info
from tellapart.images.preprocess import format_size
from tellapart.networks.backend import Backend
from tellapart.photos.photoset import PhotoSet
from tellapart.runs.job import TrainJob
from tellapart.training.fit import FitData
from tellapart.training.plan import (
    VIEW_SIDE,
    VIEW_WIDTH,
    Length,
    Plan,
    choose_image_size,
    choose_regime,
    choose_width,
    cost_of,
    make_plan,
    usual_length,
)
from tellapart.training.recipes import batch_size, check_image_size, compile_network, make_scratch_network
from tellapart.training.step import measure_photos_per_second
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

# Photos that say how large the photos of a collection are, and how long they take to be read.
_NUM_LOOKED_AT = 25
# A pass forward alone takes a third of a step; the end of a training takes so many of them over the validation photos
# (the last look, and two views of each in Keras and in ONNX Runtime, which is twice as fast), some over others, and
# some seconds for files and pictures.
_FORWARD_SHARE, _FORWARDS_AT_END, _TRAINING_PHOTOS_AT_END, _SECONDS_AT_END = 1 / 3, 4, 1280, 6.0
# Photos that are larger by this factor than they are looked at lose details, which their owner may need.
_SHRUNK_MUCH = 2.5
# What of the rate of steps on one repeated batch is left in a training, with its views and its looks at the validation
# photos: 0.86 to 0.96 with the former alone (benchmarks/RESULTS.md).
_SHARE_IN_TRAINING = 0.85
# What must be left to train in, as a share of the time asked for: as far as can be told before the photos are read, and
# once they are. What is asked for instead allows for a machine that is slower by this factor the next time.
_LEAST_LEFT, _LEAST_AFTER_READING, _SLOWER = 0.3, 0.1, 1.15


def measure_speed(config: ScratchConfig, job: TrainJob, backend: Backend) -> float | None:
    """Views a second on this machine, where the training is to end by the clock; `None` for any other training."""
    check_image_size(config)
    if config.minutes is None:
        return None
    num_classes, view = max(2, len(job.photos.class_names)), (VIEW_SIDE, VIEW_SIDE)
    return _photos_per_second(config, num_classes, _expected_train(config, job), backend, VIEW_WIDTH, view)


def _photos_per_second(
    config: ScratchConfig, num_classes: int, num_train: int, backend: Backend, width: int, image_size: tuple[int, int]
) -> float:
    """Photos of this `(height, width)` a second through steps of a network that is thrown away."""
    model = make_scratch_network(config, num_classes, backend, width)
    compile_network(model, config)
    return measure_photos_per_second(model, backend, batch_size(backend, num_train), image_size)


def choose_size(config: ScratchConfig, views_per_second: float | None, job: TrainJob) -> ScratchConfig:
    """The settings with the image size to predict at, before a photo is decoded.

    Args:
        config: with or without it.
        views_per_second: from `measure_speed`.
        job: the photos, and since when it runs.
    """
    if config.image_size is not None:
        return config
    seconds = None if config.minutes is None else config.minutes * 60
    num_train = _expected_train(config, job)
    length = _length(config, views_per_second, num_train, seconds)
    regime = choose_regime(length, choose_width(length, num_train))
    return replace(config, image_size=choose_image_size(regime, _native_side(job.photos)))


def _expected_train(config: ScratchConfig, job: TrainJob) -> int:
    """Photos to train with, if none turns out to be unusable."""
    num_photos = len(job.photos)
    if job.source.per_class is not None:
        num_photos = min(num_photos, job.source.per_class * len(job.photos.class_names))
    return max(1, round(num_photos * (1 - config.validation_fraction)))


def check_minutes(config: ScratchConfig, views_per_second: float | None, job: TrainJob) -> None:
    """Nothing, if the time asked for is long enough to train in, by the time that some of the photos take to be read.

    Args:
        config: with an image size.
        views_per_second: from `measure_speed`; `None` where no time was asked for.
        job: the photos, and since when it runs.

    Raises:
        ConfigError: it is too short.
    """
    if views_per_second is None:
        return
    num_photos = len(job.photos)
    if job.source.per_class is not None:
        num_photos = min(num_photos, job.source.per_class * len(job.photos.class_names))
    started, rows = time.perf_counter(), _sample_rows(len(job.photos))
    look_at(job.photos.take(rows), cache_dir=job.source.cache_dir)
    reading = (time.perf_counter() - started) / max(1, len(rows)) * num_photos
    over = time.perf_counter() - job.started + reading
    _seconds_left(config, views_per_second, num_photos - _expected_train(config, job), over, _LEAST_LEFT)


def plan_training(config: ScratchConfig, views_per_second: float | None, data: FitData, job: TrainJob) -> Plan:
    """Phases and length of the training.

    Args:
        config: with an image size.
        views_per_second: from `measure_speed`.
        data: what is trained on, decoded.
        job: since when it runs; a run that goes on keeps the way it was begun.

    Raises:
        ConfigError: the time asked for is too short to train in.
    """
    assert config.image_size is not None
    num_train = len(data.split.train)
    seconds = None
    if views_per_second is not None:
        over, num_validation = time.perf_counter() - job.started, len(data.split.validation)
        seconds = _seconds_left(config, views_per_second, num_validation, over, _LEAST_AFTER_READING)
    length = _length(config, views_per_second, num_train, seconds)
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
    num_classes = len(data.images.photos.class_names)
    rates = [
        _SHARE_IN_TRAINING * _photos_per_second(config, num_classes, num_train, backend, plan.width, phase.image_size)
        for phase in plan.phases
    ]
    seconds = max(plan.seconds - (time.perf_counter() - started), _LEAST_LEFT * plan.seconds)
    return replace(plan, seconds=seconds).at_rates(rates, num_train)


def _length(config: ScratchConfig, views_per_second: float | None, num_train: int, seconds: float | None) -> Length:
    """How long the training is: by the clock, by the epochs, or as usual."""
    if views_per_second is not None and seconds is not None:
        return Length(views=views_per_second * seconds / num_train)
    return usual_length(num_train) if config.epochs is None else Length(epochs=config.epochs)


def describe_plan(plan: Plan, config: ScratchConfig, facts: Sequence[PhotoFacts]) -> str:
    """The plan in a sentence; then what a user may want to set otherwise."""
    phases = [
        ngettext(
            "{num:.3g} epoch at {size} pixels", "{num:.3g} epochs at {size} pixels", 1 if phase.epochs == 1 else 2
        ).format(num=phase.epochs, size=format_size(phase.image_size))
        for phase in plan.phases
    ]
    said = _("the plan: {phases}. The model predicts at {size} pixels.")
    if plan.seconds is not None:
        said = _("the plan: about {phases}. The model predicts at {size} pixels.")
    said = said.format(phases=_(", then ").join(phases), size=format_size(plan.image_size))
    if config.flip:
        mirrored = _("Mirrored photos count as the same class. If they do not, as with letters, give `flip=False`.")
        said = f"{said} {mirrored}"
    shrinking = _median_side([one.height * one.width for one in facts]) / math.sqrt(math.prod(plan.image_size))
    if not _SHRUNK_MUCH <= shrinking < math.inf:
        return said
    shrunk = _(
        "Photos are shrunk {times:.0f} times. If your classes differ in small details, give a larger `image_size`, and"
        " the time for it."
    ).format(times=shrinking)
    return f"{said} {shrunk}"


def _seconds_left(
    config: ScratchConfig, views_per_second: float, num_validation: int, over: float, least_left: float
) -> float:
    """Seconds for the epochs: what was asked for, without what is over and what comes after them.

    Args:
        config: with an image size.
        views_per_second: from `measure_speed`.
        num_validation: photos that are held out.
        over: seconds until the first epoch.
        least_left: what must be left, as a share of what was asked for.

    Raises:
        ConfigError: it is less.
    """
    assert config.minutes is not None and config.image_size is not None
    num_passes = num_validation * _FORWARDS_AT_END + _TRAINING_PHOTOS_AT_END
    at_end = num_passes * cost_of(config.image_size) * _FORWARD_SHARE / views_per_second + _SECONDS_AT_END
    seconds = config.minutes * 60 - over - at_end
    if seconds < least_left * config.minutes * 60:
        least = math.ceil(_SLOWER * (over + at_end) / (1 - _LEAST_LEFT) / 6) / 10
        raise ConfigError(
            _(
                "`minutes` {minutes:g} is too short. Reading these photos takes about {over:.0f} s, and testing and"
                " writing the model about {at_end:.0f} s. Give at least `minutes={least:g}`."
            ).format(minutes=config.minutes, over=over, at_end=at_end, least=least),
            field="minutes",
            value=config.minutes,
        )
    return seconds


def _native_side(photos: PhotoSet) -> float:
    """Side in pixels that photos of this set typically have: the root of their median area."""
    areas = []
    for row in _sample_rows(len(photos)):
        try:
            info = read_info(photos.read(row), photos.limits)
        except (ImageError, OSError):
            continue
        areas.append(info.height * info.width)
    return _median_side(areas)


def _sample_rows(num_photos: int) -> list[int]:
    """Rows of up to 25 photos, evenly chosen."""
    return [int(row) for row in np.unique(np.linspace(0, num_photos - 1, _NUM_LOOKED_AT).astype(int))]


def _median_side(areas: Sequence[int]) -> float:
    """The root of the median area; infinite for no photos."""
    return math.sqrt(statistics.median(areas)) if areas else math.inf
