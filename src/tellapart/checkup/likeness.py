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

from tellapart.checkup.alignment import (
    NUM_WINDOWS,
    WINDOW_CELLS,
    Window,
    WindowFits,
    align,
    cut_out,
    match_windows,
    view_windows,
)
from tellapart.checkup.thumbnails import Thumbnails, interval_means, smoothing, turn_each
from tellapart.images.facts import THUMBNAIL_SIDE
from tellapart.photos.loading import num_cores

_FLOATS = NDArray[np.float32]
_ROWS = NDArray[np.int64]
_ANSWERS = NDArray[np.bool_]

# What a thread takes at once: small enough for its cache.
_PAIRS_AT_ONCE, _PHOTOS_AT_ONCE = 128, 128
# Pairs whose windows are in memory at once: 100 to 400 MB.
_PAIRS_IN_MEMORY = 16_384
# Correlation of few cells of whole thumbnails that may show one photo as they lie, and of one with a part of another.
_MAY_LIE, _MAY_BE_PART = 0.92, 0.88
_ALIGNED_LEAST = 0.97
# Grey levels between which no pixel of a cell is likely to be clipped, and cells between them that tell the light.
_DARKEST, _LIGHTEST, _LEAST_INSIDE = 12, 216, 200
# Blocks a side that must agree; the noise of encoding, in grey levels, that is no disagreement.
_BLOCKS = 6
_NOISE = 1.0
# What all but so many blocks of one photo agree by, and their mean, in a band of fine and in one of larger detail.
_BLOCKS_OFF = 2
_FINE_LEAST, _LARGE_LEAST = (0.6, 0.93), (0.7, 0.92)
# Stretching a part over the whole takes some of the fine detail away.
_FINE_LEAST_OF_PART = (0.5, 0.89)
# What all of many small blocks of one photo agree by beyond doubt, and their mean.
_SMALL_BLOCKS, _SMALL_NOISE = 12, 2.0
_SURE_LEAST, _SURE_MEAN = 0.88, 0.965
# Blocks with detail that a pair needs, to be known by its detail; with less it has to be equal in light and colour.
_TELLING_BLOCKS, _TELLING = 6, 4.0
_EQUAL_LEVELS, _EQUAL_CHROMA = 2.0, 4.0


class Likeness(NamedTuple):
    """What a comparison of pairs says.

    Attributes:
        is_one: whether both show one photo, bool `(p,)`.
        is_sure: whether they do beyond doubt, even where a template leaves little to tell photos apart, bool `(p,)`.
        agreement: mean agreement of their fine detail, at most 1, float32 `(p,)`; 0 for those that lie far apart.
    """

    is_one: NDArray[np.bool_]
    is_sure: NDArray[np.bool_]
    agreement: _FLOATS

    @classmethod
    def none(cls, num_pairs: int) -> "Likeness":
        """That of pairs which lie far apart."""
        no = np.zeros(num_pairs, np.bool_)
        return cls(no, no.copy(), np.zeros(num_pairs, np.float32))

    def part(self, pairs: slice) -> "Likeness":
        """What is said of some pairs; what is entered there is entered here."""
        return Likeness(self.is_one[pairs], self.is_sure[pairs], self.agreement[pairs])


def compare_pairs(thumbnails: Thumbnails, first: _ROWS, second: _ROWS) -> Likeness:
    """Whether each pair shows one photo, computed over all cores.

    Args:
        thumbnails: of all photos.
        first, second: rows of the pairs, int64 `(p,)`.
    """
    found = Likeness.none(len(first))
    with ThreadPoolExecutor(num_cores()) as pool:
        for start in range(0, len(first), _PAIRS_IN_MEMORY):
            part = slice(start, start + _PAIRS_IN_MEMORY)
            _enter_some(thumbnails, first[part], second[part], pool, found.part(part))
    return found


def _enter_some(thumbnails: Thumbnails, first: _ROWS, second: _ROWS, pool: ThreadPoolExecutor, found: Likeness) -> None:
    """Enters in `found` whether pairs show one photo, all of them at once; at least one pair."""
    views = _view_pairs(thumbnails, first, second, pool)
    whole = np.where(views.is_second_whole, second, first)
    other = np.where(views.is_second_whole, first, second)

    def lay(part: _ROWS) -> Likeness:
        return _compare_whole(thumbnails, first[part], second[part], views.lying_turn[part])

    def fit(part: _ROWS) -> Likeness:
        return _compare_part(
            turn_each(thumbnails.luma[whole[part]], views.turn[part]).astype(np.float32),
            thumbnails.luma[other[part]].astype(np.float32),
            Window(*(edge[part] for edge in views.window)),
        )

    _share_out(lay, np.flatnonzero(views.lying_alike >= _MAY_LIE), pool, found)
    _share_out(fit, np.flatnonzero(~found.is_one & (views.alike >= _MAY_BE_PART)), pool, found)


def _share_out(compare: Callable[[_ROWS], Likeness], pairs: _ROWS, pool: ThreadPoolExecutor, found: Likeness) -> None:
    """Enters in `found` what `compare` says of the pairs, a part at a time; of two agreements the higher one stays."""
    parts = [pairs[start : start + _PAIRS_AT_ONCE] for start in range(0, len(pairs), _PAIRS_AT_ONCE)]
    for part, likeness in zip(parts, pool.map(compare, parts), strict=True):
        found.is_one[part], found.is_sure[part] = likeness.is_one, likeness.is_sure
        found.agreement[part] = np.maximum(found.agreement[part], likeness.agreement)


def _view_pairs(thumbnails: Thumbnails, first: _ROWS, second: _ROWS, pool: ThreadPoolExecutor) -> WindowFits:
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
    return WindowFits(
        lying_alike=np.concatenate([view.lying_alike for view in views]),
        lying_turn=np.concatenate([view.lying_turn for view in views]),
        alike=np.concatenate([view.alike for view in views]),
        is_second_whole=np.concatenate([view.is_second_whole for view in views]),
        turn=np.concatenate([view.turn for view in views]),
        window=Window(*(np.concatenate(edges) for edges in zip(*(view.window for view in views), strict=True))),
    )


def _compare_whole(thumbnails: Thumbnails, first: _ROWS, second: _ROWS, turns: _ROWS) -> Likeness:
    """Whether whole photos agree after turns; those with little detail must also be equal in light and colour."""
    one = thumbnails.luma[first].astype(np.float32)
    other = turn_each(thumbnails.luma[second], turns).astype(np.float32)
    colours = thumbnails.chroma[first].astype(np.float32) - turn_each(thumbnails.chroma[second], turns)
    light_gap, colour_gap = np.sqrt(np.square(one - other).mean(axis=(1, 2))), np.abs(colours).mean(axis=(1, 2, 3))
    return _compare_detail(one, other, _FINE_LEAST, (light_gap <= _EQUAL_LEVELS) & (colour_gap <= _EQUAL_CHROMA))


def _compare_part(whole: _FLOATS, other: _FLOATS, window: Window) -> Likeness:
    """Whether squares agree with about that part of other ones, in detail that tells something."""
    found = Likeness.none(len(whole))
    window, alike = align(whole, other, window)
    rows = np.flatnonzero(alike >= _ALIGNED_LEAST)
    if len(rows):
        part = cut_out(other[rows], Window(*(edge[rows] for edge in window)))
        likeness = _compare_detail(whole[rows], part, _FINE_LEAST_OF_PART, np.zeros(len(rows), np.bool_))
        for column, values in zip(found, likeness, strict=True):
            column[rows] = values
    return found


def _compare_detail(
    first: _FLOATS, second: _FLOATS, fine_least: tuple[float, float], is_equal: NDArray[np.bool_]
) -> Likeness:
    """Whether squares that lie over each other agree block by block, whatever their light and contrast.

    Args:
        first, second: luma, float32 `(p, 48, 48)` each.
        fine_least: what blocks agree by in fine detail, all but a few and on average.
        is_equal: which need no detail to be known by, bool `(p,)`.
    """
    first, second = match_light(first, second)
    found = Likeness.none(len(first))
    fine = _take_band(first, _FINE), _take_band(second, _FINE)
    agreement, _num = _agree_in_blocks(*fine, _BLOCKS, _NOISE)
    found.agreement[:] = agreement.mean(axis=1)
    rows = np.flatnonzero(_do_agree(agreement, fine_least))
    large = _take_band(first[rows], _LARGE), _take_band(second[rows], _LARGE)
    agreement, num_telling = _agree_in_blocks(*large, _BLOCKS, _NOISE)
    rows = rows[_do_agree(agreement, _LARGE_LEAST) & ((num_telling >= _TELLING_BLOCKS) | is_equal[rows])]
    found.is_one[rows] = True
    agreement, _num = _agree_in_blocks(fine[0][rows], fine[1][rows], _SMALL_BLOCKS, _SMALL_NOISE)
    found.is_sure[rows] = (found.agreement[rows] >= _SURE_MEAN) & (agreement.min(axis=1) >= _SURE_LEAST)
    return found


def _take_band(squares: _FLOATS, band: tuple[_FLOATS, _FLOATS]) -> _FLOATS:
    """What of squares, float32 `(p, 48, 48)`, lies between two degrees of smoothing, whose matrices are given."""
    inner, outer = band
    return np.asarray(inner @ squares @ inner.T - outer @ squares @ outer.T, np.float32)


def _do_agree(agreement: _FLOATS, least: tuple[float, float]) -> _ANSWERS:
    """Whether all blocks but a few, and their mean, agree by at least so much: bool `(p,)`."""
    worst = np.partition(agreement, _BLOCKS_OFF, axis=1)[:, _BLOCKS_OFF]
    return np.asarray((worst >= least[0]) & (agreement.mean(axis=1) >= least[1]), np.bool_)


def _agree_in_blocks(one: _FLOATS, other: _FLOATS, blocks: int, noise: float) -> tuple[_FLOATS, _ROWS]:
    """Correlation of the blocks of squares, noise set aside, float32 `(p, blocks)`, and how many have detail.

    Args:
        one, other: a band of luma, float32 `(p, 48, 48)` each.
        blocks: a side.
        noise: grey levels that are no disagreement.
    """
    shared, energy, other_energy = (
        (_BLOCK_SUMS[blocks] @ product @ _BLOCK_SUMS[blocks].T).reshape(len(one), blocks**2)
        for product in (one * other, one * one, other * other)
    )
    floor = np.float32(noise**2 * (THUMBNAIL_SIDE // blocks) ** 2)
    agreement = np.asarray((shared + floor) / np.sqrt((energy + floor) * (other_energy + floor)), np.float32)
    return agreement, (np.minimum(energy, other_energy) >= _TELLING * floor).sum(axis=1)


def match_light(first: _FLOATS, second: _FLOATS) -> tuple[_FLOATS, _FLOATS]:
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


_FINE, _LARGE = (smoothing(0.6), smoothing(1.5)), (smoothing(1.0), smoothing(3.0))
_BLOCK_SUMS = {
    blocks: interval_means([(0.0, 1.0)], blocks) * np.float32(THUMBNAIL_SIDE // blocks)
    for blocks in (_BLOCKS, _SMALL_BLOCKS)
}
