"""Decoded photos in a memory-mapped file, by their content: a second run with the same photos decodes nothing.

`ImageWriter` takes them from the pass over the photos (`backbones/photo_pass.py`), or from files of earlier runs that
hold some of them. The name of a file covers the content of every photo, their order, the preprocessing and the limits,
so a changed photo, a renamed folder or another image size can never give stale images. Files are written under a
temporary name and renamed when they are whole.
"""

import contextlib
import hashlib
import io
import json
import math
import mmap
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.cache_folder import list_image_files
from tellapart.config import ImageLimits
from tellapart.errors import OutputError
from tellapart.images.preprocess import DECODER_VERSION, PreprocessSpec
from tellapart.photos.loading import group_by_content, stream_images
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped
from tellapart.store import to_json_bytes, write_file

# Least recently used files go first when the cache grows beyond this.
_MAX_CACHE_BYTES = 16 * 1024**3
# Files of a run that was killed while decoding are removed by a later run, after a day.
_STALE_SECONDS = 24 * 3600
# What is copied from a file of an earlier run at once: some 20 MB.
_COPIED_AT_ONCE = 256


@dataclass(frozen=True)
class CachedImages:
    """The usable photos of a set with their images.

    Attributes:
        photos: the photos that could be decoded; `photos.skipped` names the others.
        store: images, uint8, shape `(at least 1, height, width, channels)`, memory-mapped, read-only; each once.
        places: where in `store` the image of each photo is, int64, shape `(len(photos),)`.
        digests: content of each photo, hexadecimal; equal digests are byte-identical files.
        key: hexadecimal name of this set of images.
    """

    photos: PhotoSet
    store: NDArray[np.uint8]
    places: NDArray[np.int64]
    digests: tuple[str, ...]
    key: str

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


class ImageWriter:
    """Takes the images of photos, in any order and from several threads, into one file of the cache.

    A context manager; what was not finished is gone when it closes.

    Args:
        spec: size and channels.
        limits: the largest photo that is decoded.
        cache_dir: folder for the files; made when missing.

    Attributes:
        preprocess: the `spec`, for `look_at`.
    """

    def __init__(self, spec: PreprocessSpec, limits: ImageLimits, cache_dir: Path) -> None:
        self.preprocess = spec
        self._limits = limits
        self._cache_dir = cache_dir
        # As it stands in an index.
        self._settings = json.loads(json.dumps([DECODER_VERSION, spec.to_json(), asdict(limits)]))
        self._earlier = _find_earlier(cache_dir, self._settings, spec.shape)
        self._file: BinaryIO | None = None
        self._places: dict[str, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "ImageWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None

    def wants(self, digest: str) -> bool:
        """Whether the image of a photo of this content is still to be decoded."""
        return digest not in self._earlier and digest not in self._places

    def add(self, digest: str, image: NDArray[np.uint8]) -> None:
        """Takes the image, uint8, shape `preprocess.shape`, of the photos of this content.

        Raises:
            OutputError: the folder cannot be written, or the disk is full.
        """
        with self._lock, self._writing():
            if digest not in self._places:
                self._open().write(np.ascontiguousarray(image).data)
                self._places[digest] = len(self._places)

    def finish(self, photos: PhotoSet, digests: Sequence[str]) -> CachedImages:
        """The images of all photos: those taken, those that earlier files hold, and for the others they are read now.

        Args:
            photos: unusable ones are moved to `skipped` of the result.
            digests: content of each photo.

        Raises:
            OutputError: the folder cannot be written, or the disk is full.
        """
        identity = [*self._settings, list(digests)]
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]
        images_path = self._cache_dir / f"{key}.npy"
        places, reasons = self._read_places(key), {}
        if places is None or not places.keys() >= set(digests):
            self._copy_earlier(digests)
            reasons = self._read_missing(photos, digests)
            places = self._publish(key)
        try:
            store = np.load(images_path, mmap_mode="r")
        except FileNotFoundError:  # another process has cleared or evicted it in between
            self._earlier = {}
            return self.finish(photos, digests)
        with contextlib.suppress(OSError):  # a cache that others filled may be read-only
            os.utime(images_path)
        rows = np.array([row for row, digest in enumerate(digests) if digest in places], dtype=np.int64)
        skipped = tuple(Skipped(photos.paths[row], reason) for row, reason in reasons.items())
        return CachedImages(
            replace(photos.take(rows), skipped=photos.skipped + skipped),
            store,
            np.array([places[digests[row]] for row in rows], dtype=np.int64),
            tuple(digests[row] for row in rows),
            key,
        )

    def _read_places(self, key: str) -> dict[str, int] | None:
        return _read_index(self._cache_dir / f"{key}.json", self._settings, self.preprocess.shape)

    def _copy_earlier(self, digests: Sequence[str]) -> None:
        """Takes from files of earlier runs what they hold of the photos."""
        wanted: dict[Path, list[str]] = {}
        for digest in dict.fromkeys(digests):
            if digest in self._earlier and digest not in self._places:
                wanted.setdefault(self._earlier[digest][0], []).append(digest)
        for path, held in wanted.items():
            with contextlib.suppress(FileNotFoundError):  # another process deletes too; its photos are read again
                store = np.load(path, mmap_mode="r")
                for start in range(0, len(held), _COPIED_AT_ONCE):
                    for digest in held[start : start + _COPIED_AT_ONCE]:
                        self.add(digest, store[self._earlier[digest][1]])
                    release_pages(store)

    def _read_missing(self, photos: PhotoSet, digests: Sequence[str]) -> dict[int, str]:
        """Takes what nobody has given from the photos themselves; row to reason of those that are of no use."""
        rows = [row for row, digest in enumerate(digests) if digest not in self._places]
        reasons: dict[int, str] = {}
        for row, item in zip(rows, stream_images(photos.take(rows), self.preprocess, self._limits), strict=True):
            if isinstance(item, Skipped):
                reasons[row] = item.reason
            else:
                self.add(digests[row], item)
        return {row: reason for row, reason in reasons.items() if digests[row] not in self._places}

    def _publish(self, key: str) -> dict[str, int]:
        """Gives the file its name; where in it the image of each content is."""
        places, shape = self._places, (max(1, len(self._places)), *self.preprocess.shape)
        header = _npy_header(shape)
        with self._writing():
            file = self._open()
            file.truncate(len(header) + math.prod(shape))
            file.seek(0)
            file.write(header)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            Path(file.name).replace(self._cache_dir / f"{key}.npy")
        self._file, self._places = None, {}
        write_file(
            self._cache_dir / f"{key}.json", to_json_bytes({"settings": self._settings, "digests": list(places)})
        )
        _evict_others(self._cache_dir, keep=key)
        return places

    def _open(self) -> BinaryIO:
        """The file that the images go into, behind the room for its header."""
        if self._file is None:
            self._cache_dir.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._cache_dir, prefix=".images-", suffix=".partial")
            os.close(descriptor)
            self._file = open(name, "r+b")  # noqa: SIM115
            self._file.seek(len(_npy_header((1, *self.preprocess.shape))))
        return self._file

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise OutputError(
                f"the decoded photos cannot be written to {str(self._cache_dir)!r} ({exc.strerror or exc})."
                f" Each takes {math.prod(self.preprocess.shape) / 1e6:.2f} MB. Make room, or give another `cache_dir`.",
                path=self._cache_dir,
            ) from exc


def release_pages(images: NDArray[np.uint8]) -> None:
    """Hands the mapped pages of `images` back to the system, where it has a call for that; the content stays."""
    mapped = images
    while isinstance(mapped, np.ndarray) and mapped.base is not None:
        mapped = mapped.base
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _find_earlier(cache_dir: Path, settings: list[object], image_shape: tuple[int, ...]) -> dict[str, tuple[Path, int]]:
    """The images made with these settings that the folder holds: content to file and place in it."""
    found: dict[str, tuple[Path, int]] = {}
    for path in list_image_files(cache_dir):
        if path.suffix == ".json" and (places := _read_index(path, settings, image_shape)) is not None:
            found |= {digest: (path.with_suffix(".npy"), place) for digest, place in places.items()}
    return found


def _read_index(path: Path, settings: list[object], image_shape: tuple[int, ...]) -> dict[str, int] | None:
    """Where in the images beside this index each content is; `None` when the two are not there or not whole."""
    try:
        index = json.loads(path.read_bytes())
        if not isinstance(index, Mapping) or index.get("settings") != settings:
            return None
        digests = index["digests"]
        shape = (max(1, len(digests)), *image_shape)
        header = _npy_header(shape)
        with open(path.with_suffix(".npy"), "rb") as file:
            is_whole = file.read(len(header)) == header
            is_whole = is_whole and os.fstat(file.fileno()).st_size == len(header) + math.prod(shape)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not is_whole or not all(isinstance(digest, str) for digest in digests):
        return None
    return {digest: place for place, digest in enumerate(digests)}


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
