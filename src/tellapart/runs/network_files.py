"""The end of a training: the files for Keras users, the verified bundle, the curves and the numbers."""

import statistics
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tellapart.checkup.check_up import Checkup
from tellapart.config import ScratchConfig
from tellapart.errors import TellapartError
from tellapart.images.preprocess import PreprocessSpec
from tellapart.measure.calibration import calibrate
from tellapart.measure.selective import selective_points
from tellapart.networks.backend import Backend
from tellapart.networks.keras_export import describe_layers, to_keras_files, to_onnx
from tellapart.photos.splits import fold_numbers
from tellapart.predict.bundle import Bundle, write_bundle
from tellapart.predict.model import Model
from tellapart.records import EpochRecord
from tellapart.report.curves import draw_curves
from tellapart.report.figures import figure_png
from tellapart.runs.job import Run
from tellapart.runs.measurement import Outcome, write_outcome
from tellapart.runs.report_results import Measured, measured_to_json
from tellapart.runs.run_folder import METRICS_NAME, installed_versions, write_history
from tellapart.runs.run_report import write_report
from tellapart.store import to_json_bytes, write_file
from tellapart.training.fit import FitData, predict_probabilities
from tellapart.training.plan import Plan
from tellapart.training.recipes import NetworkConfig, build_network

if TYPE_CHECKING:
    import keras

# Largest accepted difference between ONNX Runtime's and Keras' probabilities; rounding alone stays near 1e-6.
_PARITY_TOLERANCE = 1e-4
# Of the validation photos, each with the temperature that the others ask for.
_NUM_FOLDS = 5


@dataclass(frozen=True)
class FinishedTraining:
    """A model after its last epoch, with what it was trained from and on.

    Attributes:
        groups: the group number of each photo; equal ones belong together.
    """

    run_dir: Path
    model: "keras.Model"
    data: FitData
    groups: NDArray[np.int64]
    checkup: Checkup
    config: NetworkConfig
    plan: Plan | None
    backend: Backend
    history: tuple[EpochRecord, ...]
    is_stopped: bool

    @property
    def image_size(self) -> tuple[int, int]:
        """`(height, width)` that photos are predicted at."""
        assert self.config.image_size is not None
        return self.config.image_size

    @property
    def is_mirrored(self) -> bool:
        """Whether the model averages what it says of a photo and of its mirror image."""
        return isinstance(self.config, ScratchConfig) and self.config.flip


def finish_run(training: FinishedTraining) -> Run:
    """Writes all results of a training into its folder, the bundle last and only when it answers as Keras does.

    Raises:
        TellapartError: the exported model answers differently from the trained one; no bundle is written.
        OutputError: a file cannot be written.
    """
    photos, rows = training.data.images.photos, training.data.split.validation
    bundle = _make_bundle(training)
    predictor = Model(bundle)
    probabilities = _predict(predictor, training.data, rows)
    expected = predict_probabilities(training.model, training.data.images, rows, mirrored=training.is_mirrored)
    difference = float(np.abs(probabilities - expected).max())
    if not difference <= _PARITY_TOLERANCE:
        raise TellapartError(
            f"the exported model differs from the trained one by {difference:.2g} in a probability, at most"
            f" {_PARITY_TOLERANCE:g} is accepted; no bundle was written. The Keras model is in the checkpoints."
        )
    digests, labels = training.data.images.digests, training.data.labels[rows]
    folds = fold_numbers(labels, training.groups[rows], _NUM_FOLDS, training.config.seed)
    temperature, probabilities = calibrate(probabilities, labels, folds)
    outcome = Outcome(photos.take(rows), tuple(digests[row] for row in rows), probabilities)
    validation = outcome.evaluate()
    bundle = replace(bundle, temperature=temperature, selective=selective_points(labels, probabilities))
    run_dir = training.run_dir
    for name, content in to_keras_files(_portable_model(training)).items():
        write_file(run_dir / name, content)
    write_history(run_dir, training.history)
    write_file(run_dir / "curves.png", figure_png(draw_curves(training.history)))
    write_outcome(run_dir, outcome, validation)
    measured = Measured(training.config.recipe, outcome, validation, method="hold-out")
    metrics = _metrics(training, measured, difference) | {"temperature": temperature}
    write_report(run_dir, training.checkup, measured, Model(bundle), metrics)
    write_file(run_dir / METRICS_NAME, to_json_bytes(metrics))
    write_bundle(run_dir, bundle)
    return Run(
        run_dir=run_dir,
        validation=validation,
        validation_paths=outcome.photos.paths,
        is_right=tuple(outcome.is_right.tolist()),
        is_cross_validated=False,
        skipped=photos.skipped,
        seconds=sum(record.seconds for record in training.history),
        history=training.history,
        is_stopped=training.is_stopped,
    )


def _make_bundle(training: FinishedTraining) -> Bundle:
    """The model for prediction; its convolutions are `channels_first`, as ONNX has them."""
    class_names = training.data.images.photos.class_names
    network = build_network(training.config, len(class_names), "channels_first", training.plan)
    network.set_weights(training.model.get_weights())
    return Bundle(
        class_names=class_names,
        preprocess=PreprocessSpec(training.image_size, training.config.channels),
        layers=describe_layers(_portable_model(training)),
        model=to_onnx(network, mirrored=training.is_mirrored),
        versions=installed_versions("keras") | {training.backend.name: training.backend.version},
        recipe=training.config.recipe,
    )


def _portable_model(training: FinishedTraining) -> "keras.Model":
    """The trained weights in the data format that every Keras backend runs."""
    num_classes = len(training.data.images.photos.class_names)
    network = build_network(training.config, num_classes, "channels_last", training.plan)
    network.set_weights(training.model.get_weights())
    return network


def _predict(predictor: Model, data: FitData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    parts = np.array_split(rows, -(-len(rows) // 64))
    return np.concatenate([predictor.predict_proba(data.images.gather(part)) for part in parts])


def _metrics(training: FinishedTraining, measured: Measured, difference: float) -> dict[str, Any]:
    """The content of `metrics.json`."""
    history, data = training.history, training.data
    return {
        "recipe": training.config.recipe,
        **measured_to_json(measured),
        "num_train": len(data.split.train),
        "num_skipped": len(data.images.photos.skipped),
        "class_names": list(data.images.photos.class_names),
        "num_epochs": len(history),
        "is_stopped": training.is_stopped,
        "train_seconds": sum(record.seconds for record in history),
        "images_per_second": statistics.median(record.images_per_second for record in history),
        "onnx_largest_difference": difference,
        "num_parameters": int(training.model.count_params()),
        "config": asdict(training.config),
        **({} if training.plan is None else {"plan": asdict(training.plan)}),
        "device": training.backend.device,
        "versions": installed_versions("keras") | {training.backend.name: training.backend.version},
    }
