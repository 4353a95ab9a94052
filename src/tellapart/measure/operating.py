"""One class against the rest: what a threshold on its probability misses, and how many others it calls by its name.

Needs NumPy only, for a threshold may be chosen at every prediction.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.measure.intervals import num_independent, score_interval
from tellapart.measure.scores import OperatingCurve, OperatingPoint

# Thresholds that a person would type. Near the ends, where the probabilities of a good model are, they lie closer.
_ENDS = (0.001, 0.002, 0.003, 0.005, 0.007)
ROUND_THRESHOLDS = (
    *_ENDS,
    *(number / 100 for number in range(1, 100)),
    *(round(1 - end, 3) for end in reversed(_ENDS)),
)
# Of these there is a row in tables.
TABLE_THRESHOLDS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
# With more classes a bundle would grow by megabytes.
_MOST_FINE = 20
# So many photos of the class may be missed one by one; beyond, a point stands for each 5 % more.
_ONE_BY_ONE, _GROWTH = 20, 1.05


def operating_curves(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    class_names: Sequence[str],
    groups: NDArray[np.int64],
) -> tuple[OperatingCurve, ...]:
    """The curve of each class that has photos, and others beside it, in class order.

    Args:
        labels: ints in `[0, num_classes)`, shape `(n,)`.
        probabilities: shape `(n, num_classes)`; otherwise as for `operating_curve`.
        class_names: in the order of the columns.
        groups: as for `operating_curve`.
    """
    thresholds = ROUND_THRESHOLDS if len(class_names) <= _MOST_FINE else TABLE_THRESHOLDS
    found = (
        operating_curve(name, labels == label, probabilities[:, label], groups, thresholds)
        for label, name in enumerate(class_names)
    )
    return tuple(curve for curve in found if curve is not None)


def operating_curve(
    class_name: str,
    is_class: NDArray[np.bool_],
    probabilities: NDArray[np.float32],
    groups: NDArray[np.int64],
    thresholds: Sequence[float] = ROUND_THRESHOLDS,
) -> OperatingCurve | None:
    """The curve of one class; `None` without photos of it, or without others.

    Its points stand at these thresholds, and at probabilities of photos of the class: each of these is the largest
    threshold that misses so few of them.

    Args:
        class_name: the class.
        is_class: whether each photo is of it, shape `(n,)`.
        probabilities: of the class, finite, shape `(n,)`, of photos the model did not learn from; not modified.
        groups: ints, shape `(n,)`, equal for photos that belong together, such as copies.
        thresholds: further points.
    """
    if is_class.all() or not is_class.any():
        return None
    own, others = np.sort(probabilities[is_class]), np.sort(probabilities[~is_class])
    counts = np.unique(_some_counts(len(own)))
    places = np.unique(np.concatenate([own[counts].astype(np.float64), thresholds]))
    missed = np.searchsorted(own.astype(np.float64), places, side="left")
    false_alarms = len(others) - np.searchsorted(others.astype(np.float64), places, side="left")
    return OperatingCurve(
        class_name,
        len(own),
        len(others),
        num_independent(groups[is_class]),
        num_independent(groups[~is_class]),
        tuple(map(OperatingPoint, places.tolist(), missed.tolist(), false_alarms.tolist())),
    )


def _some_counts(num_photos: int) -> NDArray[np.int64]:
    """Numbers of missed photos from 0 on that points are made for, all of the first ones."""
    number = max(0, int(np.ceil(np.log(max(num_photos / _ONE_BY_ONE, 1)) / np.log(_GROWTH))))
    beyond = (_ONE_BY_ONE * _GROWTH ** np.arange(number)).astype(np.int64)
    counts = np.concatenate([np.arange(min(_ONE_BY_ONE, num_photos)), beyond])
    return counts[counts < num_photos]


def point_for_missed(curve: OperatingCurve, max_missed: float) -> OperatingPoint | None:
    """The point with the largest threshold that misses at most this share of the photos of the class, new ones as well.

    One photo more counts as missed, `(missed + 1) / (n + 1)`: so the share of new photos that is missed is at most
    `max_missed` in the mean over collections, for misses only grow with the threshold (Angelopoulos et al. 2024,
    "Conformal risk control", theorem 1). Copies count as one photo: n is the number of independent photos, and of them
    the share is missed that is missed of all.

    Returns:
        `None` where there are too few photos to promise that, even if none is missed.
    """
    num = curve.num_independent
    kept = [
        point
        for point in curve.points
        if (point.num_missed / curve.num_photos * num + 1) / (num + 1) <= max_missed + 1e-12
    ]
    return kept[-1] if kept else None


def point_without_misses(curve: OperatingCurve) -> OperatingPoint:
    """The point with the largest threshold that missed none of the photos of the class."""
    return [point for point in curve.points if point.num_missed == 0][-1]


def num_needed(max_missed: float) -> int:
    """Independent photos of a class from which so small a share can be promised, if none of them is missed."""
    return int(np.ceil(1 / max_missed - 1 - 1e-9))


def table_points(curve: OperatingCurve) -> tuple[OperatingPoint, ...]:
    """What the round thresholds of a table do."""
    return tuple(point_at(curve, threshold) for threshold in TABLE_THRESHOLDS)


def operating_to_json(curves: Sequence[OperatingCurve]) -> dict[str, list[dict[str, Any]]]:
    """The part of `metrics.json` with the table of each class: photos missed and false alarms, of 1,000 each."""
    return {
        curve.class_name: [
            {
                "threshold": point.threshold,
                "missed_per_1000": 1000 * point.num_missed / curve.num_photos,
                "missed_per_1000_95": [1000 * bound for bound in missed_interval(curve, point)],
                "false_alarms_per_1000": 1000 * point.num_false_alarms / curve.num_others,
                "false_alarms_per_1000_95": [1000 * bound for bound in false_alarm_interval(curve, point)],
            }
            for point in table_points(curve)
        ]
        for curve in curves
    }


def point_at(curve: OperatingCurve, threshold: float) -> OperatingPoint:
    """What this threshold does; between two points of the curve the worse of both, which is never too good."""
    thresholds = [point.threshold for point in curve.points]
    above = int(np.searchsorted(thresholds, threshold, side="left"))
    below = int(np.searchsorted(thresholds, threshold, side="right")) - 1
    missed = curve.points[above].num_missed if above < len(thresholds) else curve.num_photos
    false_alarms = curve.points[below].num_false_alarms if below >= 0 else curve.num_others
    return OperatingPoint(threshold, missed, false_alarms)


def missed_interval(curve: OperatingCurve, point: OperatingPoint) -> tuple[float, float]:
    """The 95 % interval of the share of the class that is missed: Wilson's, by independent photos."""
    return score_interval(point.num_missed / curve.num_photos, curve.num_independent)


def false_alarm_interval(curve: OperatingCurve, point: OperatingPoint) -> tuple[float, float]:
    """The 95 % interval of the share of other photos that is called by the name of the class; likewise."""
    return score_interval(point.num_false_alarms / curve.num_others, curve.num_others_independent)
