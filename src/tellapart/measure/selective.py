"""When to answer "not sure" instead: how a model does on the photos it is surest about, and where to draw the line.

Needs NumPy only, for `threshold_for` is called at every prediction that may be unsure.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tellapart.measure.number_words import percent
from tellapart.measure.scores import SelectivePoint
from tellapart.translation import gettext as _

_MOST_POINTS = 100
# Photos that are taken to have been wrong besides those that were, for the luck of the chosen threshold.
_FOR_CHOOSING = 3


def selective_points(
    labels: ArrayLike, probabilities: ArrayLike, groups: NDArray[np.int64] | None = None
) -> tuple[SelectivePoint, ...]:
    """Photos answered and answered wrongly at up to 100 thresholds, the lowest first; at 0 all photos are answered.

    Args:
        labels: ints in `[0, num_classes)`, shape `(n,)`; not modified. Without photos there are no points.
        probabilities: finite, shape `(n, num_classes)`, of photos the model did not learn from; not modified.
        groups: ints, shape `(n,)`, equal for photos that belong together, such as copies; `None` where none do.
    """
    truth, shares = np.asarray(labels), np.asarray(probabilities)
    if len(truth) == 0:
        return ()
    sure = shares.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    sure = sure[order]
    num_wrong = np.cumsum(shares.argmax(axis=1)[order] != truth[order])
    independent = _independent_so_far(np.arange(len(truth)) if groups is None else groups[order])
    # A threshold answers all photos of one probability or none, so it may only stand after the last of them.
    ends = np.flatnonzero(np.append(sure[1:] != sure[:-1], True))
    if len(ends) > _MOST_POINTS:
        wanted = np.linspace(0, len(truth) - 1, _MOST_POINTS + 1)[1:].round().astype(np.int64)
        ends = np.unique(ends[np.searchsorted(ends, wanted)])
    points = [
        SelectivePoint(float(sure[end]), int(end) + 1, int(num_wrong[end]), float(independent[end]))
        for end in ends[::-1]
    ]
    return (replace(points[0], threshold=0.0), *points[1:])


def _independent_so_far(groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """`num_independent` of the first photo, the first two and so on, shape `(n,)`."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.append(True, groups[order][1:] != groups[order][:-1]))
    sizes = np.diff(np.append(starts, len(groups)))
    num_before = np.empty(len(groups), np.int64)  # photos of its group that come before a photo
    num_before[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    # One photo more makes a square of m^2 one of (m + 1)^2.
    return np.asarray(np.arange(1, len(groups) + 1) ** 2 / np.cumsum(2 * num_before + 1), np.float64)


def threshold_for(points: Sequence[SelectivePoint], target_error: float) -> float | None:
    """The least probability from which a photo is answered, so that of new photos answered few enough are wrong.

    The line is drawn by what is to be expected of new photos, `_expected_errors`, and not by the share of wrong answers
    among the very photos it is drawn on, which flatters.

    Args:
        points: as `selective_points` gives them.
        target_error: share of the answered photos that may be wrong, strictly between 0 and 1.

    Returns:
        0 where all photos can be answered, `None` where even the surest cannot; `describe_selective` says why.
    """
    point = _point_for(points, target_error)
    return None if point is None else point.threshold


def describe_selective(points: Sequence[SelectivePoint], target_error: float) -> str:
    """One sentence: how many photos would be answered with this `not_sure`, or why none would be.

    Args:
        points: as `selective_points` gives them, at least one.
        target_error: as for `threshold_for`.
    """
    setting, num_photos = f"`not_sure={target_error:g}`", points[0].num_answered
    point = _point_for(points, target_error)
    if point is not None:
        answered = percent(point.num_answered / num_photos, num_photos)
        if point.threshold == 0:
            said = _(
                "With {setting} the model answers all photos. It answered {num_answered:,} of {num_photos:,} photos it"
                " had not seen, and {num_wrong:,} of these answers were wrong."
            )
        else:
            said = _(
                "With {setting} the model answers {share} of photos. It answered {num_answered:,} of {num_photos:,}"
                " photos it had not seen, and {num_wrong:,} of these answers were wrong."
            )
        return said.format(
            setting=setting,
            share=answered,
            num_photos=num_photos,
            num_answered=point.num_answered,
            num_wrong=point.num_wrong,
        )
    best = points[int(np.argmin(_expected_errors(points)))]
    if _is_never_enough(points, target_error):
        return _(
            "With {setting} the model answers no photos. There are too few photos to promise this: it takes"
            " {num_needed:,} independent photos, and the model was tested on {num_photos:,}."
        ).format(
            setting=setting,
            num_needed=math.ceil(1 / target_error - 1 - 1e-9),
            num_photos=int(max(_independent(points))),
        )
    said = _(
        "With {setting} the model answers no photos. It is too often wrong to promise this: {num_wrong:,} of its"
        " {num_answered:,} surest answers were wrong."
    )
    if is_too_few(points, target_error):
        said = _(
            "With {setting} the model answers no photos. There are too few photos to promise this: {num_wrong:,} of its"
            " {num_answered:,} surest answers were wrong."
        )
    return said.format(setting=setting, num_answered=best.num_answered, num_wrong=best.num_wrong)


def is_too_few(points: Sequence[SelectivePoint], target_error: float) -> bool:
    """Whether it is for want of photos that no threshold keeps the promise.

    That is so where even without a mistake none could, and where few enough of the photos it was surest about were
    wrong. Elsewhere, where `threshold_for` gives `None`, the model is too often wrong.
    """
    if not points or _is_never_enough(points, target_error):
        return True
    best = points[int(np.argmin(_expected_errors(points)))]
    return best.num_wrong <= target_error * best.num_answered


def _is_never_enough(points: Sequence[SelectivePoint], target_error: float) -> bool:
    """Whether no threshold could keep the promise even if no answer had been wrong."""
    return bool(_expected_errors([replace(point, num_wrong=0) for point in points]).min() > target_error)


def _point_for(points: Sequence[SelectivePoint], target_error: float) -> SelectivePoint | None:
    """The lowest point that keeps the promise, as do all between it and the one that keeps it best."""
    if not points:
        return None
    errors = _expected_errors(points)
    best = int(np.argmin(errors))
    worst_above = np.maximum.accumulate(errors[best::-1])[::-1]
    kept = np.flatnonzero(worst_above <= target_error)
    return points[kept[0]] if len(kept) else None


def _expected_errors(points: Sequence[SelectivePoint]) -> NDArray[np.float64]:
    """For each point the share of wrong answers to expect of new photos.

    It is `(wrong + 1 + 3 (1 - s)) / (answered + 1)`. The 1 counts the next photo as wrong, as conformal risk control
    does (Angelopoulos et al. 2024, theorem 1, for the loss of an answer less its target). That is enough for one point;
    the lowest of many looks good by luck as well, and the more so the smaller the share s of photos answered. Photos
    that belong together count as one: `answered` is the number of independent photos, and of them the share is wrong
    that is wrong of all.

    The 3 was found in simulations: 18 kinds of model of accuracy 0.7 to 0.99 with 60, 200 and 800 photos and targets of
    2, 5 and 10 %, 150 collections each. Among new photos answered the error is at most 1.13 times the target in the
    mean of the collections that answer any, wherever those are a fifth of all or more, and at most 0.95 times in the
    mean of all. With 0 in place of 3 it is up to twice the target. `benchmarks/coverage_not_sure.py` does the same with
    photos in groups.
    """
    answered = np.array([point.num_answered for point in points], np.float64)
    share_wrong = np.array([point.num_wrong for point in points], np.float64) / answered
    independent = _independent(points)
    for_choosing = _FOR_CHOOSING * (1 - answered / answered[0])
    return np.asarray((share_wrong * independent + 1 + for_choosing) / (independent + 1), np.float64)


def _independent(points: Sequence[SelectivePoint]) -> NDArray[np.float64]:
    """The independent photos behind each point."""
    return np.array(
        [point.num_answered if point.num_independent is None else point.num_independent for point in points], np.float64
    )
