"""From what a user names (folder, zip, CSV, photos) to a `PhotoSet`; the border where a source is checked once.

What one folder, zip or CSV holds is read by `photos/source_reading.py`.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tellapart.config import ImageLimits, SourceConfig
from tellapart.errors import DatasetError
from tellapart.photos.files import (
    ArchiveMember,
    DiskFile,
    FoundFile,
    LeftOut,
    Reading,
)
from tellapart.photos.misplaced import (
    reason_no_photo,
    without_repeated,
)
from tellapart.photos.names import compare_names, natural_key, printable
from tellapart.photos.photoset import PhotoSet, check_classes, join_photos
from tellapart.photos.several_zips import read_zips
from tellapart.photos.source_reading import (
    kind_of,
    list_source,
    read_csv_source,
    read_listed,
    refuse_empty,
    refuse_file,
    rows_beside,
    take_photos,
)
from tellapart.records import Skipped
from tellapart.translation import gettext as _

Photos = PhotoSet | str | Path | Sequence[str | Path]


def open_photos(
    photos: Photos,
    *,
    labels_csv: str | None = None,
    label_pattern: str | None = None,
    class_level: int | None = None,
    limits: ImageLimits = ImageLimits(),
) -> PhotoSet:
    """The photos, with their classes where these can be found; nothing is decoded yet.

    Args:
        photos: a folder with a folder per class, photos with their class in their names, a zip of either, a CSV with a
            path and a label column, photos without classes, or a list of these; a `PhotoSet` is given back as it is.
        labels_csv: a CSV with a path and a label column, whose paths are relative to the folder or zip.
        label_pattern: regular expression with one group (or a group called `label`), searched in the file names.
        class_level: which folder of each path is its class, counted from 1 for the folders directly in the source.
        limits: the largest photo that will be decoded.

    Raises:
        ConfigError: two of `labels_csv`, `label_pattern` and `class_level` are given, or one has a wrong value.
        DatasetError: there is nothing at a path, or there are no photos, or the classes are not where they should be.
    """
    return open_any_photos(photos, SourceConfig(labels_csv, label_pattern, class_level, limits=limits))


def open_any_photos(photos: Photos, config: SourceConfig = SourceConfig()) -> PhotoSet:
    """The photos, labelled if they can be; `unlabelled_reason` says why they are not.

    Raises:
        DatasetError: there is nothing at a path, or no photos, or no labels although `config` says where they are.
    """
    if isinstance(photos, PhotoSet):
        return photos
    try:
        return open_labelled(photos, config, check=False)
    except DatasetError as exc:
        named = source_paths(photos)
        if config.label_setting is not None or not all(map(os.path.exists, named)):
            raise
        found = list_photos(named, config.limits)
        if len(found) == 0:
            raise
        return replace(found, unlabelled_reason=str(exc))


def open_labelled(photos: Photos, config: SourceConfig = SourceConfig(), *, check: bool = True) -> PhotoSet:
    """The labelled photos of a folder, a zip or a CSV, or several of them, sorted, and what is skipped with the reason.

    `config.per_class` is not applied: which photos can be used is known only after decoding.

    Args:
        photos: as for `open_photos`.
        config: where labels come from, if not from folders or names.
        check: whether to insist on 2 classes with 2 photos each, as training needs.

    Raises:
        DatasetError: there is nothing at a path, or no photos, or no labels, or too few of them.
    """
    if isinstance(photos, PhotoSet):
        result = photos
    else:
        named = [str(one) for one in source_paths(photos)]
        zips = [one for one in named if kind_of(one) == "zip"]
        # Several zips are the parts of one collection, as download services pack it.
        first_zip = next((row for row, one in enumerate(named) if one in zips), None)
        parts = [
            zips if row == first_zip else [one] for row, one in enumerate(named) if row == first_zip or one not in zips
        ]
        result = join_photos(
            [_open_zips(part, config) if len(part) > 1 else _open_one(part[0], config) for part in parts]
        )
    if result.labels is None:
        reason = result.unlabelled_reason or _("No classes found for the photos in {source!r}.").format(
            source=result.source
        )
        raise DatasetError(reason, paths=[result.source])
    if check:
        check_classes(result.counts(), result.source)
    return result


def source_paths(photos: Photos) -> list[str | Path]:
    """The folders and files that the user has named.

    Raises:
        DatasetError: none.
    """
    if isinstance(photos, PhotoSet):
        return [*(photos.sources or (photos.source,))]
    named = [photos] if isinstance(photos, str | Path) else list(photos)
    if not named:
        raise DatasetError(_("no photos were given. Give a folder, zip, CSV or photo."))
    return named


def _open_one(source: str, config: SourceConfig) -> PhotoSet:
    kind = kind_of(source)
    if kind == "file":
        refuse_file(source)
    if kind == "table":
        base, reading = read_csv_source(source, config)
    else:
        base, reading = source, read_listed(source, list_source(source, kind), kind, config)
    left_out = [item for item in reading.left_out if not _is_same_file(os.path.join(base, *item[0]), config.labels_csv)]
    skipped = _skipped(base, left_out)
    return _build((source,), reading, lambda file: _join(base, file.parts), skipped, config.limits)


def _open_zips(sources: Sequence[str], config: SourceConfig) -> PhotoSet:
    """The photos of several zips as if they were one.

    Where each has classes of its own, each is read by itself, for their wrapper folders may differ; where folders say
    which photos train and which test, or classes are spread over the zips, all are read together.
    """
    listings = [list_source(source, "zip") for source in sources]
    shown: dict[DiskFile | ArchiveMember, str] = {
        file.place: source for source, listing in zip(sources, listings, strict=True) for file in listing.files
    }
    files = tuple(file for listing in listings for file in listing.files)
    reading = read_zips(sources, listings, config)
    owners: dict[tuple[str, ...], list[str]] = {}
    for file in files:
        for depth in range(1, len(file.parts) + 1):
            owners.setdefault(file.parts[:depth], []).append(shown[file.place])
    counted: Counter[tuple[str, ...]] = Counter()
    skipped: list[Skipped] = []
    for parts, reason in reading.left_out:
        owner = owners.get(parts, [sources[0]])
        skipped += _skipped(owner[min(counted[parts], len(owner) - 1)], [(parts, reason)])
        counted[parts] += 1
    for source, listing in zip(sources, listings, strict=True):
        skipped += _skipped(source, listing.left_out)
    return _build(sources, reading, lambda file: _join(shown[file.place], file.parts), skipped, config.limits)


def list_photos(sources: Sequence[str | Path], limits: ImageLimits = ImageLimits()) -> PhotoSet:
    """All photos of the sources without labels: in the order given, and in natural order inside a folder or zip.

    Args:
        sources: photo files, folders (searched to any depth), zips, and CSVs with a column of paths.
        limits: the largest photo that is read.

    Raises:
        DatasetError: there is nothing at one of the paths, a zip cannot be used, or the only folder or zip holds no
            photos.
    """
    paths: list[str] = []
    places: list[DiskFile | ArchiveMember] = []
    skipped: list[Skipped] = []
    notes: list[str] = []
    for source in map(str, sources):
        kind = kind_of(source)
        if kind == "table":
            from tellapart.photos.row_matching import match_paths  # only a CSV needs it

            reading = match_paths(source, rows_beside(source))
            folder = os.path.dirname(source)
            paths += [_join(folder, item.file.parts) for item in reading.labelled]
            places += [item.file.place for item in reading.labelled]
            skipped += _skipped(folder, reading.left_out)
            notes += reading.notes
        elif kind in ("folder", "zip"):
            listing = list_source(source, kind)
            photos, left_out = take_photos(listing, limits)
            photos, repeated = without_repeated(photos)
            left_out += repeated
            paths += [_join(source, photo.parts) for photo in photos]
            places += [photo.place for photo in photos]
            skipped += _skipped(source, [*left_out, *listing.left_out])
            if not photos and len(sources) == 1:
                refuse_empty(source, listing, kind)
        elif (reason := reason_no_photo(source, DiskFile(source))) is not None:
            skipped.append(Skipped(printable(source), reason))
        else:
            paths.append(printable(source))
            places.append(DiskFile(source))
    named = tuple(map(str, sources))
    return PhotoSet(
        source=", ".join(named),
        paths=tuple(paths),
        labels=None,
        class_names=(),
        skipped=tuple(skipped),
        places=tuple(places),
        limits=limits,
        sources=named if len(named) > 1 else (),
        notes=tuple(notes),
    )


def _build(
    sources: Sequence[str],
    reading: Reading,
    show: Callable[[FoundFile], str],
    skipped: Sequence[Skipped],
    limits: ImageLimits,
) -> PhotoSet:
    """The photos in natural order with numbered classes; `show` gives the path of a photo as the user knows it."""
    items = sorted(reading.labelled, key=lambda item: natural_key(item.file.parts))
    class_names = tuple(sorted({item.label for item in items}, key=lambda name: natural_key((name,))))
    numbers = {name: number for number, name in enumerate(class_names)}
    splits = tuple(item.split for item in items)
    return PhotoSet(
        source=", ".join(sources),
        paths=tuple(show(item.file) for item in items),
        labels=np.array([numbers[item.label] for item in items], dtype=np.int64),
        class_names=class_names,
        skipped=tuple(skipped),
        places=tuple(item.file.place for item in items),
        limits=limits,
        given_splits=splits if any(splits) else (),
        notes=(*reading.notes, *compare_names(class_names)),
        sources=tuple(sources) if len(sources) > 1 else (),
    )


def _join(source: str, parts: Iterable[str]) -> str:
    return printable(os.path.join(source, *parts))


def _is_same_file(path: str, labels_csv: str | None) -> bool:
    """Whether it is the table that the user has given: it is read, so it was not skipped."""
    if labels_csv is None:
        return False
    try:
        return os.path.samefile(path, labels_csv)
    except (OSError, ValueError):
        return False


def _skipped(source: str, left_out: Sequence[LeftOut]) -> list[Skipped]:
    ordered = sorted(left_out, key=lambda item: natural_key(item[0]))
    return [Skipped(_join(source, parts), reason) for parts, reason in ordered]
