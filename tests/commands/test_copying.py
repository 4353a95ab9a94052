import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.commands.copying import PhotoCopier, copy_name, folder_names
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos

Paint = Callable[..., Path]


def copier(out_dir: Path, photos: PhotoSet) -> PhotoCopier:
    out_dir.mkdir(exist_ok=True)
    return PhotoCopier(out_dir, photos, "--out")


def test_names_that_differ_by_case_alone_are_numbered(paint: Paint, tmp_path: Path) -> None:
    photos = list_photos([paint("1/a.png", "red"), paint("2/A.png", "red"), paint("3/A.PNG", "blue")])
    copying = copier(tmp_path / "out", photos)
    assert [copying.copy(row, "red") for row in range(3)] == ["red/a.png", "red/A (2).png", "red/A (3).PNG"]


def test_folders_may_stand_in_folders(paint: Paint, tmp_path: Path) -> None:
    copying = copier(tmp_path / "out", list_photos([paint("a.png", "red")]))
    assert copying.copy(0, "train/red") == "train/red/a.png"
    copying.sync()
    assert (tmp_path / "out/train/red/a.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_a_photo_that_vanished_is_lost_and_not_copied(paint: Paint, tmp_path: Path) -> None:
    photos = list_photos([paint("a.png", "red")])
    copying = copier(tmp_path / "out", photos)
    (tmp_path / "a.png").unlink()
    assert copying.copy(0, "red") is None
    assert [(skip.path, skip.reason) for skip in copying.lost] == [(photos.paths[0], "the file is no longer there")]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_name_that_only_a_zip_may_hold_is_made_safe(paint: Paint, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("red/what?.png", paint("a.png", "red").read_bytes())
    assert copy_name(list_photos([tmp_path / "p.zip"]), 0) == "what_.png"


def test_a_name_on_disk_stays_whatever_is_in_it(paint: Paint) -> None:
    assert copy_name(list_photos([paint('a "big"\n<b>.png', "red")]), 0) == 'a "big"\n<b>.png'


def test_a_hidden_photo_becomes_a_visible_one(paint: Paint) -> None:
    assert copy_name(list_photos([paint(".a.png", "red")]), 0) == "a.png"


@pytest.mark.parametrize(
    ("class_name", "folder"),
    [
        ("cat", "cat"),
        ("Löwe 1.5", "Löwe 1.5"),
        ("猫", "猫"),
        ("a/b\\c", "a_b_c"),
        ("..", "_"),
        (".hidden", "hidden"),
        ("ends. . ", "ends"),
        ("", "_"),
        ("   ", "_"),
        ("two\nlines\0", "two_lines_"),
        ("what?", "what_"),
        ("con", "_con"),
        ("Aux.txt", "_Aux.txt"),
        ("LPT1", "_LPT1"),
        ("COM\u00b2", "_COM\u00b2"),
        ("nul .x", "_nul .x"),
        ("concert", "concert"),
        ("sorted.csv", "sorted.csv (2)"),
        ("\ud800", "_"),
    ],
    ids=ascii,
)
def test_a_class_name_becomes_a_folder_that_every_system_allows(class_name: str, folder: str) -> None:
    assert folder_names([class_name], ["sorted.csv"]) == {class_name: folder}


@pytest.mark.parametrize(
    ("class_names", "folders"),
    [
        (["cat", "Cat", "CAT"], ["cat", "Cat (2)", "CAT (3)"]),
        (["a/b", "a\\b", "a_b"], ["a_b", "a_b (2)", "a_b (3)"]),
        (["caf\u00e9", "cafe\u0301"], ["caf\u00e9", "cafe\u0301 (2)"]),
        (["a", "a (2)", "A"], ["a", "a (2)", "A (3)"]),
        (["x" * 80 + "1", "x" * 80 + "2"], ["x" * 60, "x" * 60 + " (2)"]),
    ],
    ids=["case", "separators", "accents", "numbers", "long"],
)
def test_two_classes_never_share_a_folder(class_names: list[str], folders: list[str]) -> None:
    assert list(folder_names(class_names, []).values()) == folders


@given(st.lists(st.text(max_size=8), unique=True, max_size=8))
def test_folders_are_single_path_parts_that_differ_on_any_system(class_names: list[str]) -> None:
    folders = list(folder_names(class_names, []).values())
    same = {unicodedata.normalize("NFC", folder).casefold() for folder in folders}
    assert len(same) == len(class_names)
    assert all(Path(folder).name == folder and not folder.startswith(".") for folder in folders)
    assert all(folder == folder.strip(" .") and folder.isprintable() for folder in folders)
