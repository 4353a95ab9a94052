"""`tellapart show` as a user sees it: what is printed, and what is written."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tellapart.cli.show import show
from tellapart.errors import ConfigError, DatasetError

RUNNER = CliRunner()


@pytest.fixture
def app() -> typer.Typer:
    result = typer.Typer()
    result.command()(show)
    return result


def write_photo(path: Path, height: int = 30, width: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    path.write_bytes(bytes(cv2.imencode(".jpg", image)[1]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    for number in range(3):
        write_photo(photos / "cat" / f"{number}.jpg")
    write_photo(photos / "[red]dog" / "0.jpg", 60, 20)
    for number in range(7):
        (photos / "cat" / f"empty{number}.jpg").write_bytes(b"")
    return photos


def test_help_names_the_source_and_every_option(app: typer.Typer) -> None:
    result = RUNNER.invoke(app, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    assert result.exit_code == 0
    assert all(word in result.output for word in ("SOURCE", "--out", "--labels-csv", "--label-pattern"))


def test_counts_are_printed_per_class(app: typer.Typer, folder: Path) -> None:
    result = RUNNER.invoke(app, [str(folder)])
    assert result.exit_code == 0, result.output
    assert ["cat", "3"] in [line.split() for line in result.output.splitlines()]


def test_names_that_look_like_markup_are_printed_as_they_are(app: typer.Typer, folder: Path) -> None:
    result = RUNNER.invoke(app, [str(folder)])
    assert ["[red]dog", "1"] in [line.split() for line in result.output.splitlines()]


def test_sizes_are_printed_width_first_and_formats(app: typer.Typer, folder: Path) -> None:
    output = RUNNER.invoke(app, [str(folder)]).output
    assert ["common", "40", "x", "30", "3"] in [line.split() for line in output.splitlines()]
    assert "JPEG 4" in output


def test_five_skipped_files_are_named_and_the_rest_counted(app: typer.Typer, folder: Path) -> None:
    output = RUNNER.invoke(app, [str(folder)]).output
    assert "Skipped 7: " in output
    assert sum("/empty" in line for line in output.splitlines()) == 5
    assert "and 2 more" in output


def test_without_out_nothing_is_written(app: typer.Typer, folder: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    RUNNER.invoke(app, [str(folder)])
    assert sorted(tmp_path.rglob("*")) == before


def test_out_gets_the_pictures_and_is_named(app: typer.Typer, folder: Path, tmp_path: Path) -> None:
    result = RUNNER.invoke(app, [str(folder), "--out", str(tmp_path / "out")])
    assert str(tmp_path / "out") in result.output
    assert (tmp_path / "out" / "grid.png").is_file()


def test_unlabelled_photos_are_called_unlabelled(app: typer.Typer, tmp_path: Path) -> None:
    write_photo(tmp_path / "test1" / "1.jpg")
    write_photo(tmp_path / "test1" / "2.jpg")
    result = RUNNER.invoke(app, [str(tmp_path / "test1")])
    assert result.exit_code == 0, result.output
    assert "unlabelled" in result.output


def test_a_pattern_finds_the_labels(app: typer.Typer, tmp_path: Path) -> None:
    for name in ("x-oak-1.jpg", "x-oak-2.jpg", "x-elm-1.jpg"):
        write_photo(tmp_path / "trees" / name)
    output = RUNNER.invoke(app, [str(tmp_path / "trees"), "--label-pattern", "^x-([a-z]+)-"]).output
    assert ["oak", "2"] in [line.split() for line in output.splitlines()]


def test_a_missing_source_is_left_to_the_caller_as_an_error(app: typer.Typer, tmp_path: Path) -> None:
    result = RUNNER.invoke(app, [str(tmp_path / "nowhere")])
    assert isinstance(result.exception, DatasetError)


def test_two_ways_to_label_are_one_too_many(app: typer.Typer, folder: Path) -> None:
    result = RUNNER.invoke(app, [str(folder), "--labels-csv", "a.csv", "--label-pattern", "(x)"])
    assert isinstance(result.exception, ConfigError)


def test_control_characters_in_names_are_made_visible(app: typer.Typer, tmp_path: Path) -> None:
    for name in ("a\x1b[31m", "b"):
        write_photo(tmp_path / "photos" / name / "1.jpg")
        write_photo(tmp_path / "photos" / name / "2.jpg")
    output = RUNNER.invoke(app, [str(tmp_path / "photos")]).output
    assert "\x1b[31m" not in output
    assert r"a\x1b[31m" in output


def test_of_many_classes_the_largest_and_the_smallest_are_printed(app: typer.Typer, tmp_path: Path) -> None:
    for number in range(70):
        for copy in range(1 + (number in (13, 40))):
            write_photo(tmp_path / "photos" / f"kind {number:02d}" / f"{copy}.jpg")
    lines = RUNNER.invoke(app, [str(tmp_path / "photos")]).output.splitlines()
    assert [line.split() for line in lines if line.startswith("kind")][:2] == [["kind", "13", "2"], ["kind", "40", "2"]]
    assert len([line for line in lines if line.startswith("kind")]) == 20
    assert any("50 more classes" in line for line in lines)
    assert any("70 classes, each with 1 to 2 photos" in line and "--out" in line for line in lines)
