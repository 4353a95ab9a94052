"""From what a user names (folder, zip, CSV, photos) to a `PhotoSet`; the border where a source is checked once.

Which class a photo has comes from `photos/layout.py` (folders and names) or `photos/row_matching.py` (CSV).
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from tellapart.config import ImageLimits, SourceConfig
from tellapart.errors import DatasetError, ImageError
from tellapart.images.formats import HEAD_BYTES, is_zip_of_files
from tellapart.photos.files import (
    SYSTEM_REASON,
    ArchiveMember,
    DiskFile,
    FoundFile,
    Labelled,
    LeftOut,
    Listing,
    Reading,
    list_archive,
    list_folder,
)
from tellapart.photos.folder_kinds import find_splits
from tellapart.photos.labels import labels_from_pattern
from tellapart.photos.layout import label_files
from tellapart.photos.masks import separate_masks
from tellapart.photos.misplaced import (
    drop_repeated,
    find_empty_folders,
    reason_no_photo,
    separate_photos,
    without_repeated,
)
from tellapart.photos.names import CLEANED_MARKER, DECISIONS_NAME, compare_names, name_some, natural_key, printable
from tellapart.photos.photoset import PhotoSet, check_classes, join_photos
from tellapart.records import Skipped

if TYPE_CHECKING:
    from tellapart.photos.row_matching import RowFinder

Photos = PhotoSet | str | Path | Sequence[str | Path]

_TABLE_SUFFIXES = (".csv", ".tsv")


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
        zips = [one for one in named if _kind_of(one) == "zip"]
        # Several zips are the parts of one collection, as download services pack it.
        first_zip = next((row for row, one in enumerate(named) if one in zips), None)
        parts = [
            zips if row == first_zip else [one] for row, one in enumerate(named) if row == first_zip or one not in zips
        ]
        result = join_photos(
            [_open_zips(part, config) if len(part) > 1 else _open_one(part[0], config) for part in parts]
        )
    if result.labels is None:
        reason = result.unlabelled_reason or f"No classes found for the photos in {result.source!r}."
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
        raise DatasetError("no photos were given. Give a folder, zip, CSV or photo.")
    return named


def _open_one(source: str, config: SourceConfig) -> PhotoSet:
    kind = _kind_of(source)
    if kind == "file":
        _refuse_file(source)
    if kind == "table":
        base, reading = _read_csv_source(source, config)
    else:
        base, reading = source, _read_listed(source, _list(source, kind), kind, config)
    skipped = _skipped(base, reading.left_out)
    return _build((source,), reading, lambda file: _join(base, file.parts), skipped, config.limits)


def _open_zips(sources: Sequence[str], config: SourceConfig) -> PhotoSet:
    """The photos of several zips as if they were one.

    Where each has classes of its own, each is read by itself, for their wrapper folders may differ; where folders say
    which photos train and which test, or classes are spread over the zips, all are read together.
    """
    listings = [_list(source, "zip") for source in sources]
    shown: dict[DiskFile | ArchiveMember, str] = {
        file.place: source for source, listing in zip(sources, listings, strict=True) for file in listing.files
    }
    files = tuple(file for listing in listings for file in listing.files)
    reading = _read_zips(sources, listings, config)
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


def _read_zips(sources: Sequence[str], listings: Sequence[Listing], config: SourceConfig) -> Reading:
    files = tuple(file for listing in listings for file in listing.files)
    try:
        reading = _read_listed(", ".join(sources), Listing(files), "zip", config)
    except DatasetError:
        if (found := _read_each(sources, listings, config)) is None:
            raise
        return found
    if config.labels_csv is not None or any(item.split for item in reading.labelled):
        return reading
    return _read_each(sources, listings, config) or reading


def _read_each(sources: Sequence[str], listings: Sequence[Listing], config: SourceConfig) -> Reading | None:
    """What the zips hold, each read by itself; `None` where one of them has no two classes."""
    together = Reading()
    for source, listing in zip(sources, listings, strict=True):
        try:
            reading = _read_listed(source, Listing(listing.files), "zip", config)
        except DatasetError:
            return None
        if len({item.label for item in reading.labelled}) < 2:
            return None
        together.labelled += reading.labelled
        together.left_out += reading.left_out
        together.notes += reading.notes
    return together


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
        kind = _kind_of(source)
        if kind == "table":
            from tellapart.photos.row_matching import match_paths  # only a CSV needs it

            reading = match_paths(source, _beside(source))
            folder = os.path.dirname(source)
            paths += [_join(folder, item.file.parts) for item in reading.labelled]
            places += [item.file.place for item in reading.labelled]
            skipped += _skipped(folder, reading.left_out)
            notes += reading.notes
        elif kind in ("folder", "zip"):
            listing = _list(source, kind)
            photos, left_out = _take_photos(listing, limits)
            photos, repeated = without_repeated(photos)
            left_out += repeated
            paths += [_join(source, photo.parts) for photo in photos]
            places += [photo.place for photo in photos]
            skipped += _skipped(source, [*left_out, *listing.left_out])
            if not photos and len(sources) == 1:
                _refuse_empty(source, listing, kind)
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


def _kind_of(source: str) -> str:
    """What stands at a path: `folder`, `zip`, `table` or `file`.

    Raises:
        DatasetError: nothing, or nothing that can be opened.
    """
    if os.path.isdir(source):
        return "folder"
    if not os.path.isfile(source):
        found = "is neither a file nor a folder" if os.path.exists(source) else "does not exist"
        raise DatasetError(
            f"{source!r} {found}. Give a folder, zip, CSV or photo. Check the spelling of the path.", paths=[source]
        )
    suffix = os.path.splitext(source)[1].lower()
    if suffix in _TABLE_SUFFIXES:
        return "table"
    if suffix == ".zip":
        return "zip"
    try:
        return "zip" if is_zip_of_files(DiskFile(source).head(HEAD_BYTES)) else "file"
    except ImageError:
        return "file"


def _refuse_file(source: str) -> NoReturn:
    reason = reason_no_photo(source, DiskFile(source))
    if reason is not None and ". " in reason:  # it says what to do
        raise DatasetError(f"{source!r} is {reason}.", paths=[source])
    found = f"no folder, zip or CSV ({reason})" if reason else "a single photo"
    raise DatasetError(
        f"{source!r} is {found}. Give a folder with a folder per class, photos with their class in the name, a zip of "
        "either, or a CSV of paths and labels. To classify single photos, use `tellapart predict`.",
        paths=[source],
    )


def _list(source: str, kind: str) -> Listing:
    if kind == "folder":
        listing = list_folder(source)
    else:
        from tellapart.zips.archive import open_archive  # only a zip needs it

        listing = list_archive(open_archive(Path(source)))
    if all(file.parts not in ((DECISIONS_NAME,), (CLEANED_MARKER,)) for file in listing.files):
        return listing
    from tellapart.photos.decision_table import without_own_files  # only a cleaned copy may hold some

    return without_own_files(listing)


def _read_csv_source(source: str, config: SourceConfig) -> tuple[str, Reading]:
    """The folder that the paths of the CSV start from, as shown, and its photos."""
    if (setting := config.label_setting) is not None:
        raise DatasetError(
            f"{source!r} is a CSV, which names the labels itself. Leave out `{setting}`, or give a folder or zip.",
            paths=[source],
        )
    from tellapart.photos.row_matching import match_rows  # only a CSV needs it

    folder = os.path.dirname(source)
    return folder, match_rows(source, _beside(source), folder or os.curdir)


def _beside(csv_path: str) -> "RowFinder":
    """Finds the photos of a CSV below its folder."""
    from tellapart.photos.row_matching import RowFinder  # only a CSV needs it

    folder = os.path.dirname(csv_path) or os.curdir
    return RowFinder(folder, lambda: separate_photos(list_folder(folder).files)[0])


def _read_listed(source: str, listing: Listing, kind: str, config: SourceConfig) -> Reading:
    """The photos of a folder or zip with their labels, and all else with the reason."""
    # A CSV says itself what the photos are.
    photos, left_out = _take_photos(listing, None if config.labels_csv is not None else config.limits)
    if not photos:
        _refuse_empty(source, listing, kind)
    if config.labels_csv is not None:
        reading = _read_table(source, photos, kind, config.labels_csv)
    elif config.label_pattern is not None:
        reading = _read_pattern(source, photos, config.label_pattern)
    else:
        reading = _read_layout(source, photos, config.class_level)
    drop_repeated(reading)
    reading.left_out += [*left_out, *listing.left_out]
    return reading


def _take_photos(listing: Listing, limits: ImageLimits | None) -> tuple[list[FoundFile], list[LeftOut]]:
    """The photos of a folder or zip, and all else with the reason.

    Args:
        listing: all files.
        limits: the largest photo that is decoded to see whether it is a mask; `None` takes masks for photos.
    """
    photos, left_out = separate_photos(listing.files)
    left_out += find_empty_folders(listing.folders, listing.files, photos)
    if limits is None:
        return photos, left_out
    photos, masks = separate_masks(photos, limits)
    return photos, left_out + masks


def _refuse_empty(source: str, listing: Listing, kind: str) -> NoReturn:
    others = [printable("/".join(file.parts)) for file in listing.files]
    zips = [name for name in others if name.lower().endswith(".zip")]
    if zips:
        todo = "Give one of them." if kind == "folder" else "Unpack it once, then give one of the zips inside."
        raise DatasetError(f"{source!r} holds no photos but zips: {name_some(zips)}. {todo}", paths=[source])
    unread = [(parts, reason) for parts, reason in listing.left_out if reason != SYSTEM_REASON]
    if unread and not others:
        parts, reason = unread[0]
        num = "1 file is" if len(unread) == 1 else f"{len(unread):,} files are"
        raise DatasetError(
            f"{source!r} holds no photos that can be read: {num} left out. The first is "
            f"{printable('/'.join(parts))!r}: {reason}.",
            paths=[source],
        )
    found = f"only {name_some(others)}" if others else "nothing"
    raise DatasetError(
        f"{source!r} holds no photos: {found} was found. Give photos in a folder per class, or with their class in the "
        "file name. Check the path.",
        paths=[source],
    )


def _read_table(source: str, photos: Sequence[FoundFile], kind: str, labels_csv: str) -> Reading:
    from tellapart.photos.row_matching import RowFinder, match_rows  # only a CSV needs it

    finder = RowFinder(source if kind == "folder" else None, lambda: photos)
    reading = match_rows(labels_csv, finder, source)
    used = {item.file.place for item in reading.labelled}
    told = {"/".join(parts) for parts, _ in reading.left_out}
    reading.left_out += [
        (photo.parts, "is not named in `labels_csv`")
        for photo in photos
        if photo.place not in used and "/".join(photo.parts) not in told
    ]
    return reading


def _read_layout(source: str, photos: Sequence[FoundFile], class_level: int | None) -> Reading:
    reading = label_files(photos, source, class_level)
    if reading is None:
        raise DatasetError(
            f"No labels found for the {len(photos):,} photos in {source!r}: there is no folder per class, and no class "
            f"in file names such as {name_some([photo.name for photo in photos[:3]])}. Sort them into a folder per "
            "class, or give `labels_csv` or `label_pattern`. To classify photos, use `tellapart predict`.",
            paths=[source],
        )
    return reading


def _read_pattern(source: str, photos: Sequence[FoundFile], pattern: str) -> Reading:
    labels = labels_from_pattern([photo.name for photo in photos], pattern, source)
    found = [(photo, label) for photo, label in zip(photos, labels, strict=True) if label is not None]
    splits = find_splits([photo.parts[:-1] for photo, _ in found], [label for _, label in found])
    labelled = [Labelled(photo, label, split) for (photo, label), split in zip(found, splits, strict=True)]
    missed = [photo.parts for photo, label in zip(photos, labels, strict=True) if label is None]
    return Reading(labelled, [(parts, "its name does not match `label_pattern`") for parts in missed])


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


def _skipped(source: str, left_out: Sequence[LeftOut]) -> list[Skipped]:
    ordered = sorted(left_out, key=lambda item: natural_key(item[0]))
    return [Skipped(_join(source, parts), reason) for parts, reason in ordered]
