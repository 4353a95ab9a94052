import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from tellapart.errors import OutputError
from tellapart.report.figures import figure_png
from tellapart.runs.outputs import (
    OutputFile,
    check_output_files,
    check_outside,
    claim_dir,
    has_arrays,
    has_columns,
    has_keys,
    has_page_mark,
    has_png_mark,
)


def test_claim_dir_makes_a_new_folder_with_its_parents(tmp_path: Path) -> None:
    claim_dir(tmp_path / "runs" / "first", "run.json")
    assert (tmp_path / "runs" / "first").is_dir()


@pytest.mark.parametrize("name", ["run.json", ".tellapart-0123456789ab.partial"], ids=["our run", "killed at once"])
def test_claim_dir_takes_a_folder_of_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"kept")
    claim_dir(tmp_path, "run.json")
    assert (tmp_path / name).read_bytes() == b"kept"


def test_claim_dir_takes_an_empty_folder(tmp_path: Path) -> None:
    claim_dir(tmp_path, "run.json")
    assert list(tmp_path.iterdir()) == []


def test_claim_dir_refuses_a_foreign_folder_and_names_what_is_in_it(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"cat.{number}.jpg").write_bytes(b"mine")
    with pytest.raises(
        OutputError,
        match="not a folder that tellapart made.*'cat.0.jpg'.* and 2 more.*Give a new or empty folder as `out`",
    ):
        claim_dir(tmp_path, "run.json")
    assert len(list(tmp_path.iterdir())) == 7


def test_claim_dir_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(OutputError, match="is a file. Give a folder as `out`"):
        claim_dir(tmp_path / "out", "run.json")


def test_claim_dir_says_when_a_part_of_the_path_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        claim_dir(tmp_path / "out" / "run", "run.json")


def test_claim_dir_names_the_setting_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="'mine.txt' and no 'sorted.json'.*folder as `sort_into`"):
        claim_dir(tmp_path, "sorted.json", "sort_into")


def test_check_outside_names_the_setting_that_was_given(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="^`sort_into` .*is inside the photos.*Give a folder outside"):
        check_outside(tmp_path / "sorted", tmp_path, "sort_into")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of photos with a subfolder, a table in it, and a photo without a suffix that says so."""
    folder = tmp_path / "photos"
    (folder / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 6), "red").save(folder / "cat" / "1.jpg")
    Image.new("RGB", (8, 6), "red").save(folder / "cat.0.jpg")
    (folder / "notes.txt").write_text("mine")
    return folder


def page(path: Path) -> OutputFile:
    return OutputFile(path, "html", "a page", has_page_mark)


def picture(path: Path) -> OutputFile:
    return OutputFile(path, "grid", "a picture", has_png_mark)


def table(path: Path) -> OutputFile:
    return OutputFile(path, "csv", "a table", has_columns("path", "predicted_class"))


def refuse(file: OutputFile, sources: Sequence[Path], words: str) -> None:
    existed = file.path.exists()
    before = file.path.read_bytes() if file.path.is_file() else None
    with pytest.raises(OutputError, match=words) as caught:
        check_output_files([file], sources)
    assert "\n" not in str(caught.value)
    assert file.path.exists() == existed
    assert (file.path.read_bytes() if file.path.is_file() else None) == before


@pytest.mark.parametrize(
    "name",
    [
        "cat.0.jpg",
        "new.html",
        "cat/1.jpg",
        "cat/new.html",
        "none/new.html",
        "notes.txt",
        "../photos/new.html",
        "NEW.HTML",
    ],
)
def test_nothing_is_written_among_the_photos(photos: Path, name: str) -> None:
    refuse(page(photos / name), [photos], "^`html` .* is inside the photos of .*Give a path outside")


def test_a_relative_path_is_found_inside_the_photos(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos / "cat")
    refuse(page(Path("new.html")), [Path("..")], "is inside the photos of '..'")


def test_a_link_into_the_photos_is_inside_them(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos / "cat")
    refuse(page(tmp_path / "link" / "new.html"), [photos], "is inside the photos")


def test_a_link_to_a_file_that_does_not_exist_yet_is_followed(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "new.html").symlink_to(photos / "new.html")
    refuse(page(tmp_path / "new.html"), [photos], "is inside the photos")


def test_photos_named_by_a_link_are_the_same_photos(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    refuse(page(photos / "new.html"), [tmp_path / "link"], "is inside the photos")


def test_a_folder_that_a_link_among_the_photos_leads_to_holds_photos_too(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "more" / "dog").mkdir(parents=True)
    (photos / "dog").symlink_to(tmp_path / "more" / "dog")
    refuse(page(tmp_path / "more" / "dog" / "new.html"), [photos], "is inside the photos")
    with pytest.raises(OutputError, match="is inside the photos"):
        check_outside(tmp_path / "more" / "dog" / "clean", photos)


def test_a_link_to_a_folder_above_the_photos_makes_no_photos_of_what_is_beside_them(
    photos: Path, tmp_path: Path
) -> None:
    (photos / "up").symlink_to(tmp_path)
    check_output_files([page(tmp_path / "new.html")], [photos])
    check_outside(tmp_path / "clean", photos)


def test_a_disk_that_takes_upper_case_for_lower_is_thought_of(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = os.stat

    def any_case(path: str | Path, **options: bool) -> os.stat_result:
        return stat(str(path).replace("PHOTOS", "photos"), **options)

    monkeypatch.setattr(os, "stat", any_case)
    refuse(page(tmp_path / "PHOTOS" / "new.html"), [photos], "is inside the photos")


@pytest.mark.parametrize("suffix", [".jpg", ".PNG", ".json", "", ".webp", ".tif", ".gif", ".bmp"])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_photo_outside_of_the_source_is_never_replaced(tmp_path: Path, format_name: str, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.new("RGB", (8, 6), "red").save(path, format=format_name)
    refuse(page(path), [], f"is an image \\({format_name}\\), and writing would destroy it")
    refuse(picture(path), [], f"is an image \\({format_name}\\)")


def test_a_photo_under_another_name_is_never_replaced(photos: Path, tmp_path: Path) -> None:
    os.link(photos / "cat.0.jpg", tmp_path / "hard.html")
    (tmp_path / "soft.html").symlink_to(tmp_path / "hard.html")
    refuse(page(tmp_path / "hard.html"), [photos], "is an image")
    refuse(page(tmp_path / "soft.html"), [photos], "is an image")


@pytest.mark.parametrize("name", ["pets.zip", "pets.csv", "PETS.CSV"])
def test_what_is_read_is_not_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"path,predicted_class\n")
    (tmp_path / "link").symlink_to(tmp_path / name)
    os.link(tmp_path / name, tmp_path / "hard")
    for path in (tmp_path / name, tmp_path / "link", tmp_path / "hard"):
        refuse(table(path), [tmp_path / name], "is a file that is read here")


@pytest.mark.parametrize("content", [b"mine", b"<html>mine", b"PK\x03\x04", b"{}", b"path;label\n"])
@pytest.mark.parametrize("make", [page, picture, table], ids=["page", "picture", "table"])
def test_a_file_of_somebody_else_is_never_replaced(
    tmp_path: Path, make: Callable[[Path], OutputFile], content: bytes
) -> None:
    path = tmp_path / "out.file"
    path.write_bytes(content)
    refuse(make(path), [], "exists and is not a .* that tellapart wrote")


def test_a_file_of_ours_of_another_kind_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b'<meta name="generator" content="tellapart">')
    refuse(table(tmp_path / "out"), [], "is not a table that tellapart wrote")


def test_an_earlier_file_of_the_kind_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b'<!doctype html><meta name="generator" content="tellapart">')
    (tmp_path / "table").write_bytes(b"path,predicted_class,p_cat\n")
    (tmp_path / "picture").write_bytes(figure_png(Figure(figsize=(1, 1))))
    np.savez(tmp_path / "vectors.npz", paths=np.zeros(2), more=np.zeros(1))
    (tmp_path / "json").write_text('{"accuracy": 1, "more": 2}')
    vectors = OutputFile(tmp_path / "vectors.npz", "out", "vectors", has_arrays("paths"))
    numbers = OutputFile(tmp_path / "json", "json", "numbers", has_keys("accuracy"))
    check_output_files(
        [page(tmp_path / "page"), table(tmp_path / "table"), picture(tmp_path / "picture"), vectors, numbers], []
    )


@given(st.binary(min_size=1, max_size=60))
def test_nothing_that_is_not_ours_is_taken_for_ours(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    assume(b"tellapart" not in content)  # such as the mark itself, which is in the source that drawn values come from
    path = tmp_path_factory.mktemp("out") / "out"
    path.write_bytes(content)
    kinds = (has_page_mark, has_png_mark, has_columns("path", "class"), has_keys("accuracy"), has_arrays("paths"))
    assert not any(is_own(path) for is_own in kinds)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", '{"accuracy": ', "\udcff"])
def test_json_that_cannot_be_read_is_not_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "out.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert not has_keys("accuracy")(tmp_path / "out.json")


def test_an_empty_file_has_nothing_to_lose(tmp_path: Path) -> None:
    (tmp_path / "out.html").touch()
    check_output_files([page(tmp_path / "out.html")], [])


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    refuse(page(tmp_path), [], "a folder has that name. Give the path of a file")


def test_a_folder_that_does_not_exist_is_said_before_any_work(tmp_path: Path) -> None:
    refuse(page(tmp_path / "none" / "out.html"), [], "the folder does not exist")


def test_a_file_in_the_place_of_the_folder_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refuse(page(tmp_path / "file" / "out.html"), [], "a part of the path is a file")


@pytest.mark.parametrize("name", ["report.html", "metrics.json", "model.onnx", "predictions.csv", "BUNDLE.JSON"])
def test_the_files_of_a_run_stay_as_they_are(tmp_path: Path, name: str) -> None:
    (tmp_path / "run.json").write_text("{}")
    refuse(page(tmp_path / name), [], "is a file of a run.*Give another name")


def test_other_names_in_the_folder_of_a_run_are_free(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("{}")
    check_output_files([page(tmp_path / "evaluation.html")], [])


def test_two_outputs_have_two_names(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="`html` and `csv` are both .*Give two different paths"):
        check_output_files([page(tmp_path / "out"), table(tmp_path / "sub" / ".." / "out")], [])


def test_sources_that_do_not_exist_are_left_to_those_who_read_them(tmp_path: Path) -> None:
    check_output_files([page(tmp_path / "out.html")], [tmp_path / "none", None, "a, b"])


def test_a_folder_inside_a_zip_is_none(tmp_path: Path) -> None:
    (tmp_path / "pets.zip").write_bytes(b"PK\x03\x04")
    check_outside(tmp_path / "clean", tmp_path / "pets.zip")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        claim_dir(tmp_path / "pets.zip" / "clean", "fixed.json")
    with pytest.raises(OutputError, match="is a file. Give a folder"):
        claim_dir(tmp_path / "pets.zip", "fixed.json")


@pytest.mark.parametrize(
    "address", ["s3://photos/run", "gs://photos/run", "file:///run", "S3://photos", "abfs+x://a/b"]
)
def test_a_folder_in_a_bucket_is_not_made_here(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="is an address. Give a folder of this machine as `out`"):
        claim_dir(Path(address), "run.json")
    assert list(tmp_path.iterdir()) == []
