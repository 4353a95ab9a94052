"""A training is not lost: photos that vanish meanwhile, pictures that cannot be drawn, two trainings for one folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tellapart
from tellapart.config import ClassicConfig, RecipeConfig, ScratchConfig, SourceConfig, TransferConfig
from tellapart.demo.drawing import write_demo_folder
from tellapart.errors import DatasetError, OutputError, TellapartError
from tellapart.runs import run_report
from tellapart.runs import train as train_module
from tellapart.runs.head_recipe import HeadRecipe
from tellapart.runs.job import Run
from tellapart.runs.outputs import LOCK_NAME
from tellapart.runs.run_folder import claimed
from tellapart.runs.run_report import rebuild_report
from tellapart.runs.train import train
from tellapart.watcher import Watcher

RECIPES = ("transfer", "scratch", "classic")


@pytest.fixture
def config_of(tiny_backbone: Path) -> Callable[[str], RecipeConfig]:
    configs = {
        "transfer": TransferConfig(backbone=str(tiny_backbone), folds=3),
        "scratch": ScratchConfig(image_size=(32, 32), epochs=1, flip=True),
        "classic": ClassicConfig(image_size=(46, 46), epochs=1, batch_size=8),
    }
    return configs.__getitem__


@pytest.fixture
def photos_dir(tmp_path: Path) -> Path:
    """8 drawn photos of each of two classes."""
    return write_demo_folder(tmp_path / "photos", 8, seed=3)


def drop(paths: list[Path]) -> Callable[..., None]:
    """A watcher's call that deletes the photos."""

    def delete(*records: object) -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    return delete


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("num_lost", [1, 16], ids=["one", "all"])
def test_photos_that_vanish_once_they_are_looked_at_cost_no_training(
    photos_dir: Path, config_of: Any, recipe: str, num_lost: int, cache_dir: str, tmp_path: Path
) -> None:
    lost = sorted(photos_dir.rglob("*.jpg"))[:num_lost]
    watcher = Watcher(on_checked=drop(lost))
    source = SourceConfig(cache_dir=cache_dir)
    run = train(photos_dir, tmp_path / "run", config=config_of(recipe), source=source, watcher=watcher)
    assert tellapart.load(run.run_dir).class_names == ("cat", "dog")
    assert "data:image/jpeg;base64," in (run.run_dir / "report.html").read_text()
    assert json.loads((run.run_dir / "metrics.json").read_bytes())["onnx_largest_difference"] < 1e-4


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("error", [OutputError("the disk is full"), ValueError("no such colour")], ids=repr)
def test_a_report_that_fails_leaves_a_usable_run_and_a_note_and_can_be_made_later(
    photos_dir: Path,
    config_of: Any,
    recipe: str,
    error: Exception,
    cache_dir: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object, **more: object) -> bytes:
        raise error

    notes: list[str] = []
    source = SourceConfig(cache_dir=cache_dir)
    with monkeypatch.context() as patch:
        patch.setattr(run_report, "render_report", fail)
        watcher = Watcher(on_note=notes.append)
        run = train(photos_dir, tmp_path / "run", config=config_of(recipe), source=source, watcher=watcher)
    assert [note for note in notes if str(error) in note and f"`tellapart report {run.run_dir}`" in note]
    assert tellapart.load(run.run_dir).class_names == ("cat", "dog")
    assert json.loads((run.run_dir / "run.json").read_bytes())["state"] == "finished"
    assert rebuild_report(run.run_dir, cache_dir=cache_dir).read_bytes().startswith(b"<!doctype html>")


def write_nearly_the_same(folder: Path, how: str) -> Path:
    """Photos of two classes that differ by a grey level or two, or by a single pixel."""
    generator = np.random.default_rng(7)
    base = generator.integers(40, 200, (48, 48, 3))
    for label, name in enumerate(("left", "right")):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            pixels = base.copy()
            if how == "pixel":
                pixels[5 * number, 7 + 20 * label] = 255 - pixels[5 * number, 7 + 20 * label]
            else:
                pixels += 2 * label * (how == "brightness") + generator.integers(-1, 2, base.shape)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("how", ["noise", "brightness", "pixel"])
def test_photos_that_are_nearly_the_same_cost_no_training(
    how: str, config_of: Any, recipe: str, cache_dir: str, tmp_path: Path
) -> None:
    photos_dir, source = write_nearly_the_same(tmp_path / "photos", how), SourceConfig(cache_dir=cache_dir)
    run = train(photos_dir, tmp_path / "run", config=config_of(recipe), source=source)
    assert tellapart.load(run.run_dir).class_names == ("left", "right")


@pytest.fixture
def unlike_export(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function after whose call every head is measured to differ by so much from its export."""

    def differ(difference: float) -> None:
        monkeypatch.setattr(HeadRecipe, "_largest_difference", lambda *arguments: difference)

    return differ


@pytest.mark.parametrize("difference", [0.0003, 0.015])
def test_a_head_whose_export_differs_a_little_is_kept_and_the_difference_told(
    photos_dir: Path, config_of: Any, unlike_export: Any, difference: float, cache_dir: str, tmp_path: Path
) -> None:
    unlike_export(difference)
    notes: list[str] = []
    train(
        photos_dir,
        tmp_path / "run",
        config=config_of("transfer"),
        source=SourceConfig(cache_dir=cache_dir),
        watcher=Watcher(on_note=notes.append),
    )
    assert [note for note in notes if f"differs from the trained one by up to {difference:.1g}" in note]
    assert json.loads((tmp_path / "run" / "metrics.json").read_bytes())["onnx_largest_difference"] == difference


@pytest.mark.parametrize("difference", [0.3, float("nan")])
def test_a_head_whose_export_is_another_model_is_not_kept(
    photos_dir: Path, config_of: Any, unlike_export: Any, difference: float, cache_dir: str, tmp_path: Path
) -> None:
    unlike_export(difference)
    with pytest.raises(TellapartError, match="differs from the trained head"):
        train(photos_dir, tmp_path / "run", config=config_of("transfer"), source=SourceConfig(cache_dir=cache_dir))


def test_the_model_is_written_before_everything_that_can_be_made_again(
    photos_dir: Path, config_of: Any, cache_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(train_module, "write_predictions", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        train(photos_dir, tmp_path / "run", config=config_of("transfer"), source=SourceConfig(cache_dir=cache_dir))
    assert tellapart.load(tmp_path / "run").class_names == ("cat", "dog")
    assert (tmp_path / "run" / "metrics.json").exists()


def test_a_start_that_fails_takes_the_folder_away_that_it_made(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        train(tmp_path / "nothing", tmp_path / "runs" / "first")
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_fails_leaves_a_folder_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(DatasetError):
        train(tmp_path / "nothing", tmp_path / "mine" / "first")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_a_folder_that_is_claimed_cannot_be_claimed_again(tmp_path: Path) -> None:
    expected = pytest.raises(OutputError, match=rf"another training writes into .*process {os.getpid()}.*another `out`")
    with claimed(tmp_path / "run"), expected:
        train(tmp_path / "photos", tmp_path / "run")


def test_a_claim_ends_with_its_training(tmp_path: Path) -> None:
    for _ in range(2):
        with claimed(tmp_path / "run"):
            (tmp_path / "run" / "run.json").write_text("{}")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]


CLAIM = """
import sys, time
from pathlib import Path
from tellapart.runs.run_folder import claimed
from tellapart.errors import OutputError
sys.stdin.readline()
try:
    with claimed(Path(sys.argv[1])):
        print("mine", flush=True)
        sys.stdin.readline()
except OutputError as exc:
    print(exc, flush=True)
"""


def start_claims(number: int, run_dir: Path) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-c", CLAIM, str(run_dir)]
    return [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(number)]


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("is_stale", [False, True], ids=["new folder", "after a kill"])
def test_of_processes_that_race_for_a_folder_one_gets_it(tmp_path: Path, is_stale: bool) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    stale = {True: [LOCK_NAME], False: []}[is_stale]
    for name in stale:
        (run_dir / name).write_text("process 1\n")
    processes = start_claims(4, run_dir)
    for process in processes:
        say(process)
    answers = [hear(process) for process in processes]
    for process in processes:
        process.communicate("go\n", timeout=60)
    assert answers.count("mine\n") == 1
    assert sum("another training writes into" in answer for answer in answers) == 3


def test_a_killed_process_blocks_no_other(tmp_path: Path) -> None:
    (process,) = start_claims(1, tmp_path / "run")
    say(process)
    assert hear(process) == "mine\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "run" / LOCK_NAME).exists()
    with claimed(tmp_path / "run"):
        pass
    assert not (tmp_path / "run" / LOCK_NAME).exists()


def test_a_run_that_was_killed_can_be_resumed_where_its_lock_is_left(
    trained: Run, animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    shutil.copytree(trained.run_dir, tmp_path / "run")
    (tmp_path / "run" / LOCK_NAME).write_text("process 1\n")
    run = train(animals_dir, tmp_path / "run", source=source_config, resume=True)
    assert len(run.history) == len(trained.history)
    np.testing.assert_array_equal(run.is_right, trained.is_right)
