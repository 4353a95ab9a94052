"""What lies beside photos and is none, or is no photo of a class: texts, tables, masks.

Every file is given a reason or kept; which class the kept ones belong to is decided in `photos/layout.py`.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from tellapart.errors import ImageError
from tellapart.images.formats import PHOTO_SUFFIXES, sniff_format
from tellapart.images.other_files import HEAD_BYTES, UNKNOWN, describe_other, describe_raw, is_raw_name
from tellapart.images.tiff_header import is_raw_tiff
from tellapart.photos.files import ArchiveMember, DiskFile, FoundFile, LeftOut

_TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
_PHOTO_FOLDERS = frozenset({"image", "images", "img", "imgs", "photo", "photos", "jpegimages", "pictures"})
_MASK_WORDS = "masks?|segmentations?|annotations?|ground[ _-]?truths?|trimaps?|segmentation[ _-]?masks?|labels?"
_MASK_FOLDER = re.compile(rf"(?:{_MASK_WORDS})", re.IGNORECASE)
_MASK_FOLDER_OF = re.compile(rf"(.+)[ ._-](?:{_MASK_WORDS})", re.IGNORECASE)
_MASK_NAME = re.compile(rf"(.+?)[ ._-]+(?:{_MASK_WORDS}|seg|gt)(?:[ ._-]*\d+)?", re.IGNORECASE)


def separate_photos(files: Iterable[FoundFile], *, keep_masks: bool = False) -> tuple[list[FoundFile], list[LeftOut]]:
    """The files that may be photos, in order, and the others with the reason.

    A file with the suffix of a photo is kept without being opened; of the others the first bytes decide.

    Args:
        files: what was found, not modified.
        keep_masks: whether masks beside photos count as photos.
    """
    kept: list[FoundFile] = []
    left_out: list[LeftOut] = []
    for file in files:
        reason = reason_no_photo(file.name, file.place)
        if reason is None:
            kept.append(file)
        else:
            left_out.append((file.parts, reason))
    if keep_masks:
        return kept, left_out
    photos, masks = _separate_masks(kept)
    return photos, left_out + masks


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


def _separate_masks(files: Sequence[FoundFile]) -> tuple[list[FoundFile], list[LeftOut]]:
    """The files that are photos, and those that mark up another photo."""
    folders = _mask_folders(files)
    stems = {(*file.parts[:-1], _stem(file)) for file in files}
    photos: list[FoundFile] = []
    masks: list[LeftOut] = []
    for file in files:
        folder = next(
            (file.parts[:depth] for depth in range(1, len(file.parts)) if file.parts[:depth] in folders), None
        )
        if folder is not None:
            masks.append((file.parts, f"in the folder {folder[-1]!r}, which holds masks or labels of photos beside it"))
        elif _is_mask_name(file, stems):
            masks.append((file.parts, "a mask of another photo, by its name"))
        else:
            photos.append(file)
    return photos, masks


def _stem(file: FoundFile) -> str:
    return os.path.splitext(file.name)[0].lower()


def _is_mask_name(file: FoundFile, stems: set[tuple[str, ...]]) -> bool:
    stem = _stem(file)
    if stem.endswith("_segmentation") and file.name.lower().endswith(".png"):
        return True
    match = _MASK_NAME.fullmatch(stem)
    return match is not None and (*file.parts[:-1], match[1]) in stems


def _mask_folders(files: Sequence[FoundFile]) -> set[tuple[str, ...]]:
    """The folders that hold masks or labels of the photos in a folder beside them, or above them."""
    children: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for file in files:
        for depth in range(len(file.parts) - 1):
            children[file.parts[:depth]].add(file.parts[depth])
    found: set[tuple[str, ...]] = set()
    for parent, names in children.items():
        lower = {name.lower() for name in names}
        for name in names:
            owner = _MASK_FOLDER_OF.fullmatch(name)
            beside_photos = _MASK_FOLDER.fullmatch(name) and (
                lower & _PHOTO_FOLDERS or _repeats(files, (*parent, name))
            )
            if beside_photos or (owner and owner[1].lower() in lower):
                found.add((*parent, name))
    return found


def _repeats(files: Sequence[FoundFile], folder: tuple[str, ...]) -> bool:
    """Whether most files in `folder` are called like a photo of another kind beside the folder.

    The suffix must differ (masks are PNG, photos mostly JPEG) or the file be called a mask: two classes whose photos
    are both numbered from `1.jpg` do not repeat each other.
    """
    depth = len(folder)
    outside: defaultdict[tuple[tuple[str, ...], str], set[str]] = defaultdict(set)
    inside: list[tuple[tuple[str, ...], str, str]] = []
    for file in files:
        if file.parts[: depth - 1] != folder[:-1]:
            continue
        stem, suffix = _stem(file), os.path.splitext(file.name)[1].lower()
        if file.parts[:depth] == folder:
            named = _MASK_NAME.fullmatch(stem)
            inside.append((file.parts[depth:-1], named[1], "mask") if named else (file.parts[depth:-1], stem, suffix))
        else:
            outside[file.parts[depth - 1 : -1], stem].add(suffix)
            outside[file.parts[depth:-1], stem].add(suffix)
    num_repeated = sum(bool(outside.get((below, stem), set()) - {suffix}) for below, stem, suffix in inside)
    return num_repeated * 2 > len(inside)
