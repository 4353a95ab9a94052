"""What a page or a phone sends: photos, zips, and files that are neither, or that were made to do harm."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tellapart.errors import OutputError
from tellapart.formats.exif import read_shot
from tellapart.project import effects

Draw = Callable[..., bytes]
Page = Any


def packed(members: dict[str, bytes]) -> bytes:
    """A zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def all_files(folder: Path) -> set[str]:
    """All files of the project but those that say what Studio knows."""
    known = {".tellapart/journal.jsonl", ".tellapart/seen.json"}
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - known


def test_a_zip_is_unpacked_into_a_class_and_undone_at_once(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    answer = page.add(
        packed({f"deep/{n}.png": draw(n) for n in range(70)} | {"read me.txt": b"hello"}), "all.zip", "cat"
    )
    assert (len(answer["added"]), [one["name"] for one in answer["skipped"]]) == (70, ["read me.txt"])
    assert page.counts() == {"cat": 70}
    page.do("undo")
    assert page.counts() == {"cat": 0}


def test_a_zip_of_class_folders_makes_the_classes(page: Page, folder: Path, draw: Draw) -> None:
    members = {"zoo/cat/1.png": draw(1), "zoo/cat/2.png": draw(2), "zoo/owl/1.png": draw(3), "zoo/owl/2.png": draw(4)}
    page.add(packed(members), "zoo.zip", "folders")
    assert page.counts() == {"cat": 2, "owl": 2}
    assert all_files(folder) == {"cat/1.png", "cat/2.png", "owl/1.png", "owl/2.png"}


def test_a_photo_of_a_dropped_folder_makes_its_class(page: Page, draw: Draw) -> None:
    page.add(draw(1), "holiday/cat/1.png", "folders")
    page.add(draw(2), "2.png", "folders")
    assert (page.counts(), page.names("unsorted")) == ({"cat": 1}, ["2.png"])


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.png",
        "/etc/evil.png",
        "..\\..\\evil.png",
        "C:\\evil.png",
        "a\0b.png",
        "con.png",
        ".hidden.png",
        "x" * 5000 + ".png",
        "‮gnp.exe",
        "<script>.png",
        "..",
        "",
        "a\nb.png",
        "\udce9.png",
    ],
)
def test_a_name_leads_nowhere_else(name: str, page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    params = {"class": page.class_id("cat"), "name": name.encode("utf-8", "surrogateescape")}
    answer = page.client.post("/api/uploads", params=params, content=draw(1))
    assert answer.status_code in (200, 400)
    assert all(path.startswith("cat/") and not path.startswith("cat/.") for path in all_files(folder))
    assert not (folder.parent / "evil.png").exists()


def test_a_hostile_zip_leads_nowhere_else(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    members = {"../evil.png": draw(1), "/tmp/evil.png": draw(2), "ok/../../evil.png": draw(3), "good.png": draw(4)}
    answer = page.add(packed(members), "evil.zip", "cat")
    assert (len(answer["added"]), len(answer["skipped"])) == (1, 3)
    assert all_files(folder) == {"cat/good.png"}


def test_a_zip_bomb_is_not_unpacked(page: Page, folder: Path, draw: Draw) -> None:
    answer = page.add(packed({"bomb.png": bytes(300 * 1024**2), "good.png": draw(1)}), "bomb.zip")
    assert ([one["name"] for one in answer["skipped"]], len(answer["added"])) == (["bomb.png"], 1)


@pytest.mark.parametrize("data", [b"PK\x03\x04 and nothing more", packed({})[:10] + b"x" * 40], ids=["cut", "broken"])
def test_a_zip_that_is_none_is_refused_in_one_line(data: bytes, page: Page, folder: Path) -> None:
    answer = page.client.post("/api/uploads", params={"name": "a.zip"}, content=data)
    assert answer.status_code in (200, 422)
    assert all_files(folder) == set()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"<html><script>alert(1)</script></html>", "is "),
        (b"\xff\xd8\xff\xe0 no JPEG", "is "),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "is "),
    ],
    ids=["empty", "page", "cut JPEG", "cut PNG"],
)
def test_a_file_that_is_no_photo_is_skipped_with_its_reason(data: bytes, word: str, page: Page, folder: Path) -> None:
    answer = page.add(data, "a.jpg")
    assert (answer["added"], answer["skipped"][0]["name"]) == ([], "a.jpg")
    assert word in answer["skipped"][0]["reason"]
    assert all_files(folder) == set()


def test_a_photo_beyond_the_limit_is_refused(page: Page, folder: Path) -> None:
    most = page.client.app.state.studio.project.limits.max_bytes
    chunk = b"\xff\xd8\xff" + bytes(2**20)
    body = (chunk for _number in range(most // len(chunk) + 2))
    assert page.client.post("/api/uploads", params={"name": "a.jpg"}, content=body).status_code == 413
    assert all_files(folder) == set()


@pytest.mark.parametrize("setting", ["burst", "batch"])
def test_a_key_of_photos_that_belong_together_is_one(setting: str, page: Page, draw: Draw) -> None:
    answer = page.client.post("/api/uploads", params={setting: "a b/../"}, content=draw(1))
    assert (answer.status_code, setting in answer.json()["error"]) == (400, True)


def test_the_files_of_one_drop_are_undone_at_once_and_are_no_burst(page: Page, draw: Draw) -> None:
    for seed in range(3):
        params = {"class": "unsorted", "name": f"{seed}.jpg", "batch": "drop-1"}
        page.client.post("/api/uploads", params=params, content=draw(seed, "JPEG"))
    assert [photo["group"] for photo in page.photos("unsorted")] == [None] * 3
    page.do("undo")
    assert page.photos("unsorted") == []


def test_the_frames_of_a_burst_tell_when_they_were_recorded(page: Page, folder: Path, draw: Draw) -> None:
    page.do("add_class", name="cat")
    for seed in range(2):
        page.add(draw(seed, "JPEG"), f"{seed}.jpg", "cat", burst="b")
    photos = [io.BytesIO((folder / f"cat/{seed}.jpg").read_bytes()) for seed in range(2)]
    shots = [read_shot(Image.open(photo).info["exif"]) for photo in photos]
    assert {shot.camera for shot in shots} == {"tellapart Studio"}
    assert shots[0].captured_at <= shots[1].captured_at <= shots[0].captured_at + 60


def test_a_class_that_is_not_there_takes_nothing(page: Page, draw: Draw, folder: Path) -> None:
    answer = page.client.post("/api/uploads", params={"class": "../x", "name": "a.png"}, content=draw(1))
    assert (answer.status_code, all_files(folder)) == (409, set())


def full(*_arguments: object) -> int:
    """Writing to a disk that is full."""
    raise OSError(28, "No space left on device")


def test_a_full_disk_says_so_and_loses_nothing(
    page: Page, folder: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.do("add_class", name="cat")
    page.add(draw(1), "1.png", "cat")
    before = all_files(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        answer = page.client.post("/api/uploads", params={"class": page.class_id("cat")}, content=draw(2))
        assert (answer.status_code, "disk is full" in answer.json()["error"]) == (507, True)
        answer = page.client.post("/api/commands", json={"do": "bin", "photos": page.ids("cat")})
        assert (answer.status_code, "disk is full" in answer.json()["error"]) == (507, True)
    assert (all_files(folder), page.names("cat")) == (before, ["1.png"])
    page.add(draw(2), "2.png", "cat")
    page.do("undo")
    assert page.names("cat") == ["1.png"]


def test_a_disk_that_fills_up_in_the_middle_of_a_command_leaves_all_as_it_was(
    page: Page, folder: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.do("add_class", name="cat")
    page.do("add_class", name="dog")
    for seed in range(4):
        page.add(draw(seed), f"{seed}.png", "cat")
    before, rename = all_files(folder), effects._move

    def move(source: Path, target: Path) -> None:
        if target == folder / "dog/2.png":
            raise OutputError("cannot write: the disk is full.", path=target)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(effects, "_move", move)
        command = {"do": "label", "photos": page.ids("cat"), "class": page.class_id("dog")}
        assert page.client.post("/api/commands", json=command).status_code == 507
    assert (all_files(folder), page.counts()) == (before, {"cat": 4, "dog": 0})
    page.do("undo")
    assert page.counts() == {"cat": 3, "dog": 0}
