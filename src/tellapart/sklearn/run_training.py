"""The recipes that train a network, for rows: a run in a folder that is gone afterwards, of which the model stays."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.photo_pass import look_at
from tellapart.errors import DatasetError
from tellapart.photos.names import name_some, printable
from tellapart.photos.photoset import PhotoSet
from tellapart.predict.bundle import Bundle, read_bundle
from tellapart.predict.model import Model
from tellapart.records import Skipped
from tellapart.runs.train import train
from tellapart.sklearn.photo_rows import PhotoRows
from tellapart.sklearn.row_embedding import photo_set, refuse_unreadable, warn_of
from tellapart.store import write_file
from tellapart.translation import gettext as _
from tellapart.watcher import Watcher


def train_bundle(
    rows: PhotoRows, labels: NDArray[np.int64], class_names: Sequence[str], settings: Mapping[str, Any], errors: str
) -> tuple[Bundle, dict[int, str]]:
    """The model of a training on the rows, and why rows that it could not learn from cannot be read.

    Args:
        rows: photos; pixels become files for the time of the training.
        labels: numbers into `class_names`, int64 `(n,)`.
        class_names: the classes.
        settings: of the training: `recipe`, `seed` and `cache_dir`.
        errors: as for `refuse_unreadable`.

    Raises:
        DatasetError: a row cannot be read, or a file has two labels; or as for a training.
        ConfigError, DependencyError: as for a training.
    """
    if rows.embeddings is not None:
        said = _("`recipe={recipe!r}` trains on photos, and X holds numbers. Give paths or uint8 images.")
        raise DatasetError(said.format(recipe=settings["recipe"]))
    with tempfile.TemporaryDirectory(prefix="tellapart-") as folder:
        paths = _as_files(rows, Path(folder))
        label_of_path = _label_each(paths, labels)
        # What the store keeps of this look, the training finds.
        seen = look_at(photo_set(list(label_of_path)), cache_dir=settings["cache_dir"])
        reasons = _reasons_of_rows(paths, seen.photos.skipped)
        refuse_unreadable(reasons, rows, errors)
        label_of_shown = {printable(path): label for path, label in label_of_path.items()}
        numbers = np.array([label_of_shown[path] for path in seen.photos.paths], np.int64)
        photos: PhotoSet = replace(seen.photos, labels=numbers, class_names=tuple(class_names), skipped=())
        run = train(photos, Path(folder) / "run", watcher=Watcher(on_note=warn_of), **settings)
        return read_bundle(run.run_dir), reasons


def ask_model(model: Model, rows: PhotoRows) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Probabilities of each row, float32 `(n, num_classes)`, NaN where it cannot be read; and why it cannot be.

    Raises:
        DatasetError: the rows are embeddings.
    """
    if rows.embeddings is not None:
        raise DatasetError(_("This model was trained on photos, and X holds numbers. Give paths or uint8 images."))
    probabilities = np.full((len(rows), len(model.class_names)), np.nan, np.float32)
    reasons = {row: _("the row holds no path") for row, photo in enumerate(rows.photos) if photo is None}
    files = [row for row, photo in enumerate(rows.photos) if isinstance(photo, str)]
    images = [row for row, photo in enumerate(rows.photos) if isinstance(photo, np.ndarray)]
    asked = (
        (files, photo_set([str(rows.photos[row]) for row in files])),
        (images, [rows.photos[row] for row in images]),
    )
    for numbers, photos in asked:
        if not numbers:
            continue
        for place, item in model.predict(photos).items():  # type: ignore[arg-type]
            if isinstance(item, Skipped):
                reasons[numbers[place]] = item.reason
            else:
                probabilities[numbers[place]] = item.probabilities
    return probabilities, reasons


def _as_files(rows: PhotoRows, folder: Path) -> list[str | None]:
    """The path of each row; pixels are written into the folder."""
    paths: list[str | None] = []
    for row, photo in enumerate(rows.photos):
        if isinstance(photo, np.ndarray):
            path = folder / f"{row}.png"
            write_file(path, cv2.imencode(".png", np.ascontiguousarray(photo[..., ::-1]))[1].tobytes())
            paths.append(str(path))
        else:
            paths.append(photo)
    return paths


def _label_each(paths: Sequence[str | None], labels: NDArray[np.int64]) -> dict[str, int]:
    """The label of each file; a resampled collection has a file several times.

    Raises:
        DatasetError: a file has two labels.
    """
    found: dict[str, int] = {}
    for path, label in zip(paths, labels.tolist(), strict=True):
        if path is not None and found.setdefault(path, label) != label:
            said = _("{path} has two labels. Give each photo one label, or leave it out.")
            raise DatasetError(said.format(path=name_some([path])), paths=[path])
    return found


def _reasons_of_rows(paths: Sequence[str | None], skipped: Sequence[Skipped]) -> dict[int, str]:
    reason_of = {item.path: item.reason for item in skipped}
    return {
        row: _("the row holds no path") if path is None else reason_of[printable(path)]
        for row, path in enumerate(paths)
        if path is None or printable(path) in reason_of
    }
