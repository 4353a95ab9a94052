"""Is one recipe better than another on the same photos, or was it luck: McNemar's test, and its result in words.

Two accuracies on the same photos cannot be compared by their intervals, for both rest on the same easy and hard photos.
Only the photos that exactly one of the two got right tell them apart, and copies of a photo tell no more than one.
Called by `commands/compare.py`; the words are also drawn by `report/comparison.py`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from tellapart.errors import DatasetError
from tellapart.measure.scores import PairedTest
from tellapart.translation import gettext as _

SIGNIFICANCE = 0.05
_SMALLEST_SAID = 1e-6
_RARE = 0.35  # up to here "1 time in N" is near enough; above, tenths are said
_NEARLY_ALWAYS = 0.95


def compare_paired(
    first: str,
    second: str,
    first_right: NDArray[np.bool_],
    second_right: NDArray[np.bool_],
    groups: NDArray[np.int64] | None = None,
) -> PairedTest:
    """The exact two-sided test whether two recipes are equally often right (McNemar 1947).

    Under chance each photo that exactly one of them got right is as likely to be the first's as the second's: a
    binomial with `p = 1/2`. Photos of a group, such as copies, are right or wrong together, so a group counts once: for
    the recipe that got more of its photos right, and for neither where they got as many. That is the sign test of
    groups (Dixon and Mood 1946), which is McNemar's where every photo is alone. Without such groups the p-value is 1.

    Args:
        first, second: names of the recipes.
        first_right, second_right: whether each photo's prediction is its label, bool, shape `(n,)`, the photos in the
            same order; not modified.
        groups: ints, shape `(n,)`, equal for photos that belong together; `None` where none do.

    Raises:
        DatasetError: the arrays are not bool of one and the same shape `(n,)`.
    """
    for name, right in ((first, first_right), (second, second_right)):
        if right.dtype != np.bool_ or right.ndim != 1 or len(right) != len(first_right):
            raise DatasetError(
                _(
                    "the answers of {name!r} are {dtype} of shape {shape}. Give bool of shape (n,), with the same n for"
                    " {first!r} and {second!r}. Compare recipes on the same photos."
                ).format(name=name, dtype=right.dtype, shape=right.shape, first=first, second=second)
            )
    every_photo = np.arange(len(first_right)) if groups is None else np.unique(groups, return_inverse=True)[1]
    lead = np.bincount(every_photo.reshape(-1), first_right.astype(np.float64) - second_right)
    num_only_first, num_only_second = int((lead > 0).sum()), int((lead < 0).sum())
    num_discordant = num_only_first + num_only_second
    p_value = float(binomtest(num_only_first, num_discordant, 0.5).pvalue) if num_discordant else 1.0
    return PairedTest(first, second, num_only_first, num_only_second, min(1.0, p_value))


def describe_test(test: PairedTest) -> str:
    """What the test says, as a sentence without a full stop, for a person who knows no statistics.

    From a p-value of 0.05 on, the recipes cannot be told apart. Chance is given with at most 2 significant digits.
    """
    if test.num_only_first == test.num_only_second == 0:
        return _("{first} and {second} are right on exactly the same photos").format(
            first=test.first, second=test.second
        )
    if test.p_value >= SIGNIFICANCE:
        return _("{first} and {second} do about equally well: chance alone gives such a difference {how_often}").format(
            first=test.first, second=test.second, how_often=_describe_chance(test.p_value)
        )
    better, worse = test.first, test.second
    if test.num_only_second > test.num_only_first:
        better, worse = worse, better
    return _("{better} is better than {worse}: chance alone gives such a difference {how_often}").format(
        better=better, worse=worse, how_often=_describe_chance(test.p_value)
    )


def _describe_chance(p_value: float) -> str:
    if p_value >= 1:
        return _("every time")
    if p_value > _NEARLY_ALWAYS:
        return _("nearly every time")
    if p_value > _RARE:
        return _("{num} times in 10").format(num=min(9, round(p_value * 10)))
    if p_value < _SMALLEST_SAID:
        return _("less than 1 time in a million")
    times = 1 / p_value
    return _("1 time in {num:,}").format(num=round(times if times < 10 else float(f"{times:.1e}")))
