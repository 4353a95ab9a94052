"""The end of a training: the files for Keras users, the verified bundle, the curves and the numbers."""

import platform
import statistics
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tellapart.config import TrainConfig
from tellapart.errors import TellapartError
from tellapart.infer.bundle import Bundle, write_bundle
from tellapart.infer.predictor import Predictor
from tellapart.learn.backend import Backend
from tellapart.learn.export import describe_layers, to_keras_files, to_onnx
from tellapart.learn.fit import FitData, predict_probabilities
from tellapart.learn.recipes import build_network
from tellapart.photos.preprocess import PreprocessSpec
from tellapart.records import EpochRecord, Evaluation, Skipped
from tellapart.report.curves import draw_curves
from tellapart.report.figures import figure_png
from tellapart.score.metrics import evaluate_probabilities
from tellapart.store import to_json_bytes, write_file
from tellapart.workflow.run_folder import write_history

if TYPE_CHECKING:
    import keras

# Largest accepted difference between ONNX Runtime's and Keras' probabilities; rounding alone stays near 1e-6.
_PARITY_TOLERANCE = 1e-4
_PACKAGES = ("tellapart", "keras", "numpy", "onnxruntime", "opencv-python-headless", "pillow")


@dataclass(frozen=True)
class FinishedTraining:
    """A model after its last epoch, with what it was trained from and on."""

    run_dir: Path
    model: "keras.Model"
    data: FitData
    config: TrainConfig
    backend: Backend
    history: tuple[EpochRecord, ...]
    is_stopped: bool


@dataclass(frozen=True)
class Run:
    """What a training left.

    Attributes:
        run_dir: the folder; `tellapart.load` opens it.
        history: one record an epoch.
        validation: how the model does on the validation photos.
        skipped: files that were left out, and why.
        is_stopped: the user stopped it before its last epoch.
    """

    run_dir: Path
    history: tuple[EpochRecord, ...]
    validation: Evaluation
    skipped: tuple[Skipped, ...]
    is_stopped: bool


def finish_run(training: FinishedTraining) -> Run:
    """Writes all results of a training into its folder, the bundle last and only when it answers as Keras does.

    Raises:
        TellapartError: the exported model answers differently from the trained one; no bundle is written.
        OutputError: a file cannot be written.
    """
    photos, rows = training.data.images.photos, training.data.split.validation
    bundle = _make_bundle(training)
    probabilities = _predict(Predictor(bundle), training.data, rows)
    difference = float(np.abs(probabilities - predict_probabilities(training.model, training.data.images, rows)).max())
    if not difference <= _PARITY_TOLERANCE:
        raise TellapartError(
            f"the exported model differs from the trained one by {difference:.2g} in a probability, at most"
            f" {_PARITY_TOLERANCE:g} is accepted; no bundle was written. The Keras model is in the checkpoints."
        )
    validation = evaluate_probabilities(training.data.labels[rows], probabilities, photos.class_names)
    run_dir = training.run_dir
    for name, content in to_keras_files(_portable_model(training)).items():
        write_file(run_dir / name, content)
    write_history(run_dir, training.history)
    write_file(run_dir / "curves.png", figure_png(draw_curves(training.history)))
    write_file(run_dir / "metrics.json", to_json_bytes(_metrics(training, validation, difference)))
    write_bundle(run_dir, bundle)
    return Run(run_dir, training.history, validation, photos.skipped, training.is_stopped)


def _make_bundle(training: FinishedTraining) -> Bundle:
    """The model for prediction; its convolutions are `channels_first`, as ONNX has them."""
    class_names = training.data.images.photos.class_names
    network = build_network(training.config, len(class_names), "channels_first")
    network.set_weights(training.model.get_weights())
    return Bundle(
        class_names=class_names,
        preprocess=PreprocessSpec(training.config.image_size, training.config.channels),
        layers=describe_layers(_portable_model(training)),
        model=to_onnx(network),
        versions=_versions(training.backend),
        recipe=training.config.recipe,
    )


def _portable_model(training: FinishedTraining) -> "keras.Model":
    """The trained weights in the data format that every Keras backend runs."""
    network = build_network(training.config, len(training.data.images.photos.class_names), "channels_last")
    network.set_weights(training.model.get_weights())
    return network


def _predict(predictor: Predictor, data: FitData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    parts = np.array_split(rows, -(-len(rows) // 64))
    return np.concatenate([predictor.probabilities(data.images.gather(part)) for part in parts])


def _metrics(training: FinishedTraining, validation: Evaluation, difference: float) -> dict[str, Any]:
    """The content of `metrics.json`."""
    history, data = training.history, training.data
    return {
        "recipe": training.config.recipe,
        "validation_accuracy": validation.accuracy,
        "validation_interval_95": list(validation.interval_95),
        "validation_log_loss": validation.log_loss,
        "num_train": len(data.split.train),
        "num_validation": len(data.split.validation),
        "num_skipped": len(data.images.photos.skipped),
        "class_names": list(data.images.photos.class_names),
        "num_epochs": len(history),
        "is_stopped": training.is_stopped,
        "train_seconds": sum(record.seconds for record in history),
        "images_per_second": statistics.median(record.images_per_second for record in history),
        "onnx_largest_difference": difference,
        "num_parameters": int(training.model.count_params()),
        "config": asdict(training.config),
        "device": training.backend.device,
        "versions": _versions(training.backend),
    }


def _versions(backend: Backend) -> dict[str, str]:
    """Versions of all that could change a result."""
    packages = {name: version(name) for name in _PACKAGES}
    return {"python": platform.python_version()} | packages | {backend.name: backend.version}
