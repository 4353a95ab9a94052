"""Findings about photos one by one: empty, dark, blurred, small, drawn, under a wrong name; and about their shapes."""

from collections import Counter
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.finding import (
    Judgement,
    compare_with_bound,
    count_words,
    find_single,
    join_judgements,
    judgement,
    make_figure,
    scores_of_rows,
)
from tellapart.checkup.thresholds import CheckConfig
from tellapart.formats.photo_formats import SUFFIXES
from tellapart.images.facts import PhotoFacts
from tellapart.records import Finding

# A photo is as light as its mean, or as this share of its brightest twentieth: white strokes on black are bright enough
# to see.
_SHARE_OF_BRIGHTEST = 0.2
# A drawn mask has so many grey levels at most, each in so much of its thumbnail at least, and little between them,
# which is where cells of the thumbnail lie on an edge.
_MASK_LEVELS, _LEAST_LEVEL = 6, 0.02
# Levels that lie no further apart are one that changes, as ground that is lit from one side.
_BETWEEN_LEVELS = 4
# What is on the ground of a mask has so much without relief, and so much of it has one of the few levels.
_LEAST_FLATNESS, _LEAST_OF_THINGS = 0.8, 0.4
# Masks come in numbers; a single such picture may be one of the things to tell apart.
_FEWEST_MASKS = 3


def judge_quality(seen: SeenPhotos, thresholds: CheckConfig) -> Judgement:
    """What is to be said of single photos, and how each of them does."""
    return join_judgements(
        [
            _judge_masks(seen, thresholds),
            _judge_empty(seen, thresholds),
            _judge_dark(seen, thresholds),
            _judge_blurred(seen, thresholds),
            _judge_small(seen, thresholds),
            _judge_suffixes(seen),
            judgement(_find_shapes(seen)),
        ]
    )


def _judge_empty(seen: SeenPhotos, thresholds: CheckConfig) -> Judgement:
    """Pictures of one colour."""
    contrasts = [facts.contrast for facts in seen.facts]
    rows = [row for row, contrast in enumerate(contrasts) if contrast < thresholds.empty]
    finding = find_single(
        "empty",
        rows,
        lambda num: f"{count_words(num, 'picture')} of one colour",
        "There is nothing on them to learn from: a lens cap, or a placeholder for a photo that is gone.",
        is_problem=True,
        action="Remove them: choose below, download your decisions, run the command shown there.",
    )
    return judgement(
        finding,
        scores_of_rows("empty", compare_with_bound(contrasts, thresholds.empty), rows),
        make_figure("empty", contrasts, thresholds.empty, len(rows), is_low_worst=True),
    )


def _judge_masks(seen: SeenPhotos, thresholds: CheckConfig) -> Judgement:
    """Pictures in a few flat colours, among photos."""
    shares = [share_drawn(facts) if facts.brightness >= CheckConfig.dark else 0.0 for facts in seen.facts]
    rows = [row for row, share in enumerate(shares) if share >= thresholds.mask]
    if len(rows) > len(shares) / 2:  # then that is what the collection is about
        rows = []
    finding = find_single(
        "masks",
        rows,
        lambda num: f"{count_words(num, 'picture')} drawn in a few flat colours",
        "Among photos these are mostly masks or diagrams that lie beside them; take them out if they are none of the "
        "things to tell apart.",
        is_problem=len(rows) >= _FEWEST_MASKS,
        action="Move the masks into another folder, outside the photos.",
    )
    return judgement(
        finding,
        scores_of_rows("mask", 1 - np.array(shares), rows),
        make_figure("mask", shares, thresholds.mask, len(rows), is_low_worst=False),
    )


def _judge_dark(seen: SeenPhotos, thresholds: CheckConfig) -> Judgement:
    """Very dark photos, the darkest first."""
    light = [_light_of(facts) for facts in seen.facts]
    rows = [
        row
        for row, facts in enumerate(seen.facts)
        if light[row] < thresholds.dark and facts.contrast >= thresholds.empty
    ]
    order = sorted(rows, key=lambda row: seen.facts[row].brightness)
    finding = find_single(
        "too_dark",
        order,
        lambda num: count_words(num, "very dark photo"),
        "What cannot be made out cannot be learnt; keep them only if such photos will be asked about.",
    )
    return judgement(
        finding,
        scores_of_rows("too_dark", compare_with_bound(light, thresholds.dark), rows),
        make_figure("dark", light, thresholds.dark, len(rows), is_low_worst=True),
    )


def _judge_blurred(seen: SeenPhotos, thresholds: CheckConfig) -> Judgement:
    """Photos without a sharp edge, the least sharp first."""
    sharpness = [facts.sharpness for facts in seen.facts]
    rows = [
        row
        for row, facts in enumerate(seen.facts)
        if facts.sharpness < thresholds.blurred and facts.contrast >= thresholds.empty
    ]
    finding = find_single(
        "too_blurred",
        sorted(rows, key=sharpness.__getitem__),
        lambda num: count_words(num, "blurry photo"),
        "Out of focus or enlarged from a thumbnail; keep them only if such photos will be asked about.",
    )
    return judgement(
        finding,
        scores_of_rows("too_blurred", compare_with_bound(sharpness, thresholds.blurred), rows),
        make_figure("blurred", sharpness, thresholds.blurred, len(rows), is_low_worst=True),
    )


def _judge_small(seen: SeenPhotos, thresholds: CheckConfig) -> Judgement:
    """Photos with few pixels."""
    sides = [min(facts.height, facts.width) for facts in seen.facts]
    rows = [row for row, side in enumerate(sides) if side < thresholds.small]
    finding = find_single(
        "too_small",
        rows,
        lambda num: f"{count_words(num, 'photo')} with a side below {thresholds.small:,} pixels",
        "They show little; a pretrained network, which sees photos at 224 pixels, has them enlarged.",
        lambda row: f"{seen.facts[row].width} x {seen.facts[row].height}",
    )
    return judgement(
        finding,
        scores_of_rows("too_small", compare_with_bound(sides, thresholds.small), rows),
        make_figure("small", sides, thresholds.small, len(rows), is_low_worst=True),
    )


def _judge_suffixes(seen: SeenPhotos) -> Judgement:
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
    return judgement(finding, scores_of_rows("wrong_suffix", scores, rows))


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
    """How light a photo is, in `[0, 1]`: its mean, or a share of its brightest twentieth."""
    return max(facts.brightness, _SHARE_OF_BRIGHTEST * float(np.percentile(facts.thumbnail, 95)) / 255)


def share_drawn(facts: PhotoFacts) -> float:
    """The share of the thumbnail that has one of a few grey levels.

    0 where there is only one of them, or where what is on it has relief, as small things photographed on plain ground.
    """
    if facts.flatness < _LEAST_FLATNESS:
        return 0.0
    counts: NDArray[np.int64] = np.bincount(facts.thumbnail.reshape(-1), minlength=256)
    shares = []
    for _ in range(_MASK_LEVELS):
        level = int(counts.argmax())
        near = slice(max(0, level - 1), level + 2)
        shares.append(counts[near].sum() / facts.thumbnail.size)
        counts[max(0, level - _BETWEEN_LEVELS) : level + _BETWEEN_LEVELS + 1] = 0
    large = [share for share in shares if share >= _LEAST_LEVEL]
    is_drawn = len(large) >= 2 and sum(large[1:]) >= _LEAST_OF_THINGS * (1 - shares[0])
    return float(sum(large)) if is_drawn else 0.0
