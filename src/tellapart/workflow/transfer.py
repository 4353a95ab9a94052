"""A head trained on embeddings: embed every photo once, choose and fit the head, measure it, write one ONNX file."""

import hashlib
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.config import TransferConfig
from tellapart.errors import TellapartError
from tellapart.infer.bundle import Bundle, write_bundle
from tellapart.infer.predictor import Predictor
from tellapart.learn.head import FittedHead, HeadData, cross_validate_head, fit_head
from tellapart.learn.onnx_head import add_head, count_parameters
from tellapart.photos.loading import stream_images
from tellapart.photos.photoset import check_classes
from tellapart.photos.splits import Split, count_groups
from tellapart.records import Evaluation, LayerRecord, Skipped
from tellapart.store import to_json_bytes, write_file
from tellapart.workflow.embed import EmbeddedPhotos, OpenBackbone, embed_photos, start_backbone
from tellapart.workflow.job import Run, TrainJob
from tellapart.workflow.outcome import Outcome, write_outcome
from tellapart.workflow.prepare import given_split, hold_out, load_chosen
from tellapart.workflow.run_folder import claim_run, finish_run_file, installed_versions, write_skipped, write_split

# From this many photos on a fifth of them measures the accuracy; below, that would cost the head more than it tells.
_HOLD_OUT_FROM = 1000
_HOLD_OUT_FRACTION = 0.2
# Largest accepted difference between the bundle's probabilities and those computed from the embeddings.
_PARITY_TOLERANCE = 1e-4
_NUM_PARITY_PHOTOS = 64


@dataclass(frozen=True)
class _Trained:
    """A head, what it learnt from, and how it does; `seconds` by part of the work."""

    embedded: EmbeddedPhotos
    split: Split
    head: FittedHead
    outcome: Outcome
    evaluation: Evaluation | None
    is_cross_validated: bool
    seconds: dict[str, float]


def train_head(job: TrainJob) -> Run:
    """The finished run of the recipe `transfer`.

    Raises:
        As `workflow.train.train` says.
    """
    started, config = time.perf_counter(), job.config
    assert isinstance(config, TransferConfig)
    opened = start_backbone(config.backbone, job.source.cache_dir, job.watcher)
    backbone_ready = time.perf_counter()
    embedded = load_chosen(
        job.photos, job.source.per_class, config.seed, lambda chosen: embed_photos(chosen, opened, job.watcher)
    )
    photos = embedded.photos
    check_classes(photos.counts(), photos.source, min_photos=1)
    for note in _notes(embedded):
        job.watcher.on_note(note)
    run_file = claim_run(job, hashlib.sha256("".join(embedded.digests).encode()).hexdigest())
    write_skipped(job.run_dir, photos.skipped)
    times = {"backbone": backbone_ready - started, "embed": time.perf_counter() - backbone_ready}
    trained = _learn(job, config, embedded, times)
    _finish(job, opened, trained)
    finish_run_file(job.run_dir, run_file)
    return Run(
        run_dir=job.run_dir,
        validation=trained.evaluation,
        validation_paths=trained.outcome.photos.paths,
        is_right=tuple(trained.outcome.is_right.tolist()),
        is_cross_validated=trained.is_cross_validated,
        skipped=photos.skipped,
        seconds=time.perf_counter() - started,
        num_found_in_cache=embedded.num_found,
    )


def _notes(embedded: EmbeddedPhotos) -> list[str]:
    """What a person should know about the photos before they trust the numbers."""
    photos = embedded.photos
    assert photos.labels is not None
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(embedded.digests):
        rows_of[digest].append(row)
    torn = [rows for rows in rows_of.values() if len({int(photos.labels[row]) for row in rows}) > 1]
    notes = []
    if torn:
        first = ", ".join(repr(photos.paths[row]) for row in torn[0][:3])
        what = "photo stands" if len(torn) == 1 else "photos stand"
        notes.append(f"{len(torn):,} {what} in more than one class, so a label is wrong; the first: {first}.")
    single = [name for name, number in photos.counts().items() if number == 1]
    if single:
        names = ", ".join(repr(name) for name in single[:5]) + (f" and {len(single) - 5} more" if single[5:] else "")
        notes.append(f"learnt from a single photo, so how often they are recognised is unknown: {names}.")
    return notes


def _learn(job: TrainJob, config: TransferConfig, embedded: EmbeddedPhotos, seconds: dict[str, float]) -> _Trained:
    """The head and its figures: on photos held out where there are enough of them, else by cross-validation."""
    started, photos = time.perf_counter(), embedded.photos
    assert photos.labels is not None
    everything = np.arange(len(photos))
    split = _choose_split(config, embedded)
    train_rows = everything if split is None else split.train
    split_shown = Split(everything, everything[:0]) if split is None else split
    num_validation = 0 if split is None else len(split.validation)
    write_split(job.run_dir, photos, split_shown)
    job.watcher.on_prepared(photos, len(train_rows), num_validation)
    data = HeadData(
        embedded.embeddings[train_rows], photos.labels[train_rows], embedded.groups[train_rows], len(photos.class_names)
    )
    head = fit_head(data, config.folds, config.seed)
    for note in head.notes:
        job.watcher.on_note(note)
    if split is None:
        probabilities = cross_validate_head(data, config.folds, config.seed)
        rows = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
        outcome = Outcome(photos.take(rows), probabilities[rows])
    else:
        probabilities = head.probabilities(embedded.embeddings[split.validation])
        outcome = Outcome(photos.take(split.validation), probabilities)
    evaluation = outcome.evaluate() if len(outcome.photos) else None
    seconds["head"] = time.perf_counter() - started
    return _Trained(embedded, split_shown, head, outcome, evaluation, split is None, seconds)


def _choose_split(config: TransferConfig, embedded: EmbeddedPhotos) -> Split | None:
    """The photos to hold out; `None` for cross-validation over all of them."""
    photos, groups = embedded.photos, embedded.groups
    assert photos.labels is not None
    if config.validation_fraction is not None:
        return hold_out(photos, groups, config.validation_fraction, config.seed)
    if (given := given_split(photos)) is not None:
        return given
    is_large = len(photos) >= _HOLD_OUT_FROM and min(count_groups(photos.labels, groups)) >= 2
    return hold_out(photos, groups, _HOLD_OUT_FRACTION, config.seed) if is_large else None


def _finish(job: TrainJob, opened: OpenBackbone, trained: _Trained) -> None:
    """Writes all results, the bundle last and only when it answers as the head does.

    Raises:
        TellapartError: the exported model answers differently; no bundle is written.
        OutputError: a file cannot be written.
    """
    started = time.perf_counter()
    bundle = _make_bundle(opened, trained)
    difference = _largest_difference(bundle, trained)
    if not difference <= _PARITY_TOLERANCE:
        raise TellapartError(
            f"the exported model differs from the trained head by {difference:.2g} in a probability, at most"
            f" {_PARITY_TOLERANCE:g} is accepted; no bundle was written. Try another --backbone."
        )
    if trained.evaluation is not None:
        write_outcome(job.run_dir, trained.outcome, trained.evaluation)
    trained.seconds["finish"] = time.perf_counter() - started
    write_file(job.run_dir / "metrics.json", to_json_bytes(_metrics(job, bundle, trained, difference)))
    write_bundle(job.run_dir, bundle)


def _make_bundle(opened: OpenBackbone, trained: _Trained) -> Bundle:
    class_names, embedder = trained.embedded.photos.class_names, opened.embedder
    size, num_classes = embedder.embedding_size, len(class_names)
    layers = (
        LayerRecord("image", "InputLayer", embedder.preprocess.shape, 0),
        LayerRecord(opened.backbone.name, "Backbone", (size,), count_parameters(opened.backbone.model)),
        LayerRecord("head", "Dense", (num_classes,), (size + 1) * num_classes),
        LayerRecord("probabilities", "Softmax", (num_classes,), 0),
    )
    return Bundle(
        class_names=class_names,
        preprocess=embedder.preprocess,
        layers=layers,
        model=add_head(opened.backbone.model, trained.head.weights, trained.head.bias),
        versions=installed_versions("scikit-learn"),
        recipe="transfer",
    )


def _largest_difference(bundle: Bundle, trained: _Trained) -> float:
    """Between the bundle, from photos to probabilities, and the head on the embeddings, over some of the photos."""
    photos, embeddings = trained.embedded.photos, trained.embedded.embeddings
    rows = np.unique(np.linspace(0, len(photos) - 1, _NUM_PARITY_PHOTOS).astype(np.int64))
    images: list[NDArray[np.uint8]] = []
    used: list[int] = []
    for row, item in zip(rows, stream_images(photos.take(rows), bundle.preprocess, photos.limits), strict=True):
        if not isinstance(item, Skipped):
            images.append(item)
            used.append(int(row))
    expected = trained.head.probabilities(embeddings[used])
    return float(np.abs(Predictor(bundle).probabilities(np.stack(images)) - expected).max())


def _metrics(job: TrainJob, bundle: Bundle, trained: _Trained, difference: float) -> dict[str, Any]:
    """The content of `metrics.json`."""
    evaluation, embedded, head = trained.evaluation, trained.embedded, trained.head
    figures: dict[str, Any] = {"validation_accuracy": None, "validation_interval_95": None, "validation_log_loss": None}
    if evaluation is not None:
        figures = {
            "validation_accuracy": evaluation.accuracy,
            "validation_interval_95": list(evaluation.interval_95),
            "validation_log_loss": evaluation.log_loss,
        }
    return {
        "recipe": "transfer",
        **figures,
        "validation_method": "cross-validation" if trained.is_cross_validated else "hold-out",
        "num_train": len(trained.split.train),
        "num_validation": len(trained.outcome.photos),
        "num_skipped": len(embedded.photos.skipped),
        "class_names": list(embedded.photos.class_names),
        "num_embedded": len(embedded.photos) - embedded.num_found,
        "num_found_in_cache": embedded.num_found,
        "seconds": trained.seconds,
        "head": head.to_json(),
        "onnx_largest_difference": difference,
        "num_parameters": sum(layer.num_parameters for layer in bundle.layers),
        "config": asdict(job.config),
        "device": "cpu",
        "versions": bundle.versions,
    }
