"""Takes the decoded photos of a training into one file of the cache.

They come from the pass over the photos (`backbones/photo_pass.py`), or from files of earlier runs that hold some of
them; what nobody gives is read. A file is written under a temporary name and renamed when it is whole.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tellapart.cache.decoded_cache import (
    CachedImages,
    StoredForm,
    evict_others,
    npy_header,
    pixels_of,
    read_index,
    read_indexes,
    release_pages,
)
from tellapart.config import ImageLimits
from tellapart.errors import OutputError
from tellapart.images.depth import SampleDepths
from tellapart.images.preprocess import DECODER_VERSION, PreprocessSpec
from tellapart.photos.loading import stream_images
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped
from tellapart.store import to_json_bytes, write_file
from tellapart.translation import gettext as _

# What is copied from a file of an earlier run at once: some 20 MB.
_COPIED_AT_ONCE = 256


class ImageWriter:
    """Takes the images of photos, in any order and from several threads, into one file of the cache.

    A context manager; what was not finished is gone when it closes.

    Args:
        spec: size and channels; the depths are told at the end.
        limits: the largest photo that is decoded.
        cache_dir: folder for the files; made when missing.
        form: what is kept of each; `None` is its pixels.

    Attributes:
        preprocess: the `spec`, for `look_at`.
    """

    def __init__(
        self, spec: PreprocessSpec, limits: ImageLimits, cache_dir: Path, form: StoredForm | None = None
    ) -> None:
        self.preprocess, self._form = spec, form or pixels_of(spec)
        self._limits = limits
        self._cache_dir = cache_dir
        # As it stands in an index.
        settings = [DECODER_VERSION, spec.to_json(), asdict(limits), *filter(None, [self._form.name])]
        self._settings = json.loads(json.dumps(settings))
        self._earlier = read_indexes(cache_dir, self._settings, self._form)
        self._held = {digest for index in self._earlier for digest in index.places}
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
        return digest not in self._held and digest not in self._places

    def add(self, digest: str, image: NDArray[np.uint8]) -> None:
        """Takes the image, uint8, shape `preprocess.shape`, of the photos of this content.

        Raises:
            OutputError: the folder cannot be written, or the disk is full.
        """
        self._keep(digest, self._form.make(digest, image))

    def _keep(self, digest: str, made: NDArray[Any]) -> None:
        with self._lock, self._writing():
            if digest not in self._places:
                self._open().write(np.ascontiguousarray(made).data)
                self._places[digest] = len(self._places)

    def finish(self, photos: PhotoSet, digests: Sequence[str], depths: SampleDepths = SampleDepths()) -> CachedImages:
        """The images of all photos: those taken, those that earlier files hold, and for the others they are read now.

        Args:
            photos: unusable ones are moved to `skipped` of the result.
            digests: content of each photo.
            depths: how many bits white fills in deep photos.

        Raises:
            OutputError: the folder cannot be written, or the disk is full.
        """
        spec = replace(self.preprocess, depths=depths)
        named = [self._form.name] if self._form.name else []
        identity = [DECODER_VERSION, spec.to_json(), asdict(self._limits), list(digests), *named]
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]
        images_path, reasons = self._cache_dir / f"{key}.npy", {}
        index = read_index(images_path.with_suffix(".json"), self._settings, self._form)
        places = {} if index is None else index.places
        if index is None or not places.keys() >= set(digests):
            self._copy_earlier(digests, depths)
            reasons = self._read_missing(photos, digests, spec)
            places = self._publish(images_path, depths)
        try:
            store = np.load(images_path, mmap_mode="r")
        except FileNotFoundError:  # another process has cleared or evicted it in between
            self._earlier = []
            return self.finish(photos, digests, depths)
        with contextlib.suppress(OSError):  # a cache that others filled may be read-only
            os.utime(images_path)
        rows = np.array([row for row, digest in enumerate(digests) if digest in places], dtype=np.int64)
        skipped = tuple(Skipped(photos.paths[row], reason) for row, reason in reasons.items())
        return CachedImages(
            photos=replace(photos.take(rows), skipped=photos.skipped + skipped),
            store=store,
            places=np.array([places[digests[row]] for row in rows], dtype=np.int64),
            digests=tuple(digests[row] for row in rows),
            key=key,
            spec=spec,
        )

    def _copy_earlier(self, digests: Sequence[str], depths: SampleDepths) -> None:
        """Takes from files of earlier runs what they hold of the photos.

        A file that knew deep photos by other depths is left alone: it does not say which they are.
        """
        for index in self._earlier:
            missing = [digest for digest in dict.fromkeys(digests) if digest not in self._places]
            held = [digest for digest in missing if digest in index.places]
            if not held or index.depths not in ({}, depths.to_json()):
                continue
            with contextlib.suppress(FileNotFoundError):  # another process deletes too; its photos are read again
                store = np.load(index.path, mmap_mode="r")
                for start in range(0, len(held), _COPIED_AT_ONCE):
                    for digest in held[start : start + _COPIED_AT_ONCE]:
                        self._keep(digest, store[index.places[digest]])
                    release_pages(store)

    def _read_missing(self, photos: PhotoSet, digests: Sequence[str], spec: PreprocessSpec) -> dict[int, str]:
        """Takes what nobody has given from the photos themselves; row to reason of those that are of no use."""
        rows = [row for row, digest in enumerate(digests) if digest not in self._places]
        reasons: dict[int, str] = {}
        for row, item in zip(rows, stream_images(photos.take(rows), spec, self._limits), strict=True):
            if isinstance(item, Skipped):
                reasons[row] = item.reason
            else:
                self.add(digests[row], item)
        return {row: reason for row, reason in reasons.items() if digests[row] not in self._places}

    def _publish(self, images_path: Path, depths: SampleDepths) -> dict[str, int]:
        """Gives the file its name; where in it the image of each content is."""
        places, number = self._places, max(1, len(self._places))
        header = npy_header(number, self._form)
        with self._writing():
            file = self._open()
            file.truncate(len(header) + number * self._form.num_bytes)
            file.seek(0)
            file.write(header)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            Path(file.name).replace(images_path)
        self._file, self._places = None, {}
        index = {"settings": self._settings, "depths": depths.to_json(), "digests": list(places)}
        write_file(images_path.with_suffix(".json"), to_json_bytes(index))
        evict_others(self._cache_dir, keep=images_path.stem)
        return places

    def _open(self) -> BinaryIO:
        """The file that the images go into, behind the room for its header."""
        if self._file is None:
            self._cache_dir.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._cache_dir, prefix=".images-", suffix=".partial")
            os.close(descriptor)
            self._file = open(name, "r+b")  # noqa: SIM115
            self._file.seek(len(npy_header(1, self._form)))
        return self._file

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise OutputError(
                _(
                    "the decoded photos cannot be written to {cache_dir!r} ({reason}). Each takes "
                    "{megabytes:.2f} MB. Free some space, or give another `cache_dir`."
                ).format(
                    cache_dir=str(self._cache_dir),
                    reason=exc.strerror or exc,
                    megabytes=self._form.num_bytes / 1e6,
                ),
                path=self._cache_dir,
            ) from exc
