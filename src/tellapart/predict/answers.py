"""When a model may answer: `not sure` where it would be wrong too often, `none of these` where a photo is like none."""

import math
from dataclasses import dataclass, replace

import numpy as np

from tellapart.config import check_range
from tellapart.errors import ConfigError
from tellapart.measure.selective import describe_selective, threshold_for
from tellapart.predict.predictor import Predictor
from tellapart.records import Prediction

# What stands in a bundle for a distance that no photo goes beyond.
_BEYOND_ALL = float(np.finfo(np.float32).max)
NOT_SURE, NONE_OF_THESE = "not sure", "none of these"


@dataclass(frozen=True)
class AnswerConfig:
    """What must hold for an answer.

    Attributes:
        not_sure: share of wrong answers that is accepted among those that are given; `None` answers always.
        none_of_these: share of photos like those of the training that may be taken for none of the classes; `None`
            takes every photo for one of them.
    """

    not_sure: float | None = None
    none_of_these: float | None = None

    def __post_init__(self) -> None:
        for name, rate in (("not_sure", self.not_sure), ("none_of_these", self.none_of_these)):
            if rate is not None:
                check_range(name, rate, 0, 1, open_ends=True)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What may be answered besides the classes."""
        asked = {NOT_SURE: self.not_sure, NONE_OF_THESE: self.none_of_these}
        return tuple(doubt for doubt, rate in asked.items() if rate is not None)


class AnswerRule:
    """What decides for each prediction whether it is an answer; made once for a model.

    Args:
        predictor: the model.
        config: what must hold.

    Attributes:
        needs_distances: whether predictions must come with their distance.
        least_probability: of an answer; above 1 when none can be promised.
        largest_distance: of an answer.
        notes: what the rates come to, a sentence each.

    Raises:
        ConfigError: the model lacks what it would take.
    """

    def __init__(self, predictor: Predictor, config: AnswerConfig) -> None:
        self.needs_distances = config.none_of_these is not None
        self.least_probability, self.largest_distance = 0.0, math.inf
        self.notes: tuple[str, ...] = ()
        if config.not_sure is not None:
            if not predictor.selective:
                raise ConfigError(
                    "--not-sure takes a model whose mistakes were measured, and this one was made without; train it "
                    "again, or leave --not-sure out."
                )
            threshold = threshold_for(predictor.selective, config.not_sure)
            self.least_probability = math.inf if threshold is None else threshold
            self.notes = (describe_selective(predictor.selective, config.not_sure),)
        if config.none_of_these is not None:
            predictor.check_distances()
            usual = predictor.usual_distances
            self.largest_distance = usual[math.ceil((1 - config.none_of_these) * (len(usual) - 1))]
            if self.largest_distance >= _BEYOND_ALL:
                raise ConfigError(
                    f"--none-of-these {config.none_of_these:g} asks for fewer false alarms than the photos of this "
                    "model could show; the more photos it has learnt from, the lower it may be, down to 0.005. Pass a "
                    "larger rate, such as 0.05."
                )

    def apply(self, prediction: Prediction) -> Prediction:
        """The prediction, with its doubt where it has one."""
        if prediction.distance is not None and prediction.distance > self.largest_distance:
            return replace(prediction, doubt=NONE_OF_THESE)
        if prediction.probability < self.least_probability:
            return replace(prediction, doubt=NOT_SURE)
        return prediction
