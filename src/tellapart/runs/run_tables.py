"""The tables of a run: split, skipped files, history, and what the model said of each photo it had not seen."""

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import BundleError, DatasetError
from tellapart.measure.measurement import Measurement, measure, method_from_json
from tellapart.measure.splits import Split
from tellapart.photos.csv_table import read_table
from tellapart.photos.photoset import PhotoSet
from tellapart.records import EpochRecord, Skipped
from tellapart.store import open_whole, to_csv_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.untrusted import read_json, reason_of

# What the content of a damaged file raises.
DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
METRICS_NAME, PREDICTIONS_NAME, SPLIT_NAME, SKIPPED_NAME = "metrics.json", "predictions.csv", "split.csv", "skipped.csv"


def installed_versions(*packages: str) -> dict[str, str]:
    """Versions of Python, of what every result depends on, and of `packages`."""
    shared = ("tellapart", "numpy", "onnxruntime", "opencv-python-headless", "pillow")
    return {"python": platform.python_version()} | {name: version(name) for name in (*shared, *packages)}


def write_history(run_dir: Path, history: Sequence[EpochRecord]) -> None:
    """Writes `history.csv`, one row an epoch."""
    names = [field.name for field in dataclasses.fields(EpochRecord)]
    rows = [[getattr(record, name) for name in names] for record in history]
    write_file(run_dir / "history.csv", to_csv_bytes([names, *rows]))


def write_split(
    run_dir: Path, photos: PhotoSet, split: Split, digests: Sequence[str], groups: NDArray[np.int64]
) -> None:
    """Writes `split.csv`: path, class, split and content of every photo used, and the number of its group.

    The split is `none` for photos that neither train nor validate.
    """
    assert photos.labels is not None
    sides = dict.fromkeys(split.validation.tolist(), "validation") | dict.fromkeys(split.train.tolist(), "train")
    rows = [
        [path, photos.class_names[label], sides.get(row, "none"), digest, group]
        for row, (path, label, digest, group) in enumerate(
            zip(photos.paths, photos.labels.tolist(), digests, groups.tolist(), strict=True)
        )
    ]
    write_file(run_dir / SPLIT_NAME, to_csv_bytes([["path", "class", "split", "content", "group"], *rows]))


def write_skipped(run_dir: Path, skipped: Sequence[Skipped]) -> None:
    """Writes `skipped.csv`: every file that was left out, and why; only the header when there is none."""
    rows = [[item.path, item.reason] for item in skipped]
    write_file(run_dir / SKIPPED_NAME, to_csv_bytes([["path", "reason"], *rows]))


def write_predictions(run_dir: Path, photos: PhotoSet, digests: Sequence[str], measurement: Measurement) -> None:
    """Writes `predictions.csv`: what the model said of each photo it had not seen.

    Probabilities have 9 digits, which say exactly which float32 it was.

    Args:
        run_dir: folder of the run.
        photos, digests: all photos of the training, and the content of each.
        measurement: its rows are those of `photos`.
    """
    names = photos.class_names
    header = ["path", "content", "class", "predicted_class", "probability", *(f"p_{name}" for name in names)]
    said = zip(measurement.rows, measurement.labels, measurement.predicted, measurement.probabilities, strict=True)
    # Row by row: the numbers of a thousand classes as text, all at once, would fill the memory.
    with open_whole(run_dir / PREDICTIONS_NAME) as file:
        file.write(to_csv_bytes([header]))
        for row, label, best, probabilities in said:
            numbers = [f"{value:.9g}" for value in (probabilities[best], *probabilities.tolist())]
            cells = [photos.paths[row], digests[row], names[label], names[best], *numbers]
            file.write(to_csv_bytes([cells], is_start=False))


def read_predictions(
    run_dir: Path, row_of_path: Mapping[str, int], class_names: Sequence[str], metrics: dict[str, Any]
) -> Measurement | None:
    """The measurement of a run, as its tables have it; `None` where nothing could be measured.

    Args:
        run_dir: folder of the run.
        row_of_path: the row of every photo of the run.
        class_names: in the order of the model.
        metrics: the content of `metrics.json`.

    Raises:
        BundleError: a table is not there, or is damaged.
    """
    if metrics.get("validation_accuracy") is None:
        return None
    table, split = read_rows(run_dir / PREDICTIONS_NAME), read_rows(run_dir / SPLIT_NAME)
    try:
        method = method_from_json(metrics)
    except DAMAGE as exc:
        raise unreadable(run_dir / METRICS_NAME, exc) from exc
    try:
        rows = np.array([row_of_path[row["path"]] for row in table], np.int64)
        labels = np.array([class_names.index(row["class"]) for row in table], np.int64)
        said = np.array([[float(row[f"p_{name}"]) for name in class_names] for row in table], np.float32)
        group_of_path = {row["path"]: int(row["group"]) for row in split}
        groups = np.array([group_of_path[row["path"]] for row in table], np.int64)
        return measure(rows, labels, said, class_names, method, groups)
    except DAMAGE as exc:
        raise unreadable(run_dir / PREDICTIONS_NAME, exc) from exc


def read_metrics(run_dir: Path) -> dict[str, Any]:
    """The content of `metrics.json`.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        metrics = read_json(run_dir / METRICS_NAME)
        if not isinstance(metrics, dict):
            raise ValueError(f"it holds a {type(metrics).__name__} and not an object")
    except (OSError, ValueError) as exc:
        raise unreadable(run_dir / METRICS_NAME, exc) from exc
    return metrics


def read_rows(path: Path, *columns: str) -> list[dict[str, str]]:
    """The rows of a table of ours, by the names of its columns, which are these at least.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        table = read_table(path, delimiter=",")
    except DatasetError as exc:
        raise unreadable(path, exc) from exc
    for column in columns:
        if column not in table.header:
            raise unreadable(path, KeyError(column))
    return [dict(zip(table.header, row.cells, strict=True)) for row in table.rows]


def unreadable(path: Path, exc: Exception) -> BundleError:
    """The error for a file of a run whose content is not what it was."""
    return BundleError(
        _("{path!r} cannot be read ({reason}). Copy the folder again, or train again into another folder.").format(
            path=str(path), reason=reason_of(exc)
        ),
        path=path,
    )
