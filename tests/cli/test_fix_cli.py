"""`tellapart fix` as a user sees it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tellapart.cli.fix import fix
from tellapart.photos.loading import digest_photo

app = typer.Typer()
app.command()(fix)


def run(*arguments: object) -> list[str]:
    """The lines that `tellapart fix` prints on stdout with these arguments."""
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout.splitlines()


@pytest.fixture
def photos_dir(paint: Callable[..., Path], tmp_path: Path) -> Path:
    """Two cats, two dogs and a text."""
    for number in range(2):
        paint(f"photos/cat/{number}.png", "red", (20 + number, 30))
        paint(f"photos/dog/{number}.png", "blue", (20 + number, 30))
    (tmp_path / "photos/cat/notes.txt").write_text("about cats")
    return tmp_path / "photos"


@pytest.fixture
def decisions(photos_dir: Path, tmp_path: Path) -> Path:
    """`cat/0.png` is a dog."""
    content = digest_photo((photos_dir / "cat/0.png").read_bytes())
    (tmp_path / "my.csv").write_text(f"content,path,class,decision,new_class\n{content},cat/0.png,cat,move,dog\n")
    return tmp_path / "my.csv"


def test_what_was_done_is_said_in_a_few_lines(photos_dir: Path, decisions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(photos_dir, "--decisions", decisions, "--out", out) == [
        f"4 photos in {out}: cat 1, dog 3",
        "Your decisions: 0 kept, 1 moved to another class, 0 removed",
        f"not copied {photos_dir}/cat/notes.txt: text, not a photo",
        f"Nothing was changed in {photos_dir}",
    ]


def test_copies_left_out_and_photos_already_there_are_counted(photos_dir: Path, tmp_path: Path) -> None:
    (photos_dir / "dog/2.png").write_bytes((photos_dir / "dog/1.png").read_bytes())
    arguments = (photos_dir, "--drop-copies", "--out", tmp_path / "out")
    run(*arguments)
    lines = run(*arguments)
    assert lines[0] == f"4 photos in {tmp_path / 'out'} (4 were there already): cat 2, dog 2"
    assert lines[1] == "Identical copies left out: 1"


def test_notes_are_shown(photos_dir: Path, decisions: Path, tmp_path: Path) -> None:
    decisions.write_text(decisions.read_text() + f"{'f' * 40},cat/9.png,cat,keep,\n")
    lines = run(photos_dir, "--decisions", decisions, "--out", tmp_path / "out")
    assert lines[2].startswith(f"note: 1 of the 2 decisions in {str(decisions)!r} had no effect: ")


def test_at_most_five_files_that_are_no_photos_are_named(photos_dir: Path, decisions: Path, tmp_path: Path) -> None:
    for number in range(7):
        (photos_dir / f"cat/{number}.txt").write_text("about cats")
    lines = run(photos_dir, "--decisions", decisions, "--out", tmp_path / "out")
    assert sum(line.startswith("not copied /") for line in lines) == 5
    assert lines[-2] == "not copied 3 more"


def test_loading_the_command_loads_nothing_heavy() -> None:
    code = (
        "import sys\nimport tellapart.cli.fix\n"
        "heavy = {'keras', 'torch', 'onnx', 'onnxruntime', 'matplotlib', 'pandas', 'sklearn', 'scipy', 'cv2'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "loaded: []"
