"""What surrounds a command does not break it: encodings of the output, working folders, photos that were moved."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tellapart.cli.train import default_run_dir

ENCODINGS = ["cp1252", "ascii", "cp437", "iso8859-1:strict", "utf-8:strict"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a class in Chinese, one with an emoji, and a file whose name is no UTF-8."""
    for name in ("猫", "dog 🐶"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (24, 32), (90 * number, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    with open(os.fsencode(tmp_path / "photos" / "猫") + b"/\xff\xfe.txt", "wb") as file:
        file.write(b"no photo")
    return tmp_path / "photos"


def tellapart(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command that ran in a process of its own."""
    command = [sys.executable, "-m", "tellapart", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, cwd=cwd, env=os.environ | environment)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_name_that_the_output_cannot_encode_is_escaped(photos: Path, encoding: str) -> None:
    result = tellapart("show", photos, PYTHONIOENCODING=encoding)
    said = result.stdout.decode(encoding.split(":")[0])
    assert (result.returncode, result.stderr) == (0, b"")
    assert said.count("猫") + said.count(r"\u732b") == 2  # the class, and the file in its folder
    assert said.rstrip().endswith(r"\xff\xfe.txt")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_error_about_such_a_name_is_one_line(tmp_path: Path, encoding: str) -> None:
    result = tellapart("train", tmp_path / "没有", PYTHONIOENCODING=encoding)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert b"does not exist" in result.stderr


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_progress_notes_and_tables_of_a_training_are_escaped(
    photos: Path, tiny_backbone: Path, tmp_path: Path, encoding: str
) -> None:
    flags = ["--backbone", tiny_backbone, "--cache-dir", tmp_path / "cache", "--out", tmp_path / "run"]
    result = tellapart("train", photos, *flags, PYTHONIOENCODING=encoding)
    assert (result.returncode, result.stderr) == (0, b"")
    assert (tmp_path / "run" / "report.html").exists()


def test_a_defect_is_told_with_its_place_in_any_encoding(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['tellapart', 'show', '.']\n"
        "from tellapart.cli import app\n"
        "def fail(*_, **__): raise ZeroDivisionError('猫')\n"
        "app.app = fail\n"
        "app.main()"
    )
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict", "TELLAPART_TRACEBACK": "1", "PYTHONUTF8": "1"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=environment)
    assert result.returncode == 1
    assert result.stderr.count(rb"ZeroDivisionError: \u732b") == 2


def test_a_deleted_working_folder_is_told_in_one_line(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code = f"import os, runpy, sys; os.chdir({str(tmp_path / 'gone')!r}); os.rmdir(os.getcwd())\n" + (
        f"sys.argv = ['tellapart', 'show', {str(photos)!r}]; runpy.run_module('tellapart', run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        "tellapart: the working folder was deleted. Change to a folder that exists, as with `cd ~`."
    ]


@pytest.mark.parametrize(("work_dir", "source"), [("photos", "."), ("photos/cat", ".."), ("photos", "../photos")])
def test_a_run_without_out_lies_beside_the_photos_where_one_works_among_them(
    work_dir: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / work_dir)
    out = default_run_dir([source], "transfer", resume=False)
    assert out.resolve() == tmp_path / "runs" / "photos-transfer"
    assert not out.is_absolute()


def test_a_run_without_out_lies_in_the_working_folder_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert default_run_dir(["photos"], "transfer", resume=False) == Path("runs/photos-transfer")


def test_training_in_the_folder_of_the_photos_needs_no_out(
    animals_dir: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    photos = shutil.copytree(animals_dir, tmp_path / "mine" / "photos")
    flags = ["--backbone", tiny_backbone, "--cache-dir", tmp_path / "cache"]
    assert tellapart("train", ".", *flags, cwd=photos).returncode == 0
    assert (tmp_path / "mine" / "runs" / "photos-transfer" / "report.html").exists()
    assert sorted(path.name for path in photos.iterdir()) == sorted(path.name for path in animals_dir.iterdir())


@pytest.fixture(scope="module")
def moved(animals_dir: Path, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `run` that was trained in it on `photos`, which are now called `elsewhere/renamed`."""
    folder = tmp_path_factory.mktemp("moved")
    shutil.copytree(animals_dir, folder / "photos")
    flags = ["--backbone", tiny_backbone, "--cache-dir", folder / "cache", "--out", "run"]
    assert tellapart("train", "photos", *flags, cwd=folder).returncode == 0
    (folder / "elsewhere").mkdir()
    (folder / "photos").rename(folder / "elsewhere" / "renamed")
    return folder


def test_a_run_remembers_where_its_photos_are_absolutely(moved: Path) -> None:
    assert json.loads((moved / "run" / "run.json").read_bytes())["source"] == str(moved / "photos")


def test_a_report_asks_where_the_photos_are_that_are_gone(moved: Path) -> None:
    (moved / "run" / "report.html").unlink(missing_ok=True)
    result = tellapart("report", moved / "run", "--cache-dir", moved / "cache")
    assert result.returncode == 2
    assert b"are no longer at" in result.stderr
    assert b"Say where they are now with --photos." in result.stderr


def test_a_report_takes_the_photos_from_where_they_are_now(moved: Path, tmp_path: Path) -> None:
    run = shutil.copytree(moved / "run", tmp_path / "run")
    (run / "report.html").unlink(missing_ok=True)
    flags = ["--photos", moved / "elsewhere" / "renamed", "--cache-dir", moved / "cache"]
    result = tellapart("report", run, *flags, cwd=tmp_path)
    assert (result.returncode, result.stdout.decode().strip()) == (0, str(run / "report.html"))
    page = (run / "report.html").read_text()
    assert "photos/cat/cat.0.jpg" in page
    assert str(moved) not in page


@pytest.mark.parametrize("flag", [[], ["--photos"]], ids=["source", "--photos"])
def test_a_run_goes_on_with_the_photos_from_where_they_are_now(moved: Path, tmp_path: Path, flag: list[str]) -> None:
    run = shutil.copytree(moved / "run", tmp_path / "run")
    place = moved / "elsewhere" / "renamed"
    command = ["train", *flag, place, "--out", run, "--resume", "--cache-dir", moved / "cache"]
    assert tellapart(*command, cwd=tmp_path).returncode == 0
    assert json.loads((run / "run.json").read_bytes())["source"] == str(place)


def test_a_run_goes_on_from_another_folder_without_naming_its_photos(
    animals_dir: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    shutil.copytree(animals_dir, tmp_path / "photos")
    (tmp_path / "other").mkdir()
    flags = ["--backbone", tiny_backbone, "--cache-dir", tmp_path / "cache", "--label-pattern", "^([a-z]+)"]
    assert tellapart("train", "photos", *flags, "--out", "run", cwd=tmp_path).returncode == 0
    command = ["train", "--out", "../run", "--resume", "--cache-dir", tmp_path / "cache"]
    assert tellapart(*command, cwd=tmp_path / "other").returncode == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "SOURCE is missing"),
        (["--resume"], "or the folder of the run with --out"),
        (["--photos", "there"], "--photos works only with --resume"),
        (["here", "--photos", "there", "--resume"], "SOURCE already says"),
    ],
)
def test_photos_that_are_given_twice_or_not_at_all_are_told(flags: list[str], words: str, tmp_path: Path) -> None:
    result = tellapart("train", *flags, cwd=tmp_path)
    assert result.returncode == 2
    assert words in result.stderr.decode()
