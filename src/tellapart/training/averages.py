"""The running mean of a model's weights, which predicts better than the weights of any one moment."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from tellapart.networks.backend import keras

# Steps between two additions: weights that are this near in time are nearly the same.
_STEPS_APART = 4


class WeightAverage:
    """An exponential moving average of all weights, the moving means of normalisations included.

    Args:
        model: whose weights are averaged.
        reach: how far back the mean goes, as a share of the training.
    """

    def __init__(self, model: keras.Model, reach: float = 0.04) -> None:
        self._model, self._reach = model, reach
        self._num_steps = 0
        self._means = [np.array(value) for value in model.get_weights()]

    @property
    def values(self) -> tuple[NDArray[np.float32], ...]:
        """A copy of the average, in the model's order; and last, as a scalar, the number of steps so far."""
        return (*(mean.copy() for mean in self._means), np.array(self._num_steps, np.float32))

    def restore(self, values: Sequence[NDArray[np.float32]]) -> None:
        """Goes on from the `values` of another time."""
        self._means = [np.array(value) for value in values[:-1]]
        self._num_steps = int(values[-1])

    def add(self, all_steps: float) -> None:
        """Takes in the model's weights after another step of `all_steps`; the first steps are soon forgotten."""
        self._num_steps += 1
        reach = max(1.0, self._reach * all_steps)
        share = min(1.0, _STEPS_APART * max(1 / reach, 9 / (10 + self._num_steps)))
        # The mean of the first steps is the newest weights, so that a training of a few steps ends with its last.
        if share < 1 and self._num_steps % _STEPS_APART:
            return
        for mean, value in zip(self._means, self._model.get_weights(), strict=True):
            mean += share * (value - mean)

    @contextmanager
    def lent_to(self, model: keras.Model) -> Iterator[None]:
        """The model has the averaged weights as long as this is open, and its own again afterwards."""
        own = model.get_weights()
        model.set_weights(self._means)
        try:
            yield
        finally:
            model.set_weights(own)
