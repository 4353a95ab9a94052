"""What a model says of photos, one by one, and when it may answer.

It says `not sure` where it would be wrong too often, and `none of these` where a photo is like none of its training.
"""

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tellapart.config import check_range
from tellapart.errors import ConfigError
from tellapart.measure.scores import SelectivePoint
from tellapart.measure.selective import describe_selective, threshold_for
from tellapart.photos.names import same_name_key
from tellapart.predict.inputs import Inputs
from tellapart.records import Prediction, Skipped

# What stands in a bundle for a distance that no photo goes beyond.
_BEYOND_ALL = float(np.finfo(np.float32).max)
_NO_ANSWER = " (no answer)"
NOT_SURE, NONE_OF_THESE = "not sure", "none of these"


class AnswerRule:
    """What decides for each prediction whether it is an answer; made once for a model.

    Args:
        not_sure: share of wrong answers that is accepted among those that are given; `None` answers always.
        none_of_these: share of photos like those of the training that may be taken for none of the classes; `None`
            takes every photo for one of them.
        selective, usual_distances: of the model's bundle.

    Attributes:
        doubts: what may be answered besides the classes.
        least_probability: of an answer; above 1 when none can be promised.
        largest_distance: of an answer.
        notes: what the rates come to, a sentence each.

    Raises:
        ConfigError: a rate is not between 0 and 1, or the model lacks what it would take.
    """

    def __init__(
        self,
        not_sure: float | None,
        none_of_these: float | None,
        selective: Sequence[SelectivePoint],
        usual_distances: Sequence[float],
    ) -> None:
        self.least_probability, self.largest_distance = 0.0, math.inf
        self.doubts: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        for name, rate in (("not_sure", not_sure), ("none_of_these", none_of_these)):
            if rate is not None:
                check_range(name, rate, 0, 1, open_ends=True)
        if not_sure is not None:
            self.doubts += (NOT_SURE,)
            self.least_probability = _least_probability(not_sure, selective)
            self.notes = (describe_selective(selective, not_sure),)
        if none_of_these is not None:
            self.doubts += (NONE_OF_THESE,)
            self.largest_distance = _largest_distance(none_of_these, usual_distances)

    @property
    def needs_distances(self) -> bool:
        """Whether predictions must come with their distance."""
        return NONE_OF_THESE in self.doubts

    def apply(self, prediction: Prediction) -> Prediction:
        """The prediction, with its doubt where it has one."""
        if prediction.distance is not None and prediction.distance > self.largest_distance:
            return replace(prediction, doubt=NONE_OF_THESE)
        if prediction.highest_probability < self.least_probability:
            return replace(prediction, doubt=NOT_SURE)
        return prediction


def name_doubts(class_names: Sequence[str]) -> dict[str, str]:
    """Each doubt in words that no class of the model is called, whatever its case: mostly the doubt itself."""
    taken = {same_name_key(name) for name in class_names}
    shown: dict[str, str] = {}
    for doubt in (NOT_SURE, NONE_OF_THESE):
        words = doubt
        while same_name_key(words) in taken:
            words += _NO_ANSWER
        shown[doubt] = words
    return shown


@dataclass(frozen=True)
class AnswerMaker:
    """What turns the numbers of a model into its answer; the only place that does.

    Attributes:
        class_names: the classes of the model.
        rule: when the model may answer.
    """

    class_names: Sequence[str]
    rule: AnswerRule

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """All there may be: the classes, then the doubts in words that are no class."""
        return (*self.class_names, *(self._shown_doubts[doubt] for doubt in self.rule.doubts))

    def make(self, path: str, numbers: NDArray[np.float32]) -> Prediction:
        """The answer for a photo, from a row of probabilities, with or without a distance behind them."""
        num_classes = len(self.class_names)
        probabilities = numbers[:num_classes]
        distance = float(numbers[num_classes]) if len(numbers) > num_classes else None
        best = self.class_names[int(probabilities.argmax())]
        prediction = self.rule.apply(Prediction(path, best, tuple(probabilities.tolist()), distance))
        if prediction.doubt is None or self._shown_doubts[prediction.doubt] == prediction.doubt:
            return prediction
        return replace(prediction, shown_doubt=self._shown_doubts[prediction.doubt])

    @cached_property
    def _shown_doubts(self) -> dict[str, str]:
        return name_doubts(self.class_names)


class Predictions(Iterator[Prediction]):
    """A prediction for each photo that can be read, in order, made while they are read.

    Photos are decoded and predicted ahead on all threads, a bounded number of them, so that memory does not grow with
    their number. They can be read once. Closing early ends the threads.

    Args:
        inputs: what is predicted.
        maker: turns numbers into answers.
        numbers: for each of the inputs a row of probabilities, with a distance behind them where the rule needs it, or
            why there is none.

    Attributes:
        doubts, notes: as in `AnswerRule`.
        answers: as in `AnswerMaker`.
    """

    def __init__(
        self, inputs: Inputs, maker: AnswerMaker, numbers: Generator[NDArray[np.float32] | Skipped, None, None]
    ) -> None:
        self.doubts, self.notes, self.answers = maker.rule.doubts, maker.rule.notes, maker.answers
        self._inputs, self._maker, self._numbers = inputs, maker, numbers
        self._skipped: list[Skipped] = []
        self._items = self._read()

    def __next__(self) -> Prediction:
        return next(item for _, item in self._items if isinstance(item, Prediction))

    def __len__(self) -> int:
        """Photos there are, those that cannot be read included."""
        return len(self._inputs)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Photos that could not be read so far, and in the end the files that are none; complete when all are read."""
        return tuple(self._skipped)

    def items(self) -> Iterator[tuple[int, Prediction | Skipped]]:
        """The same with what is skipped in its place: the row of each photo, files that are none behind the rows."""
        return self._items

    def close(self) -> None:
        """Nothing; no more photos are read."""
        self._items.close()
        self._numbers.close()

    def _read(self) -> Generator[tuple[int, Prediction | Skipped], None, None]:
        for row, numbers in enumerate(self._numbers):
            if isinstance(numbers, Skipped):
                self._skipped.append(numbers)
                yield row, numbers
            else:
                yield row, self._maker.make(self._inputs.paths[row], numbers)
        for number, skipped in enumerate(self._inputs.skipped, len(self._inputs)):
            self._skipped.append(skipped)
            yield number, skipped


def _least_probability(not_sure: float, selective: Sequence[SelectivePoint]) -> float:
    if not selective:
        raise ConfigError(
            "`not_sure` needs a model whose mistakes were measured, and this model's were not. Train it again with "
            "more photos, or leave `not_sure` out.",
            field="not_sure",
            value=not_sure,
        )
    threshold = threshold_for(selective, not_sure)
    return math.inf if threshold is None else threshold


def _largest_distance(none_of_these: float, usual: Sequence[float]) -> float:
    if not usual:
        raise ConfigError(
            "`none_of_these` needs a model that can tell unfamiliar photos, and this one cannot. Train one with "
            "`recipe='transfer'`, or leave `none_of_these` out.",
            field="none_of_these",
            value=none_of_these,
        )
    largest = usual[math.ceil((1 - none_of_these) * (len(usual) - 1))]
    if largest >= _BEYOND_ALL:
        raise ConfigError(
            f"`none_of_these` {none_of_these:g} asks for fewer false alarms than the photos of this model could show. "
            "Give a larger rate, such as 0.05, or train with more photos, which allows rates down to 0.005.",
            field="none_of_these",
            value=none_of_these,
        )
    return largest
