"""Findings about photos one by one: empty, dark, blurred, small, drawn, odd, under a wrong name; and their shapes."""

from collections import Counter
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from tellapart.checkup.collection import Examined, count_words, find_single
from tellapart.images.facts import PhotoFacts
from tellapart.images.formats import SUFFIXES
from tellapart.records import Finding

# Mean luma below which a photo is called dark, if a twentieth of it is no brighter than the second: white strokes on
# black are bright enough to see. And contrast below which a photo is called empty.
_DARK, _DARK_AT_ITS_BRIGHTEST, _EMPTY = 0.06, 0.3, 0.012
# A photo is called small when its shorter side has fewer pixels.
_SMALL_SIDE = 64
# A drawn mask has so many grey levels at most, each in so much of its thumbnail at least, and little between them,
# which is where cells of the thumbnail lie on an edge.
_MASK_LEVELS, _LEAST_LEVEL, _FLAT_SHARE = 6, 0.02, 0.9
# Masks come in numbers; a single such picture may be one of the things to tell apart.
_FEWEST_MASKS = 3


def find_outliers(examined: Examined) -> Finding | None:
    """Photos that look like no other in their class."""
    return find_single(
        "outliers",
        examined.outliers,
        lambda num: f"{count_words(num, 'photo')} unlike any other in the class",
        "Often a screenshot, a document or a photo in the wrong folder; sometimes only a rare view, which is worth "
        "keeping.",
    )


def find_empty(examined: Examined) -> Finding | None:
    """Pictures of one colour."""
    rows = [row for row, facts in enumerate(examined.facts) if facts.contrast < _EMPTY]
    return find_single(
        "empty",
        rows,
        lambda num: f"{count_words(num, 'picture')} of one colour",
        "There is nothing on them to learn from: a lens cap, or a placeholder for a photo that is gone.",
        is_problem=True,
    )


def find_masks(examined: Examined) -> Finding | None:
    """Pictures in a few flat colours, among photos."""
    is_mask = [facts.brightness >= _DARK and _is_drawn_in_few_levels(facts) for facts in examined.facts]
    rows = [row for row, answer in enumerate(is_mask) if answer]
    if len(rows) > len(is_mask) / 2:  # then that is what the collection is about
        return None
    return find_single(
        "masks",
        rows,
        lambda num: f"{count_words(num, 'picture')} drawn in a few flat colours",
        "Among photos these are mostly masks or diagrams that lie beside them; take them out if they are none of the "
        "things to tell apart.",
        is_problem=len(rows) >= _FEWEST_MASKS,
    )


def find_dark(examined: Examined) -> Finding | None:
    """Photos that are nearly black, the darkest first."""
    rows = [row for row, facts in enumerate(examined.facts) if _is_dark(facts) and facts.contrast >= _EMPTY]
    order = sorted(rows, key=lambda row: examined.facts[row].brightness)
    return find_single(
        "too_dark",
        order,
        lambda num: f"{count_words(num, 'photo')} nearly black",
        "What cannot be made out cannot be learnt; keep them only if such photos will be asked about.",
    )


def find_blurred(examined: Examined) -> Finding | None:
    """Photos without a sharp edge, the least sharp first."""
    rows = [row for row, facts in enumerate(examined.facts) if facts.is_blurred and facts.contrast >= _EMPTY]
    order = sorted(rows, key=lambda row: examined.facts[row].sharpness)
    return find_single(
        "too_blurred",
        order,
        lambda num: f"{count_words(num, 'photo')} without a sharp edge",
        "Out of focus or enlarged from a thumbnail; keep them only if such photos will be asked about.",
    )


def find_small(examined: Examined) -> Finding | None:
    """Photos with few pixels."""
    rows = [row for row, facts in enumerate(examined.facts) if min(facts.height, facts.width) < _SMALL_SIDE]
    return find_single(
        "too_small",
        rows,
        lambda num: f"{count_words(num, 'photo')} with a side below {_SMALL_SIDE} pixels",
        "They show little; a pretrained network, which sees photos at 224 pixels, has them enlarged.",
        lambda row: f"{examined.facts[row].width} x {examined.facts[row].height}",
    )


def find_wrong_suffixes(examined: Examined) -> Finding | None:
    """Files whose name ends like another format."""
    rows = [
        row
        for row, (path, facts) in enumerate(zip(examined.photos.paths, examined.facts, strict=True))
        if (suffix := PurePath(path).suffix.lower()) and suffix not in SUFFIXES[facts.format]
    ]
    return find_single(
        "wrong_suffix",
        rows,
        lambda num: f"{count_words(num, 'file')} whose name ends like another format",
        "They are read by their content, so nothing is lost here; other programs may refuse them.",
        lambda row: f"{PurePath(examined.photos.paths[row]).suffix}, really {examined.facts[row].format}",
    )


def find_shapes(examined: Examined) -> Finding | None:
    """Sizes, formats and orientations."""
    if not examined.facts:
        return None
    sizes = np.array([(facts.height, facts.width) for facts in examined.facts])
    smallest, largest = sizes[sizes.prod(axis=1).argmin()], sizes[sizes.prod(axis=1).argmax()]
    num_upright = int((sizes[:, 0] > sizes[:, 1]).sum())
    num_turned = sum(facts.has_exif_rotation for facts in examined.facts)
    formats = Counter(facts.format for facts in examined.facts)
    words = ", ".join(f"{number:,} {name}" for name, number in formats.most_common())
    span = f"All {smallest[1]} x {smallest[0]} pixels"
    if len(np.unique(sizes, axis=0)) > 1:
        span = f"From {smallest[1]} x {smallest[0]} to {largest[1]} x {largest[0]} pixels"
    return Finding(
        "shapes",
        f"{span}; {words}",
        f"{count_words(num_upright, 'photo')} upright, the others square or wide; {num_turned:,} turned as their "
        "camera says. All are squeezed to one square size.",
        len(examined.facts),
        (),
        (),
        is_problem=False,
    )


def _is_dark(facts: PhotoFacts) -> bool:
    bright = float(np.percentile(facts.thumbnail, 95)) / 255
    return facts.brightness < _DARK and bright < _DARK_AT_ITS_BRIGHTEST


def _is_drawn_in_few_levels(facts: PhotoFacts) -> bool:
    """Whether nearly all of the thumbnail has one of a few grey levels, and more than one of them."""
    counts: NDArray[np.int64] = np.bincount(facts.thumbnail.reshape(-1), minlength=256)
    shares = []
    for _ in range(_MASK_LEVELS):
        level = int(counts.argmax())
        near = slice(max(0, level - 1), level + 2)
        shares.append(counts[near].sum() / facts.thumbnail.size)
        counts[near] = 0
    large = [share for share in shares if share >= _LEAST_LEVEL]
    return len(large) >= 2 and sum(large) >= _FLAT_SHARE
