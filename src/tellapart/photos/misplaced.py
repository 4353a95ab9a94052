"""What lies beside photos and is none, such as texts, tables and links to a photo; masks are `photos/masks.py`'s.

Every file is given a reason or kept; which class the kept ones belong to is decided in `photos/layout.py`.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from tellapart.errors import ImageError
from tellapart.formats.other_kinds import (
    HEAD_BYTES,
    UNKNOWN,
    describe_other,
    describe_raw,
    is_raw_name,
)
from tellapart.formats.photo_formats import PHOTO_SUFFIXES, sniff_format
from tellapart.formats.tiff_pages import is_raw_tiff
from tellapart.photos.files import ArchiveMember, DiskFile, FoundFile, Labelled, LeftOut, Listing, Reading
from tellapart.photos.names import CLEANED_MARKER, DECISIONS_NAME, PROJECT_DIR_NAME
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop

LINKED_REASON = gettext_noop("a link to a photo that is already taken")

CLEANED_KIND = "tellapart cleaned copy"
# The columns that every file of decisions has.
DECISION_COLUMNS = ("content", "class", "decision")

_TABLE_SUFFIXES = frozenset({".csv", ".tsv"})


def separate_photos(files: Iterable[FoundFile]) -> tuple[list[FoundFile], list[LeftOut]]:
    """The files that may be photos, in order, and the others with the reason.

    A file with the suffix of a photo is kept without being opened; of the others the first bytes decide.
    """
    kept: list[FoundFile] = []
    left_out: list[LeftOut] = []
    for file in files:
        reason = reason_no_photo(file.name, file.place)
        if reason is None:
            kept.append(file)
        else:
            left_out.append((file.parts, reason))
    return kept, left_out


def reason_no_photo(name: str, place: DiskFile | ArchiveMember) -> str | None:
    """Why a file is no photo, and what to do with it, or `None` if it may be one; decoding tells for certain."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in PHOTO_SUFFIXES:
        return None
    try:
        head = place.head(HEAD_BYTES)
        found = sniff_format(head)
        # Raw files of many cameras are TIFFs of a thumbnail and the sensor's data.
        if found == "TIFF" and is_raw_name(name) and is_raw_tiff(head) is not False:
            return describe_raw(name).reason
    except ImageError as exc:
        return str(exc)
    if not head:
        return _("an empty file")
    if found is not None:
        return None
    kind = describe_other(head, name)
    if suffix in _TABLE_SUFFIXES and not kind.advice:
        return _("a table, not a photo. If the table holds the labels, give it as `labels_csv`")
    return _("not a photo") if kind is UNKNOWN else kind.reason


def find_empty_folders(
    folders: Iterable[tuple[str, ...]], files: Iterable[FoundFile], photos: Iterable[FoundFile]
) -> list[LeftOut]:
    """The folders without a photo, such as those of classes that have none yet; of nested ones the outermost.

    Args:
        folders: all that are known, with or without files.
        files: all files.
        photos: those of them that are photos, or mark up some.
    """
    filled = {photo.parts[:depth] for photo in photos for depth in range(len(photo.parts))}
    known = {*folders, *(file.parts[:depth] for file in files for depth in range(1, len(file.parts)))}
    return [(parts, _("a folder without photos")) for parts in known if parts not in filled and parts[:-1] in filled]


def drop_repeated(reading: Reading) -> None:
    """Takes photos out of `reading` that are there twice through links.

    A link is a photo of the class and split of the place where it is. So a photo may be in two classes, but it is once
    in each; and where the photos of a folder are linked to from several classes, one each, it is where they are kept.
    """
    links = [not _is_real(item.file) for item in reading.labelled]
    if not any(links):
        return
    classes: defaultdict[DiskFile | ArchiveMember, set[str]] = defaultdict(set)
    for item, is_link in zip(reading.labelled, links, strict=True):
        if is_link:
            classes[item.file.place].add(item.label)
    by_label: defaultdict[str, list[set[str]]] = defaultdict(list)
    for item in reading.labelled:
        by_label[item.label].append(classes[item.file.place])
    stores = {
        label
        for label, linked in by_label.items()
        if all(found - {label} for found in linked) and not set.intersection(*linked) - {label}
    }
    taken: set[tuple[object, ...]] = set()
    kept: list[Labelled] = []
    for item, is_link in sorted(zip(reading.labelled, links, strict=True), key=lambda pair: pair[1]):
        key = (item.file.place, item.label, item.split)
        if item.label in stores and not is_link:
            reading.left_out.append((item.file.parts, _("has its class from a link to it in a class folder")))
        elif key in taken:
            reading.left_out.append((item.file.parts, _(LINKED_REASON)))
        else:
            taken.add(key)
            kept.append(item)
    reading.labelled = kept


def without_repeated(files: Iterable[FoundFile]) -> tuple[list[FoundFile], list[LeftOut]]:
    """The files, each once, and the links to those that are there already."""
    ordered = list(files)
    first: dict[DiskFile | ArchiveMember, FoundFile] = {}
    for file in sorted(ordered, key=lambda file: not _is_real(file)):
        first.setdefault(file.place, file)
    kept = [file for file in ordered if first[file.place] is file]
    return kept, [(file.parts, _(LINKED_REASON)) for file in ordered if first[file.place] is not file]


def _is_real(file: FoundFile) -> bool:
    """Whether a file is at the place that its path says, and no link is on the way."""
    return not isinstance(file.place, DiskFile) or file.place.path.endswith(os.path.join(os.sep, *file.parts))


def without_own_files(listing: Listing) -> Listing:
    """The listing without what tellapart itself leaves beside the class folders, in a cleaned copy or for Studio."""
    return replace(
        listing,
        files=tuple(file for file in listing.files if not is_own_file(file)),
        left_out=tuple(item for item in listing.left_out if item[0] != (PROJECT_DIR_NAME,)),
    )


def is_own_file(file: FoundFile) -> bool:
    """Whether a file at the top of a source is one that tellapart has written there; its beginning decides."""
    if file.parts not in ((DECISIONS_NAME,), (CLEANED_MARKER,)):
        return False
    try:
        head = file.place.head(HEAD_BYTES)
    except ImageError:
        return False
    if file.name == CLEANED_MARKER:
        return CLEANED_KIND.encode() in head
    from tellapart.photos.csv_table import normalize_column, read_header  # only a cleaned copy may need it

    return {normalize_column(cell) for cell in read_header(head)}.issuperset(DECISION_COLUMNS)
