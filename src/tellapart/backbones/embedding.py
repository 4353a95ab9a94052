"""Photos in, a vector a photo out, each embedded once."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.backbone import Backbone, open_backbone
from tellapart.backbones.cache_folder import backbones_dir, cache_root, embeddings_path
from tellapart.backbones.embedder import Embedder
from tellapart.backbones.kept_vectors import VectorKind, recall
from tellapart.photos.loading import digest_photos, group_by_content
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped
from tellapart.watcher import Watcher


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
