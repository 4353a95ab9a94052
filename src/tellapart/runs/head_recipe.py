"""The recipe `transfer`: a head on the embeddings of a pretrained network, exported with it as one model."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import OpenBackbone, start_backbone
from tellapart.backbones.photo_pass import Eye, ImageSink, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.check_up import Checkup, check_up
from tellapart.config import TransferConfig
from tellapart.errors import TellapartError
from tellapart.heads.embedding_rows import EmbeddingRows
from tellapart.heads.head import FittedHead, cross_validate_head, fit_head, out_of_fold_probabilities
from tellapart.heads.head_data import HeadData
from tellapart.heads.learning_curve import measure_learning_curve
from tellapart.heads.linear_models import LinearModel
from tellapart.heads.novelty import Novelty, fit_novelty
from tellapart.heads.onnx_head import add_head, count_parameters
from tellapart.images.depth import SampleDepths
from tellapart.measure.measurement import CROSS_VALIDATION, HOLD_OUT, Measurement, Method, measure
from tellapart.measure.scores import LearningCurve
from tellapart.measure.splits import Split, count_groups
from tellapart.photos.loading import stream_images
from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet, check_classes
from tellapart.predict.bundle import Bundle
from tellapart.predict.model import Model
from tellapart.randomness import named_generator
from tellapart.records import LayerRecord, Skipped
from tellapart.runs.assessment import describe_difference
from tellapart.runs.eye_choice import choose_eyes
from tellapart.runs.held_out import given_split, hold_out, load_chosen
from tellapart.runs.job import Fitted, TrainJob
from tellapart.runs.run_folder import RunFile, run_file_of
from tellapart.runs.run_tables import installed_versions
from tellapart.translation import gettext as _

# From this many photos on a fifth of them measures the accuracy; below, that would cost the head more than it tells. So
# it would where it left a class with fewer independent photos than this: its recall would be known to 25 points.
_HOLD_OUT_FROM = 1000
_HOLD_OUT_FRACTION = 0.2
_FEWEST_HELD_OUT = 30
# Cross-validations elsewhere: with one, the luck of its folds is in the figure, which matters less with many photos.
_NUM_REPEATS, _NUM_REPEATS_OF_MANY = 3, 1
# A wrong export differs by more in a probability. So does a right one of a head with large weights, as very similar
# photos ask for, by what rounding does to it.
_LARGEST_DIFFERENCE = 0.02
# Each is read once more. The head is linear, so a wrong export is wrong on nearly every photo.
_NUM_PARITY_PHOTOS = 8


class HeadRecipe:
    """The recipe `transfer`.

    Args:
        job: a training with a `TransferConfig`.

    Attributes:
        seconds: what each part of the work took.
    """

    def __init__(self, job: TrainJob) -> None:
        assert isinstance(job.config, TransferConfig)
        self._job, self._config = job, job.config
        self._num_found = 0
        self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}
        self._asked, self._eyes = job.config.eyes, choose_eyes(job, job.config)
        self._clock("eyes")
        self._config = replace(job.config, backbone=self._eyes.chosen, eyes="auto")
        self._opened = start_backbone(self._eyes.chosen, job.source.cache_dir, job.watcher)
        self._clock("backbone")

    def look(self) -> Checkup:
        """The embedded photos and what is to be said of them; a class may have a single photo."""
        job, seen = self._job, self._embed()
        check_classes(seen.photos.counts(), seen.photos.source, min_photos=1)
        self._num_found = seen.num_found
        self._clock("embed")
        job.watcher.on_stage(_("checking the photos"))
        checkup = check_up(seen, self._config.seed, job.confirmed)
        single = [name for name, number in checkup.photos.counts().items() if number == 1]
        if single:
            names = name_some(single)
            job.watcher.on_note(
                _("there is a single photo of {names}, so their recall is unknown. Add photos of them.").format(
                    names=names
                )
            )
        self._clock("check")
        return checkup

    def _embed(self, sink: Callable[[], ImageSink | None] = lambda: None) -> SeenPhotos:
        """The photos that are learnt from, embedded; each look at them has a sink of its own."""
        job, eyes = self._job, [Eye(self._opened.embedder)]
        cache_dir, watcher = job.source.cache_dir, job.watcher
        return load_chosen(
            job.photos,
            job.source.per_class,
            self._config.seed,
            lambda chosen: look_at(chosen, eyes, sink=sink(), cache_dir=cache_dir, watcher=watcher),
        )

    def split(self, checkup: Checkup) -> Split:
        """The photos held out; none for cross-validation, where all of them train."""
        photos, groups, fraction = checkup.photos, checkup.group_numbers, self._config.validation_fraction
        assert photos.labels is not None
        held_out = round(_HOLD_OUT_FRACTION * min(count_groups(photos.labels, groups)))
        is_large = len(photos) >= _HOLD_OUT_FROM and held_out >= _FEWEST_HELD_OUT
        if fraction is None and given_split(photos) is None and not is_large:
            everything = np.arange(len(photos))
            return Split(everything, everything[:0])
        return hold_out(photos, groups, fraction or _HOLD_OUT_FRACTION, self._config.seed)

    def run_file(self, checkup: Checkup) -> RunFile:
        """What `run.json` says while the head is fitted."""
        key = hashlib.sha256("".join(checkup.seen.digests).encode()).hexdigest()
        return run_file_of(checkup.photos, self._job.source, self._config, key)

    def fit(self, checkup: Checkup, split: Split) -> Fitted:
        """The head in one model with its backbone, and how it does."""
        return self._finish(self._fit_head(checkup, split), checkup, split)

    def _fit_head(self, checkup: Checkup, split: Split) -> FittedHead:
        self._job.watcher.on_stage(_("training"))
        data = head_data(checkup, split.train)
        head = fit_head(data, self._config.folds, self._config.seed, streamed=self._streamed(data))
        for note in head.notes:
            self._job.watcher.on_note(note)
        return head

    def _finish(self, head: FittedHead, checkup: Checkup, split: Split) -> Fitted:
        """The model with this head on the pretrained network, measured."""
        data, tell = head_data(checkup, split.train), self._job.watcher.on_stage
        measurement = self._measure(checkup, split, head, data)
        tell(_("learning what unfamiliar photos look like"))
        novelty = fit_novelty(data, self._config.seed)
        self._clock("head")
        tell(_("making the model, and comparing its answers with the trained ones"))
        return self._export(self._opened, checkup, head, novelty, measurement)

    def _export(
        self,
        opened: OpenBackbone,
        checkup: Checkup,
        head: FittedHead,
        novelty: Novelty | None,
        measurement: Measurement | None,
    ) -> Fitted:
        """The head on the network in one model, which answers as both do.

        Args:
            opened: the network, as pretrained or fine-tuned.
            checkup: its embeddings are those that the network gives.
            head, novelty, measurement: of these.

        Raises:
            TellapartError: the model answers differently.
        """
        class_names, depths = checkup.photos.class_names, checkup.seen.depths
        bundle = make_head_bundle(opened, class_names, depths, head, novelty, measurement)
        bundle = replace(bundle, recipe=self._config.recipe)
        predictor = Model(bundle)
        difference = self._largest_difference(opened, predictor, checkup, head)
        embeddings = checkup.seen.embeddings
        assert embeddings is not None
        if not difference <= max(_LARGEST_DIFFERENCE, head.rounding(embeddings)):
            raise TellapartError(
                _(
                    "the exported model differs from the trained head by {difference} in a probability, so no bundle"
                    " was written. Try another `backbone`."
                ).format(difference=f"{difference:.2g}")
            )
        if (told := describe_difference(difference)) is not None:
            self._job.watcher.on_note(told)
        self._clock("finish")
        metrics = {
            "num_embedded": len(checkup.photos) - self._num_found,
            "num_found_in_cache": self._num_found,
            "seconds": self.seconds,
            "eyes": {"asked": self._asked, **self._eyes.to_json()},
            "head": head.to_json(),
            "onnx_largest_difference": difference,
            "num_parameters": sum(layer.num_parameters for layer in bundle.layers),
            "device": "cpu",
        }
        return Fitted(bundle, predictor, measurement, metrics)

    def _clock(self, part: str) -> None:
        """Adds the seconds since the last call to `seconds`."""
        now = time.perf_counter()
        self.seconds[part] = now - self._last
        self._last = now

    def _measure(self, checkup: Checkup, split: Split, head: FittedHead, data: HeadData) -> Measurement | None:
        """How the head does on the photos held out; without such, how heads like it do in cross-validation."""
        photos, config = checkup.photos, self._config
        assert photos.labels is not None
        if is_held_out := len(split.validation) > 0:
            rows, num_repeats = split.validation, 1
            probabilities = head.probabilities(head_data(checkup, rows).embeddings)
        else:
            num_repeats = _NUM_REPEATS if len(photos) < _HOLD_OUT_FROM else _NUM_REPEATS_OF_MANY
            found = []
            for number in range(num_repeats):
                self._job.watcher.on_stage(
                    _("cross-validating, {number} of {num_all}").format(number=number + 1, num_all=num_repeats)
                )
                found.append(cross_validate_head(data, config.folds, config.seed + number))
            mean: NDArray[np.float32] = np.stack(found).mean(axis=0)
            rows = np.flatnonzero(np.isfinite(mean).all(axis=1))
            probabilities = mean[rows]
        if not len(rows):
            return None
        accuracy = float((probabilities.argmax(axis=1) == photos.labels[rows]).mean())
        method = Method(
            HOLD_OUT if is_held_out else CROSS_VALIDATION,
            num_repeats,
            self._learning_curve(data),
            _leak_accuracy(config, checkup, rows, accuracy, head),
            is_given=is_held_out and given_split(photos) is not None,
        )
        groups = checkup.group_numbers[rows]
        return measure(rows, photos.labels[rows], probabilities, photos.class_names, method, groups)

    def _streamed(self, data: HeadData) -> Mapping[float | None, LinearModel] | None:
        """LDA of photos that the check-up has not seen, as `fit_head` takes it; `None` where there are none."""
        return None

    def _learning_curve(self, data: HeadData) -> LearningCurve | None:
        """Whether more photos would help; `None` where that cannot be told."""
        self._job.watcher.on_stage(_("estimating what more photos would bring"))
        return measure_learning_curve(data, self._config.seed)

    def _largest_difference(self, opened: OpenBackbone, predictor: Model, checkup: Checkup, head: FittedHead) -> float:
        """Between the bundle, from photos to probabilities, and the head on the embeddings, over some of the photos.

        Where none of them can be read any more, over images of noise.
        """
        images, rows = _read_some(checkup.photos, predictor)
        embeddings = checkup.seen.embeddings
        assert embeddings is not None
        expected = embeddings[rows]
        if not len(rows):
            shape = (_NUM_PARITY_PHOTOS, *predictor.preprocess.shape)
            images = named_generator(self._config.seed, "parity").integers(0, 256, shape, np.uint8)
            expected = opened.embedder.embed(images)
        return float(np.abs(predictor.predict_proba(images) - head.probabilities(expected)).max())


def head_data(checkup: Checkup, rows: NDArray[np.int64], groups: NDArray[np.int64] | None = None) -> HeadData:
    """The photos of these rows as a head learns from them.

    Args:
        checkup: of all photos.
        rows: those to take.
        groups: of all photos, in place of those of the check-up.
    """
    embeddings, labels = checkup.seen.embeddings, checkup.photos.labels
    assert embeddings is not None and labels is not None
    numbers = checkup.group_numbers if groups is None else groups
    return HeadData(EmbeddingRows(embeddings, rows), labels[rows], numbers[rows], len(checkup.photos.class_names))


def _leak_accuracy(
    config: TransferConfig, checkup: Checkup, rows: NDArray[np.int64], accuracy: float, head: FittedHead
) -> float | None:
    """The accuracy as it would have looked with photos that belong together on both sides; `None` if no better.

    Where the source makes the split, that is the accuracy on all of its validation photos. Elsewhere it is higher by
    the difference of two cross-validations of a quick head, one that keeps them together and one that does not.

    Args:
        config: of the training.
        checkup: of all its photos.
        rows: the photos it was measured on.
        accuracy: on these.
        head: the trained one.
    """
    photos = checkup.photos
    if not checkup.groups or checkup.probabilities is None or photos.labels is None:
        return None
    if (given := given_split(photos)) is not None:
        probabilities = head.probabilities(head_data(checkup, given.validation).embeddings)
        leaky = float((probabilities.argmax(axis=1) == photos.labels[given.validation]).mean())
        return leaky if leaky > accuracy else None
    everything = np.arange(len(photos))
    torn = out_of_fold_probabilities(head_data(checkup, everything, everything), config.folds, config.seed)
    usable = rows[np.isfinite(torn[rows]).all(axis=1) & np.isfinite(checkup.probabilities[rows]).all(axis=1)]
    right = [(one[usable].argmax(axis=1) == photos.labels[usable]).sum() for one in (torn, checkup.probabilities)]
    gain = (right[0] - right[1]) / max(1, len(usable))
    return float(min(1.0, accuracy + gain)) if gain > 0 else None


def make_head_bundle(
    opened: OpenBackbone,
    class_names: tuple[str, ...],
    depths: SampleDepths,
    head: FittedHead,
    novelty: Novelty | None = None,
    measurement: Measurement | None = None,
) -> Bundle:
    """The model that a head and its backbone are.

    Args:
        opened: the backbone.
        class_names: in the order of the head.
        depths: how many bits white fills in deep photos.
        head: fitted to embeddings of the backbone.
        novelty: how unlike the photos of the training a photo is; `None` where that cannot be told.
        measurement: of the head; `None` where there is none, as of one that is fitted again after every photo.
    """
    size, num_classes = opened.embedder.embedding_size, len(class_names)
    layers = (
        LayerRecord("image", "InputLayer", opened.embedder.preprocess.shape, 0),
        LayerRecord(opened.backbone.name, "Backbone", (size,), count_parameters(opened.backbone.model)),
        LayerRecord("head", "Dense", (num_classes,), (size + 1) * num_classes),
        LayerRecord("probabilities", "Softmax", (num_classes,), 0),
    )
    return Bundle(
        class_names=class_names,
        preprocess=replace(opened.embedder.preprocess, depths=depths),
        layers=layers,
        model=add_head(opened.backbone.model, head.weights, head.bias, novelty),
        versions=installed_versions("scikit-learn"),
        recipe="transfer",
        selective=() if measurement is None else measurement.selective,
        operating=() if measurement is None else measurement.operating,
        usual_distances=() if novelty is None else novelty.quantiles,
    )


def _read_some(photos: PhotoSet, predictor: Model) -> tuple[NDArray[np.uint8], list[int]]:
    """Images of evenly chosen photos, those that can still be read, and their rows."""
    rows = np.unique(np.linspace(0, len(photos) - 1, _NUM_PARITY_PHOTOS).astype(np.int64)).tolist()
    items = list(stream_images(photos.take(rows), predictor.preprocess, photos.limits))
    images = [item for item in items if not isinstance(item, Skipped)]
    used = [row for row, item in zip(rows, items, strict=True) if not isinstance(item, Skipped)]
    return np.array(images, np.uint8).reshape(-1, *predictor.preprocess.shape), used
