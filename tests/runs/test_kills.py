"""A training that is killed again and again ends with the weights of one that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tellapart.predict.model import load
from tellapart.runs.job import Run

# The same settings as the shared run `trained`; a line a step tells the test how far it is.
CHILD = """
import sys
import tellapart
source, out, cache_dir, is_resumed = sys.argv[1:]
tellapart.train(
    source,
    out,
    config=tellapart.ClassicConfig(image_size=(46, 48), epochs=2, batch_size=8, learning_rate=1e-3),
    source=tellapart.SourceConfig(cache_dir=cache_dir),
    resume=is_resumed == "yes",
    watcher=tellapart.Watcher(on_step=lambda record: print(record.epoch, record.step, flush=True)),
)
print("finished", flush=True)
"""


def start(source: Path, out: Path, cache_dir: str) -> subprocess.Popen[str]:
    is_resumed = "yes" if (out / "run.json").exists() else "no"
    command = [sys.executable, "-c", CHILD, str(source), str(out), cache_dir, is_resumed]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_at_a_random_moment(process: subprocess.Popen[str], chance: random.Random) -> None:
    """SIGKILL after a few steps, or during the results that follow the last one."""
    assert process.stdout is not None
    for _ in range(chance.randint(0, 7)):
        process.stdout.readline()
    time.sleep(chance.uniform(0, 0.4))
    process.kill()
    process.wait()
    process.stdout.close()


def survive_kills(num_kills: int, source: Path, out: Path, cache_dir: str) -> None:
    chance = random.Random(num_kills)
    for _ in range(num_kills):
        kill_at_a_random_moment(start(source, out, cache_dir), chance)
    process = start(source, out, cache_dir)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert output.splitlines()[-1] == "finished"


def final_bytes(run_dir: Path) -> tuple[bytes, bytes]:
    return (run_dir / "model.onnx").read_bytes(), (run_dir / "split.csv").read_bytes()


def test_five_kills_at_random_moments_change_nothing(
    trained: Run, animals_dir: Path, cache_dir: str, tmp_path: Path
) -> None:
    survive_kills(5, animals_dir, tmp_path / "killed", cache_dir)
    assert final_bytes(tmp_path / "killed") == final_bytes(trained.run_dir)


@pytest.mark.soak
def test_many_kills_at_random_moments_change_nothing(
    trained: Run, animals_dir: Path, cache_dir: str, tmp_path: Path
) -> None:
    survive_kills(int(os.environ["TELLAPART_TEST_KILLS"]), animals_dir, tmp_path / "killed", cache_dir)
    assert final_bytes(tmp_path / "killed") == final_bytes(trained.run_dir)


# A training that may fine-tune, on few photos; a line a step tells the test how far it is.
TUNING_CHILD = """
import sys
import tellapart
from tellapart.runs import fine_tuning_choice, finetune_recipe
from tellapart.training import fine_tuning
fine_tuning_choice._STANDARD_ERRORS, fine_tuning_choice._FEWEST_ERRORS = -100.0, 0
finetune_recipe._FEWEST, fine_tuning._STEPS_A_CHECKPOINT = 20, 1
source, out, cache_dir, is_resumed = sys.argv[1:]
tellapart.train(
    source,
    out,
    config=tellapart.FinetuneConfig(backbone="efficientnet-lite0@64", steps=3, folds=3),
    source=tellapart.SourceConfig(cache_dir=cache_dir),
    resume=is_resumed == "yes",
    watcher=tellapart.Watcher(on_step=lambda record: print(record.epoch, record.step, flush=True)),
)
print("finished", flush=True)
"""


@pytest.mark.soak
def test_kills_at_random_moments_change_nothing_in_fine_tuning(
    animals_dir: Path, cache_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "CHILD", TUNING_CHILD)
    survive_kills(0, animals_dir, tmp_path / "alone", cache_dir)
    survive_kills(8, animals_dir, tmp_path / "killed", cache_dir)
    assert final_bytes(tmp_path / "killed") == final_bytes(tmp_path / "alone")


def heed_ctrl_c() -> None:
    """Undoes what the child of a shell's background job inherits, which is to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_on_the_command_line_leaves_a_usable_run_and_says_how_to_go_on(
    animals_dir: Path, cache_dir: str, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    flags = [
        "--recipe",
        "classic",
        "--image-size",
        "46",
        "--epochs",
        "500",
        "--batch-size",
        "8",
        "--cache-dir",
        cache_dir,
    ]
    command = [sys.executable, "-c", "from tellapart.cli.app import main; main()", "train", str(animals_dir)]
    process = subprocess.Popen(
        [*command, "--out", str(out), *flags], stdout=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    )
    assert process.stdout is not None
    assert any(line.startswith("epoch   2") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "You can use the model as it is. To continue: tellapart train" in output
    assert load(out).class_names == ("cat", "dog")
    assert len((out / "history.csv").read_text().splitlines()) >= 3
