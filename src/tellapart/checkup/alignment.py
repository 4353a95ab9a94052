"""Laying one thumbnail over a part of another: which part, and how it is turned.

A search over windows in few cells gives the part roughly, for all turns at once; Gauss-Newton steps give it exactly.
Whether what lies over each other is one photo is `likeness.py`'s to say.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tellapart.checkup.cells import to_unit_length
from tellapart.checkup.thumbnails import NUM_TURNS, interval_means, smoothing, turn_squares

_FLOATS = NDArray[np.float32]
_ROWS = NDArray[np.int64]

# A crop leaves one of these intervals (start, length) of each axis, roughly; the steps find the rest.
_INTERVALS = ((0.0, 1.0), *((share * (1 - length), length) for length in (0.9, 0.8) for share in (0.0, 0.5, 1.0)))
_WINDOW_SIDE = 8
NUM_WINDOWS, WINDOW_CELLS = len(_INTERVALS) ** 2, _WINDOW_SIDE**2
_ALIGN_SIDE, _ALIGN_STEPS = 24, 6
# No window is smaller, or reaches farther out of the square.
_SHORTEST, _OVERHANG = 0.7, 0.03


class Window(NamedTuple):
    """Which part of the moving square the fixed one shows, as shares of its sides, float32 `(p,)` each."""

    left: _FLOATS
    width: _FLOATS
    top: _FLOATS
    height: _FLOATS


class WindowFits(NamedTuple):
    """How the photos of each pair fit best: as they lie, and one into a part of the other.

    Attributes:
        lying_alike: correlation of the whole first with the whole second after `lying_turn`, float32 `(p,)`.
        lying_turn: how the second is to be turned, int64 `(p,)`.
        alike: correlation of one whole, after `turn`, with `window` of the other one, float32 `(p,)`.
        is_second_whole: whether it is the second that is seen whole, bool `(p,)`.
        turn: how that one is to be turned, int64 `(p,)`.
        window: the part of the other one.
    """

    lying_alike: _FLOATS
    lying_turn: _ROWS
    alike: _FLOATS
    is_second_whole: NDArray[np.bool_]
    turn: _ROWS
    window: Window


def view_windows(luma: NDArray[np.uint8]) -> _FLOATS:
    """What each window of each thumbnail shows, in few cells, as unit vectors: float32 `(n, windows, cells)`.

    The first window is the whole.
    """
    count, cells = len(_INTERVALS), _WINDOW_SIDE
    seen = (_WINDOW_MEANS @ luma.astype(np.float32) @ _WINDOW_MEANS.T).reshape(-1, count, cells, count, cells)
    vectors = seen.swapaxes(2, 3).reshape(-1, NUM_WINDOWS, WINDOW_CELLS)
    vectors -= vectors.mean(axis=2, keepdims=True)
    return to_unit_length(vectors)


def match_windows(first: _FLOATS, second: _FLOATS) -> WindowFits:
    """The best fit of pairs of photos, from their windows as `view_windows` gives them."""
    wholes = [windows[:, 0][:, _TURNED_CELLS].swapaxes(1, 2) for windows in (first, second)]
    inside_first, inside_second = first @ wholes[1], second @ wholes[0]
    alike = np.stack([inside_first, inside_second], axis=1).reshape(len(first), -1)
    best = alike.argmax(axis=1)
    side, window, turns = np.unravel_index(best, (2, *inside_first.shape[1:]))
    rows, columns = np.divmod(window, len(_INTERVALS))
    intervals = np.array(_INTERVALS, np.float32)
    return WindowFits(
        inside_first[:, 0].max(axis=1),
        inside_first[:, 0].argmax(axis=1),
        alike.max(axis=1),
        side == 0,
        turns,
        Window(*intervals[columns].T, *intervals[rows].T),
    )


def align(fixed: _FLOATS, moving: _FLOATS, window: Window) -> tuple[Window, _FLOATS]:
    """The part of `moving` that shows what `fixed` shows, refined from `window`, and their correlation.

    Gauss-Newton on shift and scale of both axes, and on light and contrast (Lucas & Kanade 1981), at half the size.
    """
    fixed, moving = (_HALVE @ square @ _HALVE.T for square in (fixed, moving))
    place = (np.arange(_ALIGN_SIDE, dtype=np.float32) + 0.5) / _ALIGN_SIDE
    target = fixed.reshape(len(fixed), -1, 1)
    left, width, top, height = window
    for _ in range(_ALIGN_STEPS):
        moved = cut_out(moving, Window(left, width, top, height))
        down, along = (np.gradient(moved, axis=axis) * np.float32(_ALIGN_SIDE) for axis in (1, 2))
        light = moved - moved.mean(axis=(1, 2), keepdims=True)
        columns = (along, along * place, down, down * place[:, None], light, np.ones_like(moved))
        slopes = np.stack(columns, axis=1).reshape(len(fixed), len(columns), -1)
        steps = _solve(slopes, target)
        left, width = left + width * steps[:, 0], width * (1 + steps[:, 1])
        top, height = top + height * steps[:, 2], height * (1 + steps[:, 3])
    moved = cut_out(moving, Window(left, width, top, height))
    one, other = (square.reshape(len(fixed), -1) for square in (fixed, moved))
    one, other = (to_unit_length(square - square.mean(axis=1, keepdims=True)) for square in (one, other))
    window = Window(left, width, top, height)
    return window, np.where(_is_within(window), (one * other).sum(axis=1), 0)


def cut_out(squares: _FLOATS, window: Window) -> _FLOATS:
    """The part of each square, stretched over the whole: float32 of the shape of `squares`."""
    side = squares.shape[1]
    across = _sample(window.left, window.width, side).swapaxes(1, 2)
    return np.asarray(_sample(window.top, window.height, side) @ squares @ across, np.float32)


def _is_within(window: Window) -> NDArray[np.bool_]:
    """Whether windows lie within the square and are no smaller than what a crop leaves."""
    is_within = np.ones(len(window.left), np.bool_)
    for start, length in ((window.left, window.width), (window.top, window.height)):
        is_within &= (start >= -_OVERHANG) & (start + length <= 1 + _OVERHANG) & (length >= _SHORTEST)
    return is_within


def _solve(slopes: _FLOATS, target: _FLOATS) -> _FLOATS:
    """Steps of the four shifts and scales, each at most a twentieth, float32 `(p, 4)`."""
    normal = slopes @ slopes.swapaxes(1, 2)
    # A little of each diagonal keeps squares without slopes solvable.
    normal += np.eye(normal.shape[1], dtype=np.float32) * (1e-4 * np.diagonal(normal, axis1=1, axis2=2)[:, :, None] + 1)
    answers = np.linalg.solve(normal, slopes @ target)[:, :, 0]
    gain = np.maximum(answers[:, 4:5], 0.1)
    return np.asarray(np.clip(answers[:, :4] / gain, -0.05, 0.05), np.float32)


def _sample(start: _FLOATS, length: _FLOATS, side: int) -> _FLOATS:
    """Matrices that stretch an interval of an axis over its whole length, linearly: float32 `(p, side, side)`."""
    share = (np.arange(side, dtype=np.float32) + 0.5) / side
    cell = np.clip((start[:, None] + length[:, None] * share) * side - 0.5, 0, side - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(cell[:, :, None] - np.arange(side, dtype=np.float32))), np.float32)


_HALVE = interval_means([(0.0, 1.0)], _ALIGN_SIDE) @ smoothing(0.8)
_WINDOW_MEANS = interval_means(_INTERVALS, _WINDOW_SIDE)
# Places of the cells of a window after each turn, int64 `(8, cells)`.
_CELLS = np.arange(WINDOW_CELLS).reshape(1, _WINDOW_SIDE, _WINDOW_SIDE)
_TURNED_CELLS = np.stack([turn_squares(_CELLS, number).reshape(-1) for number in range(NUM_TURNS)])
