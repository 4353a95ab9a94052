"""Copies of photos for a page: 160 pixels, kept in the store of seen photos, and 1,024 pixels, made when asked for.

Also the pass that looks at each photo once in the background: its content, its small copy, and whether it can be used.
"""

import threading
import time
from collections.abc import Callable, Iterator

from tellapart.cache.cache_folder import cache_root, store_path
from tellapart.cache.photo_store import PhotoStore
from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.images.depth import SampleDepths, choose_depths
from tellapart.images.gate import decode_photo, measure_levels
from tellapart.images.preprocess import DECODER_VERSION, encode_webp
from tellapart.photos.files import DiskFile
from tellapart.photos.loading import digest_photo, map_batches, num_cores
from tellapart.project.project import Project
from tellapart.project.project_folder import state_of
from tellapart.project.project_memory import SeenFile
from tellapart.translation import gettext as _

SMALL_SIDE, _SMALL_QUALITY = 160, 75
LARGE_SIDE, _LARGE_QUALITY = 1024, 82
# Changes with what a small copy is, so that what an earlier version left in a store is not used.
SMALL_KIND = f"webp {SMALL_SIDE}, quality {_SMALL_QUALITY}, decoder {DECODER_VERSION}"
_PHOTOS_A_TASK = 4
# Looking at a large folder takes at most one part in so many of the time.
_REST = 20
# A page asks for the list again after each report, so that they become rarer as the pass goes on.
_FIRST_REPORT_SECONDS, _MOST_REPORT_SECONDS, _LONGER = 0.3, 10.0, 1.5


class SmallCopies:
    """Makes and keeps small copies; may be used from several threads.

    Args:
        limits: the largest photo that is decoded.
        cache_dir: folder of the cache; `None` is the user's own.
    """

    def __init__(self, limits: ImageLimits, cache_dir: str | None = None) -> None:
        self._limits = limits
        self._store = PhotoStore(store_path(cache_root(cache_dir)))

    def close(self) -> None:
        """Nothing; the store is let go of."""
        self._store.close()

    def find(self, digest: str) -> bytes | None:
        """The small copy of a content as WebP, if it is kept."""
        return self._store.find([digest], [SMALL_KIND]).get(digest, {}).get(SMALL_KIND)

    def keep(self, copies: dict[str, bytes]) -> None:
        """Nothing; the copies, digest to WebP, are kept."""
        self._store.add({digest: {SMALL_KIND: copy} for digest, copy in copies.items()})

    def make(self, data: bytes) -> bytes:
        """The small copy of a photo as WebP.

        Raises:
            ImageError: the bytes are not a photo that can be used.
        """
        return self._encode(data, SMALL_SIDE, _SMALL_QUALITY)

    def make_large(self, data: bytes) -> bytes:
        """A copy of at most 1,024 pixels as WebP, upright and in sRGB.

        Raises:
            ImageError: the bytes are not a photo that can be used.
        """
        return self._encode(data, LARGE_SIDE, _LARGE_QUALITY)

    def _encode(self, data: bytes, side: int, quality: int) -> bytes:
        levels = measure_levels(data, self._limits)
        depths = SampleDepths() if levels is None else choose_depths([levels])
        return encode_webp(decode_photo(data, self._limits, (side, side), depths).image, side, quality)


class BackgroundPass:
    """Looks at the photos of a project that nothing is known of, in a thread, whenever it is asked to.

    Args:
        project: whose photos.
        copies: where small copies are kept.
        look_seconds: how often the folder is looked at for changes of other programs.
        on_error: told what went wrong, in words; the pass goes on.
    """

    def __init__(
        self, project: Project, copies: SmallCopies, look_seconds: float, on_error: Callable[[str], None]
    ) -> None:
        self._project, self._copies = project, copies
        self._look_seconds = look_seconds
        self._on_error = on_error
        self._is_closed = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="project", daemon=True)

    def start(self) -> None:
        """Nothing; the thread runs."""
        self._project.on_change(self._wake.set)
        self._thread.start()

    def close(self) -> None:
        """Nothing; the thread has ended."""
        self._is_closed.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        look_next = 0.0
        while not self._is_closed.is_set():
            self._wake.wait(max(0.0, look_next - time.monotonic()))
            self._wake.clear()
            try:
                begun = time.monotonic()
                if begun >= look_next and not self._is_closed.is_set():
                    look_next = begun + self._look_seconds
                    self._project.notice()
                    look_next = max(look_next, begun + _REST * (time.monotonic() - begun))
                self._look_at_all(self._project.unseen())
            except Exception as exc:
                self._on_error(f"{type(exc).__name__}: {' '.join(str(exc).split())}")

    def _look_at_all(self, paths: list[str]) -> None:
        if not paths:
            return
        found: dict[str, SeenFile] = {}
        copies: dict[str, bytes] = {}
        reported, pause = time.monotonic(), _FIRST_REPORT_SECONDS

        def look(rows: Iterator[int]) -> list[tuple[str, SeenFile | None, bytes | None]]:
            return [(paths[row], *self._look(paths[row])) for row in rows if not self._is_closed.is_set()]

        for path, seen, copy in map_batches(len(paths), _PHOTOS_A_TASK, look, num_cores()):
            if seen is not None:
                found[path] = seen
                if copy is not None and seen.digest is not None:
                    copies[seen.digest] = copy
            if time.monotonic() - reported > pause:
                self._report(found, copies)
                found, copies = {}, {}
                reported, pause = time.monotonic(), min(pause * _LONGER, _MOST_REPORT_SECONDS)
        self._report(found, copies)
        self._project.save_seen()

    def _report(self, found: dict[str, SeenFile], copies: dict[str, bytes]) -> None:
        self._copies.keep(copies)
        if found:
            self._project.note_seen(found)
            self._wake.clear()

    def _look(self, path: str) -> tuple[SeenFile | None, bytes | None]:
        """What is seen of a file, and its small copy where that was not kept; nothing where it is gone."""
        place = self._project.root / path
        try:
            state = state_of(place.stat())
        except OSError:
            return None, None
        try:
            data = DiskFile(str(place)).read(self._project.limits.max_bytes)
        except ImageError as exc:
            return SeenFile(state, None, str(exc)), None
        digest = digest_photo(data)
        if self._copies.find(digest) is not None:
            return SeenFile(state, digest, None), None
        try:
            return SeenFile(state, digest, None), self._copies.make(data)
        except ImageError as exc:
            return SeenFile(state, digest, str(exc)), None
        except MemoryError:
            return SeenFile(state, digest, _("there is not enough memory to open it")), None
