"""How the recipe `classic` trains: the article's warp, optimizer and number of epochs, every epoch alike."""

from collections.abc import Iterator, Sequence

import numpy as np

from tellapart.config import ClassicConfig
from tellapart.networks.backend import keras, reseed
from tellapart.randomness import named_generator
from tellapart.records import EpochRecord
from tellapart.training.augment import draw_warps, warp_images
from tellapart.training.fit import Batch, FitData, prepare_ahead


class ClassicCourse:
    """A `Course` of epochs that differ in nothing but what is drawn in them.

    Args:
        model: compiled; its weights and optimizer are changed.
        data: photos and split.
        config: epochs, batch size, augmentation and seed.
    """

    def __init__(self, model: keras.Model, data: FitData, config: ClassicConfig) -> None:
        self.model, self._data, self._config = model, data, config

    def progress_of(self, history: Sequence[EpochRecord]) -> float:
        """Share of the training that these epochs were."""
        return len(history) / self._config.epochs

    def num_epochs(self) -> int:
        """Epochs of the whole training."""
        return self._config.epochs

    def num_steps(self) -> int:
        """Steps of a whole epoch."""
        return -(-len(self._data.split.train) // self._config.batch_size)

    def batches(self, epoch: int, progress: float) -> Iterator[Batch]:
        """The epoch's batches in random order."""
        config, data = self._config, self._data
        # Dropout on PyTorch draws from PyTorch's global state, which no checkpoint holds: it starts anew with each
        # epoch.
        reseed(config.seed, "dropout", epoch)
        order = named_generator(config.seed, "order", epoch).permutation(data.split.train)
        warps = None
        if config.augment is not None:
            generator = named_generator(config.seed, "augment", epoch)
            warps = draw_warps(config.augment, len(order), config.image_size, generator)
        is_binary = len(data.images.photos.class_names) == 2

        def prepare(start: int) -> Batch:
            part = slice(start, start + config.batch_size)
            images, labels = data.images.gather(order[part]), data.labels[order[part]]
            if warps is not None:
                images = warp_images(images, warps[part])
            targets = labels.astype(np.float32)[:, np.newaxis] if is_binary else labels
            done = (epoch - 1) * self.num_steps() + start // config.batch_size + 1
            return Batch(images, targets, done / (config.epochs * self.num_steps()))

        return prepare_ahead(prepare, range(0, len(order), config.batch_size))

    def learn(self, batch: Batch) -> dict[str, float]:
        """One step; loss in nats and accuracy on the batch."""
        logs: dict[str, float] = self.model.train_on_batch(batch.images, batch.targets, return_dict=True)
        return logs

    def is_validated(self, before: float, progress: float) -> bool:
        """Whether the epoch between the two ends with a look at the validation photos."""
        return True

    def recalibrate_normalization(self) -> None:
        """Nothing: the network has no normalisation."""
