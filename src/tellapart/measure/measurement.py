"""What a model said of labelled photos it had not seen, with every figure that follows from it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.measure.calibration import measure_reliability
from tellapart.measure.metrics import evaluate_probabilities
from tellapart.measure.operating import operating_curves, operating_to_json
from tellapart.measure.power_law import describe_gain
from tellapart.measure.scores import CurvePoint, Evaluation, LearningCurve, OperatingCurve, Reliability, SelectivePoint
from tellapart.measure.selective import selective_points
from tellapart.untrusted import number_of, short_repr, text_of, whole_of

HOLD_OUT, CROSS_VALIDATION, NEW_PHOTOS = "hold-out", "cross-validation", "new photos"


@dataclass(frozen=True)
class Method:
    """How a model was measured.

    Attributes:
        name: `hold-out` or `cross-validation`; `new photos` for a test after the training.
        num_repeats: cross-validations that the probabilities are the mean of; 1 for a hold-out.
        curve: whether more photos would help; `None` where it was not measured.
        is_given: whether the source itself says which photos are held out.
        leak_accuracy: what the accuracy would have looked like with copies on both sides; `None` where it was not
            higher.
    """

    name: str
    num_repeats: int = 1
    curve: LearningCurve | None = None
    leak_accuracy: float | None = None
    is_given: bool = False

    @property
    def is_cross_validated(self) -> bool:
        """Whether the figures are of models that were each trained on a part of the photos."""
        return self.name == CROSS_VALIDATION


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a model said of labelled photos it had not seen, and how right that is.

    Attributes:
        rows: int64, shape `(n,)`: the row of each photo among all photos of the training.
        labels: int64, shape `(n,)`.
        probabilities: float32, shape `(n, num_classes)`, rows summing to 1.
        groups: int64, shape `(n,)`: equal for photos that belong together, such as copies.
        method: how it was measured.
        evaluation: accuracy, log-loss, precision and recall.
        reliability: whether the probabilities mean what they say.
        selective: how it does on the photos it is surest about, the lowest threshold first.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    groups: NDArray[np.int64]
    method: Method
    evaluation: Evaluation
    reliability: Reliability
    selective: tuple[SelectivePoint, ...]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each photo, shape `(n,)`."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @cached_property
    def operating(self) -> tuple[OperatingCurve, ...]:
        """How each class is told from the rest at many thresholds; only of classes that have photos."""
        names = [score.class_name for score in self.evaluation.per_class]
        return operating_curves(self.labels, self.probabilities, names, self.groups)

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether the most probable class is the label, shape `(n,)`."""
        return np.asarray(self.predicted == self.labels)

    @property
    def cards(self) -> NDArray[np.int64]:
        """Equal numbers for photos that are shown as one: of one group, one label and one answer; shape `(n,)`."""
        keys = np.stack([self.groups, self.labels, self.predicted], axis=1)
        return np.asarray(np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1), np.int64)

    def without_copies(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The places without those that follow another of the same card.

        Args:
            places: int64, shape `(m,)`: numbers into `rows`, in any order.
        """
        return places[np.sort(np.unique(self.cards[places], return_index=True)[1])]


def measure(
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    class_names: Sequence[str],
    method: Method,
    groups: NDArray[np.int64] | None = None,
) -> Measurement:
    """The measurement with its figures.

    Args:
        rows, labels, probabilities: as in `Measurement`; at least one photo.
        class_names: the classes, in column order.
        method: how the probabilities were come by.
        groups: as in `Measurement`; `None` where no photos belong together.

    Raises:
        DatasetError: there are no photos, or a probability is not one.
    """
    groups = np.arange(len(rows)) if groups is None else groups
    return Measurement(
        rows=rows,
        labels=labels,
        probabilities=probabilities,
        groups=groups,
        method=method,
        evaluation=evaluate_probabilities(labels, probabilities, class_names, groups),
        reliability=measure_reliability(labels, probabilities, groups),
        selective=selective_points(labels, probabilities, groups),
    )


def measurement_to_json(measurement: Measurement | None) -> dict[str, Any]:
    """The part of `metrics.json` that every recipe writes; all `None` where nothing could be measured."""
    method = None if measurement is None else measurement.method
    evaluation = None if measurement is None else measurement.evaluation
    return {
        "validation_accuracy": evaluation and evaluation.accuracy,
        "validation_interval_95": evaluation and list(evaluation.interval_95),
        "validation_balanced_accuracy": evaluation and evaluation.balanced_accuracy,
        "validation_balanced_interval_95": evaluation and list(evaluation.balanced_interval_95),
        "validation_macro_f1": evaluation and evaluation.macro_f1,
        "constant_class": evaluation and evaluation.constant_class,
        "constant_accuracy": evaluation and evaluation.constant_accuracy,
        "validation_log_loss": evaluation and evaluation.log_loss,
        "validation_brier": measurement and measurement.reliability.brier,
        "validation_method": method and method.name,
        "num_validation": 0 if evaluation is None else evaluation.num_photos,
        "num_validation_groups": 0 if evaluation is None else evaluation.num_groups,
        "per_class": evaluation and [asdict(score) for score in evaluation.per_class],
        "num_repeats": method and method.num_repeats,
        "learning_curve": method and method.curve and asdict(method.curve),
        "leak_accuracy": method and method.leak_accuracy,
        "operating_points": None if measurement is None else operating_to_json(measurement.operating),
        "is_given_split": method and method.is_given,
    }


def method_from_json(metrics: dict[str, Any]) -> Method:
    """How a model was measured, as `measurement_to_json` has written it.

    Raises:
        AttributeError, LookupError, TypeError, ValueError: something is missing or of another kind.
    """
    curve, name, leak = metrics["learning_curve"], metrics["validation_method"], metrics["leak_accuracy"]
    if name not in (HOLD_OUT, CROSS_VALIDATION):
        raise ValueError(f"measured by {short_repr(name)}")
    return Method(
        name=name,
        num_repeats=whole_of(metrics["num_repeats"], 1, 1_000_000),
        curve=None if curve is None else _curve_from_json(curve),
        leak_accuracy=None if leak is None else number_of(leak, 0, 1),
        is_given=metrics.get("is_given_split") is True,
    )


def _curve_from_json(curve: dict[str, Any]) -> LearningCurve:
    """The curve, its sentence in the language of today where the numbers for it are known.

    A run of an earlier version has only the sentence, and of the photos only how many its largest model learnt from.
    """
    error, num_groups = number_of(curve.get("error", 0.0)), whole_of(curve.get("num_groups", 0))
    low, middle, high = (number_of(bound) for bound in curve.get("prevented_95", (0.0, 0.0, 0.0)))
    sentence = text_of(curve["sentence"])
    if num_groups:
        sentence, _gain = describe_gain(error, (low, middle, high), num_groups)
    return LearningCurve(
        measured=tuple((whole_of(number, 1), number_of(one, 0, 1)) for number, one in curve["measured"]),
        fitted=tuple(
            CurvePoint(whole_of(point["num_photos"], 1), *(number_of(point[key]) for key in ("error", "low", "high")))
            for point in curve["fitted"]
        ),
        exponent_95=(number_of(curve["exponent_95"][0]), number_of(curve["exponent_95"][1])),
        num_photos=whole_of(curve.get("num_photos") or max(curve["measured"])[0], 1),
        sentence=sentence,
        gain=number_of(curve.get("gain", 0.0)),
        error=error,
        prevented_95=(low, middle, high),
        num_groups=num_groups,
    )
