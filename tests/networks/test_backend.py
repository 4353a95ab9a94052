"""Training on every Keras backend, each in a process of its own, and what it leaves of the caller's process."""

import importlib.util
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tellapart.config import ClassicConfig, ScratchConfig, SourceConfig
from tellapart.networks.backend import global_state, keras, reproducible
from tellapart.predict.model import load
from tellapart.runs.train import train
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
    code = "import tellapart.networks.backend as b, keras; keras.backend.backend = lambda: 'abacus'\nb.find_backend()"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "KERAS_BACKEND 'abacus' is not supported. Give one of torch, tensorflow, jax" in result.stderr


IMPORT = """
import os
import tellapart.training.recipes, keras
print(keras.backend.backend(), {"KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL"} & set(os.environ))
"""


def test_keras_gets_its_backend_without_a_trace_in_the_environment() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KERAS_", "TF_"))}
    command = [sys.executable, "-c", IMPORT]
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert result.stdout.split() == ["torch", "set()"]


def draws() -> list[float]:
    """A number of each generator of the process."""
    return [random.random(), np.random.random(), float(torch.rand(())), float(keras.random.uniform(()))]


def test_what_is_drawn_while_it_is_open_follows_from_the_seed() -> None:
    found = []
    for seed in (3, 3, 4):
        with reproducible(seed):
            found.append(draws())
    assert found[0] == found[1]
    assert all(one != other for one, other in zip(found[0], found[2], strict=True))


@given(seed=st.integers(0, 2**31 - 1), num_draws=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_what_is_drawn_afterwards_is_as_if_it_had_never_been_open(seed: int, num_draws: int) -> None:
    keras.utils.set_random_seed(seed)
    for _ in range(num_draws):
        draws()
    expected = draws()
    keras.utils.set_random_seed(seed)
    for _ in range(num_draws):
        draws()
    with reproducible(seed + 1):
        draws()
    assert draws() == expected


def precision() -> tuple[str, str]:
    return keras.config.floatx(), keras.config.dtype_policy().name


@pytest.fixture
def half_precision() -> Iterator[None]:
    """Keras as a caller may have set it."""
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("half_precision")
def test_keras_is_precise_while_it_is_open_and_as_its_caller_set_it_afterwards() -> None:
    with reproducible(0):
        assert precision() == ("float32", "float32")
    assert precision() == ("float16", "mixed_bfloat16")


@pytest.mark.usefixtures("half_precision")
def test_keras_is_as_its_caller_set_it_after_an_error() -> None:
    def fail() -> None:
        with reproducible(0):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert precision() == ("float16", "mixed_bfloat16")


def test_keras_knows_no_seed_again_if_it_knew_none() -> None:
    global_state.set_global_attribute("global_random_seed", None)
    with reproducible(5):
        assert global_state.get_global_attribute("global_random_seed") is not None
    assert global_state.get_global_attribute("global_random_seed") is None


def process_state() -> dict[str, object]:
    """What a library call could change in the process of its caller."""
    return {
        "environment": dict(os.environ),
        "python": random.getstate(),
        "numpy": [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],
        "torch": torch.get_rng_state().tolist(),
        "keras": (
            global_state.get_global_attribute("global_random_seed"),
            keras.config.floatx(),
            keras.config.dtype_policy().name,
        ),
        "warnings": list(warnings.filters),
        "threads": (torch.get_num_threads(), cv2.getNumThreads()),
        "errors of numpy": np.geterr(),
    }


@pytest.mark.parametrize(
    "config",
    [ScratchConfig(image_size=(32, 48), epochs=2), ClassicConfig(image_size=(46, 48), epochs=1, batch_size=8)],
    ids=["scratch", "classic"],
)
def test_a_training_leaves_the_process_of_its_caller_as_it_was(
    config: ScratchConfig | ClassicConfig, animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    before = process_state()
    train(animals_dir, tmp_path / "run", config=config, source=source_config)
    assert process_state() == before
