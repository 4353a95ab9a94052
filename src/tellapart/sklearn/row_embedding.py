"""From the rows of `X` to embeddings through the store, a photo once, and what cannot be read in its place."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.backbone import Backbone, open_backbone
from tellapart.backbones.embedder import Embedder
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.cache.cache_folder import backbones_dir, cache_root
from tellapart.checkup.duplicates import find_groups, group_numbers
from tellapart.checkup.groups import keep_apart
from tellapart.errors import DatasetError
from tellapart.photos.files import DiskFile
from tellapart.photos.loading import digest_photo, map_images
from tellapart.photos.names import name_some, printable
from tellapart.photos.photoset import PhotoSet
from tellapart.predict.inputs import Inputs
from tellapart.records import PhotoGroup, Skipped
from tellapart.sklearn.photo_rows import PhotoRows
from tellapart.translation import gettext as _
from tellapart.translation import ngettext
from tellapart.value_checks import check_choice
from tellapart.watcher import Watcher

# What a photo that cannot be read may come to.
ERRORS = RAISE, UNCERTAIN = ("raise", "uncertain")
# Images that a thread embeds at once.
_BATCH_SIZE = 8


@dataclass(frozen=True, eq=False)
class RowEmbeddings:
    """The embeddings of rows.

    Attributes:
        embeddings: float32 `(n, size)`; NaN in the rows that cannot be used.
        contents: int64 `(n,)`; equal for rows with the same photo, byte for byte.
        reasons: of each row that cannot be used, why.
        seen: the different files among the rows; `None` where the rows are no files.
        seen_rows: of each row its row in `seen`, -1 where it has none.
    """

    embeddings: NDArray[np.float32]
    contents: NDArray[np.int64]
    reasons: Mapping[int, str] = field(default_factory=dict)
    seen: SeenPhotos | None = None
    seen_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Whether there is an embedding, bool `(n,)`."""
        return np.asarray(np.isfinite(self.embeddings).all(axis=1))


def warn_of(note: str) -> None:
    """Nothing; the note is a warning, as scikit-learn's users expect them."""
    warnings.warn(note, UserWarning, stacklevel=3)


def find_backbone_of(name: str, cache_dir: str | None) -> Backbone:
    """The backbone of that name, found in the cache, exported or downloaded.

    Raises:
        ConfigError, BundleError, DependencyError: it cannot be had.
    """
    backbone = open_backbone(name, backbones_dir(cache_root(cache_dir)))
    for note in backbone.notes:
        warn_of(note)
    return backbone


@lru_cache(maxsize=2)
def open_embedder(backbone: Backbone) -> Embedder:
    """The backbone ready to embed; kept, for a grid search fits dozens of heads on the same one."""
    return Embedder(backbone.model, backbone.image_size, backbone.name)


def embed_rows(rows: PhotoRows, backbone: Backbone | None, cache_dir: str | None) -> RowEmbeddings:
    """The embeddings of the rows; files go through the store, so that a photo is embedded once.

    Args:
        rows: photos or embeddings.
        backbone: what looks at photos; rows of embeddings need none.
        cache_dir: as for a training.

    Raises:
        DatasetError: the rows are photos, and there is no backbone.
        BundleError: the backbone fails.
    """
    if rows.embeddings is not None:
        contents = np.unique(rows.embeddings, axis=0, return_inverse=True)[1].reshape(-1)
        bad = np.flatnonzero(~np.isfinite(rows.embeddings).all(axis=1)).tolist()
        embeddings = np.array(rows.embeddings)
        embeddings[bad] = np.nan
        return RowEmbeddings(embeddings, contents, dict.fromkeys(bad, _("its embedding holds NaN or infinity")))
    if backbone is None:
        raise DatasetError(_("This model was trained on embeddings. Give embeddings, as `PhotoEmbedder` makes them."))
    embedder = open_embedder(backbone)
    embeddings = np.full((len(rows), embedder.embedding_size), np.nan, np.float32)
    reasons = {row: _("the row holds no path") for row, photo in enumerate(rows.photos) if photo is None}
    digests = [f"row {row}" for row in range(len(rows))]
    seen, seen_rows = _embed_files(rows, embedder, cache_dir, reasons)
    found = np.flatnonzero(seen_rows >= 0)
    if seen is not None and seen.embeddings is not None:
        embeddings[found] = seen.embeddings[seen_rows[found]]
        for row in found.tolist():
            digests[row] = seen.digests[seen_rows[row]]
    images = [row for row, photo in enumerate(rows.photos) if isinstance(photo, np.ndarray)]
    for row, vector in zip(images, _embed_images(rows, images, embedder), strict=True):
        if isinstance(vector, Skipped):
            reasons[row] = vector.reason
        else:
            embeddings[row] = vector
            digests[row] = digest_photo(np.ascontiguousarray(rows.photos[row]).tobytes())
    contents = np.unique(np.array(digests, np.str_), return_inverse=True)[1].reshape(-1)
    return RowEmbeddings(embeddings, contents, reasons, seen, seen_rows)


def photo_set(paths: Sequence[str]) -> PhotoSet:
    """The files as a set without labels, none of them opened yet."""
    shown, places = tuple(map(printable, paths)), tuple(map(DiskFile, paths))
    return PhotoSet(source="X", paths=shown, labels=None, class_names=(), skipped=(), places=places)


def refuse_unreadable(reasons: Mapping[int, str], rows: PhotoRows, errors: str) -> None:
    """Nothing, if all rows can be used, or those that cannot may be uncertain.

    Raises:
        ConfigError: `errors` is neither `raise` nor `uncertain`.
        DatasetError: a row cannot be used.
    """
    check_choice("errors", errors, ERRORS)
    if not reasons or errors == UNCERTAIN:
        return
    first = min(reasons)
    paths = [photo for row in sorted(reasons) if isinstance(photo := _photo_of(rows, row), str)]
    shown = name_some(paths[:1]) if paths and _photo_of(rows, first) == paths[0] else _("row {row}").format(row=first)
    raise DatasetError(
        ngettext(
            "{num:,} of {total:,} rows cannot be read. It is {shown}: {reason}. `errors='uncertain'` keeps it.",
            "{num:,} of {total:,} rows cannot be read. The first is {shown}: {reason}. `errors='uncertain'` keeps"
            " them.",
            len(reasons),
        ).format(num=len(reasons), total=len(rows), shown=shown, reason=reasons[first].rstrip(".")),
        paths=paths,
    )


def belong_together(
    found: RowEmbeddings, labels: NDArray[np.int64], groups: Sequence[object] | None
) -> NDArray[np.int64]:
    """Equal numbers for rows that stay in one fold: copies, near copies and bursts, as in a training, and groups.

    Args:
        found: of all rows.
        labels: of all rows, int64 `(n,)`.
        groups: one a row, of any kind; equal for rows that belong together. `None` where nothing more is known.
    """
    numberings = [found.contents]
    if found.seen is not None and len(found.seen):
        is_file = found.seen_rows >= 0
        row_of_seen = np.zeros(len(found.seen), np.int64)
        row_of_seen[found.seen_rows[is_file]] = np.flatnonzero(is_file)
        names = tuple(str(label) for label in range(int(labels.max()) + 1))
        labelled = replace(found.seen.photos, labels=labels[row_of_seen], class_names=names)
        tied = keep_apart(find_groups(found.seen.digests, found.seen.facts), labelled)
        of_files = group_numbers(tied, len(found.seen))
        numbers = np.arange(len(labels)) + len(of_files)
        numbers[is_file] = of_files[found.seen_rows[is_file]]
        numberings.append(numbers)
    if groups is not None:
        names_of_groups = np.asarray([str(group) for group in groups], np.str_)
        numberings.append(np.unique(names_of_groups, return_inverse=True)[1].reshape(-1))
    together = [
        PhotoGroup("copies", tuple(np.flatnonzero(numbers == number).tolist()))
        for numbers in numberings
        for number in np.flatnonzero(np.bincount(numbers) > 1).tolist()
    ]
    return group_numbers(together, len(labels))


def _photo_of(rows: PhotoRows, row: int) -> object:
    return rows.photos[row] if rows.embeddings is None else None


def _embed_files(
    rows: PhotoRows, embedder: Embedder, cache_dir: str | None, reasons: dict[int, str]
) -> tuple[SeenPhotos | None, NDArray[np.int64]]:
    """What is seen of the files among the rows, each once, and where each row is in it; enters why some cannot be."""
    seen_rows = np.full(len(rows), -1, np.int64)
    paths = list(dict.fromkeys(photo for photo in rows.photos if isinstance(photo, str)))
    if not paths:
        return None, seen_rows
    photos = photo_set(paths)
    seen = look_at(photos, [Eye(embedder)], cache_dir=cache_dir, watcher=Watcher(on_note=warn_of))
    place_of_shown = {path: place for place, path in enumerate(seen.photos.paths)}
    reason_of_shown = {item.path: item.reason for item in seen.photos.skipped}
    for row, photo in enumerate(rows.photos):
        if isinstance(photo, str):
            shown = printable(photo)
            seen_rows[row] = place_of_shown.get(shown, -1)
            if seen_rows[row] < 0:
                reasons[row] = reason_of_shown[shown]
    return seen, seen_rows


def _embed_images(rows: PhotoRows, images: Sequence[int], embedder: Embedder) -> list[NDArray[np.float32] | Skipped]:
    """The embedding of each of these rows, which are pixels, or why there is none."""
    if not images:
        return []
    inputs = Inputs([photo for photo in rows.photos if isinstance(photo, np.ndarray)])
    spec = embedder.preprocess
    return list(map_images(inputs.paths, lambda row: inputs.load(row, spec), embedder.embed, _BATCH_SIZE))
