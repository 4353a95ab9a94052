"""How the recipe `scratch` trains: views at growing sizes, one rise and fall of the learning rate.

How long and at which sizes is decided in `plan.py`; the other numbers stand in `hyperparameters.py`.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tellapart.networks.backend import keras
from tellapart.randomness import named_generator
from tellapart.records import EpochRecord
from tellapart.training import hyperparameters
from tellapart.training.fit import Batch, FitData, prepare_ahead
from tellapart.training.plan import Plan
from tellapart.training.random_crops import draw_views, make_views
from tellapart.training.step import SharedStep, WholeStep

# Looks at the validation photos in a whole training: each takes as long as some hundred photos of training.
_NUM_LOOKS = 8
# What the normalisations measure whole photos with; a batch counts a tenth of the mean, an earlier one less.
_NUM_WHOLE_BATCHES, _WHOLE_BATCH_SIZE = 40, 32
# What a step is worth on a clock that has not ticked since the last one.
_LEAST_PROGRESS = 1e-9


@dataclass(frozen=True)
class CourseSettings:
    """What a training from scratch is made of.

    Attributes:
        plan: sizes, length and random views.
        batch_size: photos a step.
        seed: the run's.
        clock: seconds since some moment; ends a plan that has a time.
    """

    plan: Plan
    batch_size: int
    seed: int
    clock: Callable[[], float] = time.perf_counter


class ScratchCourse:
    """A `Course` whose every step depends on how far the training has come.

    Args:
        model: compiled; its weights and optimizer are changed.
        step: how a step is taken.
        data: photos and split; the photos at the size of the plan.
        settings: as above.
    """

    def __init__(
        self, model: keras.Model, step: WholeStep | SharedStep, data: FitData, settings: CourseSettings
    ) -> None:
        self.model, self._step, self._data, self._settings = model, step, data, settings
        self._started = settings.clock()
        self._at_start = 0.0

    def progress_of(self, history: Sequence[EpochRecord]) -> float:
        """Share of the training that these epochs were."""
        self._at_start = history[-1].progress if history else 0.0
        self._started = self._settings.clock()
        return self._at_start

    def num_epochs(self) -> int:
        """Epochs of the whole training."""
        return math.ceil(self._settings.plan.num_epochs - 1e-6)

    def num_steps(self) -> int:
        """Steps of a whole epoch."""
        return max(1, round(len(self._data.split.train) / self._settings.batch_size))

    def batches(self, epoch: int, progress: float) -> Iterator[Batch]:
        """The epoch's batches in random order."""
        settings, data = self._settings, self._data
        order = named_generator(settings.seed, "order", epoch).permutation(data.split.train)
        parts = np.array_split(order, self.num_steps())
        # Every photo is mirrored in every other epoch, a random half of them in the first.
        is_mirrored = named_generator(settings.seed, "mirrored").random(len(data.labels)) < 0.5
        is_mirrored ^= epoch % 2 == 0
        prepared = prepare_ahead(
            lambda number: self._prepare(parts[number], is_mirrored[parts[number]], epoch, number), range(len(parts))
        )
        with closing(prepared):
            for batch in prepared:
                moment = self._clocked(batch.progress)
                yield replace(batch, progress=max(moment, progress + _LEAST_PROGRESS))
                if moment >= 1:
                    return

    def learn(self, batch: Batch) -> dict[str, float]:
        """One step; loss in nats and accuracy on the batch."""
        share = self._settings.plan.rate * self._settings.batch_size / hyperparameters.BATCH_SIZE
        self.model.optimizer.learning_rate = share * hyperparameters.learning_rate_at(batch.progress)
        return self._step.learn(batch.images, batch.targets)

    def is_validated(self, before: float, progress: float) -> bool:
        """Whether the epoch between the two ends with a look at the validation photos."""
        return progress >= 1 or math.floor(before * _NUM_LOOKS) < math.floor(progress * _NUM_LOOKS)

    def recalibrate_normalization(self) -> None:
        """Lets the normalisations measure whole training photos at the size that is predicted at.

        Their means and variances are those of crops at other sizes until then (Touvron et al. 2019, section 4.2). The
        old ones count for `momentum ** passes` afterwards, as good as nothing.
        """
        settings, data = self._settings, self._data
        generator = named_generator(settings.seed, "whole photos")
        flip = settings.plan.phases[-1].crops.flip
        for _ in range(_NUM_WHOLE_BATCHES):
            rows = generator.choice(data.split.train, min(_WHOLE_BATCH_SIZE, len(data.split.train)), replace=False)
            photos, is_mirrored = data.images.gather(rows), generator.random(len(rows)) < 0.5
            if flip:
                photos[is_mirrored] = photos[is_mirrored, :, ::-1]
            self._step.update_moving_averages(photos)

    def _clocked(self, planned: float) -> float:
        """The progress by the clock, where a time was asked for."""
        seconds = self._settings.plan.seconds
        if seconds is None:
            return planned
        return min(1.0, self._at_start + (self._settings.clock() - self._started) / seconds)

    def _prepare(self, rows: NDArray[np.int64], is_mirrored: NDArray[np.bool_], epoch: int, number: int) -> Batch:
        """The views of these photos, as the moment of the training has them."""
        settings, data = self._settings, self._data
        generator = named_generator(settings.seed, "views", epoch, number)
        before, after = (
            settings.plan.progress_after(epoch - 1 + step / self.num_steps()) for step in (number, number + 1)
        )
        moment = self._clocked(before)
        phase, is_clean = settings.plan.phase_at(moment), moment >= 1 - hyperparameters.CLEAN_END
        photos = data.images.gather(rows)
        views = draw_views(
            phase.crops, is_mirrored & phase.crops.flip, (photos.shape[1:3], phase.image_size), generator
        )
        images = make_views(photos, views, phase.image_size, in_colour=not is_clean)
        num_classes = len(data.images.photos.class_names)
        targets = np.eye(num_classes, dtype=np.float32)[data.labels[rows]]
        smoothing = hyperparameters.LABEL_SMOOTHING
        return Batch(images, targets * (1 - smoothing) + smoothing / num_classes, after)
