"""The gates that an export has to pass: how far its answers may be from those of `predict`."""

import numpy as np
from numpy.typing import NDArray

from tellapart.export.target import Target
from tellapart.measure.mcnemar import SIGNIFICANCE
from tellapart.measure.number_words import percent, round_percent
from tellapart.measure.scores import PairedTest
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

# By how much a probability may differ at most; int8 is judged by its answers.
LARGEST_DIFFERENCE = {"float32": 1e-4, "float16": 1e-2, "browser": 1e-3}
# Browsers decode a large JPEG at its full size, and `predict` at a reduced one, so that its answer may differ by more
# than that: such photos count in the mean, and copies of them at the reduced size in the largest difference.
SMALL_PIXELS, LARGEST_MEAN_DIFFERENCE = 1_000_000, 0.02
# By how much a pixel of the reference implementation of the resize may differ: rounding, twice.
LARGEST_PIXEL_DIFFERENCE = 2
# How far the logits of int8 may be from those of the model, as a share of their own size. A model without its
# temperature, with a softmax too many or with other channels often names the same classes, and is found by this. Right
# exports of EfficientNet-Lite0 at 288 pixels, for 4 classes of weather, differ by 0.11.
LARGEST_LOGIT_DIFFERENCE = 0.3
# What a probability is taken to be at least, so that its logarithm is that of a number that both can tell from 0.
_LEAST_PROBABILITY = 1e-4


def differ_in_logits(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The root of the mean square by which logits differ, as a share of that of the expected ones.

    Args:
        found, expected: probabilities, shape `(n, num_classes)`; their logits are taken to be 0 on average. 0 where
            the expected ones are the same for all classes.
    """
    pair = []
    for probabilities in (found, expected):
        logits = np.log(np.maximum(probabilities.astype(np.float64), _LEAST_PROBABILITY))
        pair.append(logits - logits.mean(axis=1, keepdims=True))
    size = float(np.square(pair[1]).sum())
    return float(np.sqrt(np.square(pair[0] - pair[1]).sum() / size)) if size else 0.0


def fails_in_numbers(target: Target, worst: tuple[float, str], mean: float, pixels: int) -> list[str]:
    """The gates of probabilities and pixels that are not passed, a sentence each.

    Args:
        target: decides which there are.
        worst: the largest difference of a probability, and the photo that it is found in.
        mean: difference of a probability.
        pixels: levels by which a pixel of the resize differs.
    """
    found = []
    most = LARGEST_DIFFERENCE.get(target.precision)
    if most is not None and not worst[0] <= most:
        found.append(
            _("a probability differs by {difference:.2g}, and {most:g} is allowed, as in {path!r}.").format(
                difference=worst[0], most=most, path=worst[1]
            )
        )
    if target.precision == "browser" and not mean <= LARGEST_MEAN_DIFFERENCE:
        found.append(
            _("probabilities differ by {difference:.2g} on average, and {most:g} is allowed.").format(
                difference=mean, most=LARGEST_MEAN_DIFFERENCE
            )
        )
    if pixels > LARGEST_PIXEL_DIFFERENCE:
        found.append(
            _("its resize differs by {difference} levels in a pixel, and {most} are allowed.").format(
                difference=pixels, most=LARGEST_PIXEL_DIFFERENCE
            )
        )
    return found


def fails_in_answers(target: Target, num_changed_sure: int, threshold: float, logit_difference: float) -> list[str]:
    """The gates of answers that int8 and a page for browsers do not pass, a sentence each.

    Args:
        target: decides which there are.
        num_changed_sure: photos of another class although the answer was sure.
        threshold: the probability from which it is.
        logit_difference: as `differ_in_logits` gives it.
    """
    found = []
    if target.precision in ("int8", "browser") and num_changed_sure:
        found.append(
            ngettext(
                "{num} photo has another class although the answer was sure (at least {threshold}).",
                "{num} photos have another class although the answer was sure (at least {threshold}).",
                num_changed_sure,
            ).format(num=num_changed_sure, threshold=percent(threshold))
        )
    if target.precision == "int8" and not logit_difference <= LARGEST_LOGIT_DIFFERENCE:
        found.append(
            _("its logits differ by {difference} of their size, and {most} are allowed.").format(
                difference=percent(logit_difference), most=round_percent(LARGEST_LOGIT_DIFFERENCE)
            )
        )
    return found


def fails_in_accuracy(test: PairedTest | None, after: float | None, before: float | None) -> list[str]:
    """The sentence about an export that is less often right than the model, by the paired test; none otherwise."""
    if test is None or test.num_only_first <= test.num_only_second or test.p_value >= SIGNIFICANCE:
        return []
    return [
        _("it is less often right: {after} and not {before}.").format(
            after=percent(after or 0), before=percent(before or 0)
        )
    ]
