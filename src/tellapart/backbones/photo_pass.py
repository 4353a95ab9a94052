"""The one pass over a collection: each photo is read once and decoded once for all that anyone wants to know of it.

A thread reads some photos, asks the store what is known of their content, decodes the others, and has the backbones
look at them. What is new is kept in the store. What follows from it is the check-up's and the heads' business.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import Embedder
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.cache.cache_folder import cache_root, store_path
from tellapart.cache.photo_store import PhotoStore
from tellapart.errors import ImageError
from tellapart.images.depth import LEVELS_KIND, Levels, SampleDepths, choose_depths
from tellapart.images.facts import FACTS_KIND, FACTS_SIZE, PhotoFacts, measure_facts
from tellapart.images.facts_table import FactsTable, move_rows
from tellapart.images.gate import decode_for_each, measure_levels
from tellapart.images.preprocess import THUMBNAIL_KIND, PreprocessSpec, encode_thumbnail, resize_image
from tellapart.photos.loading import digest_photo, even_size, map_batches, num_cores, release_freed_memory
from tellapart.photos.photoset import PhotoSet
from tellapart.records import EmbedRecord, Skipped
from tellapart.translation import gettext as _
from tellapart.watcher import Watcher

# Photos a thread takes at once. EfficientNet-Lite0 with two threads: 172 photos/s with 2, 167 with 4, 164 with 8, 161
# with 32 at once; with one batch of 32 over both cores 157 (2 cores, medians of 4 turns, 2026-11-24).
_PHOTOS_A_TASK = 2
# What is new goes to the disk after this many photos: what a kill can cost, about 2 seconds of embedding.
_PHOTOS_A_COMMIT = 256
# From so many photos on, the memory that a pass has used is worth handing back.
_FEWEST_TO_RELEASE = 64

_FLOATS = NDArray[np.float32]
_PIXELS = NDArray[np.uint8]


@dataclass(frozen=True)
class Eye:
    """A backbone that looks at photos as they are, or at their mirror images.

    Attributes:
        embedder: the backbone, which says at which size it sees them.
        is_mirrored: whether it sees them mirrored, left to right.
    """

    embedder: Embedder
    is_mirrored: bool = False

    @property
    def kind(self) -> str:
        """What its embeddings are called in the store; changes with the network, the image size and the mirroring."""
        return f"embedding {self.embedder.key}{' mirrored' if self.is_mirrored else ''}"

    def embed(self, images: NDArray[np.uint8]) -> _FLOATS:
        """Embeddings, float32 `(n, size)`, of images, uint8 `(n, *embedder.preprocess.shape)`."""
        return self.embedder.embed(np.ascontiguousarray(images[:, :, ::-1]) if self.is_mirrored else images)


class ImageSink(Protocol):
    """Takes the photos of a pass at a size of its own; is called from several threads."""

    @property
    def preprocess(self) -> PreprocessSpec:
        """Size and channels of what it takes."""

    def wants(self, digest: str) -> bool:
        """Whether it has no image of this content yet."""

    def add(self, digest: str, image: NDArray[np.uint8]) -> None:
        """Takes the image, uint8, shape `preprocess.shape`, of the photos of this content."""


def look_at(
    photos: PhotoSet,
    eyes: Sequence[Eye] = (),
    *,
    sink: ImageSink | None = None,
    cache_dir: str | None = None,
    watcher: Watcher = Watcher(),
) -> SeenPhotos:
    """What is seen of all photos that can be decoded: by an earlier run, or now.

    Each file is opened once, and byte-identical photos are looked at once. Deep photos that do not say how many bits
    they fill are opened twice: first it is told for all of them. What was seen before the process is killed is found by
    the next run.

    Args:
        photos: what to look at.
        eyes: whose embeddings are wanted; none for facts alone.
        sink: takes what it wants of the photos, decoded.
        cache_dir: folder of the cache; `None` is the user's own.
        watcher: told how far it is, and when the store was damaged.

    Raises:
        BundleError: a backbone fails.
    """
    path = store_path(cache_root(cache_dir))
    watcher.on_stage(_("reading photos"))
    report = progress_reporter(len(photos), watcher)
    with PhotoStore(path) as store:
        looker, sights = _Looker(photos, eyes, store, sink), _Sights(len(photos), eyes)
        _look_at_all(range(len(photos)), looker, store, sights, report)
        deep = sorted(sights.levels)
        looker.depths = choose_depths(sights.levels.values())
        _look_at_all(deep, looker, store, sights)
        if store.note:
            watcher.on_note(store.note)
    if len(photos) >= _FEWEST_TO_RELEASE:
        release_freed_memory()
    return sights.seen_photos(photos, path, looker.depths)


class _Sights:
    """What is seen of the photos of a pass so far, row by row: each number is in memory once.

    Attributes:
        levels: of deep photos that were not looked at, as how many bits they fill is not known yet, by row.
    """

    def __init__(self, num_photos: int, eyes: Sequence[Eye]) -> None:
        self.levels: dict[int, Levels] = {}
        self._digests = [""] * num_photos
        # The row of the photo of this content that is looked at; -1 where it cannot be read.
        self._first_rows = np.full(num_photos, -1, np.int64)
        self._reasons: dict[int, str] = {}
        self._is_found, self._is_seen = np.zeros(num_photos, np.bool_), np.zeros(num_photos, np.bool_)
        self._facts = FactsTable(num_photos)
        self._embeddings = [np.empty((num_photos, eye.embedder.embedding_size), np.float32) for eye in eyes]

    def enter(self, row: int, look: "_Look") -> None:
        """Takes over what is known of the photo of that row."""
        self._digests[row], self._first_rows[row] = look.digest, look.first_row
        self._is_found[row] = look.is_found
        if look.levels is not None:
            self.levels[row] = look.levels
        if look.reason is not None:
            self._reasons[row] = look.reason
        elif look.facts is not None:
            self._is_seen[row] = True
            self._facts.enter(row, look.facts)
            for number, vector in look.vectors.items():
                self._embeddings[number][row] = vector

    def seen_photos(self, photos: PhotoSet, path: Path, depths: SampleDepths) -> SeenPhotos:
        """All of it; nothing can be entered afterwards. A copy has what the first photo of its content has."""
        sources = np.where(self._first_rows >= 0, self._first_rows, np.arange(len(photos)))
        rows = np.flatnonzero(self._is_seen[sources])
        skipped = tuple(
            Skipped(photos.paths[row], self._reasons[sources[row]])
            for row in np.flatnonzero(~self._is_seen[sources]).tolist()
            if sources[row] in self._reasons
        )
        embeddings = [move_rows(one, sources, rows) for one in self._embeddings]
        return SeenPhotos(
            photos=replace(photos.take(rows), skipped=photos.skipped + skipped),
            digests=tuple(self._digests[sources[row]] for row in rows),
            facts=self._facts.moved(sources, rows),
            embeddings=embeddings[0] if embeddings else None,
            num_found=int(self._is_found[sources[rows]].sum()),
            further_embeddings=tuple(embeddings[1:]),
            store_path=path,
            depths=depths,
        )


@dataclass(slots=True)
class _Look:
    """What is known of one photo so far.

    Attributes:
        digest: its content; empty where it cannot be read.
        first_row: the row of the photo of this content that is looked at; -1 where it cannot be read.
        reason: why it cannot be used.
        facts: of it; `None` for a copy, or for what cannot be used.
        vectors: embeddings by the number of the eye.
        fresh: what the store does not have yet, by kind.
        is_found: whether an earlier run had seen all of it.
        levels: of a deep photo that was not looked at, as how many bits it fills is not known yet.
    """

    digest: str = ""
    first_row: int = -1
    reason: str | None = None
    facts: PhotoFacts | None = None
    vectors: dict[int, _FLOATS] = field(default_factory=dict)
    fresh: dict[str, bytes] = field(default_factory=dict)
    is_found: bool = False
    levels: Levels | None = None


class _Looker:
    """Looks at some photos at a time; may be used from several threads.

    Attributes:
        depths: how many bits white fills in deep photos; while `None`, those that do not say are put off.
    """

    def __init__(self, photos: PhotoSet, eyes: Sequence[Eye], store: PhotoStore, sink: ImageSink | None) -> None:
        self._photos = photos
        self._sink = sink
        self._eyes = eyes
        self._store = store
        self.depths: SampleDepths | None = None
        self._first_rows: dict[str, int] = {}
        self._lock = threading.Lock()

    def look(self, rows: Iterator[int]) -> list[_Look]:
        """What is known of each of the rows."""
        looks: list[_Look] = []
        contents: list[tuple[_Look, bytes]] = []
        for row in rows:
            look, data = self._read(row)
            looks.append(look)
            if data is not None and look.first_row == row:
                contents.append((look, data))
        kinds = [self._kind(name) for name in (FACTS_KIND, *(eye.kind for eye in self._eyes))]
        known = self._store.find([look.digest for look, _data in contents], [LEVELS_KIND, *kinds])
        seen: list[tuple[_Look, dict[int, _PIXELS]]] = []
        for look, data in contents:
            try:
                stored = known.get(look.digest, {})
                if self.depths is None and self._put_off(look, data, stored):
                    continue
                seen.append((look, self._decode(look, data, stored)))
            except ImageError as exc:
                look.reason = str(exc)
        for number in range(len(self._eyes)):
            self._embed(number, [(look, images[number]) for look, images in seen if number in images])
        for look, _images in seen:
            look.is_found = not look.fresh
        return looks

    def _kind(self, name: str) -> str:
        """What a kind of value is called in the store: of deep photos there is one for each depth."""
        known = self.depths.to_json() if self.depths is not None else {}
        return ", ".join([name, *(f"{kind} of {bits} bits" for kind, bits in known.items())])

    def _put_off(self, look: _Look, data: bytes, stored: Mapping[str, bytes]) -> bool:
        """Whether the photo is a deep one that does not say how many bits it fills; its levels are entered.

        Raises:
            ImageError: it is one, and cannot be decoded.
        """
        if LEVELS_KIND in stored:
            look.levels = Levels.from_bytes(stored[LEVELS_KIND])
        elif FACTS_KIND not in stored and (levels := measure_levels(data, self._photos.limits)) is not None:
            look.levels = levels
            look.fresh = {LEVELS_KIND: levels.to_bytes()}
        return look.levels is not None

    def _read(self, row: int) -> tuple[_Look, bytes | None]:
        try:
            data = self._photos.read(row)
        except ImageError as exc:
            return _Look(reason=str(exc)), None
        digest = digest_photo(data)
        with self._lock:
            return _Look(digest, self._first_rows.setdefault(digest, row)), data

    def _decode(self, look: _Look, data: bytes, stored: Mapping[str, bytes]) -> dict[int, _PIXELS]:
        """The photo as each eye that has not seen it yet will see it; its facts and what was stored are entered.

        The sink is given what it wants of it.

        Raises:
            ImageError: the bytes are not a photo that can be used.
        """
        for number, eye in enumerate(self._eyes):
            vector = np.frombuffer(stored.get(self._kind(eye.kind), b""), np.dtype("<f4"))
            if len(vector) == eye.embedder.embedding_size:
                look.vectors[number] = vector
        missing = [number for number in range(len(self._eyes)) if number not in look.vectors]
        specs = [self._eyes[number].embedder.preprocess for number in missing]
        sink = self._sink if self._sink is not None and self._sink.wants(look.digest) else None
        if sink is not None:
            specs.append(sink.preprocess)
        sizes = [spec.image_size for spec in specs]
        facts_kind = self._kind(FACTS_KIND)
        if facts_kind in stored:
            look.facts = PhotoFacts.from_bytes(stored[facts_kind])
        else:
            sizes.append(FACTS_SIZE)
        if not sizes:
            return {}
        decoded = decode_for_each(data, self._photos.limits, sizes, self.depths or SampleDepths())
        if look.facts is None:
            look.facts = measure_facts(decoded[-1], len(data))
            look.fresh = {facts_kind: look.facts.to_bytes(), THUMBNAIL_KIND: encode_thumbnail(decoded[-1].image)}
        # Eyes of the same size share the image.
        image_of = dict(zip(specs, (one.image for one in decoded), strict=False))
        resized = {spec: resize_image(image, spec) for spec, image in image_of.items()}
        images = [resized[spec] for spec in specs]
        if sink is not None:
            sink.add(look.digest, images[-1])
        return dict(zip(missing, images, strict=False))

    def _embed(self, number: int, seen: Sequence[tuple[_Look, _PIXELS]]) -> None:
        """Enters what the eye of that number makes of the images."""
        if not seen:
            return
        eye = self._eyes[number]
        images = np.stack([image for _look, image in seen])
        for (look, _image), vector in zip(seen, eye.embed(images), strict=True):
            look.vectors[number] = vector
            look.fresh[self._kind(eye.kind)] = vector.astype("<f4", copy=False).tobytes()


def _look_at_all(
    rows: Sequence[int],
    looker: _Looker,
    store: PhotoStore,
    sights: _Sights,
    report: Callable[[int, int], None] = lambda num_done, num_found: None,
) -> None:
    """Enters what is known of the photo of each row; what is new is kept in the store by and by."""
    pending: dict[str, dict[str, bytes]] = {}
    threads, num_found = num_cores(), 0
    size = even_size(len(rows), _PHOTOS_A_TASK, threads)
    looks = map_batches(len(rows), size, lambda places: looker.look(rows[one] for one in places), threads)
    for num_done, (row, look) in enumerate(zip(rows, looks, strict=True), start=1):
        if look.fresh:
            pending[look.digest], look.fresh = look.fresh, {}
        if len(pending) >= _PHOTOS_A_COMMIT:
            store.add(pending)
            pending = {}
        num_found += look.is_found
        sights.enter(row, look)
        report(num_done, num_found)
    store.add(pending)


def progress_reporter(num_photos: int, watcher: Watcher) -> Callable[[int, int], None]:
    """What takes the number of photos done, and of those that were found, and tells the watcher with the time left."""
    started = time.perf_counter()

    def report(num_done: int, num_found: int) -> None:
        seconds_left = (time.perf_counter() - started) / max(1, num_done) * (num_photos - num_done)
        watcher.on_embedded(EmbedRecord(num_done, num_photos, num_found, seconds_left))

    report(0, 0)
    return report
