"""Many photos to many images: reading, decoding and what is done with the images, over all cores, in order.

What happens to one photo is `preprocess.py`'s; keeping the images is `cache.py`'s.
"""

import ctypes
import hashlib
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.images.depth import Levels, choose_depths
from tellapart.images.gate import measure_levels
from tellapart.images.preprocess import PreprocessSpec, load_image
from tellapart.records import Skipped

Result = TypeVar("Result")
Scalar = TypeVar("Scalar", bound=np.generic)

# Photos a thread takes at once, at most. With one at a time the threads spend their time handing the interpreter to
# each other: 241 microseconds a 200x200 photo, against 207 with 32 (2 cores, medians of 4 runs in turn, 2026-11-24).
_PHOTOS_A_TASK = 32
# Tasks under way or done ahead of the one that is asked for: enough to keep the cores busy when one photo is a hundred
# times larger than its neighbours.
_TASKS_PER_CORE = 2


class Readable(Protocol):
    """Photos in a fixed order whose bytes can be had; a `PhotoSet` is one."""

    @property
    def paths(self) -> Sequence[str]:
        """One per photo."""

    def __len__(self) -> int: ...

    def read(self, row: int) -> bytes:
        """The bytes of one photo, or an `ImageError`."""


def num_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def release_freed_memory() -> None:
    """Hands memory that is free at this moment back to the kernel; called after many photos, and between epochs.

    Blocks that are kept for reuse come to lie apart. The process grew from 1.1 to 1.8 GB over 13 epochs of 3,200
    photos, and with this stays where it was after the first. It costs the page faults of one step an epoch. No effect
    where the C library is not glibc.
    """
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return


def map_photos(photos: Readable, work: Callable[[bytes], Result]) -> Generator[Result | Skipped, None, None]:
    """What `work` makes of the bytes of each photo, in order, computed over all cores.

    A photo that cannot be read, or that `work` refuses with an `ImageError`, gives a `Skipped`. Closing the iterator
    early stops the work after the photos under way.
    """
    cores = num_cores()
    # A few dozen large photos are still shared out evenly.
    size = max(1, min(_PHOTOS_A_TASK, len(photos) // (4 * cores)))
    return map_batches(
        len(photos),
        size,
        lambda rows: [_try_row(photos.paths, row, lambda one: work(photos.read(one))) for row in rows],
        cores,
    )


def stream_images(photos: Readable, spec: PreprocessSpec, limits: ImageLimits) -> Iterator[NDArray[np.uint8] | Skipped]:
    """One item a photo, in order: the image, uint8 of shape `spec.shape`, or why there is none."""
    return map_photos(photos, lambda data: load_image(data, spec, limits))


def stream_collection(
    photos: Readable, spec: PreprocessSpec, limits: ImageLimits
) -> Iterator[tuple[int, NDArray[np.uint8] | Skipped]]:
    """Row and image of each photo of a collection, uint8 of shape `spec.shape`, or why there is none.

    Deep photos that do not say how many bits they fill come last, when that is known of all of them; the others are in
    order, and opened once.
    """
    levels: dict[int, Levels] = {}
    items = map_photos(photos, lambda data: measure_levels(data, limits) or load_image(data, spec, limits))
    for row, item in enumerate(items):
        if isinstance(item, Levels):
            levels[row] = item
        else:
            yield row, item
    known, rows = replace(spec, depths=choose_depths(levels.values())), list(levels)
    deep = map_batches(
        len(rows), 1, lambda places: [_load_row(photos, rows[place], known, limits) for place in places], num_cores()
    )
    yield from zip(rows, deep, strict=True)


def _load_row(photos: Readable, row: int, spec: PreprocessSpec, limits: ImageLimits) -> NDArray[np.uint8] | Skipped:
    return _try_row(photos.paths, row, lambda one: load_image(photos.read(one), spec, limits))


def digest_photos(photos: Readable) -> list[str | Skipped]:
    """One item a photo, in order: BLAKE2b of its bytes, 40 hexadecimal digits, or why it cannot be read."""
    return list(map_photos(photos, digest_photo))


def digest_photo(data: bytes) -> str:
    """BLAKE2b of a photo's bytes, 40 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def group_by_content(digests: Sequence[str]) -> NDArray[np.int64]:
    """Equal numbers for byte-identical photos, int64, shape `(len(digests),)`."""
    return np.unique(np.asarray(digests, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def map_images(
    paths: Sequence[str],
    load: Callable[[int], NDArray[np.uint8]],
    work: Callable[[NDArray[np.uint8]], NDArray[Scalar]],
    batch_size: int,
    num_threads: int = 0,
) -> Generator[NDArray[Scalar] | Skipped, None, None]:
    """One item a photo, in order: its row of what `work` makes of a batch of images, or why there is none.

    A batch is read, decoded and worked on by one thread, and as many batches are under way as there are threads: with a
    `work` that uses one core, decoding and working overlap without waiting for each other.

    Args:
        paths: one per photo.
        load: from the number of a photo to its image, all of one shape, or an `ImageError`.
        work: from the usable images of a batch, uint8 `(n, height, width, channels)`, n at least 1, to an array of n
            rows; called from several threads at once.
        batch_size: photos a batch, at most; fewer where there are so few photos that a thread would have none.
        num_threads: batches worked on at once; 0 is one a core.
    """
    threads = num_threads or num_cores()

    def run(rows: Iterator[int]) -> list[NDArray[Scalar] | Skipped]:
        items = [_try_row(paths, row, load) for row in rows]
        images = [item for item in items if not isinstance(item, Skipped)]
        results = iter(work(np.stack(images)) if images else ())
        return [item if isinstance(item, Skipped) else next(results) for item in items]

    return map_batches(len(paths), even_size(len(paths), batch_size, threads), run, threads)


def even_size(num_items: int, largest: int, num_threads: int) -> int:
    """Items a task, at most `largest`, so that each of the threads has the same number of tasks; at least 1."""
    num_tasks = num_threads * max(1, math.ceil(num_items / (largest * num_threads)))
    return max(1, math.ceil(num_items / num_tasks))


def _try_row(paths: Sequence[str], row: int, work: Callable[[int], Result]) -> Result | Skipped:
    try:
        return work(row)
    except ImageError as exc:
        return Skipped(paths[row], str(exc))


def map_batches(
    num_photos: int, size: int, run: Callable[[Iterator[int]], Sequence[Result]], num_threads: int
) -> Generator[Result, None, None]:
    """What `run` gives for `size` rows at a time, in order, from a pool of threads that is a few tasks ahead.

    Closing the iterator early ends the rows that the tasks under way are given.

    Args:
        num_photos: rows are counted from 0 to this.
        size: rows a task, at least 1.
        run: from rows to an item for each; called from several threads at once.
        num_threads: tasks worked on at once.
    """
    is_closed = threading.Event()

    def task(rows: range) -> Sequence[Result]:
        return run(row for row in rows if not is_closed.is_set())

    # OpenCV's own threads are left alone: their number is a setting of the whole process, and decoding 40 PNGs of 2
    # megapixels took the same 1.9 s of CPU time with 1, 2 and 16 of them (2 cores, 2026-11-24).
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="photos")
    pending: deque[Future[Sequence[Result]]] = deque()
    try:
        for start in range(0, num_photos, size):
            pending.append(pool.submit(task, range(start, min(start + size, num_photos))))
            if len(pending) >= num_threads * _TASKS_PER_CORE:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        is_closed.set()
        pool.shutdown(wait=True, cancel_futures=True)
