"""The article's own pipeline, step by step, on TensorFlow: an OpenCV loop, `ImageDataGenerator`, `model.fit`.

Stands alone, so that it runs in an environment without tellapart (`benchmarks/article_requirements.txt`). Prints one
line of JSON: `images_per_second` while training, `read_seconds` for the loop, and what they rest on.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import keras
import numpy as np
from keras import layers

try:
    from keras.preprocessing.image import ImageDataGenerator
except ImportError:  # Keras 3 keeps it, without a public name
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

SIDE = 150
BATCH_SIZE = 32
# Steps of a run of one epoch that are not timed: TensorFlow traces and allocates in the first few.
WARM_UP_STEPS = 5


class TrainingClock(keras.callbacks.Callback):
    """Seconds spent on training steps, epoch by epoch, validation left out."""

    def __init__(self, num_warm_up_steps: int) -> None:
        super().__init__()
        self.num_warm_up_steps = num_warm_up_steps
        self.epoch_seconds: list[float] = []
        self._started = 0.0
        self._stopped = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock of the epoch."""
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock anew after the warm-up, and notes the last step."""
        self._stopped = time.perf_counter()
        if not self.epoch_seconds and batch + 1 == self.num_warm_up_steps:
            self._started = self._stopped

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes what the training steps took."""
        self.epoch_seconds.append(self._stopped - self._started)


def read_photos(folder: Path, num_photos: int | None) -> tuple[np.ndarray, np.ndarray]:
    """All photos as the article reads them, BGR uint8 `(n, 150, 150, 3)`, and 1 for a dog, 0 for a cat."""
    cats, dogs = sorted(folder.glob("cat*")), sorted(folder.glob("dog*"))
    half = None if num_photos is None else num_photos // 2
    images, labels = [], []
    for path in cats[:half] + dogs[:half]:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        images.append(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
        labels.append(1 if path.name.startswith("dog") else 0)
    return np.array(images), np.array(labels)


def split_photos(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Train and validation images, then train and validation labels, 80 to 20."""
    order = np.random.default_rng(2).permutation(len(images))
    cut = len(images) - len(images) // 5
    return images[order[:cut]], images[order[cut:]], labels[order[:cut]], labels[order[cut:]]


def build_network() -> keras.Model:
    """The article's network, compiled: 3,453,121 parameters."""
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3))])
    for filters in (32, 64, 128, 128):
        model.add(layers.Conv2D(filters, (3, 3), activation="relu"))
        model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(512, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    assert model.count_params() == 3_453_121
    optimizer = keras.optimizers.RMSprop(learning_rate=1e-4)
    model.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


def train_generator() -> ImageDataGenerator:
    """The article's augmentation."""
    return ImageDataGenerator(
        rescale=1.0 / 255,
        rotation_range=40,
        width_shift_range=0.2,
        height_shift_range=0.2,
        shear_range=0.2,
        zoom_range=0.2,
        horizontal_flip=True,
    )


def time_training(images: np.ndarray, labels: np.ndarray, epochs: int) -> dict[str, Any]:
    """Trains as the article does; speed over the epochs after the first, or after a few steps of a single one."""
    train_images, validation_images, train_labels, validation_labels = split_photos(images, labels)
    clock = TrainingClock(WARM_UP_STEPS if epochs == 1 else 0)
    history = build_network().fit(
        train_generator().flow(train_images, train_labels, batch_size=BATCH_SIZE),
        validation_data=ImageDataGenerator(rescale=1.0 / 255).flow(
            validation_images, validation_labels, batch_size=BATCH_SIZE
        ),
        epochs=epochs,
        callbacks=[clock],
        verbose=0,
    )
    if epochs == 1:
        num_timed, seconds = len(train_images) - WARM_UP_STEPS * BATCH_SIZE, clock.epoch_seconds
    else:
        num_timed, seconds = len(train_images) * (epochs - 1), clock.epoch_seconds[1:]
    return {
        "images_per_second": num_timed / sum(seconds),
        "epoch_seconds": clock.epoch_seconds,
        "num_train": len(train_images),
        "validation_accuracy": history.history["val_accuracy"],
    }


def main() -> None:
    """Reads, trains, prints the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="photos called cat.0.jpg, dog.1.jpg, ...")
    parser.add_argument("--photos", type=int, help="how many to take, half of each class (default all)")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    started = time.perf_counter()
    images, labels = read_photos(arguments.folder, arguments.photos)
    read_seconds = time.perf_counter() - started
    if len(images) * 4 // 5 <= WARM_UP_STEPS * BATCH_SIZE:
        raise SystemExit(f"{arguments.folder} gives {len(images)} photos; at least 202 are needed for a speed.")
    result = time_training(images, labels, arguments.epochs)
    versions = {"keras": keras.__version__, "backend": keras.backend.backend()}
    print(json.dumps({**result, "num_photos": len(images), "read_seconds": read_seconds, "versions": versions}))


if __name__ == "__main__":
    main()
