"""Whether probabilities mean what they say: Brier score, reliability diagram, calibration error.

Labels and probabilities of photos that the model did not learn from in, a `Reliability` out; draws and writes nothing.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tellapart.measure.metrics import wilson_interval
from tellapart.randomness import named_generator
from tellapart.records import Reliability, ReliabilityBin

_MOST_BINS = 10
# Fewer photos in a bin leave an interval so wide that it agrees with everything.
_FEWEST_IN_BIN = 30
_FEWEST_BINS = 3
# Below so many photos a calibration error tells more about luck than about the model (Roelofs et al. 2022, figure 2).
_FEWEST_FOR_ERROR = 500
_NUM_RESAMPLES = 400
_INTERVAL_95 = (2.5, 97.5)
_FLOATS = NDArray[np.float64]


def measure_reliability(labels: ArrayLike, probabilities: ArrayLike) -> Reliability:
    """How far the probabilities can be taken at their word; of the predicted class in all but the Brier score.

    The Brier score is that of Brier (1950): the mean of `sum_k (p_k - [k = label])^2`. The bins hold as many photos
    each, which is less biased than bins of equal width (Roelofs et al. 2022, "Mitigating bias in calibration error
    estimation", arXiv 2012.08668). There are none below 90 photos, and no calibration error below 500.

    Args:
        labels: ints in `[0, num_classes)`, shape `(n,)` with at least one photo; not modified.
        probabilities: finite, shape `(n, num_classes)`, rows summing to 1; not modified.
    """
    truth, shares = np.asarray(labels), np.asarray(probabilities, np.float64)
    label_shares = np.take_along_axis(shares, truth[:, np.newaxis], axis=1)[:, 0]
    brier = float((np.square(shares).sum(axis=1) - 2 * label_shares + 1).mean())
    num_bins = min(_MOST_BINS, len(truth) // _FEWEST_IN_BIN)
    if num_bins < _FEWEST_BINS:
        return Reliability(brier, (), None, None)
    sure, is_right = shares.max(axis=1), (shares.argmax(axis=1) == truth).astype(np.float64)
    bin_of_photo = np.empty(len(truth), np.int64)
    bin_of_photo[np.argsort(sure, kind="stable")] = np.arange(len(truth)) * num_bins // len(truth)
    bins = tuple(_describe_bin(sure[rows], is_right[rows]) for rows in _rows_of_bins(bin_of_photo, num_bins))
    if len(truth) < _FEWEST_FOR_ERROR:
        return Reliability(brier, bins, None, None)
    error, interval = _calibration_error(sure, is_right, bin_of_photo)
    return Reliability(brier, bins, error, interval)


def _rows_of_bins(bin_of_photo: NDArray[np.int64], num_bins: int) -> list[NDArray[np.bool_]]:
    return [bin_of_photo == number for number in range(num_bins)]


def _describe_bin(sure: _FLOATS, is_right: _FLOATS) -> ReliabilityBin:
    interval = wilson_interval(int(is_right.sum()), len(sure))
    return ReliabilityBin(len(sure), float(sure.mean()), float(is_right.mean()), interval)


def _calibration_error(
    sure: _FLOATS, is_right: _FLOATS, bin_of_photo: NDArray[np.int64]
) -> tuple[float, tuple[float, float]]:
    """The debiased root mean squared calibration error over the bins, and its 95 % bootstrap interval.

    Each resample carries the luck of these photos besides its own, and only its own is taken off it. So what chance
    adds to the square is taken off once more: else the interval would stay clear of 0 for a model that is calibrated.
    """
    num_bins = int(bin_of_photo.max()) + 1
    square, noise = _debiased_square(sure, is_right, bin_of_photo, num_bins)
    generator = named_generator(0, "calibration error")
    squares = np.empty(_NUM_RESAMPLES)
    for number in range(_NUM_RESAMPLES):
        rows = generator.integers(0, len(sure), len(sure))
        squares[number] = _debiased_square(sure[rows], is_right[rows], bin_of_photo[rows], num_bins)[0] - noise
    low, high = np.sqrt(np.maximum(np.percentile(squares, _INTERVAL_95), 0))
    error = float(np.sqrt(max(square, 0.0)))
    return error, (min(float(low), error), max(float(high), error))


def _debiased_square(
    sure: _FLOATS, is_right: _FLOATS, bin_of_photo: NDArray[np.int64], num_bins: int
) -> tuple[float, float]:
    """The squared calibration error without what chance adds to it, which is the second number.

    `sum_b n_b / n ((p_b - r_b)^2 - r_b (1 - r_b) / (n_b - 1))` with the mean probability p and the share of right
    answers r of bin b (Kumar, Liang and Ma 2019, "Verified uncertainty calibration", arXiv 1909.10155, definition 5.1).
    """
    counts = np.bincount(bin_of_photo, minlength=num_bins)
    some = np.maximum(counts, 1)
    rights = np.bincount(bin_of_photo, is_right, num_bins) / some
    means = np.bincount(bin_of_photo, sure, num_bins) / some
    noise = float((counts * rights * (1 - rights) / np.maximum(counts - 1, 1)).sum() / len(sure))
    return float((counts * np.square(means - rights)).sum() / len(sure)) - noise, noise
