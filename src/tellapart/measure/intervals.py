"""The 95 % interval of a share, by independent photos and not by files. Pure Python and NumPy: predictions use it too.

Copies of a photo and photos of one burst are right or wrong together, so 7 of them tell little more than one.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import DatasetError
from tellapart.translation import gettext as _

_Z_95 = 1.959963984540054  # the 0.975 quantile of the standard normal distribution


def wilson_interval(num_right: int, num_photos: int) -> tuple[float, float]:
    """The 95 % score interval of a share, within `[0, 1]` (Wilson 1927; Brown, Cai and DasGupta 2001, equation 4).

    Unlike the textbook interval it stays honest for few photos and for shares near 0 and 1.

    Raises:
        DatasetError: there are no photos, or `num_right` is not between 0 and their number.
    """
    if num_photos < 1 or not 0 <= num_right <= num_photos:
        raise DatasetError(
            _(
                "{num_right!r} right out of {num_photos!r} photos has no interval. Give at least 1 photo, and from 0 to"
                " that many right."
            ).format(num_right=num_right, num_photos=num_photos)
        )
    return score_interval(num_right / num_photos, num_photos)


def grouped_interval(is_right: NDArray[np.bool_], groups: NDArray[np.int64] | None = None) -> tuple[float, float]:
    """The 95 % interval of the share of right photos: Wilson's, with n divided by the design effect of the groups.

    The design effect is `sum_g m_g^2 / n` for groups of `m_g` photos: photos of a group are taken to be right or wrong
    together (Kish 1965, section 5.4, with an intraclass correlation of 1). It is not estimated from the answers, for an
    estimate, as a bootstrap, has nothing to go by where no answer is wrong.

    Args:
        is_right: shape `(n,)`, at least one photo; not modified.
        groups: ints, shape `(n,)`, equal for photos that belong together; `None` where none do.

    Raises:
        DatasetError: there are no photos.
    """
    if groups is None or not len(is_right):
        return wilson_interval(int(is_right.sum()), len(is_right))
    return score_interval(float(is_right.mean()), num_independent(groups))


def num_independent(groups: NDArray[np.int64]) -> float:
    """The number of photos, each of a group of its own, that tell as much: `n^2 / sum_g m_g^2`.

    Args:
        groups: ints, shape `(n,)`, at least one photo.
    """
    sizes = np.unique(groups, return_counts=True)[1]
    return float(len(groups) ** 2 / np.square(sizes).sum())


def score_interval(share: float, num_photos: float) -> tuple[float, float]:
    """Wilson's interval of a share of so many independent photos, which need not be a whole number.

    Args:
        share: in `[0, 1]`.
        num_photos: above 0.
    """
    scale = 1 + _Z_95**2 / num_photos
    centre = (share + _Z_95**2 / (2 * num_photos)) / scale
    half = _Z_95 * math.sqrt(share * (1 - share) / num_photos + _Z_95**2 / (4 * num_photos**2)) / scale
    # At the ends the formula gives exactly 0 or 1, which rounding would miss.
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high
