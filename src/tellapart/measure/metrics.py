"""How right a model is: labels and probabilities in, an `Evaluation` out; draws and writes nothing.

Called by `workflow/` for validation photos, and for labelled photos a model has never seen.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from tellapart.errors import DatasetError
from tellapart.records import ClassScore, Evaluation

_Z_95 = 1.959963984540054  # the 0.975 quantile of the standard normal distribution
_SUM_TOLERANCE = 1e-3


def wilson_interval(num_right: int, num_photos: int) -> tuple[float, float]:
    """The 95 % score interval of a share, within `[0, 1]` (Wilson 1927; Brown, Cai and DasGupta 2001, equation 4).

    Unlike the textbook interval it stays honest for few photos and for shares near 0 and 1.

    Raises:
        DatasetError: there are no photos, or `num_right` is not between 0 and their number.
    """
    if num_photos < 1 or not 0 <= num_right <= num_photos:
        raise DatasetError(
            f"{num_right!r} right out of {num_photos!r} photos has no interval. Give at least 1 photo, and from 0 "
            "to that many right."
        )
    share = num_right / num_photos
    scale = 1 + _Z_95**2 / num_photos
    centre = (share + _Z_95**2 / (2 * num_photos)) / scale
    half = _Z_95 * math.sqrt(share * (1 - share) / num_photos + _Z_95**2 / (4 * num_photos**2)) / scale
    # At the ends the formula gives exactly 0 or 1, which rounding would miss.
    low = 0.0 if num_right == 0 else max(0.0, centre - half)
    high = 1.0 if num_right == num_photos else min(1.0, centre + half)
    return low, high


def evaluate_probabilities(labels: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]) -> Evaluation:
    """The figures that the probabilities earn against the labels; the predicted class is the most probable one.

    A probability of 0 for the label counts as the smallest step of float64, so that the log loss stays finite.

    Args:
        labels: ints in `[0, num_classes)`, shape `(n,)`; classes without photos are allowed.
        probabilities: shape `(n, num_classes)`, rows summing to 1; not modified.
        class_names: the classes, in column order.

    Raises:
        DatasetError: there are no photos, or the arrays do not fit each other, or a probability is not one.
    """
    truth = np.asarray(labels)
    shares = _checked_probabilities(probabilities, len(class_names))
    _check_labels(truth, len(shares), len(class_names))
    predicted = shares.argmax(axis=1)
    num_right = int((predicted == truth).sum())
    every_class = list(range(len(class_names)))
    return Evaluation(
        accuracy=num_right / len(truth),
        interval_95=wilson_interval(num_right, len(truth)),
        num_photos=len(truth),
        log_loss=float(log_loss(truth, shares, labels=every_class)),
        per_class=_class_scores(truth, predicted, class_names),
        confusion_matrix=tuple(
            tuple(int(number) for number in row) for row in confusion_matrix(truth, predicted, labels=every_class)
        ),
    )


def _class_scores(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], class_names: Sequence[str]
) -> tuple[ClassScore, ...]:
    precisions, recalls, _, numbers = precision_recall_fscore_support(
        truth, predicted, labels=list(range(len(class_names))), zero_division=np.nan
    )
    return tuple(
        ClassScore(name, int(number), _number_or_none(precision), _number_or_none(recall))
        for name, precision, recall, number in zip(class_names, precisions, recalls, numbers, strict=True)
    )


def _number_or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _checked_probabilities(probabilities: ArrayLike, num_classes: int) -> NDArray[np.float64]:
    """The probabilities as float64, each row divided by its sum, which float32 leaves a little off 1."""
    shares = np.asarray(probabilities, np.float64)
    if num_classes < 2 or shares.ndim != 2 or shares.shape[1] != num_classes:
        raise DatasetError(
            f"probabilities have shape {shares.shape} for {num_classes} classes. Give "
            f"(n, {max(num_classes, 2)}), a column for each of at least 2 classes, as `model.predict_proba` does."
        )
    if not np.isfinite(shares).all():
        num_bad = int((~np.isfinite(shares)).any(axis=1).sum())
        raise DatasetError(
            f"the probabilities of {num_bad} of {len(shares)} photos are not finite, so the training has "
            "diverged. Train again with a smaller `learning_rate`, such as a tenth of it."
        )
    sums = shares.sum(axis=1, keepdims=True)
    if len(shares) and (shares.min() < 0 or np.abs(sums - 1).max() > _SUM_TOLERANCE):
        raise DatasetError(
            f"the probabilities run from {shares.min():g} to {shares.max():g} with sums from {sums.min():g} to "
            f"{sums.max():g}. Give numbers from 0 to 1 that sum to 1 in each row. Apply softmax to logits first."
        )
    return np.asarray(shares / sums, np.float64)


def _check_labels(labels: NDArray[np.int64], num_photos: int, num_classes: int) -> None:
    if num_photos == 0 and labels.size == 0:
        raise DatasetError("there are 0 photos to evaluate. Give at least 1 labelled photo.")
    if labels.shape != (num_photos,) or not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(
            f"labels are {labels.dtype} of shape {labels.shape} for {num_photos} photos. Give whole numbers of shape "
            f"({num_photos},), one label a photo."
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise DatasetError(
            f"labels run from {labels.min()} to {labels.max()}, and there are {num_classes} classes. Give "
            f"0 to {num_classes - 1}, in the order of the class names."
        )
