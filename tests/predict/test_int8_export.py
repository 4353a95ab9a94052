"""A run answers by its int8 export only where that was proved to be right and faster on this machine."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import tellapart
from tellapart.backbones.onnx_session import open_session
from tellapart.errors import ConfigError

if TYPE_CHECKING:
    from tellapart.runs.job import Run

EXPORT = Path("exports/onnx-int8")
AGAIN = r" Export .* to onnx-int8 first\.$"


def rewrite(run_dir: Path, **proof: Any) -> None:
    """Nothing; the proof of the run's export says other things."""
    path = run_dir / EXPORT / "export.json"
    told = json.loads(path.read_text())
    told["proof"] |= proof
    path.write_text(json.dumps(told))


@pytest.fixture
def run_dir(trained: "Run", exported: tellapart.Export, tmp_path: Path) -> Path:
    """A run with an int8 export that was faster than float32."""
    copied = tmp_path / "run"
    shutil.copytree(trained.run_dir, copied)
    shutil.copytree(exported.folder, copied / EXPORT)
    rewrite(copied, speed_ratio=1.5)
    return copied


def test_the_export_answers_for_the_run(run_dir: Path) -> None:
    model = tellapart.load(run_dir, "int8")
    images = np.random.default_rng(0).integers(0, 256, (5, *model.preprocess.shape), np.uint8)
    session = open_session((run_dir / EXPORT / "model.onnx").read_bytes(), 1)
    (expected,) = session.run(["probabilities"], {"image": images})
    np.testing.assert_allclose(model.predict_proba(images), expected, atol=1e-5)
    float32 = tellapart.load(run_dir).predict_proba(images)
    assert 0 < abs(model.predict_proba(images) - float32).max() < 0.1


def test_predict_answers_by_the_export(run_dir: Path, animals_dir: Path, tmp_path: Path) -> None:
    tables = [tmp_path / "float32.csv", tmp_path / "int8.csv"]
    for path in tables:
        outputs = tellapart.PredictOutputs(csv=path)
        tellapart.write_predictions(run_dir, [animals_dir], outputs=outputs, runtime=path.stem)
    assert tables[0].read_bytes() != tables[1].read_bytes()


def test_int8_answers_without_onnx(run_dir: Path) -> None:
    code = (
        "import sys, tellapart; tellapart.load(sys.argv[1], 'int8'); print({'onnx', 'keras', 'torch'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, run_dir], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def remove_export(run_dir: Path) -> None:
    shutil.rmtree(run_dir / EXPORT)


def change_a_byte(run_dir: Path) -> None:
    path = run_dir / EXPORT / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def change_the_model(run_dir: Path) -> None:
    tellapart.set_dial(run_dir, threshold="cat=0.7")


def cut_short(run_dir: Path) -> None:
    path = run_dir / EXPORT / "export.json"
    path.write_text(path.read_text()[:-20])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (remove_export, r"has no int8 export\."),
        (change_a_byte, "is damaged"),
        (change_the_model, "was made from an earlier model"),
        (cut_short, "cannot be read"),
        (lambda run_dir: (run_dir / EXPORT / "export.json").write_text("[]"), "cannot be read"),
        (lambda run_dir: rewrite(run_dir, processor="another"), "was not proved on this machine"),
        (lambda run_dir: rewrite(run_dir, runtime="onnxruntime 1.20.0, sse"), "was not proved on this machine"),
        (lambda run_dir: rewrite(run_dir, speed_ratio="fast"), "cannot be read"),
    ],
)
def test_an_export_that_says_nothing_about_this_model_here_has_to_be_made_again(
    run_dir: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(run_dir)
    with pytest.raises(ConfigError, match=said + ".*" + AGAIN):
        tellapart.load(run_dir, "int8")


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        ({"failures": ["it is less often right."], "is_accepted": True}, "answers differently, as its proof says"),
        ({"speed_ratio": 0.85}, "measured 0.85 times the speed of float32"),
        ({"speed_ratio": 1.0}, "measured 1.00 times the speed of float32"),
    ],
)
def test_an_export_that_is_worse_here_is_not_used(run_dir: Path, proof: dict[str, Any], said: str) -> None:
    rewrite(run_dir, **proof)
    with pytest.raises(ConfigError, match=said + r".* Leave `runtime` out\.$"):
        tellapart.load(run_dir, "int8")


def test_another_runtime_is_refused_with_those_there_are(run_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"`runtime` 'int4' .*'int8'"):
        tellapart.load(run_dir, "int4")


def test_the_proof_names_the_processor_and_the_speed_beside_float32(exported: tellapart.Export) -> None:
    told = json.loads((exported.folder / "export.json").read_text())["proof"]
    assert told["processor"]
    assert told["speed_ratio"] > 0
