"""One folder, zip or CSV to photos with their classes, and all else with the reason.

Which class a photo has comes from `photos/layout.py` (folders and names) or `photos/row_matching.py` (CSV).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tellapart.config import ImageLimits, SourceConfig
from tellapart.errors import DatasetError, ImageError
from tellapart.formats.other_kinds import HEAD_BYTES, is_zip_of_files
from tellapart.photos.files import (
    SYSTEM_REASON,
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
    without_own_files,
)
from tellapart.photos.names import name_some, printable
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

if TYPE_CHECKING:
    from tellapart.photos.row_matching import RowFinder

_TABLE_SUFFIXES = (".csv", ".tsv")

# Behind a sentence that another one follows, in every language of the catalogues.
_ENDS = (". ", "。")


def kind_of(source: str) -> str:
    """What stands at a path: `folder`, `zip`, `table` or `file`.

    Raises:
        DatasetError: nothing, or nothing that can be opened.
    """
    if os.path.isdir(source):
        return "folder"
    if not os.path.isfile(source):
        if os.path.exists(source):
            message = _("{source!r} is neither a file nor a folder. Give a folder, zip, CSV or photo.")
        else:
            message = _("{source!r} does not exist. Give a folder, zip, CSV or photo. Check the spelling of the path.")
        raise DatasetError(
            message.format(source=source),
            paths=[source],
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


def refuse_file(source: str) -> NoReturn:
    """Never returns.

    Raises:
        DatasetError: why a file that is no folder, zip or CSV is no source of labelled photos.
    """
    reason = reason_no_photo(source, DiskFile(source))
    if reason is not None and any(end in reason for end in _ENDS):  # it says what to do
        raise DatasetError(_("{source!r} is {reason}.").format(source=source, reason=reason), paths=[source])
    if reason:
        problem = _("{source!r} is not a folder, zip or CSV: {reason}.").format(source=source, reason=reason)
    else:
        problem = _("{source!r} is a single photo.").format(source=source)
    what_to_do = _(
        "Give a folder with a folder per class, a zip, or a CSV of paths and labels. The class may also be in the "
        "file names. To classify single photos, use `tellapart predict`."
    )
    raise DatasetError(
        f"{problem} {what_to_do}",
        paths=[source],
    )


def list_source(source: str, kind: str) -> Listing:
    """The files in a folder or zip, without those that tellapart itself leaves in a cleaned copy.

    Raises:
        DatasetError: it cannot be listed.
    """
    if kind == "folder":
        listing = list_folder(source)
    else:
        from tellapart.zips.archive import open_archive  # only a zip needs it

        listing = list_archive(open_archive(Path(source)))
    return without_own_files(listing)


def read_csv_source(source: str, config: SourceConfig) -> tuple[str, Reading]:
    """The folder that the paths of the CSV start from, as shown, and its photos."""
    if (setting := config.label_setting) is not None:
        raise DatasetError(
            _(
                "{source!r} is a CSV, which holds the labels itself. Leave out `{setting}`, or give a folder or zip."
            ).format(source=source, setting=setting),
            paths=[source],
        )
    from tellapart.photos.row_matching import match_rows  # only a CSV needs it

    folder = os.path.dirname(source)
    return folder, match_rows(source, rows_beside(source), folder or os.curdir)


def rows_beside(csv_path: str) -> "RowFinder":
    """Finds the photos of a CSV below its folder."""
    from tellapart.photos.row_matching import RowFinder  # only a CSV needs it

    folder = os.path.dirname(csv_path) or os.curdir
    return RowFinder(folder, lambda: separate_photos(list_folder(folder).files)[0])


def read_listed(source: str, listing: Listing, kind: str, config: SourceConfig) -> Reading:
    """The photos of a folder or zip with their labels, and all else with the reason."""
    # A CSV says itself what the photos are.
    photos, left_out = take_photos(listing, None if config.labels_csv is not None else config.limits)
    if not photos:
        refuse_empty(source, listing, kind)
    if config.labels_csv is not None:
        reading = _read_table(source, photos, kind, config.labels_csv)
    elif config.label_pattern is not None:
        reading = _read_pattern(source, photos, config.label_pattern)
    else:
        reading = _read_layout(source, photos, config.class_level)
    drop_repeated(reading)
    reading.left_out += [*left_out, *listing.left_out]
    return reading


def take_photos(listing: Listing, limits: ImageLimits | None) -> tuple[list[FoundFile], list[LeftOut]]:
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


def refuse_empty(source: str, listing: Listing, kind: str) -> NoReturn:
    """Never returns.

    Raises:
        DatasetError: the folder or zip holds no photos, and what it holds.
    """
    others = [printable("/".join(file.parts)) for file in listing.files]
    zips = [name for name in others if name.lower().endswith(".zip")]
    if zips:
        todo = _("Give one of them.") if kind == "folder" else _("Unpack it once, then give one of the zips inside.")
        raise DatasetError(
            _("{source!r} holds no photos but zips: {zips}. {todo}").format(
                source=source, zips=name_some(zips), todo=todo
            ),
            paths=[source],
        )
    unread = [(parts, reason) for parts, reason in listing.left_out if reason != _(SYSTEM_REASON)]
    if unread and not others:
        parts, reason = unread[0]
        raise DatasetError(
            ngettext(
                "{source!r} holds no photos that can be read: {num:,} file is left out, {path!r}: {reason}.",
                "{source!r} holds no photos that can be read: {num:,} files are left out. "
                "The first is {path!r}: {reason}.",
                len(unread),
            ).format(source=source, num=len(unread), path=printable("/".join(parts)), reason=reason),
            paths=[source],
        )
    problem = (
        _("{source!r} holds no photos, only {others}.").format(source=source, others=name_some(others))
        if others
        else _("{source!r} holds no photos.").format(source=source)
    )
    what_to_do = _("Give photos in a folder per class, or with their class in the file name. Check the path.")
    raise DatasetError(
        f"{problem} {what_to_do}",
        paths=[source],
    )


def _read_table(source: str, photos: Sequence[FoundFile], kind: str, labels_csv: str) -> Reading:
    from tellapart.photos.row_matching import RowFinder, match_rows  # only a CSV needs it

    finder = RowFinder(source if kind == "folder" else None, lambda: photos)
    reading = match_rows(labels_csv, finder, source)
    used = {item.file.place for item in reading.labelled}
    told = {"/".join(parts) for parts, _unused in reading.left_out}
    reading.left_out += [
        (photo.parts, _("is not named in `labels_csv`"))
        for photo in photos
        if photo.place not in used and "/".join(photo.parts) not in told
    ]
    return reading


def _read_layout(source: str, photos: Sequence[FoundFile], class_level: int | None) -> Reading:
    reading = label_files(photos, source, class_level)
    if reading is None:
        raise DatasetError(
            _(
                "No labels found for the {num:,} photos in {source!r}: there is no folder per class, and no "
                "class in file names such as {names}. Sort the photos into a folder per class, or give `labels_csv` "
                "or `label_pattern`. To classify photos, use `tellapart predict`."
            ).format(num=len(photos), source=source, names=name_some([photo.name for photo in photos[:3]])),
            paths=[source],
        )
    return reading


def _read_pattern(source: str, photos: Sequence[FoundFile], pattern: str) -> Reading:
    labels = labels_from_pattern([photo.name for photo in photos], pattern, source)
    found = [(photo, label) for photo, label in zip(photos, labels, strict=True) if label is not None]
    splits = find_splits([photo.parts[:-1] for photo, _unused in found], [label for _unused, label in found])
    labelled = [Labelled(photo, label, split) for (photo, label), split in zip(found, splits, strict=True)]
    missed = [photo.parts for photo, label in zip(photos, labels, strict=True) if label is None]
    return Reading(labelled, [(parts, _("its name does not match `label_pattern`")) for parts in missed])
