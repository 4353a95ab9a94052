"""Decoded photos, or what was made of them, in memory-mapped files below the cache folder: their content, their end.

The name of a file covers the content of every photo, their order, the preprocessing and the limits, so a changed photo,
a renamed folder or another image size can never give stale images. `image_writer.py` makes them.
"""

import contextlib
import io
import math
import mmap
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.cache.cache_folder import list_image_files
from tellapart.images.preprocess import PreprocessSpec
from tellapart.photos.loading import group_by_content
from tellapart.photos.photoset import PhotoSet
from tellapart.untrusted import MAX_TABLE_BYTES, open_regular, read_json

# Least recently used files go first when the cache grows beyond this.
_MAX_CACHE_BYTES = 16 * 1024**3
# Two million photos of 512x512 pixels; the size itself is compared afterwards.
_MAX_IMAGES_BYTES = 2 * 1024**4
# Files of a run that was killed while decoding are removed by a later run, after a day.
_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class StoredForm:
    """What is kept of a photo in place of its pixels.

    Attributes:
        name: changes with whatever changes the numbers.
        shape, dtype: of what is kept.
        make: from the content of the photo, hexadecimal, and its image, uint8, to what is kept; called from threads.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[str, NDArray[np.uint8]], NDArray[Any]]

    @property
    def num_bytes(self) -> int:
        """Of a photo."""
        return math.prod(self.shape) * self.dtype.itemsize


def pixels_of(spec: PreprocessSpec) -> StoredForm:
    """The pixels as they are; the name is empty."""
    return StoredForm("", spec.shape, np.dtype(np.uint8), lambda digest, image: image)


@dataclass(frozen=True)
class CachedImages:
    """The usable photos of a set with their images.

    Attributes:
        photos: the photos that could be decoded; `photos.skipped` names the others.
        store: images, uint8, shape `(at least 1, height, width, channels)`, memory-mapped, read-only; each once. Of
            another form than pixels, what that is, of its type and shape.
        places: where in `store` the image of each photo is, int64, shape `(len(photos),)`.
        digests: content of each photo, hexadecimal; equal digests are byte-identical files.
        key: hexadecimal name of this set of images.
        spec: what the photos were turned into.
    """

    photos: PhotoSet
    store: NDArray[Any]
    places: NDArray[np.int64]
    digests: tuple[str, ...]
    key: str
    spec: PreprocessSpec

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of the images in `rows`, uint8, shape `(len(rows), height, width, channels)`."""
        images: NDArray[np.uint8] = np.asarray(self.store)[self.places[rows]]
        # Mapped pages count as resident memory, and a photo is not asked for again before the next epoch: without this
        # a training on 40,000 photos would come to hold all 2.7 GB. The pages stay in the system's cache, so that the
        # next reading is no slower.
        release_pages(self.store)
        return images

    def groups(self) -> NDArray[np.int64]:
        """Equal numbers for byte-identical photos, int64, shape `(len(photos),)`."""
        return group_by_content(self.digests)


def release_pages(images: NDArray[Any]) -> None:
    """Hands the mapped pages of `images` back to the system, where it has a call for that; the content stays."""
    mapped: Any = images
    while isinstance(mapped, np.ndarray) and mapped.base is not None:
        mapped = mapped.base
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class ImageIndex:
    """What is in a file of images.

    Attributes:
        path: the file.
        places: where in it the image of each content is.
        depths: how many bits white filled in deep photos, as JSON; empty where there were none.
    """

    path: Path
    places: dict[str, int]
    depths: dict[str, Any]


def read_index(path: Path, settings: list[object], form: StoredForm) -> ImageIndex | None:
    """What the index says of the images beside it; `None` when the two are not there or not whole.

    Args:
        path: of the index.
        settings: with which the images were made, as JSON.
        form: what is kept of each.
    """
    images_path = path.with_suffix(".npy")
    try:
        index = read_json(path, MAX_TABLE_BYTES)
        if not isinstance(index, Mapping) or index.get("settings") != settings:
            return None
        digests, depths = index["digests"], dict(index["depths"])
        header = npy_header(max(1, len(digests)), form)
        with open_regular(images_path, _MAX_IMAGES_BYTES) as file:
            is_whole = file.read(len(header)) == header
            num_bytes = os.fstat(file.fileno()).st_size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_whole = is_whole and num_bytes == len(header) + max(1, len(digests)) * form.num_bytes
    if not is_whole or not all(isinstance(digest, str) for digest in digests):
        return None
    return ImageIndex(images_path, {digest: place for place, digest in enumerate(digests)}, depths)


def read_indexes(cache_dir: Path, settings: list[object], form: StoredForm) -> list[ImageIndex]:
    """What is in the files of the folder that were made with these settings."""
    paths = [path for path in list_image_files(cache_dir) if path.suffix == ".json"]
    found = (read_index(path, settings, form) for path in paths)
    return [index for index in found if index is not None]


def npy_header(number: int, form: StoredForm) -> bytes:
    """How a `.npy` file of so many arrays of this form begins."""
    buffer = io.BytesIO()
    described = {"descr": form.dtype.newbyteorder("<").str, "fortran_order": False, "shape": (number, *form.shape)}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def evict_others(cache_dir: Path, keep: str) -> None:
    """Deletes the least recently used images beyond the bound, never `keep`, and what a killed run left."""
    files = list_image_files(cache_dir)
    found: list[tuple[float, int, Path]] = []
    for path in files:
        with contextlib.suppress(OSError):  # another run deletes too
            if path.suffix == ".npy":
                found.append((path.stat().st_mtime, path.stat().st_size, path))
    num_bytes = 0
    for _, size_bytes, path in sorted(found, reverse=True):
        num_bytes += size_bytes
        if num_bytes > _MAX_CACHE_BYTES and path.stem != keep:
            with contextlib.suppress(OSError):
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
    for path in files:
        with contextlib.suppress(OSError):
            if path.suffix == ".partial" and time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()
