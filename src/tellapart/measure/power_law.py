"""Would more photos help: a curve through the errors of models that learnt from fewer, and what it says, in a sentence.

Arrays in, a `LearningCurve` out. The models are fitted in `heads/learning_curve.py`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.measure.number_words import percent
from tellapart.measure.scores import CurvePoint, LearningCurve
from tellapart.randomness import named_generator
from tellapart.translation import gettext as _

# With fewer sizes three numbers go through the points exactly, whatever they are.
_FEWEST_SIZES = 4
# Tried for b, up to where a curve is as good as flat behind its first points.
_EXPONENTS = np.linspace(0.05, 2.0, 40)
_FURTHEST = 4
_NUM_FITTED = 24
_NUM_RESAMPLES = 400
_PERCENTILES = (2.5, 50.0, 97.5)
# Share of the mistakes that twice as many photos have to spare for being worth the work.
_WORTH = 0.1
# The same, below which it is as good as nothing.
_NOTHING = 0.02
# Independent photos without a mistake from which there is nothing left to gain.
_ENOUGH_WITHOUT_MISTAKES = 300
_FLOATS = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CurveTrials:
    """Models that learnt from some of the photos, each tried on others; t models, n photos.

    Attributes:
        sizes: int64, shape `(t,)`: photos each model learnt from; several models share a size.
        is_tested: bool, shape `(t, n)`: whether a photo was tried with the model, which had not seen it.
        is_wrong: bool, shape `(t, n)`: whether it was told wrongly; false where it was not tried.
        groups: int64, shape `(n,)`; equal numbers are duplicates of one another.
    """

    sizes: NDArray[np.int64]
    is_tested: NDArray[np.bool_]
    is_wrong: NDArray[np.bool_]
    groups: NDArray[np.int64]


def fit_learning_curve(trials: CurveTrials, seed: int) -> LearningCurve | None:
    """The curve `error = a n^-b + c` with its bootstrap band up to 4 times the photos; `None` with less than 4 sizes.

    Photos, a group as one, and models of one size are both reweighted at random (Rubin 1981, "The Bayesian bootstrap"),
    and each time the curve is fitted anew; what is given is the median and the middle 95 % of these curves. They bend
    as the few points leave open, so the band widens with the distance from what was measured.

    Args:
        trials: models of at least one size; every one was tried on at least one photo.
        seed: decides the weights.
    """
    sizes = np.unique(trials.sizes)
    if len(sizes) < _FEWEST_SIZES:
        return None
    errors, resampled = _errors(trials, sizes, seed)
    # The variance of a share; without mistakes it is not 0 either.
    precision = 1 / np.maximum(errors * (1 - errors), 1 / len(trials.groups))
    scale, exponents, rest = _fit(sizes / sizes[-1], resampled, precision)
    num_photos = len(trials.groups)
    places = np.geomspace(sizes[0], _FURTHEST * num_photos, _NUM_FITTED).round()
    places = np.unique(np.concatenate([places, [num_photos, 2 * num_photos]]))
    curves = scale[:, np.newaxis] * (places / sizes[-1]) ** -exponents[:, np.newaxis] + rest[:, np.newaxis]
    curves = np.clip(curves, 0, 1)
    band = np.percentile(curves, _PERCENTILES, axis=0).T
    low, high = np.percentile(np.where(scale > 0, exponents, 0), _PERCENTILES[::2])
    now, twice = (curves[:, places == number][:, 0] for number in (num_photos, 2 * num_photos))
    error, num_groups = float(np.median(now)), len(np.unique(trials.groups))
    low_gain, middle_gain, high_gain = (float(bound) for bound in np.percentile(now - twice, _PERCENTILES))
    prevented = (low_gain, middle_gain, high_gain)
    sentence, gain = describe_gain(error, prevented, num_groups)
    return LearningCurve(
        measured=tuple((int(size), float(error)) for size, error in zip(sizes, errors, strict=True)),
        fitted=tuple(
            CurvePoint(int(place), float(middle), float(least), float(most))
            for place, (least, middle, most) in zip(places, band, strict=True)
        ),
        exponent_95=(float(low), float(high)),
        num_photos=num_photos,
        sentence=sentence,
        gain=gain,
        error=error,
        prevented_95=prevented,
        num_groups=num_groups,
    )


def _errors(trials: CurveTrials, sizes: NDArray[np.int64], seed: int) -> tuple[_FLOATS, _FLOATS]:
    """The error of each size, shape `(num_sizes,)`, and resampled, shape `(num_resamples, num_sizes)`."""
    of_size = (trials.sizes[:, np.newaxis] == sizes).astype(np.float64)
    errors = trials.is_wrong.sum(axis=1) / trials.is_tested.sum(axis=1)
    group_of_photo = np.unique(trials.groups, return_inverse=True)[1].reshape(-1)
    generator = named_generator(seed, "learning curve bootstrap")
    weights = generator.standard_exponential((_NUM_RESAMPLES, int(group_of_photo.max()) + 1), np.float32)
    weights = weights[:, group_of_photo]
    wrong = weights @ trials.is_wrong.T.astype(np.float32)
    tested = weights @ trials.is_tested.T.astype(np.float32)
    shares = generator.standard_exponential(wrong.shape)
    return errors @ of_size / of_size.sum(axis=0), (shares * wrong / tested) @ of_size / (shares @ of_size)


def _fit(sizes: _FLOATS, errors: _FLOATS, precision: _FLOATS) -> tuple[_FLOATS, _FLOATS, _FLOATS]:
    """a, b and c of least weighted squares with a and c at least 0, each of shape `(num_resamples,)`.

    For each b of a grid the other two are in closed form, so all resamples are fitted at once, which takes a
    thousandth of the time of as many calls of a general solver.
    """
    powers = sizes ** -_EXPONENTS[:, np.newaxis]
    weight, weighted = precision.sum(), powers * precision
    sum_x, sum_xx = weighted.sum(axis=1), (weighted * powers).sum(axis=1)
    sum_y, sum_xy = (errors @ precision)[:, np.newaxis], errors @ weighted.T
    scale = (weight * sum_xy - sum_x * sum_y) / (weight * sum_xx - sum_x**2)
    rest = (sum_y - scale * sum_x) / weight
    scale = np.where(rest < 0, sum_xy / sum_xx, scale)
    rest = np.where(scale < 0, sum_y / weight, np.maximum(rest, 0))
    scale = np.maximum(scale, 0)
    losses = scale**2 * sum_xx + 2 * scale * rest * sum_x + rest**2 * weight - 2 * (scale * sum_xy + rest * sum_y)
    best = losses.argmin(axis=1)[:, np.newaxis]
    return (
        np.take_along_axis(scale, best, axis=1)[:, 0],
        _EXPONENTS[best[:, 0]],
        np.take_along_axis(rest, best, axis=1)[:, 0],
    )


def describe_gain(error: float, prevented_95: tuple[float, float, float], num_groups: int) -> tuple[str, float]:
    """What a person should know, and the gain where it is certain enough.

    It is told in shares of the mistakes: the accuracy of these quick models is not that of the model itself.

    Args:
        error: with as many photos as there are.
        prevented_95: how much lower it is with twice as many, as in `LearningCurve`.
        num_groups: independent photos there are.
    """
    least, gain, most = prevented_95
    if error < 1 / max(1, num_groups) and num_groups < _ENOUGH_WITHOUT_MISTAKES:
        return _("Unknown. The model makes too few mistakes to say whether more photos would help."), 0.0
    if most <= _WORTH * error:
        return _("More photos like these would hardly help."), 0.0
    low, middle, high = (percent(min(1.0, max(0.0, bound / error)), num_groups) for bound in (least, gain, most))
    if least <= _NOTHING * error:
        said = _("Unknown. Twice as many photos would prevent between none and {high} of the mistakes.")
        return said.format(high=high), 0.0
    said = _("Twice as many photos would prevent about {middle} of the mistakes ({low} to {high}).")
    return said.format(middle=middle, low=low, high=high), gain
