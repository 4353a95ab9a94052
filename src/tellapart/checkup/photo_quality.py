"""Findings about photos one by one: empty, dark, blurred, small, drawn, under a wrong name; and about their shapes."""

from collections import Counter
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.finding import PhotoScores, compare_with_bound, count_words, find_single, scores_of_rows
from tellapart.images.facts import BLURRED, PhotoFacts
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


def judge_quality(seen: SeenPhotos) -> tuple[list[Finding], list[PhotoScores]]:
    """What is to be said of single photos, and how each of them does."""
    rows_and_scores = (
        _judge_masks(seen),
        _judge_empty(seen),
        _judge_dark(seen),
        _judge_blurred(seen),
        _judge_small(seen),
        _judge_suffixes(seen),
    )
    findings = [*(finding for finding, _ in rows_and_scores), _find_shapes(seen)]
    return [one for one in findings if one is not None], [scores for _, scores in rows_and_scores]


def _judge_empty(seen: SeenPhotos) -> tuple[Finding | None, PhotoScores]:
    """Pictures of one colour."""
    rows = [row for row, facts in enumerate(seen.facts) if facts.contrast < _EMPTY]
    scores = compare_with_bound([facts.contrast for facts in seen.facts], _EMPTY)
    finding = find_single(
        "empty",
        rows,
        lambda num: f"{count_words(num, 'picture')} of one colour",
        "There is nothing on them to learn from: a lens cap, or a placeholder for a photo that is gone.",
        is_problem=True,
    )
    return finding, scores_of_rows("empty", scores, rows)


def _judge_masks(seen: SeenPhotos) -> tuple[Finding | None, PhotoScores]:
    """Pictures in a few flat colours, among photos."""
    shares = [_share_in_few_levels(facts) if facts.brightness >= _DARK else 0.0 for facts in seen.facts]
    rows = [row for row, share in enumerate(shares) if share >= _FLAT_SHARE]
    if len(rows) > len(shares) / 2:  # then that is what the collection is about
        rows = []
    finding = find_single(
        "masks",
        rows,
        lambda num: f"{count_words(num, 'picture')} drawn in a few flat colours",
        "Among photos these are mostly masks or diagrams that lie beside them; take them out if they are none of the "
        "things to tell apart.",
        is_problem=len(rows) >= _FEWEST_MASKS,
    )
    return finding, scores_of_rows("mask", 1 - np.array(shares), rows)


def _judge_dark(seen: SeenPhotos) -> tuple[Finding | None, PhotoScores]:
    """Photos that are nearly black, the darkest first."""
    light = [_light_of(facts) for facts in seen.facts]
    rows = [row for row, facts in enumerate(seen.facts) if light[row] < 1 and facts.contrast >= _EMPTY]
    order = sorted(rows, key=lambda row: seen.facts[row].brightness)
    finding = find_single(
        "too_dark",
        order,
        lambda num: f"{count_words(num, 'photo')} nearly black",
        "What cannot be made out cannot be learnt; keep them only if such photos will be asked about.",
    )
    return finding, scores_of_rows("too_dark", compare_with_bound(light, 1), rows)


def _judge_blurred(seen: SeenPhotos) -> tuple[Finding | None, PhotoScores]:
    """Photos without a sharp edge, the least sharp first."""
    rows = [row for row, facts in enumerate(seen.facts) if facts.is_blurred and facts.contrast >= _EMPTY]
    order = sorted(rows, key=lambda row: seen.facts[row].sharpness)
    scores = compare_with_bound([facts.sharpness for facts in seen.facts], BLURRED)
    finding = find_single(
        "too_blurred",
        order,
        lambda num: f"{count_words(num, 'photo')} without a sharp edge",
        "Out of focus or enlarged from a thumbnail; keep them only if such photos will be asked about.",
    )
    return finding, scores_of_rows("too_blurred", scores, rows)


def _judge_small(seen: SeenPhotos) -> tuple[Finding | None, PhotoScores]:
    """Photos with few pixels."""
    sides = [min(facts.height, facts.width) for facts in seen.facts]
    rows = [row for row, side in enumerate(sides) if side < _SMALL_SIDE]
    finding = find_single(
        "too_small",
        rows,
        lambda num: f"{count_words(num, 'photo')} with a side below {_SMALL_SIDE} pixels",
        "They show little; a pretrained network, which sees photos at 224 pixels, has them enlarged.",
        lambda row: f"{seen.facts[row].width} x {seen.facts[row].height}",
    )
    return finding, scores_of_rows("too_small", compare_with_bound(sides, _SMALL_SIDE), rows)


def _judge_suffixes(seen: SeenPhotos) -> tuple[Finding | None, PhotoScores]:
    """Files whose name ends like another format."""
    rows = [
        row
        for row, (path, facts) in enumerate(zip(seen.photos.paths, seen.facts, strict=True))
        if (suffix := PurePath(path).suffix.lower()) and suffix not in SUFFIXES[facts.format]
    ]
    finding = find_single(
        "wrong_suffix",
        rows,
        lambda num: f"{count_words(num, 'file')} whose name ends like another format",
        "They are read by their content, so nothing is lost here; other programs may refuse them.",
        lambda row: f"{PurePath(seen.photos.paths[row]).suffix}, really {seen.facts[row].format}",
    )
    scores = np.ones(len(seen.facts))
    scores[rows] = 0
    return finding, scores_of_rows("wrong_suffix", scores, rows)


def _find_shapes(seen: SeenPhotos) -> Finding | None:
    """Sizes, formats and orientations."""
    if not seen.facts:
        return None
    sizes = np.array([(facts.height, facts.width) for facts in seen.facts])
    smallest, largest = sizes[sizes.prod(axis=1).argmin()], sizes[sizes.prod(axis=1).argmax()]
    num_upright = int((sizes[:, 0] > sizes[:, 1]).sum())
    num_turned = sum(facts.has_exif_rotation for facts in seen.facts)
    formats = Counter(facts.format for facts in seen.facts)
    words = ", ".join(f"{number:,} {name}" for name, number in formats.most_common())
    span = f"All {smallest[1]} x {smallest[0]} pixels"
    if len(np.unique(sizes, axis=0)) > 1:
        span = f"From {smallest[1]} x {smallest[0]} to {largest[1]} x {largest[0]} pixels"
    return Finding(
        "shapes",
        f"{span}; {words}",
        f"{count_words(num_upright, 'photo')} upright, the others square or wide; {num_turned:,} turned as their "
        "camera says. All are squeezed to one square size.",
        len(seen.facts),
        (),
        (),
        is_problem=False,
    )


def _light_of(facts: PhotoFacts) -> float:
    """How light a photo is: below 1 what is called dark."""
    bright = float(np.percentile(facts.thumbnail, 95)) / 255
    return max(facts.brightness / _DARK, bright / _DARK_AT_ITS_BRIGHTEST)


def _share_in_few_levels(facts: PhotoFacts) -> float:
    """The share of the thumbnail that has one of a few grey levels; 0 where there is only one of them."""
    counts: NDArray[np.int64] = np.bincount(facts.thumbnail.reshape(-1), minlength=256)
    shares = []
    for _ in range(_MASK_LEVELS):
        level = int(counts.argmax())
        near = slice(max(0, level - 1), level + 2)
        shares.append(counts[near].sum() / facts.thumbnail.size)
        counts[near] = 0
    large = [share for share in shares if share >= _LEAST_LEVEL]
    return float(sum(large)) if len(large) >= 2 else 0.0
