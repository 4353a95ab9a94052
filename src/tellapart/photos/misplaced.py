"""What lies beside photos and is none, such as texts and tables; masks are `photos/masks.py`'s.

Every file is given a reason or kept; which class the kept ones belong to is decided in `photos/layout.py`.
"""

import os
from collections.abc import Iterable

from tellapart.errors import ImageError
from tellapart.images.formats import (
    HEAD_BYTES,
    PHOTO_SUFFIXES,
    UNKNOWN,
    describe_other,
    describe_raw,
    is_raw_name,
    sniff_format,
)
from tellapart.images.tiff_pages import is_raw_tiff
from tellapart.photos.files import ArchiveMember, DiskFile, FoundFile, LeftOut

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
        return "an empty file"
    if found is not None:
        return None
    kind = describe_other(head, name)
    if suffix in _TABLE_SUFFIXES and not kind.advice:
        return "a table, not a photo. If it holds the labels, give it as `labels_csv`"
    return "not a photo" if kind is UNKNOWN else kind.reason
