"""What surrounds a command does not break it: encodings of the output, working folders that are gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

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
