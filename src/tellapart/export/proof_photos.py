"""The photos that an export is proved on, and those that an int8 export takes its ranges from.

Proved is on the photos that the run held out, else on those that the user gives, which are then those that the model
has not learnt from. A run that held none out is proved on photos it was trained on: what differs is seen on these too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.config import SourceConfig
from tellapart.errors import DatasetError
from tellapart.images.gate import decode_photo
from tellapart.images.preprocess import resize_image
from tellapart.photos.loading import digest_photos, map_photos
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, open_any_photos
from tellapart.predict.model import Model
from tellapart.records import Skipped
from tellapart.runs.run_folder import RUN_FILE_NAME, read_run_file, remembered_photos
from tellapart.runs.run_tables import SPLIT_NAME, read_rows
from tellapart.translation import gettext as _

# As `export.json` has them.
HELD_OUT, GIVEN, TRAINING = "held out", "given", "training"


@dataclass(frozen=True)
class ProofPhotos:
    """Where the photos are that an export is proved on.

    Attributes:
        kind: `HELD_OUT`, `GIVEN` or `TRAINING`.
        photos: in a fixed order; with labels, numbers of the classes of the model, where these are known.
        num_there: photos of that kind, from which these were chosen.
        calibration: photos of the training.
    """

    kind: str
    photos: PhotoSet
    num_there: int
    calibration: PhotoSet


def find_proof_photos(model: Model, given: Photos | None, most: int, num_calibration: int) -> ProofPhotos:
    """The photos for a proof, at most `most`, and `num_calibration` of those of the training, evenly chosen.

    Args:
        model: loaded from a run, or else `given` has to be there.
        given: labelled or unlabelled photos of the user's own.
        most: photos of the proof, at most.
        num_calibration: 0 for none.

    Raises:
        DatasetError: there are none, or the photos of the run are no longer there.
    """
    splits = _read_splits(model.path)
    own = None if given is not None and not num_calibration else _open_own(model, given is not None)
    others = None if given is None else open_any_photos(given)
    asked = own if others is None else others
    assert asked is not None
    kind, rows = _choose_rows(asked, splits, is_given=others is not None)
    if not rows:
        raise DatasetError(
            _("none of the photos in {source!r} belongs to the run. Give photos with `proof`.").format(
                source=asked.source
            ),
            paths=[asked.source],
        )
    photos = _with_labels(asked.take(_evenly(rows, most)), model.class_names)
    calibration = _find_calibration([own, others], splits, num_calibration)
    return ProofPhotos(kind, photos, len(rows), calibration or asked.take([]))


def decode_proof_photos(photos: PhotoSet, model: Model) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]] | None]:
    """For each photo its pixels before the resize, `(h, w, 3)`, and the image the model sees; `None` if unreadable."""
    spec = model.preprocess

    def decode(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        pixels = decode_photo(data, photos.limits, spec.image_size, spec.depths, is_managed=spec.is_managed).image
        return pixels, resize_image(pixels, spec)

    for item in map_photos(photos, decode):
        yield None if isinstance(item, Skipped) else item


def calibration_images(photos: PhotoSet, model: Model) -> NDArray[np.uint8]:
    """The photos as the model sees them, those that can be read: uint8, shape `(n, *model.preprocess.shape)`."""
    images = [item[1] for item in decode_proof_photos(photos, model) if item is not None]
    return np.array(images, np.uint8).reshape(-1, *model.preprocess.shape)


def _read_splits(run_dir: Path | None) -> dict[str, str]:
    """Content to split of the photos of a run; empty where the folder does not say."""
    if run_dir is None or not (run_dir / SPLIT_NAME).is_file():
        return {}
    return {row["content"]: row["split"] for row in read_rows(run_dir / SPLIT_NAME, "content", "split")}


def _open_own(model: Model, is_optional: bool) -> PhotoSet | None:
    """The photos of the run, where they were; `None` where they may be missing, and are.

    Raises:
        DatasetError: they are no longer there, or the model has no list of them.
    """
    try:
        if model.path is None or not (model.path / RUN_FILE_NAME).is_file():
            raise DatasetError(_("this model has no list of its photos. Give photos with `proof`."))
        run_file = read_run_file(model.path)
        return open_any_photos(remembered_photos(model.path, run_file, "proof"), SourceConfig(**run_file.labels))
    except DatasetError:
        if is_optional:
            return None
        raise


def _choose_rows(photos: PhotoSet, splits: dict[str, str], *, is_given: bool) -> tuple[str, list[int]]:
    """What kind of photos is proved on, and their rows; of the run's own only those that it knows."""
    split_of = [None if isinstance(one, Skipped) else splits.get(one, "") for one in digest_photos(photos)]
    known = {name: [row for row, split in enumerate(split_of) if split == name] for name in ("validation", "train", "")}
    if is_given:
        unseen = sorted(known["validation"] + known[""])
        return (GIVEN, unseen) if unseen else (TRAINING, known["train"])
    if known["validation"]:
        return HELD_OUT, known["validation"]
    return TRAINING, known["train"]


def _find_calibration(sets: Sequence[PhotoSet | None], splits: dict[str, str], most: int) -> PhotoSet | None:
    """Photos of the training out of the first set that has any.

    Raises:
        DatasetError: none has.
    """
    if not most:
        return None
    there = [photos for photos in sets if photos is not None]
    for photos in there:
        digests = digest_photos(photos)
        rows = [row for row, one in enumerate(digests) if isinstance(one, str) and splits.get(one) == "train"]
        if rows:
            return photos.take(_evenly(rows, most))
    raise DatasetError(
        _(
            "int8 takes its number ranges from training photos, and none was found. Put the photos of the run back, or"
            " give them with `proof`."
        ),
        paths=[photos.source for photos in there],
    )


def _with_labels(photos: PhotoSet, class_names: tuple[str, ...]) -> PhotoSet:
    """The photos with numbers of the classes of the model as labels; without labels where it lacks one of theirs."""
    if photos.labels is None or not set(photos.class_names) <= set(class_names):
        return replace(photos, labels=None, class_names=())
    numbers = np.array([class_names.index(name) for name in photos.class_names], np.int64)
    return replace(photos, labels=numbers[photos.labels], class_names=class_names)


def _evenly(rows: Sequence[int], most: int) -> list[int]:
    """At most so many of the rows, evenly chosen."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64))
    return [rows[place] for place in places.tolist()]
