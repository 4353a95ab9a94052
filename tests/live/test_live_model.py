import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import tellapart
from tellapart.config import ImageLimits
from tellapart.errors import BundleError, OutputError
from tellapart.live import live_model
from tellapart.predict.model import load
from tellapart.web.refusals import RequestError

from .conftest import UNSORTED, FolderProject, Watched

Watch = Callable[..., Watched]
Drawn = dict[str, list[Path]]


def fill(project: FolderProject, drawn: Drawn, number: int) -> None:
    for name, paths in drawn.items():
        project.add(*paths[:number], to=name)


def test_an_empty_project_has_no_model_and_says_what_to_do(project: FolderProject, watch: Watch) -> None:
    watched = watch(project)
    watched.wait_until(lambda: watched.model.status.message != "")
    assert watched.model.status.state == "none"
    assert watched.model.status.message == "Add photos to at least two classes."
    with pytest.raises(RequestError, match="no model yet"):
        watched.model.answers.served()


def test_one_class_alone_has_no_model(project: FolderProject, drawn: Drawn, watch: Watch) -> None:
    project.add(*drawn["cat"][:3], to="cat")
    watched = watch(project)
    watched.wait_until(lambda: watched.model.status.message == "Add photos to a second class.")
    assert watched.model.status.state == "none"


def test_photos_that_cannot_be_read_are_no_model_and_the_reason_is_said(project: FolderProject, watch: Watch) -> None:
    for name in ("cat", "dog"):
        (project.folder / name).mkdir()
        (project.folder / name / f"{name}.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    watched = watch(project)
    watched.wait_until(lambda: "No photo can be read" in watched.model.status.message)
    assert watched.model.status.state == "none"


def test_photos_give_a_provisional_figure_at_once(project: FolderProject, drawn: Drawn, watch: Watch) -> None:
    fill(project, drawn, 12)
    status = watch(project).wait_for("provisional")
    assert status.is_provisional
    assert status.num_photos == 24
    assert status.accuracy is not None
    assert status.interval is not None
    assert status.interval[0] <= status.accuracy <= status.interval[1]


def test_a_dropped_photo_counts_and_a_deleted_one_does_not(project: FolderProject, drawn: Drawn, watch: Watch) -> None:
    fill(project, drawn, 8)
    watched = watch(project)
    watched.wait_for("provisional")
    project.add(drawn["cat"][9], to="cat")
    watched.model.project_changed()
    watched.wait_until(lambda: watched.model.status.num_photos == 17)
    for path in drawn["dog"][:2]:
        (project.folder / "dog" / path.name).unlink()
    watched.model.project_changed()
    watched.wait_until(lambda: watched.model.status.num_photos == 15)


def test_a_class_with_one_photo_counts_and_is_told(project: FolderProject, drawn: Drawn, watch: Watch) -> None:
    project.add(*drawn["cat"][:6], to="cat")
    project.add(drawn["dog"][0], to="dog")
    status = watch(project).wait_for("provisional")
    assert status.message == "Add photos of 'dog'. One photo is too few for a test."


def test_a_burst_is_one_group_in_the_figure(project: FolderProject, drawn: Drawn, watch: Watch) -> None:
    fill(project, drawn, 8)
    alone = watch(project).wait_for("provisional")
    project.groups = {path.name: name for name, paths in drawn.items() for path in paths[1:8]}
    together = watch(project).wait_for("provisional")
    assert alone.interval is not None
    assert together.interval is not None
    assert together.interval[1] - together.interval[0] > alone.interval[1] - alone.interval[0]


def test_the_provisional_model_answers_photos_as_serve_does(project: FolderProject, drawn: Drawn, watch: Watch) -> None:
    fill(project, drawn, 12)
    watched = watch(project)
    watched.wait_for("provisional")
    served, is_provisional = watched.model.answers.served()
    photo = drawn["cat"][15].read_bytes()
    answer = served.answer_photo(photo, served.maker, ImageLimits(), heatmap=True)
    assert is_provisional
    assert served.model.class_names == ("cat", "dog")
    assert abs(sum(answer.prediction.probabilities) - 1) < 1e-4


def test_unsorted_photos_get_proposals_until_they_are_gone(project: FolderProject, drawn: Drawn, watch: Watch) -> None:
    fill(project, drawn, 10)
    project.add(*drawn["cat"][12:16], *drawn["dog"][12:16], to=UNSORTED)
    watched = watch(project)
    watched.wait_until(lambda: len(watched.model.proposals) == 8)
    assert {name for name, _probability in watched.model.proposals.values()} <= {"cat", "dog"}
    shutil.rmtree(project.folder / UNSORTED)
    watched.model.project_changed()
    watched.wait_until(lambda: not watched.model.proposals)


def test_a_backbone_that_fails_is_a_state_and_the_next_try_works(
    project: FolderProject, drawn: Drawn, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, drawn, 6)
    real = live_model.refit_head

    def fail(*_given: object) -> None:
        raise BundleError("`backbone` 'x' fails on a batch of photos.")

    monkeypatch.setattr(live_model, "refit_head", fail)
    watched = watch(project)
    assert "fails on a batch" in watched.wait_for("failed").message
    monkeypatch.setattr(live_model, "refit_head", real)
    watched.model.project_changed()
    watched.wait_for("provisional")


def test_a_defect_is_a_state_and_no_dead_thread(
    project: FolderProject, drawn: Drawn, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, drawn, 6)
    monkeypatch.setattr(live_model, "group_photos", lambda *_: 1 / 0)
    watched = watch(project)
    assert "ZeroDivisionError" in watched.wait_for("failed").message
    monkeypatch.undo()
    watched.model.project_changed()
    watched.wait_for("provisional")


def test_a_full_disk_is_told_and_the_provisional_model_stays(
    project: FolderProject, drawn: Drawn, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, drawn, 6)

    def fail(*_given: object) -> bool:
        raise OutputError("cannot write 'pets': the disk is full. Free some space or write to another disk.")

    monkeypatch.setattr("tellapart.live.detached_process.DetachedProcess.start", fail)
    watched = watch(project, rest_seconds=0.01)
    assert "the disk is full" in watched.wait_for("failed").message
    assert watched.model.answers.served()[1]


def test_after_a_rest_the_choice_is_the_run_of_train_which_a_new_studio_and_the_command_line_find(
    project: FolderProject, drawn: Drawn, watch: Watch, tiny_backbone: Path, tmp_path: Path
) -> None:
    fill(project, drawn, 15)
    watched = watch(project, rest_seconds=0.1)
    status = watched.wait_for("ready", "failed")
    assert status.message == ""
    run_dir = project.folder / ".tellapart" / "runs" / str(status.run)
    by_hand = tellapart.train(
        project.folder, tmp_path / "hand", backbone=str(tiny_backbone), cache_dir=project.cache_dir, class_level=1
    )
    assert by_hand.validation is not None
    assert (status.accuracy, status.interval) == (by_hand.validation.accuracy, by_hand.validation.interval_95)
    assert (run_dir / "model.onnx").read_bytes() == (tmp_path / "hand" / "model.onnx").read_bytes()
    served, is_provisional = watched.model.answers.served()
    assert not is_provisional
    assert served.model.class_names == load(run_dir).class_names
    watched.model.close()
    again = watch(project, rest_seconds=0.1)
    assert again.wait_for("ready").run == status.run
    assert "choosing" not in [told.state for told in again.told]
    # The choice is begun again when photos have changed, and what it leaves unfinished goes with Studio.
    project.add(drawn["cat"][17], to="cat")
    again.model.project_changed()
    again.wait_for("choosing")
    again.model.close()
    assert [path.name for path in run_dir.parent.iterdir()] == [run_dir.name]


def test_a_run_of_the_command_line_on_the_same_photos_is_taken_over(
    project: FolderProject, drawn: Drawn, watch: Watch, tiny_backbone: Path
) -> None:
    fill(project, drawn, 6)
    out = project.folder.parent / "runs" / "pets-transfer"
    tellapart.train(project.folder, out, backbone=str(tiny_backbone), cache_dir=project.cache_dir)
    assert watch(project).wait_for("ready").run == "pets-transfer"


def test_a_training_may_write_into_the_folder_of_studio_and_into_no_other(
    project: FolderProject, drawn: Drawn, tiny_backbone: Path
) -> None:
    fill(project, drawn, 3)
    command = [sys.executable, "-m", "tellapart", "train", str(project.folder), "--backbone", str(tiny_backbone)]
    inside = subprocess.run([*command, "--out", str(project.folder / "cat" / "run")], capture_output=True, text=True)
    assert inside.returncode == 2
    assert "is inside the photos" in inside.stderr


def test_photos_that_change_under_their_name_are_looked_at_again(
    project: FolderProject, drawn: Drawn, watch: Watch
) -> None:
    fill(project, drawn, 6)
    watched = watch(project)
    watched.wait_for("provisional")
    before = watched.model.snapshot
    path = project.folder / "cat" / drawn["cat"][0].name
    Image.open(drawn["cat"][12]).save(path)
    watched.model.project_changed()
    watched.wait_until(lambda: watched.model.snapshot is not before)
    after = watched.model.snapshot
    assert before is not None
    assert after is not None
    assert before.seen.digests != after.seen.digests
