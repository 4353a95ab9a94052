"""How sure a model may sound: log-loss, the one temperature that makes logits honest, and whether they are.

The last is told by the Brier score, the reliability diagram and the calibration error. All of it is about photos that
the model did not learn from.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from tellapart.measure.intervals import grouped_interval
from tellapart.measure.scores import Reliability, ReliabilityBin
from tellapart.measure.softmax import softmax, to_logits
from tellapart.randomness import named_generator

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-3, 1e3
# Photos that are taken to have been wrong besides those that were. Log-loss on the other photos of two data sets, 10 to
# 15 seeds each (5, 10 cats and dogs; 10 kinds of weather a class): 0.182, 0.114, 0.338 with 1 as Platt has it; 0.145,
# 0.092, 0.330 with 1/2; 0.128, 0.082, 0.327 with 1/4; less gains nothing more, and loses with 3 photos a class.
_PSEUDO_WRONG = 0.25
# Fewer photos say too little of how sure a model may be: of 27 the log-loss rose from 0.27 to 0.30 when each had the
# temperature of the others, of 800 it fell from 0.20 to 0.15 (docs/how-it-works/numbers.md).
_FEWEST_TO_CALIBRATE = 100
# Of the reliability diagram.
_MOST_BINS = 10
# Fewer photos in a bin leave an interval so wide that it agrees with everything.
_FEWEST_IN_BIN = 30
_FEWEST_BINS = 3
# Below so many photos a calibration error tells more about luck than about the model (Roelofs et al. 2022, figure 2).
_FEWEST_FOR_ERROR = 500
_NUM_RESAMPLES = 400
_INTERVAL_95 = (2.5, 97.5)
_FLOATS = NDArray[np.float32] | NDArray[np.float64]


def log_loss_terms(logits: _FLOATS, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each photo adds to the log-loss, `-log softmax(logits)[label]` in nats: float64, shape `(n,)`.

    Args:
        logits: finite, shape `(n, num_classes)`; not modified.
        labels: ints in `[0, num_classes)`, shape `(n,)`.
    """
    exact = np.asarray(logits, np.float64)
    label_logits = np.take_along_axis(exact, labels[:, np.newaxis], axis=1)
    return np.asarray(logsumexp(exact - label_logits, axis=1), np.float64)


def fit_temperature(logits: _FLOATS, labels: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> float:
    """The temperature T in `[0.001, 1000]` where `softmax(logits / T)` has the least log-loss (Guo et al. 2017, 4.2).

    Few photos are easily all right, which would ask for T = 0, a model that is never in doubt. So each photo counts as
    right only with `(n + 3/4) / (n + 1)`, and as each other class with an equal share of the rest: as if a quarter of a
    photo more had been wrong (after Platt 1999, section 2.2). From hundreds of photos on, that changes next to nothing.
    With weights, n is the number of photos that would tell as much if all counted alike (Kish 1965, section 11.7).
    Without photos, or where the logits tell no classes apart, T is 1.

    Args:
        logits: finite, of photos the model did not learn from, shape `(n, num_classes)` with at least 2 classes; not
            modified.
        labels: ints in `[0, num_classes)`, shape `(n,)`.
        weights: how much each photo counts, at least 0 and not all 0, shape `(n,)`; `None` counts all alike.
    """
    num_photos, num_classes = logits.shape
    centred = np.asarray(logits, np.float64)
    centred = centred - centred.mean(axis=1, keepdims=True)
    if not np.any(centred):
        return 1.0
    # The logits of a row sum to 0, so those of the other classes sum to minus that of the label.
    num_effective = num_photos if weights is None else weights.sum() ** 2 / np.square(weights).sum()
    doubt = _PSEUDO_WRONG / (num_effective + 1)
    expected = (1 - doubt * num_classes / (num_classes - 1)) * centred[np.arange(num_photos), labels]
    highest = centred.max(axis=1)
    below_highest = centred - highest[:, np.newaxis]

    def mean_loss(log_temperature: float) -> float:
        sharpness = math.exp(-log_temperature)
        log_sums = np.log(np.exp(below_highest * sharpness).sum(axis=1))
        return float(np.average(log_sums + (highest - expected) * sharpness, weights=weights))

    # Convex in 1/T (a log-sum-exp of linear terms less a linear one), so with a single minimum along log T too.
    bounds = (math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE))
    return math.exp(minimize_scalar(mean_loss, bounds=bounds, method="bounded", options={"xatol": 1e-4}).x)


def calibrate(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> tuple[float, NDArray[np.float32]]:
    """The temperature of a model, and how sure it is with it of photos that were held out once.

    No photo has a say in its own probabilities: its temperature is that of the other folds, so that they are as good as
    those of new photos will be. With fewer than 100 photos, and where temperatures found that way do not lower the mean
    log-loss by more than its standard error, the temperature is 1 and the probabilities stay as they are.

    Args:
        probabilities: of photos the model did not learn from, shape `(n, num_classes)` with at least 2 classes; not
            modified.
        labels: ints in `[0, num_classes)`, shape `(n,)`.
        folds: ints, shape `(n,)`; photos that belong together are in one fold.

    Returns:
        the temperature that all photos together ask for, and probabilities, float32, shape `(n, num_classes)`.
    """
    numbers = np.unique(folds)
    if len(labels) < _FEWEST_TO_CALIBRATE or len(numbers) < 2:
        return 1.0, probabilities
    logits = to_logits(probabilities)
    tempered = np.array(logits, np.float64)
    for number in numbers:
        is_held_out = folds == number
        tempered[is_held_out] /= fit_temperature(logits[~is_held_out], labels[~is_held_out])
    gains = log_loss_terms(logits, labels) - log_loss_terms(tempered, labels)
    if not gains.mean() > gains.std(ddof=1) / math.sqrt(len(gains)):
        return 1.0, probabilities
    return fit_temperature(logits, labels), softmax(tempered)


def measure_reliability(
    labels: ArrayLike, probabilities: ArrayLike, groups: NDArray[np.int64] | None = None
) -> Reliability:
    """How far the probabilities can be taken at their word; of the predicted class in all but the Brier score.

    The Brier score is that of Brier (1950): the mean of `sum_k (p_k - [k = label])^2`. The bins hold as many photos
    each, which is less biased than bins of equal width (Roelofs et al. 2022, "Mitigating bias in calibration error
    estimation", arXiv 2012.08668). There are none below 90 photos, and no calibration error below 500.

    Args:
        labels: ints in `[0, num_classes)`, shape `(n,)` with at least one photo; not modified.
        probabilities: finite, shape `(n, num_classes)`, rows summing to 1; not modified.
        groups: ints, shape `(n,)`, equal for photos that belong together, which the intervals count as one; `None`
            where none do.
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
    every_photo = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    bins = tuple(
        _describe_bin(sure[rows], is_right[rows], every_photo[rows]) for rows in _rows_of_bins(bin_of_photo, num_bins)
    )
    if len(truth) < _FEWEST_FOR_ERROR:
        return Reliability(brier, bins, None, None)
    error, interval = _calibration_error(sure, is_right, bin_of_photo, every_photo)
    return Reliability(brier, bins, error, interval)


def _rows_of_bins(bin_of_photo: NDArray[np.int64], num_bins: int) -> list[NDArray[np.bool_]]:
    return [bin_of_photo == number for number in range(num_bins)]


def _describe_bin(
    sure: NDArray[np.float64], is_right: NDArray[np.float64], groups: NDArray[np.int64]
) -> ReliabilityBin:
    interval = grouped_interval(is_right > 0, groups)
    return ReliabilityBin(len(sure), float(sure.mean()), float(is_right.mean()), interval)


def _calibration_error(
    sure: NDArray[np.float64],
    is_right: NDArray[np.float64],
    bin_of_photo: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> tuple[float, tuple[float, float]]:
    """The debiased root mean squared calibration error over the bins, and its 95 % interval from a bootstrap of groups.

    Each resample carries the luck of these photos besides its own, and only its own is taken off it. So what chance
    adds to the square is taken off once more: else the interval would stay clear of 0 for a model that is calibrated.
    """
    num_bins = int(bin_of_photo.max()) + 1
    square, noise = _debiased_square(sure, is_right, bin_of_photo, num_bins)
    generator = named_generator(0, "calibration error")
    order = np.argsort(groups, kind="stable")
    of_group = np.split(order, np.cumsum(np.bincount(groups))[:-1])
    squares = np.empty(_NUM_RESAMPLES)
    for number in range(_NUM_RESAMPLES):
        drawn = generator.integers(0, len(of_group), len(of_group))
        rows = drawn if len(of_group) == len(sure) else np.concatenate([of_group[one] for one in drawn])
        squares[number] = _debiased_square(sure[rows], is_right[rows], bin_of_photo[rows], num_bins)[0] - noise
    low, high = np.sqrt(np.maximum(np.percentile(squares, _INTERVAL_95), 0))
    error = float(np.sqrt(max(square, 0.0)))
    return error, (min(float(low), error), max(float(high), error))


def _debiased_square(
    sure: NDArray[np.float64], is_right: NDArray[np.float64], bin_of_photo: NDArray[np.int64], num_bins: int
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
