"""The training loop: photos in, one `EpochRecord` after another out. Prints nothing and knows no paths.

What the network is shown, how it takes a step and when it has had enough is the recipe's: a `Course`, of `classic.py`
or `scratch.py`.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tellapart.cache.decoded_cache import CachedImages
from tellapart.measure.splits import Split
from tellapart.networks.backend import keras
from tellapart.photos.loading import num_cores, release_freed_memory
from tellapart.records import EpochRecord, StepRecord
from tellapart.training.random_crops import single_threaded_opencv

_PREDICT_BATCH_SIZE = 32
# Batches that are prepared at a time. Each is kept in memory, and shows what the training wanted when it was begun.
_MOST_TOGETHER = 4


@dataclass(frozen=True)
class FitData:
    """What a network learns from.

    Attributes:
        images: decoded photos.
        labels: int64, shape `(len(images.photos),)`.
        split: rows of `images` that train and that validate.
    """

    images: CachedImages
    labels: NDArray[np.int64]
    split: Split


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        images: uint8, shape `(n, height, width, channels)`.
        targets: as the loss takes them.
        progress: share of the whole training that is done with this step, in `(0, 1]`.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32] | NDArray[np.int64]
    progress: float


class Course(Protocol):
    """How a recipe goes about a training of its model."""

    model: keras.Model

    def progress_of(self, history: Sequence[EpochRecord]) -> float:
        """Share of the training that these epochs were; from 1 on it is over."""

    def num_epochs(self) -> int:
        """Epochs of the whole training, as far as that is known now."""

    def num_steps(self) -> int:
        """Steps of a whole epoch."""

    def batches(self, epoch: int, progress: float) -> Iterator[Batch]:
        """The batches of the epoch that begins at this progress."""

    def learn(self, batch: Batch) -> dict[str, float]:
        """One step; `loss` in nats and `accuracy` on the batch, before the weights changed."""

    def is_validated(self, before: float, progress: float) -> bool:
        """Whether the epoch between the two ends with a look at the validation photos."""

    def recalibrate_normalization(self) -> None:
        """Makes the model ready to predict, once, after the last step; the model no longer trains then."""


def fit_epochs(
    data: FitData,
    course: Course,
    history: Sequence[EpochRecord] = (),
    on_step: Callable[[StepRecord], None] = lambda record: None,
) -> Iterator[EpochRecord]:
    """One record after each epoch that is still to come; between two records the weights stand still.

    After the last of them the model is ready to predict. Every random number follows from the seed and the epoch, or is
    a variable of the model, so that a model restored after epoch n goes on as if it had never stopped.

    Args:
        data: photos and split.
        course: the recipe's.
        history: epochs the model already had.
        on_step: called after every step.
    """
    epoch, progress = len(history), course.progress_of(history)
    at_start, started = progress, time.perf_counter()
    while progress < 1:
        epoch, before, epoch_started = epoch + 1, progress, time.perf_counter()
        means = _RunningMeans()
        for step, batch in enumerate(course.batches(epoch, before), start=1):
            means.add(course.learn(batch), len(batch.images))
            progress = batch.progress
            seconds_left = (time.perf_counter() - started) / (progress - at_start) * (1 - progress)
            numbers = (epoch, max(epoch, course.num_epochs()), step, max(step, course.num_steps()))
            on_step(StepRecord(*numbers, means.loss, means.accuracy, seconds_left))
        train_seconds = time.perf_counter() - epoch_started
        if progress >= 1:
            course.recalibrate_normalization()
        validation_loss, validation_accuracy = None, None
        if course.is_validated(before, progress):
            validation_loss, validation_accuracy = _validate(course.model, data)
        release_freed_memory()
        yield EpochRecord(
            epoch=epoch,
            train_loss=means.loss,
            train_accuracy=means.accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.perf_counter() - epoch_started,
            images_per_second=means.num_images / train_seconds,
            progress=progress,
        )


class _RunningMeans:
    """Loss and accuracy over the photos of an epoch so far; a step reports its batch by itself."""

    def __init__(self) -> None:
        self.num_images = 0
        self._sums = {"loss": 0.0, "accuracy": 0.0}

    def add(self, logs: dict[str, float], num_images: int) -> None:
        self.num_images += num_images
        for name in self._sums:
            self._sums[name] += float(logs[name]) * num_images

    @property
    def loss(self) -> float:
        return self._sums["loss"] / self.num_images

    @property
    def accuracy(self) -> float:
        return self._sums["accuracy"] / self.num_images


def predict_probabilities(
    model: keras.Model, images: CachedImages, rows: NDArray[np.int64], *, mirrored: bool = False
) -> NDArray[np.float32]:
    """Probabilities of every class for the photos in `rows`, float32, shape `(len(rows), num_classes)`.

    With `mirrored` they come from the mean logits of each photo and its mirror image.
    """
    outputs = []
    for part in np.array_split(rows, max(1, -(-len(rows) // _PREDICT_BATCH_SIZE))):
        batch = images.gather(part)
        views = [batch, batch[:, :, ::-1]] if mirrored else [batch]
        logs = [np.log(np.maximum(_predict(model, view), np.finfo(np.float32).tiny)) for view in views]
        powers = np.exp(np.mean(logs, axis=0))
        outputs.append(powers / powers.sum(axis=1, keepdims=True))
    return np.concatenate(outputs)


def _predict(model: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities of every class for one batch."""
    outputs = model.predict_on_batch(np.ascontiguousarray(images))
    probabilities = np.asarray(keras.ops.convert_to_numpy(outputs), np.float32)
    if probabilities.shape[1] == 1:
        probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)
    return probabilities


def _validate(model: keras.Model, data: FitData) -> tuple[float, float]:
    """Mean loss in nats and accuracy on the validation photos."""
    labels = data.labels[data.split.validation]
    probabilities = predict_probabilities(model, data.images, data.split.validation)
    chosen = np.clip(probabilities[np.arange(len(labels)), labels], keras.config.epsilon(), 1.0)
    return float(-np.log(chosen).mean()), float((probabilities.argmax(axis=1) == labels).mean())


def prepare_ahead(prepare: Callable[[int], Batch], starts: Sequence[int]) -> Generator[Batch, None, None]:
    """The batches that begin at `starts`, in order, prepared in threads while the steps before them run.

    As many are begun at a time as there are cores, of a few: a step that its cores share is over when the last of them
    is done, so they had better all be held up alike.
    """
    num_together = min(num_cores(), _MOST_TOGETHER)
    waiting: deque[Future[Batch]] = deque()
    remaining = iter(starts)
    with single_threaded_opencv(), ThreadPoolExecutor(num_together, thread_name_prefix="augment") as pool:
        try:
            waiting.extend(pool.submit(prepare, start) for start in islice(remaining, 2 * num_together))
            while waiting:
                batch = waiting.popleft().result()
                if len(waiting) <= num_together:
                    waiting.extend(pool.submit(prepare, start) for start in islice(remaining, num_together))
                yield batch
        finally:
            for future in waiting:
                future.cancel()
