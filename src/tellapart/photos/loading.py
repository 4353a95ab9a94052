"""Many photos to many images: decoding over all cores, in order, in bounded memory.

What happens to one photo is `preprocess.py`'s; keeping the images is `cache.py`'s.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.photos.preprocess import PreprocessSpec, load_image
from tellapart.photos.sources import PhotoSet
from tellapart.records import Skipped

Result = TypeVar("Result")

# Photos a thread takes at once, at most. With one at a time the threads spend their time handing the interpreter to
# each other: 241 microseconds a 200x200 photo, against 207 with 32 (2 cores, medians of 4 runs in turn, 2026-11-24).
_PHOTOS_A_TASK = 32
# Tasks under way or done ahead of the one that is asked for: enough to keep the cores busy when one photo is a hundred
# times larger than its neighbours.
_TASKS_PER_CORE = 2


def num_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_photos(photos: PhotoSet, work: Callable[[bytes], Result]) -> Iterator[Result | Skipped]:
    """What `work` makes of the bytes of each photo, in order, computed over all cores.

    A photo that cannot be read, or that `work` refuses with an `ImageError`, gives a `Skipped`. Closing the iterator
    early stops the work after the photos under way.
    """

    def one(row: int) -> Result | Skipped:
        try:
            return work(photos.read(row))
        except ImageError as exc:
            return Skipped(photos.paths[row], str(exc))

    is_closed = threading.Event()

    def some(rows: range) -> list[Result | Skipped]:
        return [one(row) for row in rows if not is_closed.is_set()]

    # OpenCV's own threads are left alone: their number is a setting of the whole process, and decoding 40 PNGs of 2
    # megapixels took the same 1.9 s of CPU time with 1, 2 and 16 of them (2 cores, 2026-11-24).
    cores = num_cores()
    pool = ThreadPoolExecutor(cores, thread_name_prefix="photos")
    pending: deque[Future[list[Result | Skipped]]] = deque()
    try:
        # A few dozen large photos are still shared out evenly.
        size = max(1, min(_PHOTOS_A_TASK, len(photos) // (4 * cores)))
        for start in range(0, len(photos), size):
            pending.append(pool.submit(some, range(start, min(start + size, len(photos)))))
            if len(pending) >= cores * _TASKS_PER_CORE:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        is_closed.set()
        pool.shutdown(wait=True, cancel_futures=True)


def stream_images(photos: PhotoSet, spec: PreprocessSpec, limits: ImageLimits) -> Iterator[NDArray[np.uint8] | Skipped]:
    """One item a photo, in order: the image, uint8 of shape `spec.shape`, or why there is none."""
    return map_photos(photos, lambda data: load_image(data, spec, limits))
