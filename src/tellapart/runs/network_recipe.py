"""The recipes `scratch` and `classic`: a network trained in epochs, with a checkpoint after each."""

import statistics
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.photo_pass import look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.cache.cache_folder import cache_root, images_dir
from tellapart.cache.decoded_cache import CachedImages
from tellapart.cache.image_writer import ImageWriter
from tellapart.checkup.check_up import Checkup, check_up
from tellapart.config import ClassicConfig, ScratchConfig, SourceConfig
from tellapart.errors import TellapartError
from tellapart.images.preprocess import PreprocessSpec
from tellapart.measure.calibration import calibrate
from tellapart.measure.measurement import HOLD_OUT, Measurement, Method, measure
from tellapart.measure.splits import Split, fold_numbers
from tellapart.networks.backend import find_backend
from tellapart.networks.keras_export import describe_layers, to_keras_files, to_onnx
from tellapart.networks.residual import merge_first_layers
from tellapart.photos.photoset import PhotoSet, check_classes
from tellapart.predict.bundle import Bundle
from tellapart.predict.model import Model
from tellapart.records import EpochRecord
from tellapart.runs.assessment import describe_difference
from tellapart.runs.held_out import given_split, hold_out, load_chosen
from tellapart.runs.job import Fitted, TrainJob
from tellapart.runs.run_folder import CHECKPOINT_DIR_NAME, RunFile, run_file_of
from tellapart.runs.run_tables import installed_versions, write_history
from tellapart.runs.scratch_plan import (
    check_minutes,
    choose_size,
    describe_plan,
    measure_speed,
    plan_training,
    time_phases,
)
from tellapart.training.checkpoints import capture_state, load_checkpoint, restore_state, save_checkpoint
from tellapart.training.fit import Course, FitData, fit_epochs, predict_probabilities
from tellapart.training.plan import Plan
from tellapart.training.recipes import NetworkConfig, build_network, make_learner, open_course
from tellapart.translation import gettext as _
from tellapart.watcher import Watcher

if TYPE_CHECKING:
    import keras

# Of the validation photos, each with the temperature that the others ask for.
_NUM_FOLDS = 5


class NetworkRecipe:
    """A recipe that trains in epochs.

    Args:
        job: a training with a `ScratchConfig` or a `ClassicConfig`.
    """

    def __init__(self, job: TrainJob) -> None:
        assert isinstance(job.config, (ClassicConfig, ScratchConfig))
        self._job = job
        self._config: NetworkConfig = job.config
        self._backend = find_backend()
        self._views_per_second: float | None = None
        self._plan: Plan | None = None
        self._views: float | None = None
        self._images: CachedImages | None = None
        self._model: keras.Model | None = None

    @property
    def _data(self) -> CachedImages:
        assert self._images is not None, "`look` comes first"
        return self._images

    def look(self) -> Checkup:
        """The photos, decoded, and what is to be said of them."""
        if isinstance(self._config, ScratchConfig):
            if self._config.minutes is not None:
                self._job.watcher.on_stage(_("measuring how fast this machine trains"))
            self._views_per_second = measure_speed(self._config, self._job, self._backend)
            self._config = choose_size(self._config, self._views_per_second, self._job)
            check_minutes(self._config, self._views_per_second, self._job)
        self._images, checkup = prepare_photos(self._job.photos, self._job.source, self._config, self._job.watcher)
        return checkup

    def split(self, checkup: Checkup) -> Split:
        """The photos that train and those that are held out; the network is planned and made."""
        config, job = self._config, self._job
        job.watcher.on_stage(_("preparing the network"))
        split = hold_out(checkup.photos, checkup.group_numbers, config.validation_fraction, config.seed)
        data = self._fit_data(split)
        if isinstance(config, ScratchConfig):
            plan = plan_training(config, self._views_per_second, data, job)
            if plan.seconds is not None:
                self._views, plan = plan.num_views, time_phases(plan, config, data, self._backend)
            self._plan = plan
        self._model = make_learner(config, data, self._backend, self._plan)
        return split

    def run_file(self, checkup: Checkup) -> RunFile:
        """What `run.json` says while the network is trained."""
        run_file = run_file_of(checkup.photos, self._job.source, self._config, self._data.key)
        return replace(run_file, views=self._views)

    def fit(self, checkup: Checkup, split: Split) -> Fitted:
        """The network after its last epoch, or the last that was finished when the user stopped it."""
        if self._plan is not None and isinstance(self._config, ScratchConfig):
            self._job.watcher.on_note(describe_plan(self._plan, self._config, checkup.seen.facts))
        model, data = self._model, self._fit_data(split)
        assert model is not None
        state = load_checkpoint(self._job.run_dir / CHECKPOINT_DIR_NAME)
        seconds_before = 0.0 if state is None else sum(record.seconds for record in state.history)
        with open_course(model, data, self._config, self._backend, self._plan) as course:
            history, is_stopped = _train(model, data, course, self._job)
        self._job.watcher.on_stage(_("making the model, and testing it"))
        fitted = self._export(model, data, checkup, history)
        metrics = {**fitted.metrics, "is_stopped": is_stopped}
        return replace(fitted, metrics=metrics, is_stopped=is_stopped, seconds_before=seconds_before)

    def _fit_data(self, split: Split) -> FitData:
        labels = self._data.photos.labels
        assert labels is not None
        return FitData(self._data, labels, split)

    def _export(
        self, model: "keras.Model", data: FitData, checkup: Checkup, history: tuple[EpochRecord, ...]
    ) -> Fitted:
        """The network as a bundle, and how the bundle does on the photos held out.

        The bundle answers as Keras does, up to rounding: of logits in the thousands, that is more than usual. What is
        measured are the answers of the bundle, so that a difference costs no training.

        Raises:
            TellapartError: the exported model gives no numbers.
        """
        is_mirrored = isinstance(self._config, ScratchConfig) and self._config.flip
        portable = self._portable_model(model)
        bundle = self._make_bundle(model, portable, is_mirrored)
        rows = data.split.validation
        probabilities = _predict(Model(bundle), data, rows)
        expected = predict_probabilities(model, data.images, rows, mirrored=is_mirrored)
        difference = float(np.abs(probabilities - expected).max())
        if not np.isfinite(difference):
            raise TellapartError(
                _("the exported model gives no numbers, so no bundle was written. The network is in the checkpoints.")
            )
        if (note := describe_difference(difference)) is not None:
            self._job.watcher.on_note(note)
        temperature, measurement = self._measure(probabilities, data, checkup)
        bundle = replace(
            bundle,
            temperature=temperature,
            selective=measurement.selective,
            operating=measurement.operating,
        )
        return Fitted(
            bundle=bundle,
            predictor=Model(bundle),
            measurement=measurement,
            metrics=self._metrics(history, int(model.count_params()))
            | {"onnx_largest_difference": difference, "temperature": temperature},
            make_files=lambda: to_keras_files(portable, self._job.run_dir, is_mirrored),
            history=history,
        )

    def _measure(
        self, probabilities: NDArray[np.float32], data: FitData, checkup: Checkup
    ) -> tuple[float, Measurement]:
        """The temperature, and the figures with each photo at the temperature that the others ask for."""
        rows = data.split.validation
        labels, groups = data.labels[rows], checkup.group_numbers[rows]
        folds = fold_numbers(labels, groups, _NUM_FOLDS, self._config.seed)
        temperature, probabilities = calibrate(probabilities, labels, folds)
        names, method = checkup.photos.class_names, Method(HOLD_OUT, is_given=given_split(checkup.photos) is not None)
        return temperature, measure(rows, labels, probabilities, names, method, groups)

    def _make_bundle(self, model: "keras.Model", portable: "keras.Model", is_mirrored: bool) -> Bundle:
        """The model for prediction; its convolutions are `channels_first`, as ONNX has them."""
        class_names = self._data.photos.class_names
        network = build_network(self._config, len(class_names), "channels_first", self._plan)
        network.set_weights(model.get_weights())
        if isinstance(self._config, ScratchConfig):
            network = merge_first_layers(network)
        return Bundle(
            class_names=class_names,
            preprocess=self._data.spec,
            layers=describe_layers(portable),
            model=to_onnx(network, mirrored=is_mirrored),
            versions=installed_versions("keras") | {self._backend.name: self._backend.version},
            recipe=self._config.recipe,
        )

    def _portable_model(self, model: "keras.Model") -> "keras.Model":
        """The trained weights in the data format that every Keras backend runs."""
        num_classes = len(self._data.photos.class_names)
        network = build_network(self._config, num_classes, "channels_last", self._plan)
        network.set_weights(model.get_weights())
        return network

    def _metrics(self, history: tuple[EpochRecord, ...], num_parameters: int) -> dict[str, Any]:
        """What `metrics.json` says of a network alone."""
        return {
            "num_epochs": len(history),
            "train_seconds": sum(record.seconds for record in history),
            "images_per_second": statistics.median(record.images_per_second for record in history),
            "num_parameters": num_parameters,
            **({} if self._plan is None else {"plan": asdict(self._plan)}),
            "device": self._backend.device,
        }


def prepare_photos(
    photos: PhotoSet, source: SourceConfig, config: NetworkConfig, watcher: Watcher = Watcher()
) -> tuple[CachedImages, Checkup]:
    """The usable photos, decoded, and what the check-up says of them; row by row the same.

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
    assert config.image_size is not None
    spec = PreprocessSpec(config.image_size, config.channels)
    root, writers = cache_root(source.cache_dir), list[ImageWriter]()
    with ExitStack() as stack:

        def look(chosen: PhotoSet) -> SeenPhotos:
            writers.append(stack.enter_context(ImageWriter(spec, source.limits, images_dir(root))))
            return look_at(chosen, sink=writers[-1], cache_dir=source.cache_dir, watcher=watcher)

        seen = load_chosen(photos, source.per_class, config.seed, look)
        images = writers[-1].finish(seen.photos, seen.digests, seen.depths)
    check_classes(images.photos.counts(), photos.source)
    # A photo may have gone since it was looked at.
    row_of_path = {path: row for row, path in enumerate(seen.photos.paths)}
    decoded = seen.take([row_of_path[path] for path in images.photos.paths])
    watcher.on_stage(_("checking the photos"))
    return images, check_up(replace(decoded, photos=images.photos), config.seed)


def _train(model: "keras.Model", data: FitData, course: Course, job: TrainJob) -> tuple[tuple[EpochRecord, ...], bool]:
    """Trains to the last epoch with a checkpoint after each; the history, and whether the user stopped it before."""
    checkpoint_dir = job.run_dir / CHECKPOINT_DIR_NAME

    def restore() -> tuple[EpochRecord, ...] | None:
        if (state := load_checkpoint(checkpoint_dir)) is None:
            return None
        restore_state(model, state)
        return state.history

    history = restore() or ()
    try:
        for record in fit_epochs(data, course, history, job.watcher.on_step):
            history = (*history, record)
            save_checkpoint(checkpoint_dir, capture_state(model, history))
            write_history(job.run_dir, history)
            job.watcher.on_epoch(record)
    except KeyboardInterrupt:
        # The weights are those of some step inside an epoch; the checkpoint has those of its end.
        if (kept := restore()) is None:
            raise
        if kept[-1].progress < 1:
            course.recalibrate_normalization()
        return kept, True
    return history, False


def _predict(predictor: Model, data: FitData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    parts = np.array_split(rows, -(-len(rows) // 64))
    return np.concatenate([predictor.predict_proba(data.images.gather(part)) for part in parts])
