"""The training loop: photos in, one `EpochRecord` after another out. Prints nothing and knows no paths."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.config import TrainConfig
from tellapart.learn.backend import keras, release_freed_memory
from tellapart.photos.augment import draw_warps, warp_images
from tellapart.photos.cache import CachedImages
from tellapart.photos.splits import Split
from tellapart.randomness import named_generator
from tellapart.records import EpochRecord, StepRecord

_PREDICT_BATCH_SIZE = 32


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


def fit_epochs(
    model: keras.Model,
    data: FitData,
    config: TrainConfig,
    num_done: int = 0,
    on_step: Callable[[StepRecord], None] = lambda record: None,
) -> Iterator[EpochRecord]:
    """One record after each epoch from `num_done + 1` to `config.epochs`; between two records the weights stand still.

    Every random number follows from the seed and the epoch, or is a variable of the model, so that a model restored
    after epoch n goes on as if it had never stopped.

    Args:
        model: compiled; its weights and optimizer are changed.
        data: photos and split.
        config: epochs, batch size, augmentation and seed.
        num_done: epochs the model already had.
        on_step: called after every step.
    """
    num_steps = -(-len(data.split.train) // config.batch_size)
    started, steps_done = time.perf_counter(), 0
    for epoch in range(num_done + 1, config.epochs + 1):
        epoch_started = time.perf_counter()
        # Dropout on PyTorch draws from PyTorch's global state, which no checkpoint holds: it starts anew with each
        # epoch.
        keras.utils.set_random_seed(int(named_generator(config.seed, "dropout", epoch).integers(2**31 - 1)))
        means = _RunningMeans()
        for step, (images, labels) in enumerate(_batches(data, config, epoch), start=1):
            means.add(model.train_on_batch(images, labels, return_dict=True), len(images))
            steps_done += 1
            seconds_a_step = (time.perf_counter() - started) / steps_done
            steps_left = (config.epochs - epoch) * num_steps + num_steps - step
            on_step(
                StepRecord(
                    epoch, config.epochs, step, num_steps, means.loss, means.accuracy, seconds_a_step * steps_left
                )
            )
        train_seconds = time.perf_counter() - epoch_started
        validation_loss, validation_accuracy = _validate(model, data)
        release_freed_memory()
        yield EpochRecord(
            epoch=epoch,
            train_loss=means.loss,
            train_accuracy=means.accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.perf_counter() - epoch_started,
            images_per_second=len(data.split.train) / train_seconds,
        )


class _RunningMeans:
    """Loss and accuracy over the photos of an epoch so far; Keras' `train_on_batch` reports each batch by itself."""

    def __init__(self) -> None:
        self._num_images = 0
        self._sums = {"loss": 0.0, "accuracy": 0.0}

    def add(self, logs: dict[str, float], num_images: int) -> None:
        self._num_images += num_images
        for name in self._sums:
            self._sums[name] += float(logs[name]) * num_images

    @property
    def loss(self) -> float:
        return self._sums["loss"] / self._num_images

    @property
    def accuracy(self) -> float:
        return self._sums["accuracy"] / self._num_images


def predict_probabilities(model: keras.Model, images: CachedImages, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Probabilities of every class for the photos in `rows`, float32, shape `(len(rows), num_classes)`."""
    outputs = [
        np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(images.gather(part))), np.float32)
        for part in np.array_split(rows, max(1, -(-len(rows) // _PREDICT_BATCH_SIZE)))
    ]
    probabilities = np.concatenate(outputs)
    if probabilities.shape[1] == 1:
        probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)
    return probabilities


def _validate(model: keras.Model, data: FitData) -> tuple[float, float]:
    """Mean loss in nats and accuracy on the validation photos."""
    labels = data.labels[data.split.validation]
    probabilities = predict_probabilities(model, data.images, data.split.validation)
    chosen = np.clip(probabilities[np.arange(len(labels)), labels], keras.config.epsilon(), 1.0)
    return float(-np.log(chosen).mean()), float((probabilities.argmax(axis=1) == labels).mean())


def _batches(
    data: FitData, config: TrainConfig, epoch: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32] | NDArray[np.int64]]]:
    """The epoch's batches in random order, each prepared in a thread while the step before it runs."""
    order = named_generator(config.seed, "order", epoch).permutation(data.split.train)
    warps = None
    if config.augment is not None:
        generator = named_generator(config.seed, "augment", epoch)
        warps = draw_warps(config.augment, len(order), config.image_size, generator)
    is_binary = len(data.images.photos.class_names) == 2

    def prepare(start: int) -> tuple[NDArray[np.uint8], NDArray[np.float32] | NDArray[np.int64]]:
        part = slice(start, start + config.batch_size)
        images, labels = data.images.gather(order[part]), data.labels[order[part]]
        if warps is not None:
            images = warp_images(images, warps[part])
        return images, labels.astype(np.float32)[:, np.newaxis] if is_binary else labels

    starts = range(0, len(order), config.batch_size)
    with ThreadPoolExecutor(1, thread_name_prefix="augment") as pool:
        following = pool.submit(prepare, starts[0])
        for start in starts[1:]:
            batch, following = following.result(), pool.submit(prepare, start)
            yield batch
        yield following.result()
