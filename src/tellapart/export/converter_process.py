"""The process that converts a model or runs an export: `python -m ... STEP TARGET FOLDER`, for `child_process.py`.

The folder holds `bundle/`, a copy of the model; `calibration.npy`, images for int8; `photos/`, the pixels of each photo
of the proof before the resize; `files/`, the photos as they are, for targets that take files; `images.npy`, the same
as the model sees them; and `export/`, what is made. To convert
fills `export/`. To run writes `answers.npz` and `runtime.json`.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.onnx_session import describe_processor
from tellapart.errors import BundleError, ExportError
from tellapart.export.child_process import DISK_FULL_CODE, FAILURE_NAME
from tellapart.export.target import (
    LABELS_NAME,
    PREPROCESSING_NAME,
    TARGETS,
    Conversion,
    Runner,
    module_of,
    read_labels,
)
from tellapart.predict.bundle import read_bundle
from tellapart.translation import gettext as _
from tellapart.translation import language_of_environment, use_language

BUNDLE_DIR, EXPORT_DIR, PHOTOS_DIR, FILES_DIR = "bundle", "export", "photos", "files"
CALIBRATION_NAME, IMAGES_NAME, ANSWERS_NAME, RUNTIME_NAME = (
    "calibration.npy",
    "images.npy",
    "answers.npz",
    "runtime.json",
)
PREPROCESSING_FILE = "preprocess.py"
_Images = NDArray[np.uint8]
_Numbers = NDArray[np.float32]


def convert(target_name: str, work_dir: Path) -> None:
    """Fills `export/` with the model in the form of the target."""
    module = import_module(module_of(TARGETS[target_name]))
    path = work_dir / CALIBRATION_NAME
    bundle = read_bundle(work_dir / BUNDLE_DIR)
    calibration = np.load(path) if path.exists() else np.empty((0, *bundle.preprocess.shape), np.uint8)
    module.convert(Conversion(bundle, work_dir / EXPORT_DIR, calibration))


def run(target_name: str, work_dir: Path) -> None:
    """Writes what the export answers for each photo.

    `runtime.json` says what ran it, and how each place of the export that names the classes does so.
    `answers.npz` holds `probabilities`, of the images as the model sees them here, `(n, num_classes)`;
    `own_probabilities`, of those that the reference implementation in the export makes of the pixels; `pixels`, by how
    much a pixel of the two differs at most, `(n,)`; and `seconds` of each answer, `(n,)`. A target that takes files has
    both from them, and NaN where it could not read one.
    """
    export_dir = work_dir / EXPORT_DIR
    target = TARGETS[target_name]
    module = import_module(module_of(target))
    runner: Runner = module.open_runner(export_dir)
    images = np.load(work_dir / IMAGES_NAME)
    own_images = _preprocess_photos(export_dir, work_dir / PHOTOS_DIR, images)
    pixels = np.array(
        [np.abs(own.astype(np.int16) - image).max() for own, image in zip(own_images, images, strict=True)]
    )
    if runner.answer_files is None:
        probabilities, seconds = _answer_images(runner, images)
        is_other, own_probabilities = pixels > 0, probabilities.copy()
        if is_other.any():
            own_probabilities[is_other] = _answer_images(runner, own_images[is_other])[0]
    else:
        files = sorted((work_dir / FILES_DIR).iterdir(), key=lambda path: int(path.stem))
        probabilities, seconds = runner.answer_files(files)
        own_probabilities = probabilities
    np.savez(
        work_dir / ANSWERS_NAME,
        probabilities=probabilities,
        own_probabilities=own_probabilities,
        pixels=pixels.astype(np.int64),
        seconds=seconds,
    )
    named = [read_labels(export_dir / LABELS_NAME), *([] if runner.class_names is None else [runner.class_names])]
    told: dict[str, Any] = {
        "runtime": runner.runtime,
        "is_native": runner.is_native,
        "processor": describe_processor(),
        "class_names": [list(names) for names in named],
    }
    if target.is_timed:
        told["speed_ratio"] = module.compare_speed(read_bundle(work_dir / BUNDLE_DIR), export_dir, images)
    (work_dir / RUNTIME_NAME).write_text(json.dumps(told))


def load_preprocess(path: Path) -> Callable[[_Images], _Images]:
    """The reference implementation in an export, from pixels of any size to an image for the model."""
    spec = spec_from_file_location("preprocess_of_export", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    preprocess: Callable[[_Images], _Images] = module.preprocess
    return preprocess


def _preprocess_photos(export_dir: Path, photos_dir: Path, images: _Images) -> _Images:
    """The photos as the reference implementation makes them, shaped as the images that the model sees.

    Raises:
        ExportError: it gives another shape.
    """
    preprocess = load_preprocess(export_dir / PREPROCESSING_NAME / PREPROCESSING_FILE)
    found = np.empty_like(images)
    for number in range(len(images)):
        own = np.asarray(preprocess(np.load(photos_dir / f"{number}.npy")))
        if own.shape != images.shape[1:] or own.dtype != np.uint8:
            raise ExportError(_("the preprocessing of the export gives another shape than the model takes."))
        found[number] = own
    return found


def _answer_images(runner: Runner, images: _Images) -> tuple[_Numbers, NDArray[np.float64]]:
    """The probabilities of each image, and the seconds of each."""
    found, seconds = list[_Numbers](), list[float]()
    for start in range(0, len(images), runner.batch_size):
        batch = images[start : start + runner.batch_size]
        started = time.perf_counter()
        found.append(np.asarray(runner.predict(batch), np.float32).reshape(len(batch), -1))
        seconds += [(time.perf_counter() - started) / len(batch)] * len(batch)
    return np.concatenate(found), np.array(seconds)


def main(step: str, target_name: str, folder: str) -> int:
    """The exit code; what has failed is in `failure.json` in the folder, unless the disk is full."""
    use_language(language_of_environment(os.environ))
    try:
        {"convert": convert, "run": run}[step](target_name, Path(folder))
    except Exception as exc:
        # What does not load while the export is run is the export, and not the model.
        kind = "" if step == "run" and isinstance(exc, BundleError) else type(exc).__name__
        said = str(exc) or type(exc).__name__
        failure = {"kind": kind, "message": said, "errno": getattr(exc, "errno", 0) or 0}
        try:
            (Path(folder) / FAILURE_NAME).write_text(json.dumps(failure))
        except OSError:
            return DISK_FULL_CODE
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
