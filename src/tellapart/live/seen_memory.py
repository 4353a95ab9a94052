"""What was seen of each photo of a project, kept while Studio runs: only new and changed files are looked at.

The pass and its store are `backbones/`'s, so what was seen here is known to `tellapart train`, and the other way round.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import Embedder
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.cache.cache_folder import cache_root, store_path
from tellapart.images.facts import PhotoFacts
from tellapart.images.facts_table import FactsTable
from tellapart.live.live_project import ModelPhoto
from tellapart.photos.files import DiskFile
from tellapart.photos.names import natural_key
from tellapart.photos.photoset import PhotoSet

# Photos between two looks at whether to go on; some seconds of embedding.
_PHOTOS_AT_ONCE = 128
# Inode, time of the last change and size of a file.
_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Sight:
    """What was seen of a file: nothing but the reason where it cannot be used."""

    stamp: _Stamp
    digest: str = ""
    facts: PhotoFacts | None = None
    embedding: NDArray[np.float32] | None = None
    reason: str | None = None


class SeenMemory:
    """What was seen of the photos of a project; used by one thread at a time.

    Args:
        cache_dir: folder of the store of seen photos; `None` is the user's own.
    """

    def __init__(self, cache_dir: str | None) -> None:
        self._cache_dir = cache_dir
        self._sights: dict[Path, _Sight] = {}
        self._embedder_key = ""

    def update(
        self,
        photos: Sequence[ModelPhoto],
        embedder: Embedder,
        on_progress: Callable[[int, int], bool] = lambda num_done, num_all: True,
    ) -> bool:
        """Whether all photos are known now, as the embedder sees them; those that are gone are forgotten.

        Args:
            photos: all of the project.
            embedder: of the backbone.
            on_progress: told how many of the new photos are done, of how many; gives whether to go on.

        Raises:
            BundleError: the backbone fails.
        """
        if embedder.key != self._embedder_key:
            self._sights, self._embedder_key = {}, embedder.key
        known: dict[Path, _Sight] = {}
        new: list[tuple[Path, _Stamp]] = []
        for path in dict.fromkeys(photo.path for photo in photos):
            stamp = _stamp_of(path)
            sight = self._sights.get(path)
            if stamp is not None and sight is not None and sight.stamp == stamp:
                known[path] = sight
            elif stamp is not None:
                new.append((path, stamp))
        self._sights = known
        for start in range(0, len(new), _PHOTOS_AT_ONCE):
            if not on_progress(start, len(new)):
                return False
            self._look(new[start : start + _PHOTOS_AT_ONCE], embedder)
        return True

    def _look(self, some: Sequence[tuple[Path, _Stamp]], embedder: Embedder) -> None:
        paths = [path for path, _stamp in some]
        seen = look_at(_as_photos(paths), [Eye(embedder)], cache_dir=self._cache_dir)
        assert seen.embeddings is not None
        stamps = {str(path): (path, stamp) for path, stamp in some}
        for shown, digest, facts, embedding in zip(
            seen.photos.paths, seen.digests, seen.facts, seen.embeddings, strict=True
        ):
            path, stamp = stamps[shown]
            self._sights[path] = _Sight(stamp, digest, facts, embedding)
        for item in seen.photos.skipped:
            path, stamp = stamps[item.path]
            self._sights[path] = _Sight(stamp, reason=item.reason)

    def usable(self, photos: Sequence[ModelPhoto]) -> list[ModelPhoto]:
        """Those of the photos that could be decoded, in their order."""
        return [
            photo for photo in photos if (one := self._sights.get(photo.path)) is not None and one.facts is not None
        ]

    def reasons(self, photos: Sequence[ModelPhoto]) -> dict[str, str]:
        """Why photos cannot be used, by their number."""
        found = ((photo.id, self._sights.get(photo.path)) for photo in photos)
        return {number: sight.reason for number, sight in found if sight is not None and sight.reason is not None}

    def content(self, photo: ModelPhoto) -> str:
        """The content of a usable photo, as `digest_photo` gives it."""
        return self._sights[photo.path].digest

    def embeddings(self, photos: Sequence[ModelPhoto]) -> NDArray[np.float32]:
        """The embeddings of usable photos, at least one: float32, shape `(n, embedding_size)`."""
        found = [self._sights[photo.path].embedding for photo in photos]
        return np.stack([embedding for embedding in found if embedding is not None])

    def seen(self, photos: Sequence[ModelPhoto], source: Path) -> SeenPhotos:
        """What is known of usable photos that all have a class, at least one.

        Args:
            photos: some of those of the last `update`.
            source: the folder of the project.
        """
        names = sorted(
            {photo.class_name for photo in photos if photo.class_name}, key=lambda name: natural_key((name,))
        )
        labels = np.array([names.index(photo.class_name or "") for photo in photos], np.int64)
        sights = [self._sights[photo.path] for photo in photos]
        return SeenPhotos(
            photos=_as_photos([photo.path for photo in photos], source, labels, tuple(names)),
            digests=tuple(sight.digest for sight in sights),
            facts=FactsTable.of(sight.facts for sight in sights if sight.facts is not None),
            embeddings=self.embeddings(photos),
            num_found=len(photos),
            store_path=store_path(cache_root(self._cache_dir)),
        )


def _as_photos(
    paths: Sequence[Path],
    source: Path = Path(),
    labels: NDArray[np.int64] | None = None,
    class_names: tuple[str, ...] = (),
) -> PhotoSet:
    return PhotoSet(
        source=str(source),
        paths=tuple(map(str, paths)),
        labels=labels,
        class_names=class_names,
        skipped=(),
        places=tuple(DiskFile(str(path)) for path in paths),
    )


def _stamp_of(path: Path) -> _Stamp | None:
    """What changes with the file; `None` where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
