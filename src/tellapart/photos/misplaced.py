"""What lies beside photos and is none, such as texts and tables; masks are `photos/masks.py`'s.

Every file is given a reason or kept; which class the kept ones belong to is decided in `photos/layout.py`.
"""

import os
from collections.abc import Iterable

from tellapart.errors import ImageError
from tellapart.images.gate import PHOTO_SUFFIXES, sniff_format
from tellapart.photos.files import ArchiveMember, DiskFile, FoundFile, LeftOut

_HEAD_BYTES = 64
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
    """Why a file is no photo, or `None` if it may be one; decoding tells for certain."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in PHOTO_SUFFIXES:
        return None
    try:
        head = place.head(_HEAD_BYTES)
    except ImageError as exc:
        return str(exc)
    if sniff_format(head) is not None:
        return None
    if suffix in _TABLE_SUFFIXES:
        return "a table, not a photo. If it holds the labels, give it as `labels_csv`"
    return "not a photo" if head else "an empty file"
