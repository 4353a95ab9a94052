"""One export from a model to a folder with its proof: the story of `tellapart export`.

It is made in a temporary folder beside its place, by a converter in a process of its own, run by its own runtime on
photos, and stands under its name only when it answers as `predict` does. The model is never written to.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import ConfigError, DatasetError, ExportError, OutputError, TellapartError
from tellapart.export.child_process import run_apart, run_example
from tellapart.export.converter_process import (
    ANSWERS_NAME,
    BUNDLE_DIR,
    CALIBRATION_NAME,
    EXPORT_DIR,
    FILES_DIR,
    IMAGES_NAME,
    PHOTOS_DIR,
    RUNTIME_NAME,
)
from tellapart.export.export_file import bundle_digest, describe_export, describe_left_out
from tellapart.export.proof import (
    Answers,
    Proof,
    check_class_names,
    compare_answers,
    read_answers,
    sure_threshold,
)
from tellapart.export.proof_gates import SMALL_PIXELS
from tellapart.export.proof_photos import ProofPhotos, calibration_images, decode_proof_photos, find_proof_photos
from tellapart.export.target import EXAMPLE_NAME, LABELS_NAME, PREPROCESSING_NAME, Target, find_target, to_label
from tellapart.formats.png_chunks import has_colours_in_numbers
from tellapart.images.gate import read_info
from tellapart.images.preprocess import encode_png
from tellapart.images.preprocessing_folder import write_preprocessing
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, source_paths
from tellapart.predict.bundle import EXPORT_FILE, EXPORTS_DIR, write_bundle
from tellapart.predict.model import Model, load
from tellapart.runs.outputs import check_dir, check_outside
from tellapart.store import output_error, remove_quietly, temporary_folder, to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.translation import ngettext
from tellapart.watcher import Watcher

# Photos of a proof at most. An int8 export also has to be as often right.
_MOST_PHOTOS, _MOST_PHOTOS_INT8 = 200, 800
# A browser takes longer, and reads the files.
_MOST_FILES, _MOST_FILES_INT8 = 50, 100
# Photos of a size that a browser and `predict` decode alike, that the largest difference is taken from.
_FEWEST_SMALL = 10
# The photo that the example is run on, below the working folder.
_PHOTO_NAME = "photo.png"


@dataclass(frozen=True)
class Export:
    """A finished export.

    Attributes:
        target: what it is, as `onnx-int8`.
        folder: where it is.
        files: what is in the folder, paths below it.
        proof: how it answers.
        left_out: what the target cannot hold, a sentence each.
    """

    target: str
    folder: Path
    files: tuple[str, ...]
    proof: Proof
    left_out: tuple[str, ...]


def export_model(
    model: Model | str | Path,
    to: str,
    out: str | Path | None = None,
    *,
    proof: Photos | None = None,
    accept_difference: bool = False,
    watcher: Watcher | None = None,
) -> Export:
    """The model for another runtime, in a folder, proved on photos to answer as `predict` does.

    Args:
        model: the model, or the folder that training made.
        to: such as `onnx-int8`, `openvino`, `keras`.
        out: the folder, which is new, empty or an earlier export; `exports/TO` in the folder of the run if not given.
        proof: photos to prove it on; those that the run held out if not given.
        accept_difference: keep it although it answers differently, which its proof then says.
        watcher: who is told about the progress.

    Raises:
        BundleError: the folder holds no model that can be used.
        ConfigError: there is no such target, or no folder for the export.
        DatasetError: there are no photos to prove it on.
        DependencyError: a package that the target needs is not installed.
        ExportError: the model cannot be converted, or the export answers differently. Nothing is written then.
        OutputError: the folder cannot be written, or holds something else.
    """
    target, watcher = find_target(to), watcher or Watcher()
    model = model if isinstance(model, Model) else load(model)
    folder = _choose_folder(model, target, out)
    check_dir(folder, EXPORT_FILE)
    for source in () if proof is None else source_paths(proof):
        check_outside(folder, source)
    few, many = (_MOST_FILES, _MOST_FILES_INT8) if target.takes_files else (_MOST_PHOTOS, _MOST_PHOTOS_INT8)
    most = many if target.precision == "int8" else few
    watcher.on_stage(_("finding photos for the proof"))
    photos = find_proof_photos(model, proof, most, target.num_calibration)
    with _working_folder(folder) as work_dir:
        _write_inputs(work_dir, model, target, photos)
        watcher.on_stage(_("converting the model to {target}").format(target=target.name))
        _convert(target, model, work_dir, folder)
        watcher.on_stage(_("comparing the answers of the export with those of the model"))
        found = _prove(target, model, photos, work_dir, folder)
        if found.failures and not accept_difference:
            raise ExportError(
                _(
                    "the export to {target} answers differently: {reasons} Nothing was written. `accept_difference`"
                    " keeps it."
                ).format(target=target.name, reasons=" ".join(found.failures)),
                target=target.name,
            )
        found = replace(found, is_accepted=bool(found.failures), num_photos_there=photos.num_there)
        files = _write_export_file(work_dir / EXPORT_DIR, model, target, found)
        _put_in_place(work_dir, folder)
    return Export(target.name, folder, files, found, describe_left_out(model, target))


def _choose_folder(model: Model, target: Target, out: str | Path | None) -> Path:
    if out is not None:
        return Path(out)
    if model.path is None:
        raise ConfigError(_("this model was not loaded from a folder. Say with `out` where it goes."), field="out")
    return model.path / EXPORTS_DIR / target.name


@contextmanager
def _working_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside the place of the export, on the same disk; folders made for it go where it fails."""
    missing = [parent for parent in folder.absolute().parents if not parent.exists()]
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder.absolute().parent) as work_dir:
            yield work_dir
    except OutputError as exc:
        if isinstance(exc.__cause__, OSError):  # the temporary folder means nothing to the user
            raise output_error(folder, exc.__cause__) from exc
        raise
    except OSError as exc:
        if isinstance(exc, TellapartError):
            raise
        raise output_error(folder, exc) from exc
    finally:
        with suppress(OSError):
            for parent in missing:
                parent.rmdir()  # refused where something is in it


def _write_inputs(work_dir: Path, model: Model, target: Target, photos: ProofPhotos) -> None:
    """What the processes read, and what each export has besides the model."""
    write_bundle(work_dir / BUNDLE_DIR, model.bundle)
    export_dir = work_dir / EXPORT_DIR
    (export_dir / PREPROCESSING_NAME).mkdir(parents=True)
    write_file(export_dir / LABELS_NAME, "".join(f"{to_label(name)}\n" for name in model.class_names).encode())
    write_preprocessing(export_dir / PREPROCESSING_NAME, model.preprocess)
    if target.num_calibration:
        np.save(work_dir / CALIBRATION_NAME, calibration_images(photos.calibration, model))


def _convert(target: Target, model: Model, work_dir: Path, folder: Path) -> None:
    """Fills the folder of the export.

    Raises:
        ExportError: the converter failed, or has changed the model.
    """
    before = bundle_digest(model)
    run_apart("convert", target, work_dir, folder)
    if bundle_digest(model) != before:
        raise ExportError(
            _("the converter of {target} has changed the model. Copy the folder of the run again.").format(
                target=target.name
            ),
            target=target.name,
        )


def _prove(target: Target, model: Model, photos: ProofPhotos, work_dir: Path, folder: Path) -> Proof:
    used, rows = _write_photos(work_dir, model, photos.photos)
    is_otherwise = _write_originals(work_dir, photos.photos, rows) if target.takes_files else None
    copied = [] if is_otherwise is None else _write_copies(work_dir, is_otherwise)
    run_apart("run", target, work_dir, folder)
    arrays, runtime = read_answers(work_dir / ANSWERS_NAME, work_dir / RUNTIME_NAME, target)
    check_class_names(runtime, model.class_names, target)
    answers = _make_answers(model, photos.photos, used, rows, arrays)
    if is_otherwise is not None and runtime["is_native"]:
        paths = tuple(answers.paths[number] for number in copied)
        copies = (answers.expected[copied], arrays["probabilities"][len(rows) :], paths) if copied else None
        answers = _without_unread(replace(answers, is_otherwise=is_otherwise, copies=copies), target)
    proof = compare_answers(answers, target, photos.kind, sure_threshold(model.selective), runtime)
    if target.is_example_run:
        best = answers.classes(answers.found_by_own[:1])[0]
        write_file(work_dir / _PHOTO_NAME, encode_png(np.load(work_dir / PHOTOS_DIR / "0.npy")))
        script = f"{EXPORT_DIR}/{EXAMPLE_NAME}"
        run_example(script, _PHOTO_NAME, target, work_dir, folder, model.class_names[int(best)])
    return replace(proof, is_example_run=target.is_example_run)


def _make_answers(
    model: Model, photos: PhotoSet, used: NDArray[np.uint8], rows: list[int], arrays: dict[str, NDArray[Any]]
) -> Answers:
    """What the model and the export say of the photos in these rows; the model sees them as `used`."""
    # What the proof names may travel, and where the photos are on this machine is nobody's business.
    paths = photos.portable().paths
    return Answers(
        expected=model.predict_proba(used),
        found=arrays["probabilities"][: len(rows)],
        found_by_own=arrays["own_probabilities"][: len(rows)],
        pixels=arrays["pixels"],
        labels=None if photos.labels is None else photos.labels[rows],
        paths=tuple(paths[row] for row in rows),
        seconds=arrays["seconds"][: len(rows)],
        dial=None if model.dial is None else (model.dial, model.class_names),
    )


def _write_originals(work_dir: Path, photos: PhotoSet, rows: list[int]) -> NDArray[np.bool_]:
    """Writes the photos as they are, by number; which of them a browser decodes otherwise than `predict`.

    Large JPEGs it decodes at their full size, and the colours that a PNG states by numbers it may not apply.
    """
    (work_dir / FILES_DIR).mkdir()
    is_otherwise = np.zeros(len(rows), np.bool_)
    for number, row in enumerate(rows):
        data = photos.read(row)
        info = read_info(data, photos.limits)
        is_reduced = info.format == "JPEG" and info.height * info.width > SMALL_PIXELS
        is_otherwise[number] = is_reduced or (info.format == "PNG" and has_colours_in_numbers(data))
        write_file(work_dir / FILES_DIR / f"{number}{Path(photos.paths[row]).suffix}", data)
    return is_otherwise


def _write_copies(work_dir: Path, is_otherwise: NDArray[np.bool_]) -> list[int]:
    """Writes PNG copies of such photos as `predict` decodes them, behind the others; their numbers.

    They are there for the gate of single photos, which a collection of such photos is not held to otherwise.
    """
    num_wanted = max(0, _FEWEST_SMALL - int((~is_otherwise).sum()))
    numbers: list[int] = np.flatnonzero(is_otherwise)[:num_wanted].tolist()
    for place, number in enumerate(numbers, start=len(is_otherwise)):
        png = encode_png(np.load(work_dir / PHOTOS_DIR / f"{number}.npy"))
        write_file(work_dir / FILES_DIR / f"{place}.png", png)
    return numbers


def _without_unread(answers: Answers, target: Target) -> Answers:
    """The answers for the photos that the export could read.

    Raises:
        ExportError: it could read none.
    """
    is_read: NDArray[np.bool_] = np.asarray(~np.isnan(answers.found).any(axis=1))
    if not is_read.any():
        raise ExportError(
            ngettext(
                "the export to {target} could not read the photo. Give others with `proof`.",
                "the export to {target} could not read any of the {num:,} photos. Give others with `proof`.",
                len(is_read),
            ).format(target=target.name, num=len(is_read)),
            target=target.name,
        )
    return replace(
        answers,
        expected=answers.expected[is_read],
        found=answers.found[is_read],
        found_by_own=answers.found_by_own[is_read],
        pixels=answers.pixels[is_read],
        labels=None if answers.labels is None else answers.labels[is_read],
        paths=tuple(path for path, is_there in zip(answers.paths, is_read, strict=True) if is_there),
        seconds=answers.seconds[is_read],
        is_otherwise=None if answers.is_otherwise is None else answers.is_otherwise[is_read],
        num_unread=int((~is_read).sum()),
    )


def _write_photos(work_dir: Path, model: Model, photos: PhotoSet) -> tuple[NDArray[np.uint8], list[int]]:
    """The images as the model sees them, and the rows of the photos that could be read.

    Raises:
        DatasetError: none could.
    """
    (work_dir / PHOTOS_DIR).mkdir()
    images, rows = list[NDArray[np.uint8]](), list[int]()
    for row, item in enumerate(decode_proof_photos(photos, model)):
        if item is not None:
            np.save(work_dir / PHOTOS_DIR / f"{len(rows)}.npy", item[0])
            images.append(item[1])
            rows.append(row)
    if not rows:
        raise DatasetError(
            ngettext(
                "the photo of {source!r} cannot be read. Give others with `proof`.",
                "none of the {num:,} photos of {source!r} can be read. Give others with `proof`.",
                len(photos),
            ).format(num=len(photos), source=photos.source),
            paths=photos.paths,
        )
    np.save(work_dir / IMAGES_NAME, np.array(images))
    return np.array(images), rows


def _write_export_file(export_dir: Path, model: Model, target: Target, proof: Proof) -> tuple[str, ...]:
    """Writes `export.json`; the files of the export, paths below its folder."""
    described: dict[str, Any] = describe_export(export_dir, model, target)
    write_file(export_dir / EXPORT_FILE, to_json_bytes({**described, "proof": asdict(proof)}))
    return (*described["files"], EXPORT_FILE)


def _put_in_place(work_dir: Path, folder: Path) -> None:
    """The export stands under its name; an earlier one is gone, and is back where that fails.

    Raises:
        OutputError: it cannot be renamed.
    """
    earlier = work_dir / "earlier"
    try:
        if folder.exists():
            os.replace(folder, earlier)
        try:
            os.replace(work_dir / EXPORT_DIR, folder)
        except OSError:
            if earlier.exists():
                os.replace(earlier, folder)
            raise
    except OSError as exc:
        raise output_error(folder, exc) from exc
    remove_quietly(earlier)
