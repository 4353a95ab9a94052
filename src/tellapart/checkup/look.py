"""What is known of each photo before its label counts: content, facts and, where a backbone looked, its embedding.

All of it is computed once a photo and kept by content; what follows from it is `check.py`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.cache_folder import cache_root, facts_path
from tellapart.backbones.embedding import embed_photos, start_backbone
from tellapart.backbones.kept_vectors import VectorKind, recall
from tellapart.errors import DependencyError
from tellapart.images.facts import FACTS_KEY, PhotoFacts, facts_of
from tellapart.photos.loading import digest_photos, map_photos
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped
from tellapart.watcher import Watcher


@dataclass(frozen=True, eq=False)
class Described:
    """Photos of which everything is known that can be known without labels; row by row.

    Attributes:
        photos: those that could be decoded; `photos.skipped` names the others.
        digests: content of each, hexadecimal.
        facts: of each.
        embeddings: float32, shape `(len(photos), embedding_size)`; `None` where no backbone looked at them.
    """

    photos: PhotoSet
    digests: tuple[str, ...]
    facts: tuple[PhotoFacts, ...]
    embeddings: NDArray[np.float32] | None


def describe_with_backbone(photos: PhotoSet, cache_dir: str | None, backbone: str, watcher: Watcher) -> Described:
    """The photos with facts and embeddings; without embeddings, and a note, where a package for them is missing."""
    try:
        opened = start_backbone(backbone, cache_dir, watcher)
    except DependencyError as exc:
        watcher.on_note(f"labels are not doubted, for that takes a backbone: {exc}")
        return describe_photos(photos, cache_dir, watcher)
    embedded = embed_photos(photos, opened, watcher)
    return add_facts(embedded.photos, embedded.digests, embedded.embeddings, cache_dir, watcher)


def describe_photos(photos: PhotoSet, cache_dir: str | None, watcher: Watcher) -> Described:
    """The photos with their facts, without embeddings; those that cannot be read are skipped."""
    found = digest_photos(photos)
    readable = [row for row, item in enumerate(found) if not isinstance(item, Skipped)]
    lost = tuple(item for item in found if isinstance(item, Skipped))
    kept = replace(photos.take(readable), skipped=photos.skipped + lost)
    return add_facts(kept, [str(found[row]) for row in readable], None, cache_dir, watcher)


def add_facts(
    photos: PhotoSet,
    digests: Sequence[str],
    embeddings: NDArray[np.float32] | None,
    cache_dir: str | None,
    watcher: Watcher,
) -> Described:
    """The photos with their facts as well; those that cannot be decoded are skipped.

    Args:
        photos: photos that can be read.
        digests: the content of each.
        embeddings: of each, or `None`.
        cache_dir: folder of the cache; `None` is the user's.
        watcher: told when the cache was damaged.
    """
    limits = photos.limits
    kind = VectorKind(FACTS_KEY, lambda missing: map_photos(missing, lambda data: facts_of(data, limits).to_vector()))
    found = recall(photos, digests, kind, facts_path(cache_root(cache_dir)), watcher)
    rows = [row for row, digest in enumerate(digests) if digest in found.vectors]
    lost = tuple(
        Skipped(path, found.reasons[digest])
        for path, digest in zip(photos.paths, digests, strict=True)
        if digest not in found.vectors
    )
    facts = {digest: PhotoFacts.from_vector(vector) for digest, vector in found.vectors.items()}
    return Described(
        replace(photos.take(rows), skipped=photos.skipped + lost),
        tuple(digests[row] for row in rows),
        tuple(facts[digests[row]] for row in rows),
        None if embeddings is None else embeddings[rows],
    )
