"""Masks that lie beside the photos they mark up: found by their names and places, told by what is in them.

A name alone makes no mask: a class may be called `face mask`. A mask has a photo with its stem, is of its shape, and
has few values where the photo has many.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.images.gate import decode_image
from tellapart.photos.files import FoundFile, LeftOut
from tellapart.translation import gettext as _

_WORDS = (
    r"masks?|seg|segm|segmentations?|annotations?|ground[ _-]?truths?|gts?|trimaps?|labels?|label[ _-]?ids?|mattes?"
)
_MASK_FOLDER = re.compile(rf"(?:.*[ ._-])?(?:{_WORDS})(?:[ ._-](?:png|images?|{_WORDS}))?", re.IGNORECASE | re.DOTALL)
_MASK_WORD = re.compile(rf"(?:{_WORDS})(?:[ ._-](?:{_WORDS}))?", re.IGNORECASE)
# What stands between the name of a photo and that of its mask: `_mask`, `-seg-1`, `_lesion`.
_ENDING = re.compile(r"([^\W\d_]+(?:[ ._-][^\W\d_]+)?)[ ._-]*\d*")
_SEPARATORS = re.compile(r"[ ._-]+")
_LOSSLESS = frozenset({".png", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".webp"})

# Pairs that are looked at for all that are related in one way, those that are looked at first, and such ways at most:
# in all, and of folders whose names say nothing of masks.
_NUM_LOOKED_AT, _NUM_FIRST, _MOST_KINDS, _MOST_UNNAMED = 8, 2, 60, 10
_MOST_PHOTOS_OF_A_WORD_BY_CHANCE = 2
# `(height, width)` that photos are decoded at, at least.
_LOOK_SIZE = (128, 128)
_MOST_PIXELS = 250_000
# A mask without loss has few colours. One saved as JPEG is grey, and most of it has one of a few levels.
_FEW_COLOURS, _GREY_RANGE, _LEVELS, _NEAR_LEVEL, _FLAT_SHARE = 64, 16, 4, 6, 0.95
_SAME_ASPECT = 0.03


@dataclass(frozen=True, slots=True)
class _Pair:
    """A file that may be a mask, and the photo that it would mark up, as their numbers."""

    mask: int
    photo: int


def separate_masks(files: Sequence[FoundFile], limits: ImageLimits) -> tuple[list[FoundFile], list[LeftOut]]:
    """The files that are photos, and those that mark up one of them, with the reason.

    Only where names or places pair files are some of them decoded: 8 pairs of each kind, and all of a kind whose pairs
    differ.
    """
    masks: dict[int, int] = {}
    for pairs in list(_find_pairs(files).values())[:_MOST_KINDS]:
        for pair in _true_pairs(files, pairs, limits):
            masks.setdefault(pair.mask, pair.photo)
    photos = [file for number, file in enumerate(files) if number not in masks]
    return photos, [
        (files[mask].parts, _("a mask of the photo {name!r}, by its content").format(name=files[photo].name))
        for mask, photo in sorted(masks.items())
    ]


def _find_pairs(files: Sequence[FoundFile]) -> dict[tuple[str, ...], list[_Pair]]:
    """Files that may be masks with their photos, by the way in which they are related."""
    stems = [_key(os.path.splitext(file.name)[0]) for file in files]
    places: defaultdict[tuple[str, ...], defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, file in enumerate(files):
        places[file.parts[:-1]][stems[number]].append(number)
    found: defaultdict[tuple[str, ...], list[_Pair]] = defaultdict(list)
    for number, file in enumerate(files):
        beside = places[file.parts[:-1]]
        for other in beside[stems[number]]:
            if other != number:
                found["stem", _suffix(file), _suffix(files[other])].append(_Pair(number, other))
        for base, word in _split_stem(stems[number]):
            if base in beside:
                found["word", word].append(_Pair(number, beside[base][0]))
    told = {
        key: pairs
        for key, pairs in found.items()
        if key[0] == "stem" or _MASK_WORD.fullmatch(key[1]) or len(pairs) > _MOST_PHOTOS_OF_A_WORD_BY_CHANCE
    }
    return told | _find_folder_pairs(files, stems)


def _split_stem(stem: str) -> Iterator[tuple[str, str]]:
    """What a stem may be made of: that of a photo, and the word that makes the name of its mask."""
    for match in _SEPARATORS.finditer(stem):
        before, after = stem[: match.start()], stem[match.end() :]
        if before and (ending := _ENDING.fullmatch(after)):
            yield before, ending[1]
        if after and _MASK_WORD.fullmatch(before):
            yield after, before


def _find_folder_pairs(files: Sequence[FoundFile], stems: Sequence[str]) -> dict[tuple[str, ...], list[_Pair]]:
    """The files of folders that may be of masks, with the photos in folders beside, or right above."""
    members: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    parents: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for number, file in enumerate(files):
        for depth in range(1, len(file.parts)):
            members[file.parts[:depth]].append(number)
            parents[_key(file.parts[depth - 1])].add(file.parts[: depth - 1])
        members[()].append(number)
    found: defaultdict[tuple[str, ...], list[_Pair]] = defaultdict(list)
    unnamed: set[str] = set()
    around: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for folder, inside in members.items():
        if not folder:
            continue
        is_named = _MASK_FOLDER.fullmatch(folder[-1]) is not None
        # Any name that comes back in folder after folder, as in `cat/photo/1.jpg` and `cat/bw/1.png`.
        if not is_named and (
            len(parents[_key(folder[-1])]) < 2 or not all(_suffix(files[number]) in _LOSSLESS for number in inside)
        ):
            continue
        name = _key(folder[-1])
        if not is_named and name not in unnamed and len(unnamed) == _MOST_UNNAMED:
            continue
        if folder[:-1] not in around:
            around[folder[:-1]] = _by_stem(members[folder[:-1]], stems)
        pairs = _pair_folder(files, stems, folder, inside, around[folder[:-1]])
        if 2 * len(pairs) > len(inside):
            found["folder" if is_named else "unnamed folder", name] += pairs
            unnamed |= set() if is_named else {name}
    return found


def _by_stem(numbers: Sequence[int], stems: Sequence[str]) -> dict[str, list[int]]:
    """The files by their stem."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for number in numbers:
        found[stems[number]].append(number)
    return found


def _pair_folder(
    files: Sequence[FoundFile],
    stems: Sequence[str],
    folder: tuple[str, ...],
    inside: Sequence[int],
    around: Mapping[str, Sequence[int]],
) -> list[_Pair]:
    """The files in a folder with photos around it that have their stem, those in a folder of the same name first.

    Args:
        files, stems: all there are.
        folder: of the masks.
        inside: its files.
        around: these and those beside or right above, by stem.
    """
    within = set(inside)
    pairs: list[_Pair] = []
    for number in inside:
        bases = [stems[number], *(base for base, word in _split_stem(stems[number]) if _MASK_WORD.fullmatch(word))]
        outside = ([one for one in around.get(base, ()) if one not in within] for base in bases)
        photos = next(filter(None, outside), [])
        below = files[number].parts[len(folder) : -1]
        if photos:
            best = max(photos, key=lambda photo: _num_same_end(files[photo].parts[:-1], below))
            pairs.append(_Pair(number, best))
    return pairs


def _num_same_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts two paths have in common at their ends."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _true_pairs(files: Sequence[FoundFile], pairs: Sequence[_Pair], limits: ImageLimits) -> Iterable[_Pair]:
    """Those of the pairs, all related in one way, that are a mask and its photo."""
    if len(pairs) > _NUM_LOOKED_AT:
        for number in (_NUM_FIRST, _NUM_LOOKED_AT):
            rows = np.linspace(0, len(pairs) - 1, number).astype(int)
            is_true = [_is_mask_of(files, pairs[row], limits) for row in rows]
            if not any(is_true):
                return ()
        if all(is_true):
            return pairs
    return [pair for pair in pairs if _is_mask_of(files, pair, limits)]


def _is_mask_of(files: Sequence[FoundFile], pair: _Pair, limits: ImageLimits) -> bool:
    """Whether one file is a picture of few values, of the shape of the other, which has many."""
    try:
        mask, photo = (
            decode_image(files[number].place.read(limits.max_bytes), limits, _LOOK_SIZE)
            for number in (pair.mask, pair.photo)
        )
    except ImageError:
        return False
    aspects = [image.shape[0] / image.shape[1] for image in (mask, photo)]
    return abs(aspects[0] / aspects[1] - 1) < _SAME_ASPECT and _has_few_values(mask) and not _has_few_values(photo)


def _has_few_values(image: NDArray[np.uint8]) -> bool:
    """Whether a picture is of few colours, or grey and mostly of a few levels."""
    step = max(1, int((image.shape[0] * image.shape[1] / _MOST_PIXELS) ** 0.5))
    pixels = image[::step, ::step].reshape(-1, 3)
    packed = pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    if len(np.unique(packed)) <= _FEW_COLOURS:
        return True
    if np.percentile(np.ptp(pixels, axis=1), 99) > _GREY_RANGE:
        return False
    counts = np.bincount(pixels[:, 1], minlength=256)
    share = 0.0
    for _unused in range(_LEVELS):
        level = int(counts.argmax())
        near = slice(max(0, level - _NEAR_LEVEL), level + _NEAR_LEVEL + 1)
        share += counts[near].sum() / len(pixels)
        counts[near] = 0
    return share >= _FLAT_SHARE


def _key(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _suffix(file: FoundFile) -> str:
    return os.path.splitext(file.name)[1].lower()
