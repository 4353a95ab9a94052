"""How right a model is: labels and probabilities in, an `Evaluation` out; draws and writes nothing.

Called for validation photos, and for labelled photos a model has never seen. Every interval counts groups, not files.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from tellapart.errors import DatasetError
from tellapart.measure.intervals import grouped_interval
from tellapart.measure.scores import ClassScore, Evaluation
from tellapart.translation import gettext as _

_SUM_TOLERANCE = 1e-3


def evaluate_probabilities(
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    groups: NDArray[np.int64] | None = None,
) -> Evaluation:
    """The figures that the probabilities earn against the labels; the predicted class is the most probable one.

    A probability of 0 for the label counts as the smallest step of float64, so that the log loss stays finite.

    Args:
        labels: ints in `[0, num_classes)`, shape `(n,)`; classes without photos are allowed.
        probabilities: shape `(n, num_classes)`, rows summing to 1; not modified.
        class_names: the classes, in column order.
        groups: ints, shape `(n,)`, equal for photos that belong together; `None` where none do.

    Raises:
        DatasetError: there are no photos, or the arrays do not fit each other, or a probability is not one.
    """
    truth = np.asarray(labels)
    shares = _checked_probabilities(probabilities, len(class_names))
    _check_labels(truth, len(shares), len(class_names))
    every_photo = np.arange(len(truth)) if groups is None else groups
    predicted = shares.argmax(axis=1)
    is_right = predicted == truth
    every_class = list(range(len(class_names)))
    per_class = _class_scores(truth, predicted, class_names, every_photo)
    balanced, balanced_interval = _balanced_accuracy(per_class)
    frequent = max(per_class, key=lambda score: score.num_photos)
    return Evaluation(
        accuracy=int(is_right.sum()) / len(truth),
        interval_95=grouped_interval(is_right, every_photo),
        num_photos=len(truth),
        num_groups=len(np.unique(every_photo)),
        balanced_accuracy=balanced,
        balanced_interval_95=balanced_interval,
        macro_f1=_macro_f1(truth, predicted),
        constant_class=frequent.class_name,
        constant_accuracy=frequent.num_photos / len(truth),
        log_loss=float(log_loss(truth, shares, labels=every_class)),
        per_class=per_class,
        confusion_matrix=tuple(
            tuple(int(number) for number in row) for row in confusion_matrix(truth, predicted, labels=every_class)
        ),
    )


def _class_scores(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], class_names: Sequence[str], groups: NDArray[np.int64]
) -> tuple[ClassScore, ...]:
    precisions, recalls, *_f1, numbers = precision_recall_fscore_support(
        truth, predicted, labels=list(range(len(class_names))), zero_division=np.nan
    )
    scores = []
    for label, name in enumerate(class_names):
        of_class = truth == label
        scores.append(
            ClassScore(
                class_name=name,
                num_photos=int(numbers[label]),
                num_groups=len(np.unique(groups[of_class])),
                precision=_number_or_none(precisions[label]),
                recall=_number_or_none(recalls[label]),
                recall_interval_95=grouped_interval(predicted[of_class] == label, groups[of_class])
                if of_class.any()
                else None,
            )
        )
    return tuple(scores)


def _balanced_accuracy(per_class: Sequence[ClassScore]) -> tuple[float, tuple[float, float]]:
    """The mean of the recalls, and its 95 % interval from theirs.

    Each bound is as far from the mean as the root of the mean squares of the distances of the recalls from their own
    bounds says: `sqrt(sum_k (r_k - l_k)^2) / K` (Zou and Donner 2008, "Construction of confidence limits about effect
    measures", equation 4). So it keeps a width where no photo is wrong.
    """
    known = [
        (one.recall, *one.recall_interval_95) for one in per_class if one.recall is not None and one.recall_interval_95
    ]
    recalls, lows, highs = (np.array(column) for column in zip(*known, strict=True))
    balanced = float(recalls.mean())
    below, above = (float(np.sqrt(np.square(recalls - bounds).sum())) / len(recalls) for bounds in (lows, highs))
    return balanced, (max(0.0, balanced - below), min(1.0, balanced + above))


def _macro_f1(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """The mean over all classes that are present or predicted of `2 right / (present + predicted)`."""
    return float(f1_score(truth, predicted, average="macro", zero_division=0.0))


def _number_or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _checked_probabilities(probabilities: ArrayLike, num_classes: int) -> NDArray[np.float64]:
    """The probabilities as float64, each row divided by its sum, which float32 leaves a little off 1."""
    shares = np.asarray(probabilities, np.float64)
    if num_classes < 2 or shares.ndim != 2 or shares.shape[1] != num_classes:
        raise DatasetError(
            _(
                "probabilities have shape {shape} for {num_classes} classes. Give (n, {num_columns}), a column for each"
                " of at least 2 classes, as `model.predict_proba` does."
            ).format(shape=shares.shape, num_classes=num_classes, num_columns=max(num_classes, 2))
        )
    if not np.isfinite(shares).all():
        num_bad = int((~np.isfinite(shares)).any(axis=1).sum())
        raise DatasetError(
            _(
                "the probabilities of {num_bad} of {num_photos} photos are not finite, because the training diverged."
                " Train again with a smaller `learning_rate`, such as a tenth of it."
            ).format(num_bad=num_bad, num_photos=len(shares))
        )
    sums = shares.sum(axis=1, keepdims=True)
    if len(shares) and (shares.min() < 0 or np.abs(sums - 1).max() > _SUM_TOLERANCE):
        raise DatasetError(
            _(
                "the probabilities run from {least:g} to {most:g}, with sums from {least_sum:g} to {most_sum:g}. Give"
                " numbers from 0 to 1 that sum to 1 in each row. Apply softmax to logits first."
            ).format(least=shares.min(), most=shares.max(), least_sum=sums.min(), most_sum=sums.max())
        )
    return np.asarray(shares / sums, np.float64)


def _check_labels(labels: NDArray[np.int64], num_photos: int, num_classes: int) -> None:
    if num_photos == 0 and labels.size == 0:
        raise DatasetError(_("there are 0 photos to evaluate. Give at least 1 labelled photo."))
    if labels.shape != (num_photos,) or not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(
            _(
                "labels are {dtype} of shape {shape} for {num_photos} photos. Give whole numbers of shape"
                " ({num_photos},), one label a photo."
            ).format(dtype=labels.dtype, shape=labels.shape, num_photos=num_photos)
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise DatasetError(
            _(
                "labels run from {least} to {most}, and there are {num_classes} classes. Give 0 to {last}, in the order"
                " of the class names."
            ).format(least=labels.min(), most=labels.max(), num_classes=num_classes, last=num_classes - 1)
        )
