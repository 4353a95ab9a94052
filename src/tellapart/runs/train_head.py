"""A head trained on embeddings: embed every photo once, choose and fit the head, measure it, write one ONNX file."""

import hashlib
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import OpenBackbone, start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.check_up import Checkup, check_up
from tellapart.config import TransferConfig
from tellapart.errors import TellapartError
from tellapart.heads.head import FittedHead, cross_validate_head, fit_head, out_of_fold_probabilities
from tellapart.heads.head_data import HeadData
from tellapart.heads.learning_curve import measure_learning_curve
from tellapart.heads.novelty import Novelty, fit_novelty
from tellapart.heads.onnx_head import add_head, count_parameters
from tellapart.measure.selective import selective_points
from tellapart.photos.loading import stream_images
from tellapart.photos.photoset import check_classes
from tellapart.photos.splits import Split, count_groups
from tellapart.predict.bundle import Bundle, write_bundle
from tellapart.predict.predictor import Predictor
from tellapart.records import LayerRecord, PreparedRecord, Skipped
from tellapart.runs.held_out import given_split, hold_out, load_chosen
from tellapart.runs.job import Run, TrainJob
from tellapart.runs.measurement import Outcome, write_outcome
from tellapart.runs.report_results import Measured, measured_to_json, rows_of
from tellapart.runs.run_folder import (
    METRICS_NAME,
    claim_run,
    finish_run_file,
    installed_versions,
    write_skipped,
    write_split,
)
from tellapart.runs.run_report import write_report
from tellapart.store import to_json_bytes, write_file

# From this many photos on a fifth of them measures the accuracy; below, that would cost the head more than it tells.
_HOLD_OUT_FROM = 1000
_HOLD_OUT_FRACTION = 0.2
# Cross-validations below that: with one, the luck of its folds is in the figure.
_NUM_REPEATS = 3
# Largest accepted difference between the bundle's probabilities and those computed from the embeddings.
_PARITY_TOLERANCE = 1e-4
_NUM_PARITY_PHOTOS = 64


@dataclass(frozen=True, eq=False)
class _Trained:
    """A head, what it learnt from, and how it does; `seconds` by part of the work."""

    checkup: Checkup
    num_found_in_cache: int
    split: Split
    head: FittedHead
    novelty: Novelty | None
    measured: Measured | None
    seconds: dict[str, float]


def train_head(job: TrainJob) -> Run:
    """The finished run of the recipe `transfer`.

    Raises:
        As `workflow.train.train` says.
    """
    started, config = time.perf_counter(), job.config
    assert isinstance(config, TransferConfig)
    opened = start_backbone(config.backbone, job.source.cache_dir, job.watcher)
    seconds = {"backbone": time.perf_counter() - started}
    seen = load_chosen(
        job.photos,
        job.source.per_class,
        config.seed,
        lambda chosen: look_at(chosen, [Eye(opened.embedder)], cache_dir=job.source.cache_dir, watcher=job.watcher),
    )
    seconds["embed"] = time.perf_counter() - started - seconds["backbone"]
    checkup = _check(job, config, seen)
    seconds["check"] = time.perf_counter() - started - sum(seconds.values())
    photos, digests = checkup.photos, checkup.seen.digests
    run_file = claim_run(job, hashlib.sha256("".join(digests).encode()).hexdigest())
    write_skipped(job.run_dir, photos.skipped)
    trained = _learn(job, config, checkup, seen.num_found, seconds)
    _finish(job, opened, trained)
    finish_run_file(job.run_dir, run_file)
    measured = trained.measured
    return Run(
        run_dir=job.run_dir,
        validation=None if measured is None else measured.evaluation,
        validation_paths=() if measured is None else measured.outcome.photos.paths,
        is_right=() if measured is None else tuple(measured.outcome.is_right.tolist()),
        is_cross_validated=measured is not None and measured.method == "cross-validation",
        skipped=photos.skipped,
        seconds=time.perf_counter() - started,
        num_found_in_cache=seen.num_found,
    )


def _check(job: TrainJob, config: TransferConfig, seen: SeenPhotos) -> Checkup:
    """What the check-up says of the photos, told to the watcher as well.

    Raises:
        DatasetError: fewer than 2 classes are left.
    """
    check_classes(seen.photos.counts(), seen.photos.source, min_photos=1)
    checkup = check_up(seen, config.seed, job.confirmed)
    job.watcher.on_checked(checkup.findings)
    single = [name for name, number in seen.photos.counts().items() if number == 1]
    if single:
        names = ", ".join(repr(name) for name in single[:5]) + (f" and {len(single) - 5} more" if single[5:] else "")
        job.watcher.on_note(f"learnt from a single photo, so how often they are recognised is unknown: {names}.")
    return checkup


def _learn(
    job: TrainJob, config: TransferConfig, checkup: Checkup, num_found: int, seconds: dict[str, float]
) -> _Trained:
    """The head and its figures: on photos held out where there are enough of them, else by cross-validation."""
    started, photos = time.perf_counter(), checkup.photos
    split = _choose_split(config, checkup)
    everything = np.arange(len(photos))
    shown = split or Split(everything, everything[:0])
    write_split(job.run_dir, photos, shown, checkup.seen.digests, checkup.group_numbers)
    job.watcher.on_prepared(
        PreparedRecord(photos.counts(), len(photos.skipped), len(shown.train), len(shown.validation))
    )
    data = _head_data(checkup, shown.train)
    head = fit_head(data, config.folds, config.seed)
    for note in head.notes:
        job.watcher.on_note(note)
    outcome, num_repeats = _measure(config, checkup, split, head, data)
    measured = None
    if len(outcome.photos):
        measured = Measured(
            recipe=config.recipe,
            outcome=outcome,
            evaluation=outcome.evaluate(),
            method="cross-validation" if split is None else "hold-out",
            num_repeats=num_repeats,
            curve=measure_learning_curve(data, config.seed),
            leak_accuracy=_leak_accuracy(config, checkup, outcome, head),
        )
    novelty = fit_novelty(data, config.seed)
    seconds["head"] = time.perf_counter() - started
    return _Trained(checkup, num_found, shown, head, novelty, measured, seconds)


def _head_data(checkup: Checkup, rows: NDArray[np.int64], groups: NDArray[np.int64] | None = None) -> HeadData:
    embeddings, labels = checkup.seen.embeddings, checkup.photos.labels
    assert embeddings is not None and labels is not None
    numbers = checkup.group_numbers if groups is None else groups
    return HeadData(embeddings[rows], labels[rows], numbers[rows], len(checkup.photos.class_names))


def _measure(
    config: TransferConfig, checkup: Checkup, split: Split | None, head: FittedHead, data: HeadData
) -> tuple[Outcome, int]:
    """What the model says of photos it has not learnt from, and in how many cross-validations; without, in one."""
    photos, digests = checkup.photos, checkup.seen.digests
    if split is not None:
        rows, repeats = split.validation, 1
        probabilities = head.probabilities(_head_data(checkup, rows).embeddings)
    else:
        repeats = _NUM_REPEATS
        found = [cross_validate_head(data, config.folds, config.seed + number) for number in range(repeats)]
        mean: NDArray[np.float32] = np.stack(found).mean(axis=0)
        rows = np.flatnonzero(np.isfinite(mean).all(axis=1))
        probabilities = mean[rows]
    return Outcome(photos.take(rows), tuple(digests[row] for row in rows), probabilities), repeats


def _leak_accuracy(config: TransferConfig, checkup: Checkup, outcome: Outcome, head: FittedHead) -> float | None:
    """The accuracy as it would have looked with photos that belong together on both sides; `None` if no better.

    Where the source makes the split, that is the accuracy on all of its validation photos. Elsewhere it is higher by
    the difference of two cross-validations of a quick head, one that keeps them together and one that does not.
    """
    photos = checkup.photos
    if not checkup.groups or checkup.probabilities is None or photos.labels is None:
        return None
    accuracy = float(outcome.is_right.mean())
    if (given := given_split(photos)) is not None:
        probabilities = head.probabilities(_head_data(checkup, given.validation).embeddings)
        leaky = float((probabilities.argmax(axis=1) == photos.labels[given.validation]).mean())
        return leaky if leaky > accuracy else None
    everything = np.arange(len(photos))
    torn = out_of_fold_probabilities(_head_data(checkup, everything, everything), config.folds, config.seed)
    rows = rows_of(photos, outcome.photos)
    usable = rows[np.isfinite(torn[rows]).all(axis=1) & np.isfinite(checkup.probabilities[rows]).all(axis=1)]
    right = [(one[usable].argmax(axis=1) == photos.labels[usable]).sum() for one in (torn, checkup.probabilities)]
    gain = (right[0] - right[1]) / max(1, len(usable))
    return float(min(1.0, accuracy + gain)) if gain > 0 else None


def _choose_split(config: TransferConfig, checkup: Checkup) -> Split | None:
    """The photos to hold out; `None` for cross-validation over all of them."""
    photos, groups = checkup.photos, checkup.group_numbers
    assert photos.labels is not None
    fraction = config.validation_fraction
    is_large = len(photos) >= _HOLD_OUT_FROM and min(count_groups(photos.labels, groups)) >= 2
    if fraction is None and given_split(photos) is None and not is_large:
        return None
    return hold_out(photos, groups, fraction or _HOLD_OUT_FRACTION, config.seed)


def _finish(job: TrainJob, opened: OpenBackbone, trained: _Trained) -> None:
    """Writes all results, the bundle last and only when it answers as the head does.

    Raises:
        TellapartError: the exported model answers differently; no bundle is written.
        OutputError: a file cannot be written.
    """
    started = time.perf_counter()
    bundle = _make_bundle(opened, trained)
    predictor = Predictor(bundle)
    difference = _largest_difference(predictor, trained)
    if not difference <= _PARITY_TOLERANCE:
        raise TellapartError(
            f"the exported model differs from the trained head by {difference:.2g} in a probability, at most"
            f" {_PARITY_TOLERANCE:g} is accepted; no bundle was written. Try another --backbone."
        )
    measured = trained.measured
    if measured is not None:
        write_outcome(job.run_dir, measured.outcome, measured.evaluation)
    trained.seconds["finish"] = time.perf_counter() - started
    metrics = _metrics(job, bundle, trained, difference)
    write_report(job.run_dir, trained.checkup, measured, predictor, metrics)
    trained.seconds["report"] = time.perf_counter() - started - trained.seconds["finish"]
    write_file(job.run_dir / METRICS_NAME, to_json_bytes(metrics))
    write_bundle(job.run_dir, bundle)


def _make_bundle(opened: OpenBackbone, trained: _Trained) -> Bundle:
    class_names, embedder, novelty = trained.checkup.photos.class_names, opened.embedder, trained.novelty
    size, num_classes = embedder.embedding_size, len(class_names)
    layers = (
        LayerRecord("image", "InputLayer", embedder.preprocess.shape, 0),
        LayerRecord(opened.backbone.name, "Backbone", (size,), count_parameters(opened.backbone.model)),
        LayerRecord("head", "Dense", (num_classes,), (size + 1) * num_classes),
        LayerRecord("probabilities", "Softmax", (num_classes,), 0),
    )
    outcome = None if trained.measured is None else trained.measured.outcome
    return Bundle(
        class_names=class_names,
        preprocess=embedder.preprocess,
        layers=layers,
        model=add_head(opened.backbone.model, trained.head.weights, trained.head.bias, novelty),
        versions=installed_versions("scikit-learn"),
        recipe="transfer",
        selective=() if outcome is None else selective_points(outcome.labels, outcome.probabilities),
        usual_distances=() if novelty is None else novelty.quantiles,
    )


def _largest_difference(predictor: Predictor, trained: _Trained) -> float:
    """Between the bundle, from photos to probabilities, and the head on the embeddings, over some of the photos."""
    photos, embeddings = trained.checkup.photos, trained.checkup.seen.embeddings
    assert embeddings is not None
    rows = np.unique(np.linspace(0, len(photos) - 1, _NUM_PARITY_PHOTOS).astype(np.int64))
    images: list[NDArray[np.uint8]] = []
    used: list[int] = []
    for row, item in zip(rows, stream_images(photos.take(rows), predictor.preprocess, photos.limits), strict=True):
        if not isinstance(item, Skipped):
            images.append(item)
            used.append(int(row))
    expected = trained.head.probabilities(embeddings[used])
    return float(np.abs(predictor.probabilities(np.stack(images)) - expected).max())


def _metrics(job: TrainJob, bundle: Bundle, trained: _Trained, difference: float) -> dict[str, Any]:
    """The content of `metrics.json`."""
    photos, head = trained.checkup.photos, trained.head
    return {
        "recipe": "transfer",
        **measured_to_json(trained.measured),
        "num_train": len(trained.split.train),
        "num_skipped": len(photos.skipped),
        "class_names": list(photos.class_names),
        "num_embedded": len(photos) - trained.num_found_in_cache,
        "num_found_in_cache": trained.num_found_in_cache,
        "seconds": trained.seconds,
        "head": head.to_json(),
        "onnx_largest_difference": difference,
        "num_parameters": sum(layer.num_parameters for layer in bundle.layers),
        "config": asdict(job.config),
        "device": "cpu",
        "versions": bundle.versions,
    }
