import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tellapart
from tellapart.errors import BundleError, ConfigError, DatasetError, OutputError
from tellapart.runs.run_folder import read_run_file
from tellapart.tune import tuning
from tellapart.tune.budget import Budget
from tellapart.tune.lead import Lead, describe_lead
from tellapart.tune.objective import Objective, TrialFailedError, TrialFit, TrialPrunedError
from tellapart.tune.optuna_study import open_study
from tellapart.tune.trial_pictures import draw_study
from tellapart.tune.trial_table import TrialRecord
from tellapart.tune.tuning import Tuning, tune_recipe

FIXED: dict[str, Any] = {"recipe": "classic", "image_size": (46, 46), "augment": None}
Fit = Callable[..., TrialFit]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, cache_dir: str) -> Tuning:
    """A finished search; not to be changed."""
    out = tmp_path_factory.mktemp("tune") / "out"
    return tune_recipe(animals_dir, out, trials=3, epochs=2, cache_dir=cache_dir, **FIXED)


@pytest.fixture(scope="module")
def model_of_a_trial(tuned: Tuning) -> TrialFit:
    """What a trial comes to, for trials that are not run."""
    bundle = tellapart.load(tuned.out_dir / "models" / "0")._bundle
    return TrialFit(bundle, 0.5, 0.7, 2)


@pytest.fixture
def scripted(
    monkeypatch: pytest.MonkeyPatch, model_of_a_trial: TrialFit, tuned: Tuning
) -> Callable[[list[Any]], list[Any]]:
    """A function that makes trials come to what a list says, an accuracy or an error each; it gives those run.

    The winner is not trained.
    """

    def script(outcomes: list[Any]) -> list[Any]:
        left, run = list(outcomes), []

        def fit(self: Objective, config: Any, report: Any, most_seconds: float | None = None) -> TrialFit:
            run.append(config)
            came_to = left.pop(0)
            if isinstance(came_to, BaseException):
                raise came_to
            return replace(model_of_a_trial, accuracy=came_to)

        monkeypatch.setattr(Objective, "fit", fit)
        monkeypatch.setattr(tuning, "_train_best", lambda *search: tuned.run)
        return run

    return script


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_every_trial_is_in_the_table_the_default_first(tuned: Tuning) -> None:
    rows = rows_of(tuned.out_dir / "trials.csv")
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert [row["is_default"] for row in rows] == ["True", "False", "False"]
    assert rows[0]["learning_rate"] == "0.0001"


def test_the_pictures_are_drawn(tuned: Tuning) -> None:
    assert {"history.png", "parallel.png"} <= set(tuned.pictures)
    assert all((tuned.out_dir / name).read_bytes().startswith(b"\x89PNG") for name in tuned.pictures)


@pytest.mark.parametrize(("accuracies", "is_told"), [((0.5, 0.5, 0.5), False), ((0.5, 0.7, 0.6), True)])
def test_what_mattered_is_drawn_only_where_something_did(
    accuracies: tuple[float, ...], is_told: bool, copied: Path, tuned: Tuning
) -> None:
    space = tuning.space_of(read_run_file(tuned.run.run_dir).config, FIXED | {"epochs": 2})
    with open_study(copied / "new.sqlite3", space, 0) as study:
        for number, accuracy in enumerate(accuracies):
            values = tuned.trials[number].values
            study.add(replace(tuned.best, number=number, values=values, validation_accuracy=accuracy), {})
        assert ("importance.png" in draw_study(study.study, copied)) is is_told


def test_no_name_of_a_setting_is_cut_off(tuned: Tuning) -> None:
    for name in tuned.pictures:
        pixels = np.asarray(Image.open(tuned.out_dir / name).convert("L"))
        edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
        assert all((edge == 255).all() for edge in edges), name


def test_the_winner_is_a_normal_run_with_its_settings(tuned: Tuning) -> None:
    config = read_run_file(tuned.run.run_dir).config
    assert tuned.run.run_dir == tuned.out_dir / "best"
    assert {name: getattr(config, name) for name in tuned.best.values} == dict(tuned.best.values)
    assert tellapart.load(tuned.run.run_dir).class_names == ("cat", "dog")


def test_no_trial_saw_the_photos_that_test_the_winner(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, animals_dir: Path, cache_dir: str, scripted: Any, tuned: Tuning
) -> None:
    scripted([0.5, 0.6])
    seen: list[str] = []
    fit = Objective.fit

    def watched(self: Objective, *args: Any) -> TrialFit:
        seen.extend(self.photos.portable().paths)
        return fit(self, *args)

    monkeypatch.setattr(Objective, "fit", watched)
    found = tune_recipe(animals_dir, tmp_path / "out", trials=2, epochs=2, cache_dir=cache_dir, **FIXED)
    tested = {row["path"] for row in rows_of(tuned.run.run_dir / "split.csv") if row["split"] == "validation"}
    trained = {row["path"] for row in rows_of(tuned.run.run_dir / "split.csv") if row["split"] == "train"}
    assert (set(seen), len(tested)) == (trained, 4)
    assert found.lead is not None
    assert found.lead.num_photos == len(tested)


@pytest.mark.parametrize(
    ("came_to", "state", "reason"),
    [
        (TrialFailedError("the training diverged"), "failed", "the training diverged"),
        (TrialFailedError("out of memory"), "failed", "out of memory"),
        (ConfigError("`image_size` 5 is too small."), "failed", "`image_size` 5 is too small."),
        (TrialPrunedError(1, 0.4), "pruned", ""),
    ],
)
def test_a_trial_without_a_result_does_not_end_the_search(
    came_to: Exception, state: str, reason: str, tmp_path: Path, animals_dir: Path, cache_dir: str, scripted: Any
) -> None:
    scripted([0.5, came_to, 0.6])
    found = tune_recipe(animals_dir, tmp_path / "out", trials=3, epochs=1, cache_dir=cache_dir, **FIXED)
    assert [one.state for one in found.trials] == ["complete", state, "complete"]
    assert found.trials[1].reason == reason
    assert found.best.number == 2


@pytest.mark.parametrize("error", [RuntimeError("CUDA error"), MemoryError(), RuntimeError("out of memory")])
def test_a_crash_of_a_library_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, animals_dir: Path, cache_dir: str
) -> None:
    def crash(job: Any) -> Any:
        raise error

    monkeypatch.setattr("tellapart.tune.objective.open_recipe", crash)
    with pytest.raises(DatasetError, match="the default settings gave no model: (RuntimeError: CUDA|out of memory)"):
        tune_recipe(animals_dir, tmp_path / "out", trials=2, cache_dir=cache_dir, **FIXED)


def test_ten_failures_in_a_row_end_a_search(tmp_path: Path, animals_dir: Path, cache_dir: str, scripted: Any) -> None:
    scripted([0.5, *[TrialFailedError("no")] * 10])
    notes: list[str] = []
    watcher = tellapart.Watcher(on_note=notes.append)
    found = tune_recipe(
        animals_dir, tmp_path / "out", trials=50, epochs=1, cache_dir=cache_dir, watcher=watcher, **FIXED
    )
    assert (len(found.trials), found.lead) == (11, None)
    assert any("The last 10 trials failed" in note for note in notes)


def test_a_stopped_search_keeps_its_trials_and_goes_on(
    tmp_path: Path, animals_dir: Path, cache_dir: str, scripted: Any
) -> None:
    scripted([0.5, 0.6, KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        tune_recipe(animals_dir, tmp_path / "out", trials=4, epochs=1, cache_dir=cache_dir, **FIXED)
    assert [row["state"] for row in rows_of(tmp_path / "out" / "trials.csv")] == ["complete", "complete", "failed"]
    run = scripted([0.55])
    found = tune_recipe(animals_dir, tmp_path / "out", resume=True, epochs=1, cache_dir=cache_dir, **FIXED)
    assert (len(run), len(found.trials), found.best.number) == (1, 4, 1)


@pytest.mark.slow
def test_a_killed_search_loses_the_running_trial_alone(tmp_path: Path, animals_dir: Path, cache_dir: str) -> None:
    words = ["tune", str(animals_dir), "--out", str(tmp_path / "out"), "--recipe", "classic", "--image-size", "46"]
    line = [sys.executable, "-m", "tellapart", *words, "--epochs", "1", "--cache-dir", cache_dir]
    with subprocess.Popen([*line, "--trials", "500"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            if text.startswith("trial 1"):
                break
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
    finished = len(rows_of(tmp_path / "out" / "trials.csv"))
    assert finished >= 2
    done = subprocess.run([*line, "--trials", "3", "--resume"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    states = [row["state"] for row in rows_of(tmp_path / "out" / "trials.csv")]
    assert states[:2] == ["complete", "complete"]
    assert (tmp_path / "out" / "best" / "bundle.json").exists()
    assert not list((tmp_path / "out").glob("trial-*"))


def test_resume_needs_a_study(tmp_path: Path, animals_dir: Path) -> None:
    with pytest.raises(BundleError, match="holds no study"):
        tune_recipe(animals_dir, tmp_path / "out", resume=True, **FIXED)


def test_a_study_is_not_written_over(tuned: Tuning, animals_dir: Path, cache_dir: str) -> None:
    with pytest.raises(OutputError, match="Give `resume=True`"):
        tune_recipe(animals_dir, tuned.out_dir, epochs=2, cache_dir=cache_dir, **FIXED)


@pytest.fixture
def copied(tuned: Tuning, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tuned.out_dir, tmp_path / "copy"))


def change_version(folder: Path) -> None:
    marker = json.loads((folder / "study.json").read_bytes())
    (folder / "study.json").write_text(json.dumps(marker | {"schema": 99}))


def change_optuna(folder: Path) -> None:
    with sqlite3.connect(folder / "study.sqlite3") as connection:
        connection.execute("UPDATE version_info SET schema_version = 999")
        connection.execute("UPDATE alembic_version SET version_num = 'v9.9.9.a'")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "version": change_version,
    "optuna": change_optuna,
    "marker": lambda folder: (folder / "study.json").write_text("{"),
    "database": lambda folder: (folder / "study.sqlite3").write_bytes(b"no database at all, but long enough" * 99),
}


@pytest.mark.parametrize("damage", list(DAMAGES.values()), ids=list(DAMAGES))
def test_a_study_that_cannot_be_read_is_one_line(
    damage: Callable[[Path], object], copied: Path, animals_dir: Path, cache_dir: str
) -> None:
    damage(copied)
    with pytest.raises(BundleError, match=r"is damaged or of another version \(.+\)\. Tune again"):
        tune_recipe(animals_dir, copied, resume=True, trials=4, epochs=2, cache_dir=cache_dir, **FIXED)


def test_a_full_disk_is_told_as_one(copied: Path, tuned: Tuning, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def connect_to_full_disk(*args: Any, **settings: Any) -> sqlite3.Connection:
        connection = connect(*args, **settings)
        connection.execute("PRAGMA max_page_count = 1")  # the file keeps the size that it has
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_to_full_disk)
    space = tuning.space_of(read_run_file(tuned.run.run_dir).config, FIXED | {"epochs": 2})
    with pytest.raises(OutputError, match=r"cannot write .*study.sqlite3.* full\. Finished trials are kept"):
        fill_study(copied / "study.sqlite3", space, tuned.best)


def fill_study(path: Path, space: Any, record: TrialRecord) -> None:
    with open_study(path, space, 0) as study:
        for _number in range(1000):
            study.add(replace(record, number=study.next_number), {})


def test_other_settings_are_refused(copied: Path, animals_dir: Path, cache_dir: str) -> None:
    with pytest.raises(ConfigError, match="these differ: `epochs`"):
        tune_recipe(animals_dir, copied, resume=True, trials=4, epochs=3, cache_dir=cache_dir, **FIXED)


def test_other_photos_are_refused(copied: Path, animals_dir: Path, cache_dir: str, tmp_path: Path) -> None:
    fewer = Path(shutil.copytree(animals_dir, tmp_path / "fewer"))
    next(fewer.rglob("*.jpg")).unlink()
    with pytest.raises(DatasetError, match="are not those of the study"):
        tune_recipe(fewer, copied, resume=True, trials=4, epochs=2, cache_dir=cache_dir, **FIXED)


def test_minutes_and_trials_exclude_each_other(tmp_path: Path, animals_dir: Path) -> None:
    with pytest.raises(ConfigError, match="`minutes` and `trials` were both given"):
        tune_recipe(animals_dir, tmp_path / "out", minutes=1, trials=1, **FIXED)


def test_all_choices_of_a_small_space_are_tried_once(
    tmp_path: Path, animals_dir: Path, cache_dir: str, scripted: Any
) -> None:
    run = scripted([0.5] * 20)
    tuning_space = {"backbone": tuning.space_of(tellapart.TransferConfig(), {})["backbone"]}
    found = tune_recipe(animals_dir, tmp_path / "out", trials=20, per_class=6, cache_dir=cache_dir, seed=1)
    assert len(run) == len(found.trials) == len(tuning_space["backbone"].values)  # type: ignore[union-attr]
    assert len({config.backbone for config in run}) == len(run)


@pytest.mark.parametrize("minutes", [1.0, 10.0, 60.0])
def test_a_time_is_shared_out_between_trials_and_the_final_training(minutes: float) -> None:
    moment = [0.0]
    budget = Budget(minutes, None, clock=lambda: moment[0], started=0.0)
    num_trials = 0
    while not budget.is_search_over(num_trials, 0.05 * 60 * minutes):
        moment[0] += 0.05 * 60 * minutes
        num_trials += 1
    assert budget.final_seconds is not None
    assert 0.3 * 60 * minutes < budget.final_seconds < 60 * minutes - moment[0]


@pytest.mark.parametrize(
    ("search", "new", "words"),
    [
        ((0.8, 0.7), (0.75, 0.7), "led by 10.0 points, on new photos by 5.0 points. About 5.0 points"),
        ((0.8, 0.7), (0.85, 0.7), "None of the lead was luck"),
        ((0.8, 0.7), (0.6, 0.7), "on new photos by -10.0 points. About 20.0 points of the lead were luck"),
    ],
)
def test_the_luck_in_a_lead_is_said(search: tuple[float, float], new: tuple[float, float], words: str) -> None:
    test = tellapart.measure.scores.PairedTest("a", "b", 3, 1, 0.6)
    assert words in " ".join(describe_lead(Lead(*search, *new, 100, test)))


def test_pruned_trials_say_how_far_they_came(tmp_path: Path, animals_dir: Path, cache_dir: str, scripted: Any) -> None:
    scripted([0.5, TrialPrunedError(1, 0.25)])
    told: list[TrialRecord] = []
    tune_recipe(animals_dir, tmp_path / "out", trials=2, epochs=1, cache_dir=cache_dir, watch=told.append, **FIXED)
    assert (told[1].state, told[1].validation_accuracy, told[1].num_epochs) == ("pruned", 0.25, 1)
