import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.errors import ConfigError, DatasetError
from tellapart.live.detached_process import DetachedProcess
from tellapart.live.job_records import JobStatus
from tellapart.live.job_tasks import ExportTask, TrainingTask
from tellapart.live.jobs import Jobs
from tellapart.predict.bundle import EXPORT_FILE
from tellapart.predict.model import load
from tellapart.store import temporary_folder

from .conftest import FolderProject, wait

Drawn = dict[str, list[Path]]
KEPT = {"minutes": None, "epochs": None, "made_at": 1, "wish": "run"}
# Stands in for a training: says how far it is, and ends as it is told to.
CHILD = """
import json, os, pathlib, signal, sys, time
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
path = pathlib.Path(arguments["--progress"])
def tell(state, message=""):
    fields = dict(state=state, pid=os.getpid(), stage="", share=0.5, epoch=1, num_epochs=2, seconds_left=3.0)
    path.write_text(json.dumps({**fields, "validation_accuracy": None, "message": message}))
def stop(*_):
    tell("stopped")
    os._exit(143)
signal.signal(signal.SIGTERM, stop)
tell(arguments["--state"], arguments["--message"])
time.sleep(float(arguments["--seconds"]))
"""


@pytest.fixture
def filled(project: FolderProject, drawn: Drawn) -> FolderProject:
    """A project with 4 photos of each of two classes."""
    for name, paths in drawn.items():
        project.add(*paths[:4], to=name)
    return project


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that puts a small process in the place of all trainings and exports from now on."""

    def put(state: str = "training", message: str = "", seconds: float = 60) -> None:
        def command(_task: object, _project: object, progress_path: Path) -> list[str]:
            given = ["--progress", str(progress_path), "--state", state, "--message", message]
            return [os.sys.executable, "-c", CHILD, *given, "--seconds", str(seconds)]  # type: ignore[attr-defined]

        for task in (TrainingTask, ExportTask):
            monkeypatch.setattr(task, "command", command)

    return put


def only(jobs: Jobs) -> JobStatus:
    (status,) = jobs.statuses()
    return status


def pid_of(project: FolderProject, status: JobStatus) -> int:
    return int((project.folder / ".tellapart/jobs" / status.order.id / "process.lock").read_text())


def test_a_job_that_is_killed_is_resumed_and_ends_as_a_run(filled: FolderProject) -> None:
    told: list[tuple[str, JobStatus | None]] = []
    jobs = Jobs(filled, lambda *status: told.append(status))
    jobs.watch()
    started = jobs.start("classic", epochs=2)
    wait(lambda: (done := only(jobs).progress) is not None and done.epoch is not None)
    os.kill(pid_of(filled, started), signal.SIGKILL)
    wait(lambda: (newest := told[-1][1]) is not None and newest.state == "interrupted")
    jobs.close()
    again = Jobs(filled)
    assert only(again).state == "interrupted"
    again.resume(started.order.id)
    wait(lambda: only(again).state in ("done", "failed"))
    assert only(again).message == ""
    run_dir = filled.folder / ".tellapart/runs" / started.order.task.run_dir(filled).name
    assert load(run_dir).class_names == ("cat", "dog")


@pytest.mark.soak
def test_jobs_killed_at_random_moments_are_always_found_and_resumed(filled: FolderProject) -> None:
    chance, jobs = random.Random(3), Jobs(filled)
    started = jobs.start("classic", epochs=3)
    for _ in range(int(os.environ["TELLAPART_TEST_KILLS"]) // 5):
        time.sleep(chance.uniform(0, 8))
        jobs = Jobs(filled)  # as a Studio that was killed itself
        if only(jobs).state == "running":
            os.kill(pid_of(filled, started), signal.SIGKILL)
            wait(lambda jobs=jobs: only(jobs).state != "running")  # type: ignore[misc]
        if only(jobs).state == "interrupted":
            jobs.resume(started.order.id)
    wait(lambda: only(jobs).state == "done", 300)
    assert load(filled.folder / ".tellapart/runs" / started.order.task.run_dir(filled).name)


def test_a_job_outlives_its_studio_and_is_found_again(project: FolderProject, stand_in: Callable[..., None]) -> None:
    stand_in()
    first = Jobs(project)
    started = first.start("scratch", minutes=1)
    wait(lambda: only(first).progress is not None)
    first.close()
    second = Jobs(project)
    found = only(second)
    assert (found.order, found.state) == (started.order, "running")
    second.cancel(started.order.id)


def test_a_paused_job_is_paused_in_a_new_studio_and_goes_on_when_it_is_resumed(
    project: FolderProject, stand_in: Callable[..., None]
) -> None:
    stand_in()
    jobs = Jobs(project)
    number = jobs.start("scratch").order.id
    wait(lambda: only(jobs).progress is not None)
    jobs.pause(number)
    wait(lambda: only(jobs).state == "paused")
    again = Jobs(project)
    assert only(again).state == "paused"
    assert again.resume(number).state == "running"
    again.cancel(number)


def test_no_job_runs_twice(project: FolderProject, stand_in: Callable[..., None]) -> None:
    stand_in()
    jobs = Jobs(project)
    number = jobs.start("scratch").order.id
    with pytest.raises(ConfigError, match="is running"):
        jobs.start("scratch")
    with pytest.raises(ConfigError, match="running or finished"):
        jobs.resume(number)
    assert not DetachedProcess(project.folder / ".tellapart/jobs" / number).start(["true"])
    jobs.cancel(number)


def test_a_cancelled_job_leaves_nothing(project: FolderProject, stand_in: Callable[..., None]) -> None:
    stand_in()
    jobs = Jobs(project)
    started = jobs.start("scratch")
    wait(lambda: only(jobs).progress is not None)
    pid = pid_of(project, started)
    jobs.cancel(started.order.id)
    assert jobs.statuses() == []
    assert list((project.folder / ".tellapart/jobs").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_failed_job_says_why(project: FolderProject, stand_in: Callable[..., None]) -> None:
    stand_in("failed", "cannot write 'x': the disk is full.", seconds=0)
    jobs = Jobs(project)
    jobs.start("scratch")
    wait(lambda: only(jobs).state == "failed")
    assert only(jobs).message == "cannot write 'x': the disk is full."
    assert only(jobs).to_json()["can_resume"]


@pytest.mark.parametrize(
    "settings", [{"recipe": "nonsense"}, {"recipe": "classic", "minutes": 3.0}, {"recipe": "scratch", "minutes": -1}]
)
def test_wrong_settings_are_refused_before_anything_runs(project: FolderProject, settings: dict[str, float]) -> None:
    jobs = Jobs(project)
    with pytest.raises(ConfigError):
        jobs.start(**settings)  # type: ignore[arg-type]
    assert jobs.statuses() == []


def test_an_unknown_job_is_refused(project: FolderProject) -> None:
    with pytest.raises(DatasetError, match="not there any more"):
        Jobs(project).cancel("0" * 12)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        json.dumps({**KEPT, "recipe": "scratch", "run_name": "../../pets"}).encode(),
        json.dumps({**KEPT, "exported": "runs/a", "target": "../../keras"}).encode(),
    ],
    ids=["empty", "no fields", "no object", "a path as name", "a path as target"],
)
def test_damaged_records_of_jobs_are_passed_over(project: FolderProject, content: bytes) -> None:
    folder = project.folder / ".tellapart/jobs" / ("a" * 12)
    folder.mkdir(parents=True)
    (folder / "job.json").write_bytes(content)
    assert Jobs(project).statuses() == []


def test_a_job_that_an_earlier_version_has_kept_is_found(project: FolderProject) -> None:
    folder = project.folder / ".tellapart/jobs" / ("a" * 12)
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({**KEPT, "recipe": "scratch", "run_name": "scratch-3"}))
    assert only(Jobs(project)).order.task == TrainingTask("scratch", "scratch-3")


def test_an_export_is_a_job_that_says_why_it_failed_and_is_tried_again(
    project: FolderProject, stand_in: Callable[..., None], tmp_path: Path
) -> None:
    stand_in("failed", "the export to keras answers differently.", seconds=0)
    jobs = Jobs(project)
    number = jobs.export(tmp_path / "run", "keras").order.id
    wait(lambda: only(jobs).state == "failed")
    assert only(jobs).message == "the export to keras answers differently."
    stand_in()
    assert jobs.resume(number).state == "running"
    assert not only(jobs).to_json()["can_pause"]
    jobs.cancel(number)


def test_an_export_outlives_its_studio_and_is_made_once(
    project: FolderProject, stand_in: Callable[..., None], tmp_path: Path
) -> None:
    stand_in()
    started = Jobs(project).export(tmp_path / "run", "keras")
    again = Jobs(project)
    assert (only(again).order, only(again).state) == (started.order, "running")
    with pytest.raises(ConfigError, match="already"):
        again.export(tmp_path / "run", "keras")
    again.cancel(started.order.id)


def test_a_cancelled_export_leaves_nothing_unfinished_and_an_earlier_one_as_it_was(
    project: FolderProject, stand_in: Callable[..., None], tmp_path: Path
) -> None:
    exports = tmp_path / "run/exports"
    (exports / "keras").mkdir(parents=True)
    (exports / "keras" / EXPORT_FILE).write_text("{}")
    with temporary_folder(exports) as left_behind:
        stand_in()
        jobs = Jobs(project)
        number = jobs.export(tmp_path / "run", "keras").order.id
        wait(lambda: only(jobs).progress is not None)
        jobs.cancel(number)
        assert not left_behind.exists()
    assert jobs.statuses() == []
    assert [path.name for path in exports.iterdir()] == ["keras"]


def test_a_finished_export_stays_when_its_row_is_removed(
    project: FolderProject, stand_in: Callable[..., None], tmp_path: Path
) -> None:
    exported = tmp_path / "run/exports/keras" / EXPORT_FILE
    exported.parent.mkdir(parents=True)
    exported.write_text("{}")
    stand_in("finished", "Run by Keras on 40 photos.", seconds=0)
    jobs = Jobs(project)
    number = jobs.export(tmp_path / "run", "keras").order.id
    wait(lambda: only(jobs).state == "done")
    assert only(jobs).message == "Run by Keras on 40 photos."
    jobs.cancel(number)
    assert exported.exists()


def test_a_target_that_is_none_is_refused_before_anything_runs(project: FolderProject, tmp_path: Path) -> None:
    jobs = Jobs(project)
    with pytest.raises(ConfigError):
        jobs.export(tmp_path / "run", "../keras")
    assert jobs.statuses() == []
