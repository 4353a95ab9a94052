"""A call from Python leaves the process as it was: a notebook's seeds, warnings and threads are its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

# Told to two libraries before they are imported, so that nothing is sent anywhere.
ALLOWED_VARIABLES = {"ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"}

# Runs one call between two looks at the process. What the call needs is imported before the first look, for an import
# of PyTorch or Keras is its own business.
SCRIPT = """
import hashlib, json, locale, logging, os, pickle, random, signal, sys, warnings

import cv2
import keras
import matplotlib
import numpy as np
import sklearn.linear_model
import torch

import tellapart
import tellapart.backbones.onnx_session

photos, run, backbone = sys.argv[1:4]
ALLOWED = {"ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"}


def digest(value):
    return hashlib.sha256(pickle.dumps(value)).hexdigest()


def snapshot():
    mask = os.umask(0)
    os.umask(mask)
    return {
        "environment": sorted((name, digest(value)) for name, value in os.environ.items() if name not in ALLOWED),
        "warning filters": [str(one) for one in warnings.filters],
        "state of random": digest(random.getstate()),
        "state of numpy": digest(np.random.get_state()),
        "state of torch": digest(torch.get_rng_state().numpy()),
        "threads of torch": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "determinism of torch": torch.are_deterministic_algorithms_enabled(),
        "threads of OpenCV": cv2.getNumThreads(),
        "log level of OpenCV": cv2.utils.logging.getLogLevel(),
        "locale": locale.setlocale(locale.LC_ALL),
        "signal handlers": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "root logger": [logging.root.level, [str(handler) for handler in logging.root.handlers]],
        "hook for exceptions": str(sys.excepthook),
        "working folder": os.getcwd(),
        "umask": mask,
        "dtype of Keras": keras.config.floatx(),
        "backend of Matplotlib": matplotlib.rcParams["backend"],
        "float errors of numpy": np.geterr(),
    }


before = snapshot()
CALL
after = snapshot()
print(json.dumps({name: [before[name], after[name]] for name in before if before[name] != after[name]}))
"""

TRAIN = "tellapart.train(photos, run, {}, seed=3)"
CALLS = {
    "check": "tellapart.check(photos, backbone=backbone)",
    "train transfer": TRAIN.format("backbone=backbone"),
    "train scratch": TRAIN.format("recipe='scratch', epochs=1, image_size=(32, 32)"),
    "train classic": TRAIN.format("recipe='classic', epochs=1, image_size=(48, 48)"),
}
CALLS_WITH_A_MODEL = {
    "predict": "list(tellapart.load(run).predict(photos))",
    "evaluate": "tellapart.evaluate(tellapart.load(run), photos)",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of drawn photos, 16 of each."""
    folder = tmp_path_factory.mktemp("state") / "photos"
    generator = np.random.default_rng(7)
    for name, base in (("dark", 60), ("light", 170)):
        (folder / name).mkdir(parents=True)
        for number in range(16):
            pixels = generator.integers(base - 50, base + 50, (64, 72, 3)).astype(np.uint8)
            Image.fromarray(pixels).resize((144, 128)).save(folder / name / f"{number}.png")
    return folder


def changed_by(call: str, photos: Path, run: Path, backbone: Path, home: Path) -> dict[str, list[object]]:
    """What the call has changed in a fresh process: name to the value before and after."""
    allowed = {name: value for name, value in os.environ.items() if name not in ALLOWED_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("CALL", call), str(photos), str(run), str(backbone)],
        capture_output=True,
        text=True,
        env={**allowed, "HOME": str(home)},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, list[object]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_changes_nothing_in_the_process(call: str, photos: Path, tiny_backbone: Path, tmp_path: Path) -> None:
    assert changed_by(call, photos, tmp_path / "run", tiny_backbone, tmp_path / "cache") == {}


@pytest.fixture(scope="module")
def run(photos: Path, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the recipe `classic`, trained in another process."""
    folder = tmp_path_factory.mktemp("state") / "run"
    changed_by(CALLS["train classic"], photos, folder, tiny_backbone, folder.parent)
    return folder


@pytest.mark.parametrize("call", CALLS_WITH_A_MODEL.values(), ids=CALLS_WITH_A_MODEL)
def test_using_a_model_changes_nothing_in_the_process(
    call: str, photos: Path, run: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    assert changed_by(call, photos, run, tiny_backbone, tmp_path) == {}


def test_importing_tells_only_that_nothing_is_sent() -> None:
    script = (
        "import json, os, cv2; before = dict(os.environ); import tellapart; tellapart.train; tellapart.load; "
        "tellapart.check; print(json.dumps(sorted(set(os.environ.items()) - set(before.items()))))"
    )
    clean = {name: value for name, value in os.environ.items() if name not in ALLOWED_VARIABLES}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=clean, check=True)

    assert {name for name, _ in json.loads(done.stdout)} <= ALLOWED_VARIABLES
