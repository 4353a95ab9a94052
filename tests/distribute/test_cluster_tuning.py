"""Trials on a cluster of two workers on this machine; what is done with their results is tested in `tests/tune`.

The trials are played: the first comes to what a script says first, and so on. So a worker loads no PyTorch.
"""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from tellapart.distribute import cluster_tuning
from tellapart.distribute.cluster_tuning import tune_on_cluster
from tellapart.distribute.ray_session import RayConfig
from tellapart.errors import ConfigError, DatasetError
from tellapart.predict.bundle import Bundle
from tellapart.tune import tuning
from tellapart.tune.objective import Objective, TrialFailedError, TrialFit
from tellapart.tune.trial_table import TrialRecord
from tellapart.tune.tuning import Tuning

# Of Ray about itself.
pytestmark = [
    pytest.mark.soak,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
FIXED: dict[str, Any] = {"recipe": "classic", "image_size": (46, 46), "augment": None, "epochs": 9}
RAY = RayConfig(workers=2)
DIES, FAILS, CRASHES = "dies", "fails", "crashes"


@dataclass(frozen=True)
class PlayedObjective:
    """Trials that come to what a script says, in the order in which they begin.

    Attributes:
        script: an accuracy, or what happens instead, of each.
        folder: where each trial that begins leaves a file.
        bundle: the model of all.
    """

    script: tuple[Any, ...]
    folder: Path
    bundle: Bundle

    def fit(self, config: Any, report: Callable[[int, float], bool], most_seconds: float | None = None) -> TrialFit:
        for number, came_to in enumerate(self.script):
            try:
                (self.folder / str(number)).touch(exist_ok=False)
            except FileExistsError:
                continue
            if came_to == DIES:
                os._exit(1)
            if came_to == FAILS:
                raise TrialFailedError("the training diverged")
            if came_to == CRASHES:
                raise ConfigError("`image_size` 5 is too small.", field="image_size", value=5)
            for epoch in range(1, 10):
                report(epoch, came_to * epoch / 9)
            return TrialFit(self.bundle, came_to, 1 - came_to, 9)
        raise AssertionError("more trials than the script has")


@pytest.fixture(scope="module")
def play(
    tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, cache_dir: str, make_bundle: Callable[..., Bundle]
) -> Callable[..., tuple[Tuning, list[TrialRecord]]]:
    """A function that plays a script on a cluster; gives the search, and what was told of its trials."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])

    def run(out: Path, *script: Any, trials: int, resume: bool = False) -> tuple[Tuning, list[TrialRecord]]:
        played = PlayedObjective(script, tmp_path_factory.mktemp("begun"), make_bundle())
        told: list[TrialRecord] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cluster_tuning, "_without_watcher", lambda objective: played)
            patch.setattr(tuning, "_measure", lambda *search: None)
            patch.setattr(tuning, "_train_best", lambda *search: replace_run())
            more = {"cache_dir": cache_dir, "watch": told.append, **FIXED}
            found = tune_on_cluster(animals_dir, out, cluster=RAY, trials=trials, resume=resume, **more)
        return found, told

    def replace_run() -> Any:
        class Run:
            is_stopped = False

        return Run()

    return run


@pytest.fixture(scope="module")
def played(play: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuning, list[TrialRecord]]:
    """A search of six trials, some of which come to nothing."""
    return play(tmp_path_factory.mktemp("cluster") / "out", 0.5, FAILS, DIES, CRASHES, 0.9, 0.6, trials=6)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_every_trial_is_a_row_and_the_default_is_first(played: Any) -> None:
    found, told = played
    rows = rows_of(found.out_dir / "trials.csv")
    assert [row["number"] for row in rows] == [str(number) for number in range(6)]
    assert [row["is_default"] for row in rows] == ["True", *["False"] * 5]
    assert [one.number for one in told] == list(range(6))
    assert rows[0]["learning_rate"] == "0.0001"


def test_a_trial_that_comes_to_nothing_is_one_row_with_its_reason(played: Any) -> None:
    reasons = sorted(one.reason for one in played[1] if one.state == "failed")
    assert reasons == [
        "`image_size` 5 is too small.",
        "its process ended, which happens when memory runs out",
        "the training diverged",
    ]


def test_the_model_of_the_best_trial_and_of_the_default_are_kept(played: Any) -> None:
    found, _told = played
    assert found.best.validation_accuracy == 0.9
    kept = {folder.name for folder in (found.out_dir / "models").iterdir()}
    assert kept == {"0", str(found.best.number)}
    assert all((found.out_dir / "models" / name / "bundle.json").exists() for name in kept)


def test_the_pictures_are_drawn_and_nothing_of_ray_is_left(played: Any) -> None:
    found, _told = played
    assert "history.png" in found.pictures
    assert not list(found.out_dir.glob("trial-*"))


def test_a_search_goes_on_and_runs_no_finished_trial_again(played: Any, play: Any, tmp_path: Path) -> None:
    import shutil

    out = Path(shutil.copytree(played[0].out_dir, tmp_path / "out"))
    before = rows_of(out / "trials.csv")
    found, told = play(out, 0.95, trials=7, resume=True)
    assert rows_of(out / "trials.csv")[:6] == before
    assert [one.number for one in told] == [6]
    assert found.best.number == 6


def test_default_settings_without_a_result_end_the_search(play: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the default settings gave no model: the training diverged"):
        play(tmp_path / "out", FAILS, trials=3)


def test_photos_in_a_zip_are_refused(pack_animals: Path, tmp_path: Path, cache_dir: str) -> None:
    with pytest.raises(DatasetError, match="cannot be sent to other processes. Unpack a zip"):
        tune_on_cluster(pack_animals, tmp_path / "out", cluster=RAY, trials=2, cache_dir=cache_dir, **FIXED)


@pytest.fixture
def pack_animals(animals_dir: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.make_archive(str(tmp_path / "animals"), "zip", animals_dir))


def test_what_a_worker_is_given_can_be_sent(animals_dir: Path, tmp_path: Path) -> None:
    import pickle

    import tellapart
    from tellapart.config import SourceConfig
    from tellapart.watcher import Watcher

    photos = tellapart.open_photos(animals_dir)
    objective = Objective(photos, SourceConfig(), tmp_path, frozenset(), Watcher(on_note=lambda text: None))
    sent = pickle.loads(pickle.dumps(cluster_tuning._without_watcher(objective)))
    assert sent.photos.paths == photos.paths


def test_a_killed_search_loses_the_running_trials_alone(tmp_path: Path, animals_dir: Path, cache_dir: str) -> None:
    words = ["tune", str(animals_dir), "--out", str(tmp_path / "out"), "--recipe", "classic", "--image-size", "46"]
    more = ["--engine", "ray", "--epochs", "1", "--cache-dir", cache_dir]
    line = [sys.executable, "-m", "tellapart", *words, *more]
    with subprocess.Popen([*line, "--trials", "500"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            if text.startswith("trial 2"):
                break
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
    before = rows_of(tmp_path / "out" / "trials.csv")
    assert len(before) >= 3
    num = str(len(before) + 1)
    done = subprocess.run([*line, "--trials", num, "--resume"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows_of(tmp_path / "out" / "trials.csv")[: len(before)] == before
    assert (tmp_path / "out" / "best" / "bundle.json").exists()
    assert not list((tmp_path / "out").glob("trial-*"))


def test_ctrl_c_keeps_the_finished_trials(tmp_path: Path, animals_dir: Path, cache_dir: str) -> None:
    words = ["tune", str(animals_dir), "--out", str(tmp_path / "out"), "--recipe", "classic", "--image-size", "46"]
    more = ["--engine", "ray", "--epochs", "1", "--cache-dir", cache_dir, "--trials", "500"]
    command = [sys.executable, "-m", "tellapart", *words, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            if text.startswith("trial 1"):
                break
        process.send_signal(signal.SIGINT)
        left = process.stdout.read()
    assert process.returncode == 130
    assert "Finished trials are kept" in left
    assert len(rows_of(tmp_path / "out" / "trials.csv")) >= 2
