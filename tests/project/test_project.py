"""A project that is opened again, whatever has happened to its last command."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.project.effects import Decide, MakeFolder, MovePhoto
from tellapart.project.project import Project
from tellapart.project.project_commands import add_class, bin_photos, check_class_name, label_photos, safe_photo_name
from tellapart.project.project_state import class_id

Plant = Callable[..., Path]


def counts(project: Project) -> dict[str | None, int]:
    """Photos by class."""
    labels = [photo.label for photo in project.state().photos]
    return {label: labels.count(label) for label in labels}


def test_a_command_that_a_kill_has_cut_off_is_completed(plant: Plant) -> None:
    root = plant("cat/1.jpg", "dog/1.jpg")
    project = Project(root)
    (root / ".tellapart/incoming/x").write_bytes(b"new")
    project.journal.append("upload", [MakeFolder("owl"), MovePhoto(".tellapart/incoming/x", "owl/x.jpg", "0" * 40)])
    project.close()
    again = Project(root)
    assert (root / "owl/x.jpg").read_bytes() == b"new"
    assert again.state().classes == ("cat", "dog", "owl")


def test_a_decision_that_a_kill_has_cut_off_is_completed(plant: Plant) -> None:
    root = plant("cat/1.jpg", "dog/1.jpg")
    project = Project(root)
    project.journal.append("label", [Decide("0" * 40, "cat", (), (("mine/cat/1.jpg", "move", "dog"),))])
    project.close()
    Project(root)
    assert "mine/cat/1.jpg,cat,move,dog" in (root / "decisions.csv").read_text()


def test_a_command_that_was_carried_out_is_not_carried_out_again(plant: Plant) -> None:
    root = plant("cat/1.jpg", "dog/1.jpg")
    project = Project(root)
    add_class(project, "owl")
    project.close()
    (root / "owl").rmdir()  # by somebody else, while Studio is closed
    Project(root)
    assert not (root / "owl").exists()


def test_an_upload_that_was_not_answered_leaves_nothing(plant: Plant) -> None:
    root = plant("cat/1.jpg")
    Project(root).close()
    (root / ".tellapart/incoming/x").write_bytes(b"half")
    Project(root)
    assert list((root / ".tellapart/incoming").iterdir()) == []


def test_a_command_before_a_photo_was_looked_at_counts_at_once(plant: Plant) -> None:
    root = plant("cat/1.jpg", "cat/2.jpg", "dog/1.jpg")
    (root / "cat/2.jpg").write_bytes(b"another")
    project = Project(root)
    first, second, _third = (photo.id for photo in project.state().photos)
    label_photos(project, [first], class_id("dog"))
    bin_photos(project, [second])
    assert counts(project) == {"dog": 2, None: 1}


def test_a_folder_that_is_gone_is_a_problem_and_no_photo_is_lost(plant: Plant) -> None:
    root = plant("cat/1.jpg", "dog/1.jpg")
    project = Project(root)
    root.rename(root.with_name("elsewhere"))
    assert project.notice()
    assert project.state().problem is not None
    root.with_name("elsewhere").rename(root)
    assert project.notice()
    assert (project.state().problem, counts(project)) == (None, {"cat": 1, "dog": 1})


@pytest.mark.parametrize("name", ["Katze", "猫", "a b", "cat.2", "it's", "100%", "e\u0301"])
def test_names_of_all_languages_are_classes(name: str, plant: Plant) -> None:
    project = Project(plant("cat/1.jpg"))
    assert check_class_name(project, name)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.png", "a.png"),
        ("../../a.PNG", "a.PNG"),
        ("C:\\photos\\a.jpeg", "a.jpeg"),
        ("a.exe", "a.jpg"),
        ("", "_.jpg"),
        ("con.jpg", "_con.jpg"),
        (".hidden", "hidden.jpg"),
        ("x" * 300 + ".png", "x" * 100 + ".png"),
        ("猫.webp", "猫.webp"),
    ],
)
def test_a_file_has_a_name_that_every_system_takes(given: str, name: str) -> None:
    assert safe_photo_name(given, ".jpg") == name
