"""What a model says of photos, one by one, and when it may answer.

It says `not sure` where it would be wrong too often, and `none of these` where a photo is like none of its training. A
dial makes it name one class sooner or later than the most probable one.
"""

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tellapart.config import AnswerConfig
from tellapart.errors import ConfigError
from tellapart.measure.intervals import wilson_interval
from tellapart.measure.number_words import quote
from tellapart.measure.scores import SelectivePoint
from tellapart.measure.selective import describe_selective, threshold_for
from tellapart.photos.names import same_name_key
from tellapart.predict.bundle import Bundle
from tellapart.predict.dial import apply_dial, choose_dial, describe_dial
from tellapart.predict.inputs import Inputs
from tellapart.records import Dial, Prediction, Skipped
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

# What stands in a bundle for a distance that no photo goes beyond.
_BEYOND_ALL = float(np.finfo(np.float32).max)
_NO_ANSWER = " (no answer)"
NOT_SURE, NONE_OF_THESE = "not sure", "none of these"
# The rate of false alarms by which photos are told unfamiliar where nobody asked, and the share of photos beyond which
# that is said: twice what is to be expected, also at the lower end of its 95 % interval.
USUAL_RATE = 0.05
_MANY_UNFAMILIAR = 2 * USUAL_RATE


class AnswerRule:
    """What decides for each photo what is answered; made once for a model.

    The order is: `none of these` for what is too far away, then the class that the dial names, else the most probable
    one, or `not sure`.

    Args:
        config: the settings; a `threshold` or `max_missed` takes the place of the dial of the bundle.
        bundle: of the model; its `usual_distances` are empty where the model gives no distance.

    Attributes:
        doubts: what may be answered besides the classes.
        dial: the one that is obeyed; `None` answers with the most probable class.
        least_probability: of an answer; above 1 when none can be promised.
        largest_distance: of an answer.
        usual_distance: beyond it lie about `USUAL_RATE` of the photos like those of the training; infinite where that
            is unknown.
        notes: what the settings come to, a sentence each.

    Raises:
        ConfigError: the model lacks what a setting would take, or `not_sure` meets a dial.
    """

    def __init__(self, config: AnswerConfig, bundle: Bundle) -> None:
        self.least_probability, self.largest_distance = 0.0, math.inf
        self.usual_distance = _quantile(USUAL_RATE, bundle.usual_distances)
        self.doubts: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._class_names = bundle.class_names
        self.dial = choose_dial(config, bundle.class_names, bundle.operating, bundle.dial)
        if config.not_sure is not None:
            _check_together(config.not_sure, self.dial)
            self.doubts += (NOT_SURE,)
            self.least_probability = _least_probability(config.not_sure, bundle.selective)
            self.notes += (describe_selective(bundle.selective, config.not_sure),)
        if config.none_of_these is not None:
            self.doubts += (NONE_OF_THESE,)
            self.largest_distance = _largest_distance(config.none_of_these, bundle.usual_distances)
        if self.dial is not None:
            self.notes += (describe_dial(self.dial, bundle.operating),)

    def apply(self, prediction: Prediction) -> Prediction:
        """The prediction with its doubt where it has one, and else with what the dial names."""
        if prediction.distance is not None and prediction.distance > self.largest_distance:
            return replace(self._with_dial(prediction), doubt=NONE_OF_THESE)
        if prediction.highest_probability < self.least_probability:
            return replace(prediction, doubt=NOT_SURE)
        return self._with_dial(prediction)

    def _with_dial(self, prediction: Prediction) -> Prediction:
        """The prediction with the class that the dial names, where that is not the nearest."""
        if self.dial is None:
            return prediction
        (place,) = apply_dial(self.dial, self._class_names, np.array([prediction.probabilities]))
        name = self._class_names[place]
        if name == prediction.nearest_class:
            return prediction
        return replace(prediction, by_dial=(name, prediction.probabilities[place]))


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
        numbers: for each of the inputs a row of probabilities, with a distance behind them where the model can tell,
            or why there is none.

    Attributes:
        doubts, dial: as in `AnswerRule`.
        answers: as in `AnswerMaker`.
    """

    def __init__(
        self, inputs: Inputs, maker: AnswerMaker, numbers: Generator[NDArray[np.float32] | Skipped, None, None]
    ) -> None:
        self.doubts, self.dial, self.answers = maker.rule.doubts, maker.rule.dial, maker.answers
        self._inputs, self._maker, self._numbers = inputs, maker, numbers
        self._skipped: list[Skipped] = []
        self._num_read, self._num_unfamiliar = 0, 0
        self._items = self._read()

    def __next__(self) -> Prediction:
        return next(item for row, item in self._items if isinstance(item, Prediction))

    def __len__(self) -> int:
        """Photos there are, those that cannot be read included."""
        return len(self._inputs)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Photos that could not be read so far, and in the end the files that are none; complete when all are read."""
        return tuple(self._skipped)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the settings come to, and whether many of the photos read so far look unfamiliar, a sentence each."""
        rule_notes = self._maker.rule.notes
        if NONE_OF_THESE in self.doubts or not self._num_read:
            return rule_notes
        if wilson_interval(self._num_unfamiliar, self._num_read)[0] <= _MANY_UNFAMILIAR:
            return rule_notes
        note = ngettext(
            "{num:,} of {num_photos:,} photos looks unlike the training photos. `none_of_these={rate:g}` answers 'none "
            "of these' for such photos.",
            "{num:,} of {num_photos:,} photos look unlike the training photos. `none_of_these={rate:g}` answers 'none "
            "of these' for such photos.",
            self._num_unfamiliar,
        ).format(num=self._num_unfamiliar, num_photos=self._num_read, rate=USUAL_RATE)
        return (*rule_notes, note)

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
                prediction = self._maker.make(self._inputs.paths[row], numbers)
                self._num_read += 1
                self._num_unfamiliar += (prediction.distance or 0.0) > self._maker.rule.usual_distance
                yield row, prediction
        for number, skipped in enumerate(self._inputs.skipped, len(self._inputs)):
            self._skipped.append(skipped)
            yield number, skipped


def _least_probability(not_sure: float, selective: Sequence[SelectivePoint]) -> float:
    if not selective:
        raise ConfigError(
            _(
                "`not_sure` needs a model whose mistakes were measured, and the mistakes of this model were not. "
                "Train again with more photos, or leave `not_sure` out."
            ),
            field="not_sure",
            value=not_sure,
        )
    threshold = threshold_for(selective, not_sure)
    return math.inf if threshold is None else threshold


def _largest_distance(none_of_these: float, usual: Sequence[float]) -> float:
    if not usual:
        raise ConfigError(
            _(
                "`none_of_these` needs a model that can detect unfamiliar photos, and this model cannot. "
                "Train with `recipe='transfer'`, or leave `none_of_these` out."
            ),
            field="none_of_these",
            value=none_of_these,
        )
    largest = _quantile(none_of_these, usual)
    if largest == math.inf:
        raise ConfigError(
            _(
                "`none_of_these` {rate:g} asks for fewer false alarms than the photos of this model could "
                "show. Give a larger rate, such as 0.05. With more training photos, rates down to 0.005 are "
                "possible."
            ).format(rate=none_of_these),
            field="none_of_these",
            value=none_of_these,
        )
    return largest


def _quantile(rate: float, usual: Sequence[float]) -> float:
    """The distance that this share of usual photos goes beyond; infinite where that is unknown."""
    if not usual:
        return math.inf
    largest = usual[math.ceil((1 - rate) * (len(usual) - 1))]
    return math.inf if largest >= _BEYOND_ALL else largest


def _check_together(not_sure: float, dial: Dial | None) -> None:
    if dial is not None:
        raise ConfigError(
            _(
                "`not_sure` does not go with the threshold of {name}: `not_sure` promises few wrong answers, and the "
                "threshold allows more of them to miss fewer photos. Leave `not_sure` out, or set the threshold aside "
                "with `threshold='off'`."
            ).format(name=quote(dial.class_name)),
            field="not_sure",
            value=not_sure,
        )
