"""The photos of `tellapart demo`, which ship with the package: drawn cats and dogs with planted mistakes, and new ones.

`draw_collection` makes them; `make demo-photos` writes what it returns to `photos.zip` beside this file.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.demo.drawing import DEMO_CLASSES, draw_photo, encode_jpeg, make_folder, zip_bytes
from tellapart.store import write_file
from tellapart.translation import gettext_noop

ARCHIVE_NAME, PLANTED_NAME = "photos.zip", "planted.csv"
# The mistakes that are planted, in the order they are spoken of.
TRAPS = (gettext_noop("wrong label"), gettext_noop("copy"), gettext_noop("foreign photo"))

_SEED = 7
_NUM_PER_CLASS, _NUM_NEW = 60, 12
# Photos that are filed under the other class, and those that have a copy.
_MISFILED = {"cat": (4, 23), "dog": (11,)}
_COPIED = {"cat": (2, 31), "dog": (8, 40)}
_STRANGERS, _PAGE = 2, (300, 220)


@dataclass(frozen=True)
class DemoPhotos:
    """The unpacked photos.

    Attributes:
        labelled: folder with a folder a class.
        new: folder of photos without labels; two of them are of neither class.
        planted: path within `labelled` to what is wrong with that photo, one of `TRAPS`.
    """

    labelled: Path
    new: Path
    planted: Mapping[str, str]


def unpack_collection(out_dir: Path) -> DemoPhotos:
    """The photos as files in `out_dir/photos` and `out_dir/new`; those of an earlier call are written anew.

    Raises:
        OutputError: a file cannot be written.
    """
    data = resources.files("tellapart.demo").joinpath(ARCHIVE_NAME).read_bytes()
    planted: dict[str, str] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name == PLANTED_NAME:
                planted = {row["path"]: row["trap"] for row in csv.DictReader(archive.read(name).decode().splitlines())}
                continue
            make_folder((out_dir / name).parent)
            write_file(out_dir / name, archive.read(name))
    return DemoPhotos(out_dir / "photos", out_dir / "new", planted)


def draw_collection(seed: int = _SEED) -> dict[str, bytes]:
    """The members of the archive by name: photos, new photos, and `planted.csv`; the same for the same seed."""
    members: dict[str, bytes] = {}
    planted: dict[str, str] = {}
    other = dict(zip(DEMO_CLASSES, reversed(DEMO_CLASSES), strict=True))
    for label, kind in enumerate(DEMO_CLASSES):
        edits = iter(_EDITS if label else reversed(_EDITS))
        for number in range(1, _NUM_PER_CLASS + 1):
            generator = np.random.default_rng((seed, label, number))
            image = draw_photo(kind, generator)
            folder = other[kind] if number in _MISFILED[kind] else kind
            name = f"{folder}/{folder}-{number:02d}{'b' * (folder != kind)}.jpg"
            members[f"photos/{name}"] = encode_jpeg(image, generator)
            if folder != kind:
                planted[name] = "wrong label"
            if number in _COPIED[kind]:
                copy = f"{kind}/{kind}-{number:02d} copy.jpg"
                members[f"photos/{copy}"] = next(edits)(members[f"photos/{name}"], image)
                planted[copy] = "copy"
    page = f"{DEMO_CLASSES[0]}/{DEMO_CLASSES[0]}-61.jpg"
    members[f"photos/{page}"] = _draw_page(np.random.default_rng((seed, 2)))
    planted[page] = "foreign photo"
    for number in range(1, _NUM_NEW + 1):
        generator = np.random.default_rng((seed, 3, number))
        is_stranger = number > _NUM_NEW - _STRANGERS
        kind = DEMO_CLASSES[number % len(DEMO_CLASSES)]
        photo = _draw_page(generator) if is_stranger else encode_jpeg(draw_photo(kind, generator), generator)
        members[f"new/{number:02d}.jpg"] = photo
    lines = ["path,trap", *(f"{path},{trap}" for path, trap in planted.items())]
    return members | {PLANTED_NAME: ("\n".join(lines) + "\n").encode()}


def archive_bytes() -> bytes:
    """The archive that ships with the package, as this version of OpenCV encodes it."""
    return zip_bytes(iter(draw_collection().items()))


def _mirror(data: bytes, image: NDArray[np.uint8]) -> bytes:
    return encode_jpeg(np.ascontiguousarray(image[:, ::-1]), np.random.default_rng(0))


def _shrink(data: bytes, image: NDArray[np.uint8]) -> bytes:
    small = cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    return encode_jpeg(np.asarray(small, np.uint8), np.random.default_rng(1))


def _brighten(data: bytes, image: NDArray[np.uint8]) -> bytes:
    return encode_jpeg(np.asarray(np.clip(image * 1.2, 0, 255), np.uint8), np.random.default_rng(2))


def _keep(data: bytes, image: NDArray[np.uint8]) -> bytes:
    return data


# What was done to the copies: nothing, mirrored, smaller, brighter.
_EDITS: tuple[Callable[[bytes, NDArray[np.uint8]], bytes], ...] = (_keep, _mirror, _shrink, _brighten)


def _draw_page(generator: np.random.Generator) -> bytes:
    """A photographed page of text: what ends up in a folder of photos by mistake."""
    height, width = _PAGE
    page = np.full((height, width, 3), 236, np.uint8)
    left = 22
    for line in range(34, height - 24, 13):
        right = left + int((width - 2 * left) * generator.uniform(0.35, 1.0))
        for x in range(left, right, 11):
            word = int(generator.integers(4, 10))
            cv2.line(page, (x, line), (min(x + word, right), line), (70, 66, 64), 2, cv2.LINE_AA)
    cv2.putText(page, "Receipt", (left, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (40, 38, 36), 1, cv2.LINE_AA)
    slope = np.linspace(1.0, generator.uniform(0.75, 0.9), width, dtype=np.float32)[np.newaxis, :, np.newaxis]
    noise = generator.normal(0, 3, page.shape)
    return encode_jpeg(np.asarray(np.clip(page * slope + noise, 0, 255), np.uint8), generator)
