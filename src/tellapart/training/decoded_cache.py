"""Decoded photos in a memory-mapped file, keyed by what is in them: a second run with the same photos decodes nothing.

The key covers the bytes of every photo, their order, the preprocessing and the limits, so a changed photo, a renamed
folder or another image size can never give stale images. Files are written under a temporary name and renamed when they
are whole.
"""

import contextlib
import hashlib
import io
import json
import math
import mmap
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.cache_folder import list_image_files
from tellapart.config import ImageLimits
from tellapart.errors import OutputError
from tellapart.images.preprocess import DECODER_VERSION, PreprocessSpec
from tellapart.photos.loading import digest_photos, group_by_content, stream_images
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped
from tellapart.store import to_json_bytes, write_file

# Least recently used files go first when the cache grows beyond this.
_MAX_CACHE_BYTES = 16 * 1024**3
# Files of a run that was killed while decoding are removed by a later run, after a day.
_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class CachedImages:
    """The usable photos of a set with their images.

    Attributes:
        photos: the photos that could be decoded; `photos.skipped` names the others.
        store: their images, uint8, shape `(len(photos), height, width, channels)`, memory-mapped, read-only.
        digests: content of each photo, hexadecimal; equal digests are byte-identical files.
        key: hexadecimal name of this set of images.
        spec: what the photos were turned into.
    """

    photos: PhotoSet
    store: NDArray[np.uint8]
    digests: tuple[str, ...]
    key: str
    spec: PreprocessSpec

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of the images in `rows`, uint8, shape `(len(rows), height, width, channels)`."""
        images: NDArray[np.uint8] = np.asarray(self.store)[rows]
        # Mapped pages count as resident memory, and a photo is not asked for again before the next epoch: without this
        # a training on 40,000 photos would come to hold all 2.7 GB. The pages stay in the system's cache, so that the
        # next reading is no slower.
        release_pages(self.store)
        return images

    def groups(self) -> NDArray[np.int64]:
        """Equal numbers for byte-identical photos, int64, shape `(len(photos),)`."""
        return group_by_content(self.digests)


def cache_images(
    photos: PhotoSet,
    spec: PreprocessSpec,
    limits: ImageLimits,
    cache_dir: Path,
    known_digests: Sequence[str] | None = None,
) -> CachedImages:
    """The images of all usable photos, decoded now or found from an earlier run.

    Args:
        photos: what to decode; unusable ones are moved to `skipped` of the result.
        spec: size and channels.
        limits: the largest photo that is decoded.
        cache_dir: folder for the files; made when missing.
        known_digests: content of each photo, where the caller knows it; no file is opened then if all were decoded
            before.

    Raises:
        OutputError: the folder cannot be written, or the disk is too full for the images.
    """
    digests = digest_photos(photos) if known_digests is None else known_digests
    identity = [DECODER_VERSION, spec.to_json(), asdict(limits), [str(digest) for digest in digests]]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]
    index_path, images_path = cache_dir / f"{key}.json", cache_dir / f"{key}.npy"
    shape = (max(1, len(photos)), *spec.shape)
    reasons = _read_index(index_path, images_path, shape)
    if reasons is None:
        reasons = _decode_into(images_path, shape, stream_images(photos, spec, limits))
        write_file(index_path, to_json_bytes(reasons))
        _evict_others(cache_dir, keep=key)
    rows = np.array([row for row in range(len(photos)) if str(row) not in reasons], dtype=np.int64)
    skipped = tuple(Skipped(photos.paths[int(row)], reason) for row, reason in reasons.items())
    usable = replace(photos.take(rows), skipped=photos.skipped + skipped)
    try:
        images = np.load(images_path, mmap_mode="r")[: len(rows)]
    except FileNotFoundError:  # another process has cleared or evicted it in between
        return cache_images(photos, spec, limits, cache_dir, known_digests)
    with contextlib.suppress(OSError):  # a cache that others filled may be read-only
        os.utime(images_path)
    return CachedImages(usable, images, tuple(str(digests[int(row)]) for row in rows), key, spec)


def release_pages(images: NDArray[np.uint8]) -> None:
    """Hands the mapped pages of `images` back to the system, where it has a call for that; the content stays."""
    mapped = images
    while isinstance(mapped, np.ndarray) and mapped.base is not None:
        mapped = mapped.base
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _read_index(index_path: Path, images_path: Path, shape: tuple[int, ...]) -> dict[str, str] | None:
    """Row to reason of the unusable photos, or `None` when the pair of files is not there or not whole."""
    header = _npy_header(shape)
    try:
        reasons = json.loads(index_path.read_bytes())
        with open(images_path, "rb") as file:
            is_whole = file.read(len(header)) == header
            is_whole = is_whole and os.fstat(file.fileno()).st_size == len(header) + math.prod(shape)
    except (OSError, ValueError):
        return None
    if not is_whole or not isinstance(reasons, dict):
        return None
    rows = {str(row) for row in range(shape[0])}
    return reasons if all(row in rows and isinstance(reason, str) for row, reason in reasons.items()) else None


def _decode_into(
    images_path: Path, shape: tuple[int, ...], items: Iterator[NDArray[np.uint8] | Skipped]
) -> dict[str, str]:
    """Writes the images among `items` one after another; row to reason of the others."""
    reasons: dict[str, str] = {}
    temporary: Path | None = None
    try:
        images_path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=images_path.parent, prefix=".images-", suffix=".partial")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            header = _npy_header(shape)
            file.write(header)
            for row, item in enumerate(items):
                if isinstance(item, Skipped):
                    reasons[str(row)] = item.reason
                else:
                    file.write(np.ascontiguousarray(item).data)
            file.truncate(len(header) + math.prod(shape))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(images_path)
    except OSError as exc:
        raise OutputError(
            f"the decoded photos cannot be written to {str(images_path.parent)!r} ({exc.strerror or exc})."
            f" {math.prod(shape) / 1e6:.0f} MB are needed. Make room, or give another `cache_dir`.",
            path=images_path,
        ) from exc
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return reasons


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """How a `.npy` file of uint8 images of this shape begins."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _evict_others(cache_dir: Path, keep: str) -> None:
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
