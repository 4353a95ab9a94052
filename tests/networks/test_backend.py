"""The same training on the other Keras backends, each in a process of its own, as Keras takes one backend a process."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tellapart.predict.model import load
from tellapart.training.fit import FitData

TRAIN_SCRATCH = """
import sys, tellapart
source, out, cache = sys.argv[1:]
config = tellapart.ScratchConfig(image_size=(32, 48), epochs=2, flip=True)
tellapart.train(source, out, config=config, source=tellapart.SourceConfig(cache_dir=cache))
"""
TRAIN = """
import sys, numpy as np, keras, tellapart
source, out, cache = sys.argv[1:]
config = tellapart.ClassicConfig(image_size=(46, 48), epochs=1, batch_size=8)
tellapart.train(source, out, config=config, source=tellapart.SourceConfig(cache_dir=cache))
tellapart.train(
    source, out, tellapart.ClassicConfig(image_size=(46, 48), epochs=2, batch_size=8),
    source=tellapart.SourceConfig(cache_dir=cache), resume=True,
)
"""
PREDICT = """
import sys, numpy as np, keras
model_path, images_path, out = sys.argv[1:]
np.save(out, np.asarray(keras.models.load_model(model_path).predict_on_batch(np.load(images_path))))
print(keras.backend.backend())
"""

OTHER_BACKENDS = pytest.mark.parametrize(
    "backend",
    [
        pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name} here"))
        for name in ("tensorflow", "jax")
    ],
)


def run(backend: str, code: str, *arguments: Path) -> str:
    environment = {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@OTHER_BACKENDS
def test_a_model_trained_on_one_backend_predicts_the_same_on_another(
    backend: str, tiny_data: FitData, tmp_path: Path
) -> None:
    images_path = tmp_path / "images.npy"
    np.save(images_path, tiny_data.images.gather(np.arange(6)))
    for name in ("torch", backend):
        run(name, TRAIN, Path(tiny_data.images.photos.source), tmp_path / name, tmp_path / "cache")
    for name in ("torch", backend):
        answers = []
        for other in ("torch", backend):
            out = tmp_path / f"{name}-on-{other}.npy"
            run(other, PREDICT, tmp_path / name / "model.keras", images_path, out)
            answers.append(np.load(out))
        np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)


@OTHER_BACKENDS
def test_the_network_from_scratch_trains_on_other_backends(backend: str, tiny_data: FitData, tmp_path: Path) -> None:
    run(backend, TRAIN_SCRATCH, Path(tiny_data.images.photos.source), tmp_path / "run", tmp_path / "cache")
    assert len(load(tmp_path / "run").class_names) == 2


def test_the_environment_chooses_the_backend() -> None:
    assert run("torch", "import tellapart.networks.backend, keras; print(keras.backend.backend())").strip() == "torch"


def test_a_backend_nobody_wrote_for_is_named() -> None:
    code = "import tellapart.networks.backend as b, keras; keras.backend.backend = lambda: 'abacus'\nb.start_backend(0)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "KERAS_BACKEND 'abacus' is not supported; accepted: torch, tensorflow, jax" in result.stderr
