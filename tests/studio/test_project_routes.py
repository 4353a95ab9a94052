"""What a page does with a project: classes, photos, commands and copies of photos."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Draw = Callable[..., bytes]
Page = Any


def plant(folder: Path, draw: Draw, *paths: str) -> None:
    """A drawn photo at each of the paths, each unlike the others."""
    for number, path in enumerate(paths):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(draw(1000 + number))


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Nothing, once the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def files_in(folder: Path) -> set[str]:
    """The files of the project that people see, by path."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] != ".tellapart"}


def test_an_empty_folder_is_an_empty_project(page: Page) -> None:
    project = page.project()
    assert (project["name"], project["classes"], project["num_unsorted"]) == ("zoo", [], 0)
    assert project["can_undo"] is False


def test_a_class_is_a_folder(page: Page, folder: Path) -> None:
    answer = page.do("add_class", name="cat")
    assert (folder / "cat").is_dir()
    assert answer["class"] == page.class_id("cat")
    assert page.counts() == {"cat": 0}


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", ".hidden", "con", "x" * 61, "tab\there", "a\\b", "test"])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str, page: Page, folder: Path) -> None:
    assert page.refused("add_class", name=name)
    assert [path.name for path in folder.iterdir()] == [".tellapart"]


def test_a_class_that_was_just_deleted_has_no_photos(page: Page) -> None:
    answer = page.do("add_class", name="cat")
    page.do("delete_class", **{"class": answer["class"]})
    assert page.photos(answer["class"]) == []


@pytest.mark.parametrize("name", ["cat", "CAT", " cat "])
def test_a_name_that_a_class_has_is_refused(name: str, page: Page) -> None:
    page.do("add_class", name="cat")
    assert "already" in page.refused("add_class", name=name)


def test_a_dropped_photo_is_in_the_folder_of_its_class_as_it_was(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    data = draw(1, "JPEG")
    answer = page.add(data, "my cat.JPG", "cat")
    assert answer["added"] == page.ids("cat")
    assert (folder / "cat/my cat.JPG").read_bytes() == data
    assert page.photos("cat")[0] | {"digest": ""} == {
        "id": answer["added"][0],
        "digest": "",
        "name": "my cat.JPG",
        "group": None,
        "origin": "studio",
        "problem": None,
        "proposal": None,
    }


def test_photos_of_one_name_stay_apart(page: Page, draw: Draw) -> None:
    page.do("add_class", name="cat")
    for seed in range(3):
        page.add(draw(seed), "image.png", "cat")
    assert page.names("cat") == ["image (2).png", "image (3).png", "image.png"]


def test_a_photo_that_is_in_the_class_already_is_not_added(page: Page, draw: Draw) -> None:
    page.do("add_class", name="cat")
    page.add(draw(1), "a.png", "cat")
    answer = page.add(draw(1), "b.png", "cat")
    assert (answer["added"], answer["skipped"]) == ([], [{"name": "b.png", "reason": "is in this class already"}])


def test_a_photo_without_a_name_gets_that_of_its_format(page: Page, draw: Draw) -> None:
    page.add(draw(1, "JPEG"), "", "unsorted")
    page.add(draw(2, "WEBP"), "blob", "unsorted")
    assert page.names("unsorted") == ["_.jpg", "blob.webp"]


def test_a_photo_of_studios_moves_to_its_class(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    page.do("add_class", name="dog")
    (old,) = page.add(draw(1), "a.png", "cat")["added"]
    answer = page.do("label", photos=[old], **{"class": page.class_id("dog")})
    assert page.ids("dog") == [answer["photos"][old]]
    assert files_in(folder) == {"dog/a.png"}


def test_a_photo_that_was_there_stays_and_is_decided_on(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")
    wait_for(lambda: page.counts() == {"cat": 2, "dog": 2})
    before = files_in(folder)
    answer = page.do("label", photos=page.ids("cat")[:1], **{"class": page.class_id("dog")})
    assert answer["photos"] == {}
    assert page.counts() == {"cat": 1, "dog": 3}
    assert files_in(folder) == before | {"decisions.csv"}
    assert ",zoo/cat/1.png,cat,move,dog" in (folder / "decisions.csv").read_text()


def test_a_photo_that_was_there_is_removed_by_a_decision(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "cat/1.png", "cat/2.png", "dog/1.png")
    wait_for(lambda: page.counts() == {"cat": 2, "dog": 1})
    page.do("bin", photos=page.ids("cat")[:1])
    assert (page.counts(), page.names("bin")) == ({"cat": 1, "dog": 1}, ["1.png"])
    assert (folder / "cat/1.png").exists()
    page.do("restore", photos=page.ids("bin"))
    assert page.counts() == {"cat": 2, "dog": 1}


def test_a_photo_that_was_confirmed_has_a_row(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "cat/1.png", "dog/1.png")
    wait_for(lambda: page.counts() == {"cat": 1, "dog": 1})
    page.do("keep", photos=page.ids("cat"))
    assert ",zoo/cat/1.png,cat,keep," in (folder / "decisions.csv").read_text()


def test_a_loose_photo_is_copied_into_its_class(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "loose.png", "cat/1.png", "dog/1.png")
    wait_for(lambda: page.names("unsorted") == ["loose.png"])
    page.do("label", photos=page.ids("unsorted"), **{"class": page.class_id("cat")})
    assert files_in(folder) == {"loose.png", "cat/1.png", "cat/loose.png", "dog/1.png"}
    assert (page.names("unsorted"), page.names("cat")) == ([], ["1.png", "loose.png"])


def test_a_loose_photo_in_the_bin_stays_where_it_is(page: Page, folder: Path, draw: Draw) -> None:
    plant(folder, draw, "loose.png", "cat/1.png", "dog/1.png")
    wait_for(lambda: page.names("unsorted") == ["loose.png"])
    page.do("bin", photos=page.ids("unsorted"))
    assert (page.names("unsorted"), page.names("bin"), (folder / "loose.png").exists()) == ([], ["loose.png"], True)
    page.do("restore", photos=page.ids("bin"))
    assert (page.names("unsorted"), page.names("bin")) == (["loose.png"], [])


def test_the_bin_gives_back_what_studio_wrote(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    page.add(draw(1), "a.png", "cat")
    page.do("bin", photos=page.ids("cat"))
    assert (page.names("bin"), files_in(folder)) == (["a.png"], set())
    page.do("restore", photos=page.ids("bin"))
    assert (page.names("bin"), files_in(folder)) == ([], {"cat/a.png"})


def fill(page: Page, folder: Path, draw: Draw) -> None:
    """A class of photos that were there, one of photos of Studio's, and one of both."""
    plant(folder, draw, "cat/1.png", "cat/2.png", "dog/1.png")
    wait_for(lambda: page.counts() == {"cat": 2, "dog": 1})
    page.do("add_class", name="owl")
    page.add(draw(1), "o.png", "owl")
    page.add(draw(2), "d.png", "dog")


COMMANDS = {
    "rename": lambda page: page.do("rename_class", **{"class": page.class_id("dog")}, name="hound"),
    "merge": lambda page: page.do("merge_classes", **{"from": page.class_id("dog"), "into": page.class_id("cat")}),
    "delete": lambda page: page.do("delete_class", **{"class": page.class_id("dog")}),
    "delete ours": lambda page: page.do("delete_class", **{"class": page.class_id("owl")}),
    "rename ours": lambda page: page.do("rename_class", **{"class": page.class_id("owl")}, name="bird"),
    "label": lambda page: page.do("label", photos=page.ids("dog"), **{"class": page.class_id("owl")}),
    "bin": lambda page: page.do("bin", photos=page.ids("dog")),
}
COUNTS = {
    "rename": {"cat": 2, "hound": 2, "owl": 1},
    "merge": {"cat": 4, "owl": 1},
    "delete": {"cat": 2, "owl": 1},
    "delete ours": {"cat": 2, "dog": 2},
    "rename ours": {"bird": 1, "cat": 2, "dog": 2},
    "label": {"cat": 2, "owl": 3},
    "bin": {"cat": 2, "owl": 1},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_on_classes_leaves_what_was_there_and_can_be_undone(
    name: str, page: Page, folder: Path, draw: Draw
) -> None:
    fill(page, folder, draw)
    theirs = {path: (folder / path).read_bytes() for path in ("cat/1.png", "cat/2.png", "dog/1.png")}
    before = (page.counts(), files_in(folder))
    COMMANDS[name](page)
    assert page.counts() == COUNTS[name]
    assert {path: (folder / path).read_bytes() for path in theirs} == theirs
    page.do("undo")
    assert (page.counts(), files_in(folder) - {"decisions.csv"}) == before


def test_everything_can_be_undone_to_the_beginning(page: Page, folder: Path, draw: Draw) -> None:
    fill(page, folder, draw)
    for name in ("rename", "delete ours"):
        COMMANDS[name](page)
    for _number in range(5):
        page.do("undo")
    assert page.counts() == {"cat": 2, "dog": 1}
    assert files_in(folder) - {"decisions.csv"} == {"cat/1.png", "cat/2.png", "dog/1.png"}
    assert "nothing left to undo" in page.refused("undo")


def test_a_burst_is_one_group_and_undone_at_once(page: Page, draw: Draw) -> None:
    page.do("add_class", name="cat")
    page.add(draw(0), "first.png", "cat")
    for seed in (1, 2, 3):
        page.add(draw(seed), f"frame-{seed}.png", "cat", burst="b-1")
    assert [photo["group"] for photo in page.photos("cat")] == [None, "b-1", "b-1", "b-1"]
    page.do("undo")
    assert (page.names("cat"), len(page.names("bin"))) == (["first.png"], 3)


def test_a_small_copy_is_found_by_its_content_for_ever(page: Page, draw: Draw) -> None:
    page.add(draw(1, size=(300, 400)))
    (photo,) = page.photos("unsorted")
    answer = page.client.get(f"/thumb/{photo['digest']}.webp")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert Image.open(io.BytesIO(answer.content)).size == (160, 120)


def test_a_large_copy_is_upright_and_bounded(page: Page, draw: Draw) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(draw(1, size=(900, 1400)))).save(buffer, "JPEG", exif=exif)
    (identity,) = page.add(buffer.getvalue())["added"]
    answer = page.client.get(f"/photo/{identity}")
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(answer.content)).size == (658, 1024)


@pytest.mark.parametrize(
    "path", ["/thumb/x.webp", f"/thumb/{'0' * 40}.webp", "/photo/../project", f"/photo/{'0' * 16}"]
)
def test_a_copy_of_nothing_is_not_found(path: str, page: Page) -> None:
    answer = page.client.get(path)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_an_address_of_a_photo_is_no_path(page: Page, folder: Path) -> None:
    (folder.parent / "secret.png").write_bytes(b"a secret")
    answer = page.client.get("/photo/..%2fsecret.png")
    assert (answer.status_code, b"a secret" in answer.content) == (404, False)


def test_a_command_about_what_is_not_there_is_refused(page: Page) -> None:
    page.do("add_class", name="cat")
    assert "not there" in page.refused("label", photos=["0" * 16], **{"class": page.class_id("cat")})
    assert "not there" in page.refused("delete_class", **{"class": "x"})


def test_a_command_that_is_none_is_refused_in_one_line(page: Page) -> None:
    answer = page.client.post("/api/commands", json={"do": "format_disk"})
    assert (answer.status_code, "`do`" in answer.json()["error"]) == (400, True)
