"""Findings about photos one by one: empty, dark, blurred, small, drawn, under a wrong name; and about their shapes."""

from collections import Counter
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.finding import (
    Judgement,
    SingleWords,
    compare_with_bound,
    find_single,
    join_judgements,
    judgement,
    make_figure,
    scores_of_rows,
)
from tellapart.checkup.thresholds import CheckConfig
from tellapart.formats.photo_formats import SUFFIXES
from tellapart.images.facts import PhotoFacts
from tellapart.measure.number_words import join_words
from tellapart.records import Finding
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

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


def judge_quality(seen: SeenPhotos, tiles: NDArray[np.int64], thresholds: CheckConfig) -> Judgement:
    """What is to be said of single photos, and how each of them does.

    Args:
        seen: the collection.
        tiles: of its photos, as `number_tiles` gives them.
        thresholds: what is named.
    """
    return join_judgements(
        [
            _judge_masks(seen, tiles, thresholds),
            _judge_empty(seen, tiles, thresholds),
            _judge_dark(seen, tiles, thresholds),
            _judge_blurred(seen, tiles, thresholds),
            _judge_small(seen, tiles, thresholds),
            _judge_suffixes(seen, tiles),
            judgement(_find_shapes(seen)),
        ]
    )


def _judge_empty(seen: SeenPhotos, tiles: NDArray[np.int64], thresholds: CheckConfig) -> Judgement:
    """Pictures of one colour."""
    contrasts = seen.facts.column("contrast")
    rows = np.flatnonzero(contrasts < thresholds.empty).tolist()
    finding = find_single(
        "empty",
        rows,
        tiles,
        SingleWords(
            lambda num: ngettext("{num:,} empty photo of one colour", "{num:,} empty photos of one colour", num).format(
                num=num
            ),
            _("These photos show nothing: a lens cap, or a placeholder for a deleted photo."),
            is_problem=True,
            action=_("Remove these photos. Choose below, download your decisions, run the command shown there."),
        ),
    )
    return judgement(
        finding,
        scores_of_rows("empty", compare_with_bound(contrasts, thresholds.empty), rows),
        make_figure("empty", contrasts, thresholds.empty, len(rows), is_low_worst=True),
    )


def _judge_masks(seen: SeenPhotos, tiles: NDArray[np.int64], thresholds: CheckConfig) -> Judgement:
    """Pictures in a few flat colours, among photos."""
    shares = [share_drawn(facts) if facts.brightness >= CheckConfig.dark else 0.0 for facts in seen.facts]
    rows = [row for row, share in enumerate(shares) if share >= thresholds.mask]
    if len(rows) > len(shares) / 2:  # then that is what the collection is about
        rows = []
    finding = find_single(
        "masks",
        rows,
        tiles,
        SingleWords(
            lambda num: ngettext(
                "{num:,} picture drawn in a few flat colours", "{num:,} pictures drawn in a few flat colours", num
            ).format(num=num),
            _("Among photos these are mostly masks or diagrams. Remove them if they are not part of your classes."),
            is_problem=len(rows) >= _FEWEST_MASKS,
            action=_("Move the masks into a folder outside the photos."),
        ),
    )
    return judgement(
        finding,
        scores_of_rows("mask", 1 - np.array(shares), rows),
        make_figure("mask", shares, thresholds.mask, len(rows), is_low_worst=False),
    )


def _judge_dark(seen: SeenPhotos, tiles: NDArray[np.int64], thresholds: CheckConfig) -> Judgement:
    """Very dark photos, the darkest first."""
    light, brightness = np.array([_light_of(facts) for facts in seen.facts]), seen.facts.column("brightness")
    is_dark = (light < thresholds.dark) & (seen.facts.column("contrast") >= thresholds.empty)
    rows = np.flatnonzero(is_dark).tolist()
    order = sorted(rows, key=brightness.__getitem__)
    finding = find_single(
        "too_dark",
        order,
        tiles,
        SingleWords(
            lambda num: ngettext("{num:,} very dark photo", "{num:,} very dark photos", num).format(num=num),
            _("Nothing can be learned from what cannot be seen. Keep them only if you expect such photos later."),
        ),
    )
    return judgement(
        finding,
        scores_of_rows("too_dark", compare_with_bound(light, thresholds.dark), rows),
        make_figure("dark", light, thresholds.dark, len(rows), is_low_worst=True),
    )


def _judge_blurred(seen: SeenPhotos, tiles: NDArray[np.int64], thresholds: CheckConfig) -> Judgement:
    """Photos without a sharp edge, the least sharp first."""
    sharpness = seen.facts.column("sharpness")
    is_blurred = (sharpness < thresholds.blurred) & (seen.facts.column("contrast") >= thresholds.empty)
    rows = np.flatnonzero(is_blurred).tolist()
    finding = find_single(
        "too_blurred",
        sorted(rows, key=sharpness.__getitem__),
        tiles,
        SingleWords(
            lambda num: ngettext("{num:,} blurry photo", "{num:,} blurry photos", num).format(num=num),
            _("Out of focus, or enlarged from a thumbnail. Keep them only if you expect such photos later."),
        ),
    )
    return judgement(
        finding,
        scores_of_rows("too_blurred", compare_with_bound(sharpness, thresholds.blurred), rows),
        make_figure("blurred", sharpness, thresholds.blurred, len(rows), is_low_worst=True),
    )


def _judge_small(seen: SeenPhotos, tiles: NDArray[np.int64], thresholds: CheckConfig) -> Judgement:
    """Photos with few pixels."""
    sides = np.minimum(seen.facts.column("height"), seen.facts.column("width"))
    rows = np.flatnonzero(sides < thresholds.small).tolist()
    finding = find_single(
        "too_small",
        rows,
        tiles,
        SingleWords(
            lambda num: ngettext(
                "{num:,} photo with a side below {side:,} pixels",
                "{num:,} photos with a side below {side:,} pixels",
                num,
            ).format(num=num, side=thresholds.small),
            _(
                "They show little: the pretrained network enlarges them to 224 pixels. Use the originals if you have"
                " them."
            ),
            lambda row: f"{seen.facts[row].width} x {seen.facts[row].height}",
        ),
    )
    return judgement(
        finding,
        scores_of_rows("too_small", compare_with_bound(sides, thresholds.small), rows),
        make_figure("small", sides, thresholds.small, len(rows), is_low_worst=True),
    )


def _judge_suffixes(seen: SeenPhotos, tiles: NDArray[np.int64]) -> Judgement:
    """Files whose name ends like another format."""
    rows = [
        row
        for row, (path, facts) in enumerate(zip(seen.photos.paths, seen.facts, strict=True))
        if (suffix := PurePath(path).suffix.lower()) and suffix not in SUFFIXES[facts.format]
    ]
    finding = find_single(
        "wrong_suffix",
        rows,
        tiles,
        SingleWords(
            lambda num: ngettext(
                "{num:,} file with the wrong extension", "{num:,} files with the wrong extension", num
            ).format(num=num),
            _("Formats are detected by content, so nothing is lost here. Other programs may refuse these files."),
            lambda row: _("{suffix}, really {format}").format(
                suffix=PurePath(seen.photos.paths[row]).suffix, format=seen.facts[row].format
            ),
        ),
    )
    scores = np.ones(len(seen.facts))
    scores[rows] = 0
    return judgement(finding, scores_of_rows("wrong_suffix", scores, rows))


def _find_shapes(seen: SeenPhotos) -> Finding | None:
    """Sizes, formats and orientations."""
    if not seen.facts:
        return None
    sizes = np.column_stack([seen.facts.column(name) for name in ("height", "width")]).astype(np.int64)
    smallest, largest = sizes[sizes.prod(axis=1).argmin()], sizes[sizes.prod(axis=1).argmax()]
    num_upright = int((sizes[:, 0] > sizes[:, 1]).sum())
    num_turned = sum(facts.has_exif_rotation for facts in seen.facts)
    formats = Counter(facts.format for facts in seen.facts)
    words = join_words([f"{number:,} {name}" for name, number in formats.most_common()])
    title = _("All {smallest} pixels: {formats}")
    if len(np.unique(sizes, axis=0)) > 1:
        title = _("From {smallest} to {largest} pixels: {formats}")
    return Finding(
        "shapes",
        title.format(smallest=f"{smallest[1]} x {smallest[0]}", largest=f"{largest[1]} x {largest[0]}", formats=words),
        _(
            "{num_upright:,} portrait, {num_others:,} landscape or square, {num_turned:,} rotated by EXIF. All are"
            " resized to a square."
        ).format(num_upright=num_upright, num_others=len(sizes) - num_upright, num_turned=num_turned),
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
    for _level in range(_MASK_LEVELS):
        level = int(counts.argmax())
        near = slice(max(0, level - 1), level + 2)
        shares.append(counts[near].sum() / facts.thumbnail.size)
        counts[max(0, level - _BETWEEN_LEVELS) : level + _BETWEEN_LEVELS + 1] = 0
    large = [share for share in shares if share >= _LEAST_LEVEL]
    is_drawn = len(large) >= 2 and sum(large[1:]) >= _LEAST_OF_THINGS * (1 - shares[0])
    return float(sum(large)) if is_drawn else 0.0
