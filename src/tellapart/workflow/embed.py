"""`tellapart embed`, and the first half of a transfer training: photos in, a vector a photo out, each embedded once."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.config import DEFAULT_BACKBONE, SourceConfig
from tellapart.errors import DatasetError
from tellapart.infer.embedder import Embedder
from tellapart.learn.backbones import Backbone, open_backbone
from tellapart.photos.loading import digest_photos, group_by_content
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import open_any_photos
from tellapart.records import Skipped
from tellapart.store import write_file
from tellapart.workflow.cache import backbones_dir, cache_root, embeddings_path
from tellapart.workflow.job import Watcher
from tellapart.workflow.remember import VectorKind, recall


@dataclass(frozen=True)
class EmbeddedPhotos:
    """The usable photos of a set with their embeddings.

    Attributes:
        photos: the photos that could be decoded; `photos.skipped` names the others.
        embeddings: float32, shape `(len(photos), embedding_size)`.
        digests: content of each photo, hexadecimal; equal digests are byte-identical files.
        num_found: photos whose embedding an earlier run had left in the cache.
    """

    photos: PhotoSet
    embeddings: NDArray[np.float32]
    digests: tuple[str, ...]
    num_found: int

    @property
    def groups(self) -> NDArray[np.int64]:
        """Equal numbers for byte-identical photos, int64, shape `(len(photos),)`."""
        return group_by_content(self.digests)


@dataclass(frozen=True)
class OpenBackbone:
    """A backbone, ready to embed, and where its embeddings are kept."""

    backbone: Backbone
    embedder: Embedder
    embeddings_path: Path


def start_backbone(name: str, cache_dir: str | None, watcher: Watcher) -> OpenBackbone:
    """The backbone of that name, found in the cache, exported or downloaded.

    Raises:
        ConfigError, BundleError, DependencyError: it cannot be had, or does not run.
    """
    root = cache_root(cache_dir)
    backbone = open_backbone(name, backbones_dir(root))
    for note in backbone.notes:
        watcher.on_note(note)
    embedder = Embedder(backbone.model, backbone.image_size, backbone.name)
    return OpenBackbone(backbone, embedder, embeddings_path(root))


def embed_photos(photos: PhotoSet, opened: OpenBackbone, watcher: Watcher) -> EmbeddedPhotos:
    """The embeddings of all usable photos: from the cache where they are there, computed and cached where not.

    Byte-identical photos are embedded once. What is done when the process is killed is found by the next run.

    Raises:
        BundleError: the backbone fails.
    """
    found_digests = digest_photos(photos)
    skipped = [item for item in found_digests if isinstance(item, Skipped)]
    readable = np.array([row for row, item in enumerate(found_digests) if not isinstance(item, Skipped)], np.int64)
    digests = [str(found_digests[row]) for row in readable]
    kind = VectorKind(opened.embedder.key, opened.embedder.stream)
    found = recall(photos.take(readable), digests, kind, opened.embeddings_path, watcher, watcher.on_embedded)
    usable = [(row, digest) for row, digest in zip(readable, digests, strict=True) if digest in found.vectors]
    skipped += [
        Skipped(photos.paths[row], found.reasons[digest])
        for row, digest in zip(readable, digests, strict=True)
        if digest not in found.vectors
    ]
    rows = np.array([row for row, _ in usable], np.int64)
    embeddings = np.empty((len(rows), opened.embedder.embedding_size), np.float32)
    for place, (_, digest) in enumerate(usable):
        embeddings[place] = found.vectors[digest]
    kept = replace(photos.take(rows), skipped=photos.skipped + tuple(skipped))
    return EmbeddedPhotos(kept, embeddings, tuple(digest for _, digest in usable), found.num_found)


def embed_to_file(
    source: str | Path,
    out_path: Path,
    backbone: str = DEFAULT_BACKBONE,
    *,
    config: SourceConfig = SourceConfig(),
    watcher: Watcher | None = None,
) -> EmbeddedPhotos:
    """The embeddings of the photos of `source`, also written to `out_path` as `.npz`.

    The file holds `paths` (text, shape `(n,)`), `embeddings` (float32 `(n, d)`), `backbone` (text) and, where the
    source has labels, `labels` (int64 `(n,)`) and `class_names` (text); `numpy.load` reads it without pickle.

    Raises:
        DatasetError: the source cannot be used, or no photo can be read.
        OutputError: the file cannot be written.
    """
    watcher = watcher or Watcher()
    photos, _ = open_any_photos(source, config)
    opened = start_backbone(backbone, config.cache_dir, watcher)
    embedded = embed_photos(photos, opened, watcher)
    if not len(embedded.photos):
        reason = embedded.photos.skipped[0].reason if embedded.photos.skipped else "there are none"
        raise DatasetError(
            f"none of the photos of {str(source)!r} can be read, the first because: {reason}. Photos in JPEG, PNG and "
            "other common formats are accepted; check them with `tellapart show`."
        )
    write_file(out_path, _npz_bytes(embedded, opened.backbone.name))
    return embedded


def _npz_bytes(embedded: EmbeddedPhotos, backbone_name: str) -> bytes:
    photos = embedded.photos
    arrays: dict[str, NDArray[np.generic]] = {
        "paths": _text_array(photos.paths),
        "embeddings": embedded.embeddings,
        "backbone": np.array(backbone_name),
    }
    if photos.labels is not None:
        arrays |= {"labels": np.array(photos.labels), "class_names": _text_array(photos.class_names)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _text_array(texts: Sequence[str]) -> NDArray[np.str_]:
    return np.array(texts, dtype=np.str_)
