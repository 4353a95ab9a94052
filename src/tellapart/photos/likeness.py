"""Whether two thumbnails show one and the same photo: turned, mirrored, cropped, lighter, encoded anew, or not at all.

Photos that only share a template (a form, a microscope's circle, a conveyor belt) agree in what is large and differ in
detail. So the thumbnails are laid over each other first, and then compared block by block in a band of fine detail:
one photo agrees everywhere. Which pairs are looked at is `duplicates.py`'s.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tellapart.photos.alignment import (
    NUM_WINDOWS,
    WINDOW_CELLS,
    Views,
    Window,
    align,
    cut_out,
    match_windows,
    view_windows,
)
from tellapart.photos.facts import THUMBNAIL_SIDE
from tellapart.photos.loading import num_cores
from tellapart.photos.thumbnails import Thumbnails, interval_means, smoothing, turn_each

_FLOATS = NDArray[np.float32]
_ROWS = NDArray[np.int64]
_ANSWERS = NDArray[np.bool_]

# What a thread takes at once: small enough for its cache.
_PAIRS_AT_ONCE, _PHOTOS_AT_ONCE = 128, 128
# Correlation of few cells of whole thumbnails that may show one photo as they lie, and of one with a part of another.
_MAY_LIE, _MAY_BE_PART = 0.92, 0.88
_ALIGNED_LEAST = 0.97
# Grey levels between which no pixel of a cell is likely to be clipped, and cells between them that tell the light.
_DARKEST, _LIGHTEST, _LEAST_INSIDE = 12, 216, 200
# Blocks a side that must agree; the noise of encoding, in grey levels, that is no disagreement.
_BLOCKS = 6
_NOISE = 1.0
_BLOCK_LEAST, _BLOCKS_OFF = 0.7, 2
_MEAN_LEAST = 0.9
# Blocks with detail that a pair needs, to be known by its detail; with less it has to be equal in light and colour.
_EVIDENCE_BLOCKS, _EVIDENCE = 6, 4.0
_EQUAL_LEVELS, _EQUAL_CHROMA = 2.5, 4.0


def are_one_photo(thumbnails: Thumbnails, first: _ROWS, second: _ROWS) -> _ANSWERS:
    """Whether each pair shows one photo, bool `(p,)`; computed over all cores.

    Args:
        thumbnails: of all photos.
        first, second: rows of the pairs, int64 `(p,)`.
    """
    answers = np.zeros(len(first), np.bool_)
    if not len(first):
        return answers
    with ThreadPoolExecutor(num_cores()) as pool:
        views = _view_pairs(thumbnails, first, second, pool)
        lying = np.flatnonzero(views.lying_alike >= _MAY_LIE)
        answers[lying] = _share_out(
            lambda part: _lie_as_one(thumbnails, first[part], second[part], views.lying_turn[part]), lying, pool
        )
        parted = np.flatnonzero(~answers & (views.alike >= _MAY_BE_PART))
        whole = np.where(views.is_second_whole, second, first)
        other = np.where(views.is_second_whole, first, second)
        answers[parted] = _share_out(
            lambda part: _align_as_one(
                turn_each(thumbnails.luma[whole[part]], views.turn[part]).astype(np.float32),
                thumbnails.luma[other[part]].astype(np.float32),
                Window(*(edge[part] for edge in views.window)),
            ),
            parted,
            pool,
        )
    return answers


def _share_out(answer: Callable[[_ROWS], _ANSWERS], pairs: _ROWS, pool: ThreadPoolExecutor) -> _ANSWERS:
    """What `answer` says of the pairs, a part at a time."""
    parts = [pairs[start : start + _PAIRS_AT_ONCE] for start in range(0, len(pairs), _PAIRS_AT_ONCE)]
    return np.concatenate([np.zeros(0, np.bool_), *pool.map(answer, parts)])


def _view_pairs(thumbnails: Thumbnails, first: _ROWS, second: _ROWS, pool: ThreadPoolExecutor) -> Views:
    """How the photos of each pair fit best."""
    rows, places = np.unique(np.stack([first, second]), return_inverse=True)
    one, other = places.reshape(2, -1)
    windows = np.empty((len(rows), NUM_WINDOWS, WINDOW_CELLS), np.float32)

    def fill(start: int) -> None:
        part = slice(start, start + _PHOTOS_AT_ONCE)
        windows[part] = view_windows(thumbnails.luma[rows[part]])

    list(pool.map(fill, range(0, len(rows), _PHOTOS_AT_ONCE)))
    parts = [slice(start, start + _PAIRS_AT_ONCE) for start in range(0, len(first), _PAIRS_AT_ONCE)]
    views = list(pool.map(lambda part: match_windows(windows[one[part]], windows[other[part]]), parts))
    return Views(
        lying_alike=np.concatenate([view.lying_alike for view in views]),
        lying_turn=np.concatenate([view.lying_turn for view in views]),
        alike=np.concatenate([view.alike for view in views]),
        is_second_whole=np.concatenate([view.is_second_whole for view in views]),
        turn=np.concatenate([view.turn for view in views]),
        window=Window(*(np.concatenate(edges) for edges in zip(*(view.window for view in views), strict=True))),
    )


def _lie_as_one(thumbnails: Thumbnails, first: _ROWS, second: _ROWS, turns: _ROWS) -> _ANSWERS:
    """Whether whole photos agree after turns; those with little detail must also be equal in light and colour."""
    one = thumbnails.luma[first].astype(np.float32)
    other = turn_each(thumbnails.luma[second], turns).astype(np.float32)
    colours = thumbnails.chroma[first].astype(np.float32) - turn_each(thumbnails.chroma[second], turns)
    light_gap, colour_gap = np.sqrt(np.square(one - other).mean(axis=(1, 2))), np.abs(colours).mean(axis=(1, 2, 3))
    is_equal = (light_gap <= _EQUAL_LEVELS) & (colour_gap <= _EQUAL_CHROMA)
    detail = compare_detail(one, other)
    return np.asarray(_agree(detail) & ((detail.num_telling >= _EVIDENCE_BLOCKS) | is_equal), np.bool_)


def _align_as_one(whole: _FLOATS, other: _FLOATS, window: Window) -> _ANSWERS:
    """Whether squares agree with about that part of other ones, in detail that tells something."""
    answers = np.zeros(len(whole), np.bool_)
    window, alike = align(whole, other, window)
    rows = np.flatnonzero(alike >= _ALIGNED_LEAST)
    if len(rows):
        part = cut_out(other[rows], Window(*(edge[rows] for edge in window)))
        detail = compare_detail(whole[rows], part)
        answers[rows] = _agree(detail) & (detail.num_telling >= _EVIDENCE_BLOCKS)
    return answers


class Detail(NamedTuple):
    """How two squares that lie over each other compare in fine detail.

    Attributes:
        agreement: correlation of each block, noise set aside, float32 `(p, blocks)`.
        num_telling: blocks in which both have detail beyond noise, int64 `(p,)`.
    """

    agreement: _FLOATS
    num_telling: _ROWS


def compare_detail(first: _FLOATS, second: _FLOATS) -> Detail:
    """How squares of luma, float32 `(p, 48, 48)` each, agree block by block, whatever their light and contrast."""
    first, second = _match_light(first, second)
    one, other = (_FINE @ square @ _FINE.T - _BROAD @ square @ _BROAD.T for square in (first, second))
    shared, energy, other_energy = (
        (_BLOCK_SUMS @ product @ _BLOCK_SUMS.T).reshape(len(first), -1)
        for product in (one * other, one * one, other * other)
    )
    noise = np.float32(_NOISE**2 * (THUMBNAIL_SIDE // _BLOCKS) ** 2)
    agreement = np.asarray((shared + noise) / np.sqrt((energy + noise) * (other_energy + noise)), np.float32)
    return Detail(agreement, (np.minimum(energy, other_energy) >= _EVIDENCE * noise).sum(axis=1))


def _match_light(first: _FLOATS, second: _FLOATS) -> tuple[_FLOATS, _FLOATS]:
    """Both squares in the light of that with the higher contrast, clipped as it would be.

    A photo that was made brighter has lost the detail in its lightest parts; so has the other one then.
    """
    pair = np.stack([first, second]).reshape(2, len(first), THUMBNAIL_SIDE**2)
    is_inside = ((pair > _DARKEST) & (pair < _LIGHTEST)).all(axis=0)
    num_inside = is_inside.sum(axis=1)
    inside = pair * is_inside
    mean = inside.sum(axis=2) / np.maximum(num_inside, 1)
    spread = np.sqrt(np.maximum(np.square(inside).sum(axis=2) / np.maximum(num_inside, 1) - mean**2, 1))
    is_known = num_inside >= _LEAST_INSIDE
    gain = np.where(is_known, spread[1] / spread[0], 1).astype(np.float32)[:, None, None]
    shift = np.where(is_known, mean[1] - gain[:, 0, 0] * mean[0], 0).astype(np.float32)[:, None, None]
    return (
        np.where(gain >= 1, np.clip(gain * first + shift, 0, 255), first),
        np.where(gain >= 1, second, np.clip((second - shift) / gain, 0, 255)),
    )


def _agree(detail: Detail) -> NDArray[np.bool_]:
    """Whether no block contradicts that detail is that of one photo."""
    worst = np.partition(detail.agreement, _BLOCKS_OFF, axis=1)[:, _BLOCKS_OFF]
    return np.asarray((worst >= _BLOCK_LEAST) & (detail.agreement.mean(axis=1) >= _MEAN_LEAST), np.bool_)


_FINE, _BROAD = smoothing(1.0), smoothing(3.0)
_BLOCK_SUMS = interval_means([(0.0, 1.0)], _BLOCKS) * np.float32(THUMBNAIL_SIDE // _BLOCKS)
