"""The Keras model on the other backends; `make test-exports` runs it, where TensorFlow and JAX are installed."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tellapart

LARGEST_DIFFERENCE = 1e-5
ANSWER = """
import sys
import keras
import numpy as np

model = keras.saving.load_model(sys.argv[1], compile=False)
found = model.predict(np.load(sys.argv[2]).astype("float32"), verbose=0)
np.save(sys.argv[3], np.asarray(found["probabilities"] if isinstance(found, dict) else found))
"""


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_keras_model_answers_alike_on_every_backend(
    backend: str, name: str, made: Callable[[str], Any], transfer_run: "tellapart.Run", tmp_path: Path
) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    model = tellapart.load(transfer_run.run_dir)
    images = np.random.default_rng(0).integers(0, 256, (3, *model.preprocess.shape)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-c", ANSWER, made("keras").export.folder / name, "images.npy", "found.npy"]
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, model.predict_proba(images), rtol=0, atol=LARGEST_DIFFERENCE)
