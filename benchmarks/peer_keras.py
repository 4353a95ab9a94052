"""The article's sequel in plain Keras: a frozen pretrained network inside `fit`, a dense layer on top.

Runs in any environment with Keras and OpenCV, on the backend that `KERAS_BACKEND` names. The network is read from a
`.keras` file, so that every side has the same weights. Prints one line of JSON: wall time of training, validation
accuracy, and photos a second from files to answers.
"""

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np

from peer_photos import BATCH_SIZE, LEARNING_RATE, read_images, read_split


def main() -> None:
    """Trains the head through the frozen network, then predicts the validation photos from their files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("split", type=Path, help="split.csv of a tellapart run")
    parser.add_argument("network", type=Path, help=".keras file: pixels to embedding and features")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--only-predict", action="store_true", help="leave out the training")
    arguments = parser.parse_args()
    train, validation = read_split(arguments.split)
    base = keras.models.load_model(arguments.network)
    base.trainable = False
    embedding = base(base.input, training=False)[0]
    model = keras.Model(base.input, keras.layers.Dense(1, activation="sigmoid")(embedding))
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=LEARNING_RATE), loss="binary_crossentropy", metrics=["accuracy"]
    )
    result = {"backend": keras.backend.backend()}
    if not arguments.only_predict:
        started = time.perf_counter()
        images, validation_images = read_images(train.paths), read_images(validation.paths)
        model.fit(
            images,
            train.labels.astype(np.float32)[:, None],
            batch_size=BATCH_SIZE,
            epochs=arguments.epochs,
            validation_data=(validation_images, validation.labels.astype(np.float32)[:, None]),
            verbose=0,
        )
        result["train_seconds"] = time.perf_counter() - started
    model.predict(read_images(validation.paths[:BATCH_SIZE]), batch_size=BATCH_SIZE, verbose=0)  # traces and allocates
    started = time.perf_counter()
    answers = model.predict(read_images(validation.paths), batch_size=BATCH_SIZE, verbose=0)[:, 0] > 0.5
    seconds = time.perf_counter() - started
    result["photos_per_second"] = len(validation.paths) / seconds
    if not arguments.only_predict:
        result["validation_accuracy"] = float((answers == validation.labels).mean())
    print(json.dumps(result))


if __name__ == "__main__":
    main()
