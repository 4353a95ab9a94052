"""A folder that other programs change meanwhile, and that the command line reads as Studio shows it."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tellapart.decisions.decisions import apply_own_decisions
from tellapart.photos.sources import open_labelled
from tellapart.watcher import Watcher

Draw = Callable[..., bytes]
Page = Any


def plant(folder: Path, draw: Draw, *paths: str) -> None:
    """A drawn photo at each of the paths, each unlike the others."""
    for number, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(draw(1000 + number))


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Nothing, once the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def trained_counts(folder: Path) -> dict[str, int]:
    """Photos by class as the command line takes them."""
    return apply_own_decisions(open_labelled(str(folder), check=False), Watcher()).photos.counts()


LAYOUTS = {
    "folders": ["cat/1.png", "cat/2.png", "dog/1.png"],
    "names": ["cat.1.png", "cat.2.png", "dog.1.png", "dog.2.png"],
    "splits": ["train/cat/1.png", "train/dog/1.png", "test/cat/2.png", "test/dog/2.png"],
    "wrapped": ["photos/cat/1.png", "photos/dog/1.png", "photos/dog/2.png"],
    "deep": ["cat/monday/1.png", "cat/2.png", "dog/1.png"],
    "with loose ones": ["cat/1.png", "dog/1.png", "loose.png", "other.png"],
    "hidden": ["cat/1.png", "dog/1.png", ".trash/3.png", "cat/.4.png"],
    "with texts": ["cat/1.png", "dog/1.png"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_studio_shows_the_classes_that_training_takes(layout: str, page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, *LAYOUTS[layout])
    (folder / "notes.txt").write_text("a text")
    wait_for(lambda: page.counts() == trained_counts(folder) != {})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_decided_in_studio_holds_for_training(layout: str, page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, *LAYOUTS[layout])
    wait_for(lambda: page.counts() == trained_counts(folder) != {})
    page.do("label", photos=page.ids("cat")[:1], **{"class": page.class_id("dog")})
    page.do("bin", photos=page.ids("dog")[:1])
    assert page.counts() == trained_counts(folder)


def test_new_photos_of_a_split_go_where_training_looks(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, *LAYOUTS["splits"])
    wait_for(lambda: page.counts() == {"cat": 2, "dog": 2})
    page.do("add_class", name="owl")
    page.add(draw(1), "new.png", "cat")
    page.add(draw(2), "new.png", "owl")
    assert (folder / "train/cat/new.png").exists()
    assert (folder / "train/owl/new.png").exists()
    assert page.counts() == trained_counts(folder) == {"cat": 3, "dog": 2, "owl": 1}


def test_the_folder_of_studio_is_no_photo_that_was_skipped(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "cat/1.png", "dog/1.png")
    assert open_labelled(str(folder), check=False).skipped == ()


def test_a_photo_that_another_program_adds_is_shown(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    plant(folder, draw, "cat/new.png")
    wait_for(lambda: page.names("cat") == ["new.png"])
    wait_for(lambda: page.photos("cat")[0]["digest"] is not None)
    assert page.photos("cat")[0]["origin"] == "yours"


def test_a_photo_that_another_program_deletes_is_gone(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    page.add(draw(1), "a.png", "cat")
    (folder / "cat/a.png").unlink()
    wait_for(lambda: page.names("cat") == [])
    page.do("undo")  # of the upload, whose file is gone
    assert page.names("bin") == []


def test_a_photo_that_another_program_changes_has_another_content(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    page.add(draw(1), "a.png", "cat")
    before = page.photos("cat")[0]["digest"]
    (folder / "cat/a.png").write_bytes(draw(2))
    wait_for(lambda: page.photos("cat")[0]["digest"] not in (None, before))
    photo = page.photos("cat")[0]
    assert photo["origin"] == "yours"  # what Studio wrote is not there any more
    assert page.client.get(f"/thumb/{photo['digest']}.webp").status_code == 200


def test_a_folder_that_another_program_renames_is_another_class(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    page.add(draw(1), "a.png", "cat")
    (folder / "cat").rename(folder / "lion")
    wait_for(lambda: page.counts() == {"lion": 1})
    page.do("bin", photos=page.ids("lion"))
    assert (folder / "lion/a.png").exists()  # it is not known as Studio's at that place


def test_a_photo_that_cannot_be_used_says_why(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "cat/1.png", "dog/1.png")
    (folder / "cat/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    wait_for(lambda: page.counts() == {"cat": 1, "dog": 1})
    wait_for(lambda: any(photo["problem"] for photo in page.photos("cat")))
    assert page.project()["num_skipped"] == 1


def test_a_command_about_a_photo_that_is_gone_is_refused(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    page.do("add_class", name="dog")
    page.add(draw(1), "a.png", "cat")
    ids = page.ids("cat")
    shutil.rmtree(folder / "cat")
    wait_for(lambda: "cat" not in page.counts())
    assert "not there" in page.refused("label", photos=ids, **{"class": page.class_id("dog")})


def test_decisions_of_the_command_line_are_shown_and_kept(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "cat/1.png", "cat/2.png", "dog/1.png")
    wait_for(lambda: page.counts() == {"cat": 2, "dog": 1})
    wait_for(lambda: all(photo["digest"] for photo in page.photos("cat")))
    digests = {photo["name"]: photo["digest"] for photo in page.photos("cat")}
    rows = f"content,class,decision,new_class,who\n{digests['1.png']},cat,move,dog,me\n"
    (folder / "decisions.csv").write_text(rows)
    wait_for(lambda: page.counts() == {"cat": 1, "dog": 2})
    page.do("bin", photos=page.ids("cat"))
    assert page.counts() == trained_counts(folder) == {"dog": 2}
    assert (folder / ".tellapart/decisions-before-studio.csv").read_text() == rows


@pytest.mark.parametrize("rows", ["name,number\na,1\n", "content,class,decision\nzz,cat,keep\n"], ids=["other", "bad"])
def test_a_table_that_cannot_be_used_is_left_alone(rows: str, page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "cat/1.png", "dog/1.png")
    (folder / "decisions.csv").write_text(rows)
    wait_for(lambda: page.project()["problem"] is not None and page.counts() == {"cat": 1, "dog": 1})
    assert "decisions.csv" in page.refused("bin", photos=page.ids("cat"))
    assert (folder / "decisions.csv").read_text() == rows


def test_a_photo_of_several_classes_follows_the_decision_about_its_class(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "cat/1.png", "dog/2.png")
    shutil.copy(folder / "cat/1.png", folder / "dog/1.png")
    wait_for(lambda: page.counts() == {"cat": 1, "dog": 2})
    page.do("bin", photos=page.ids("cat"))
    assert (page.counts(), page.names("dog")) == ({"dog": 2}, ["1.png", "2.png"])


def test_copies_in_one_class_are_removed_one_by_one(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "cat/1.png", "dog/2.png")
    for name in ("2.png", "3.png"):
        shutil.copy(folder / "cat/1.png", folder / "cat" / name)
    wait_for(lambda: page.counts() == {"cat": 3, "dog": 1})
    (chosen,) = [photo["id"] for photo in page.photos("cat") if photo["name"] == "2.png"]
    page.do("bin", photos=[chosen])
    assert (page.names("cat"), page.names("bin")) == (["1.png", "3.png"], ["2.png"])
    page.do("label", photos=page.ids("cat"), **{"class": page.class_id("dog")})
    assert page.counts() == trained_counts(folder) == {"dog": 3}


def test_all_is_there_again_after_a_restart(open_studio: Callable[..., TestClient], page: Page, draw: Draw) -> None:
    page.do("add_class", name="cat")
    page.add(draw(1), "a.png", "cat")
    page.add(draw(2), "b.png", "cat", burst="b")
    page.add(draw(3), "c.png")
    page.do("bin", photos=page.ids("cat")[:1])
    before = [page.photos(chosen) for chosen in ("cat", "unsorted", "bin")]
    page.client.app.state.studio.project.close()
    with open_studio() as client:
        client.cookies = page.client.cookies
        again = type(page)(client)
        assert [again.photos(chosen) for chosen in ("cat", "unsorted", "bin")] == before
        again.do("undo")
        assert again.names("cat") == ["a.png", "b.png"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="rights do not keep the administrator out")
def test_a_folder_that_may_not_be_written_to_is_refused(open_studio: Callable[..., TestClient], folder: Path) -> None:
    folder.chmod(0o500)
    with pytest.raises(OSError, match="permission denied"):
        open_studio()
