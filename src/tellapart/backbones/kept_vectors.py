"""What is computed of each photo only once: found by its content in the cache, or computed now and kept there."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedding_cache import EmbeddingCache
from tellapart.photos.photoset import PhotoSet
from tellapart.records import EmbedRecord, Skipped
from tellapart.watcher import Watcher

# Vectors go to the disk after this many photos: what a kill can cost, about 2 seconds of embedding.
_PHOTOS_A_COMMIT = 256

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class VectorKind:
    """What is computed of a photo.

    Attributes:
        key: names it in the cache, 64 hexadecimal digits.
        stream: one item a photo, in order: its vector, or why there is none.
    """

    key: str
    stream: Callable[[PhotoSet], Iterator[Vector | Skipped]]


@dataclass(frozen=True)
class Remembered:
    """Vectors by content, reasons by content where there is none, and for how many photos an earlier run had them."""

    vectors: dict[str, Vector]
    reasons: dict[str, str]
    num_found: int


def recall(
    photos: PhotoSet,
    digests: Sequence[str],
    kind: VectorKind,
    cache_path: Path,
    watcher: Watcher,
    on_progress: Callable[[EmbedRecord], None] = lambda record: None,
) -> Remembered:
    """The vector of every photo: from the cache where it is there, computed and cached where not.

    Byte-identical photos are computed once. What is done when the process is killed is found by the next run.

    Args:
        photos: photos that can be read.
        digests: the content of each.
        kind: what is computed.
        cache_path: the file it is kept in.
        watcher: told when the cache was damaged.
        on_progress: told how far it is.
    """
    with EmbeddingCache(cache_path) as cache:
        vectors = cache.find(list(dict.fromkeys(digests)), kind.key)
        num_found = sum(digest in vectors for digest in digests)
        first_rows = {digest: row for row, digest in reversed(list(enumerate(digests)))}
        missing = sorted(row for digest, row in first_rows.items() if digest not in vectors)
        report = _progress_reporter(len(digests), num_found, len(missing), on_progress)
        computed, reasons = _compute(photos.take(missing), [digests[row] for row in missing], kind, cache, report)
        if cache.note:
            watcher.on_note(cache.note)
    return Remembered(vectors | computed, reasons, num_found)


def _compute(
    photos: PhotoSet, digests: Sequence[str], kind: VectorKind, cache: EmbeddingCache, report: Callable[[int], None]
) -> tuple[dict[str, Vector], dict[str, str]]:
    """Content to vector of each photo, kept in the cache as well, and content to reason of those without."""
    vectors: dict[str, Vector] = {}
    reasons: dict[str, str] = {}
    pending: dict[str, Vector] = {}
    for num_done, (digest, item) in enumerate(zip(digests, kind.stream(photos), strict=True), start=1):
        if isinstance(item, Skipped):
            reasons[digest] = item.reason
        else:
            pending[digest] = item
        if len(pending) >= _PHOTOS_A_COMMIT:
            cache.add(pending, kind.key)
            vectors |= pending
            pending = {}
        report(num_done)
    cache.add(pending, kind.key)
    return vectors | pending, reasons


def _progress_reporter(
    num_photos: int, num_found: int, num_missing: int, tell: Callable[[EmbedRecord], None]
) -> Callable[[int], None]:
    started = time.perf_counter()

    def report(num_done: int) -> None:
        seconds_left = (time.perf_counter() - started) / max(1, num_done) * (num_missing - num_done)
        num_all = num_photos if num_done == num_missing else num_found + num_done
        tell(EmbedRecord(num_all, num_photos, num_found, seconds_left))

    report(0)
    return report
