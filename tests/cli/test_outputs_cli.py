"""No command writes over a photo, among the photos, or over somebody else's file; it says so before it works."""

import errno
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.cli.app import main
from tellapart.photos.files import DiskFile
from tellapart.runs import outputs

Paint = Callable[..., Path]

COMMANDS = [
    pytest.param(["check", "{photos}", "--json", "{out}"], id="check --json"),
    pytest.param(["check", "{photos}", "--html", "{out}"], id="check --html"),
    pytest.param(["evaluate", "{model}", "{photos}", "--json", "{out}"], id="evaluate --json"),
    pytest.param(["predict", "{model}", "{photos}", "--csv", "{out}"], id="predict --csv"),
    pytest.param(["predict", "{model}", "{photos}", "--grid", "{out}"], id="predict --grid"),
    pytest.param(["predict", "{model}", "{photos}", "--submission", "{sample}", "--out", "{out}"], id="predict --out"),
    pytest.param(["embed", "{photos}", "--out", "{out}"], id="embed --out"),
]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_dir: Path, paint: Paint, tmp_path: Path
) -> Callable[[list[str], Path], str]:
    """A function from a command and the file it is to write to what it says on stderr, all files being unharmed."""
    for label in ("blue", "red"):
        for number in range(2):
            paint(f"photos/{label}/{number}.png", label)
    (tmp_path / "sample.csv").write_text("id,label\n0,0\n1,0\n")

    def refuse(command: list[str], out: Path) -> str:
        places = {"photos": tmp_path / "photos", "model": model_dir, "sample": tmp_path / "sample.csv", "out": out}
        monkeypatch.setattr(sys, "argv", ["tellapart", *(word.format(**places) for word in command)])
        before = digests(tmp_path)
        with pytest.raises(SystemExit, match="2"):
            main()
        assert digests(tmp_path) == before
        return capsys.readouterr().err

    return refuse


def digests(folder: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_photo_of_the_source_is_never_written_over(
    run: Callable[[list[str], Path], str], command: list[str], tmp_path: Path
) -> None:
    assert "is inside the photos of" in run(command, tmp_path / "photos" / "red" / "0.png")


@pytest.mark.parametrize("command", COMMANDS)
def test_another_photo_is_never_written_over(
    run: Callable[[list[str], Path], str], command: list[str], paint: Paint, tmp_path: Path
) -> None:
    assert "is an image (PNG), and writing would destroy it" in run(
        command, paint("other.png", "blue").rename(tmp_path / "other.out")
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_model_is_never_written_over(
    run: Callable[[list[str], Path], str], command: list[str], model_dir: Path
) -> None:
    assert "is a file of a run" in run(command, model_dir / "bundle.json")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_of_somebody_else_is_never_written_over(
    run: Callable[[list[str], Path], str], command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "thesis.out").write_text("mine")
    assert "that tellapart wrote" in run(command, tmp_path / "thesis.out")


def test_the_sample_of_a_competition_is_never_written_over(
    run: Callable[[list[str], Path], str], tmp_path: Path
) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "sample.csv")
    command = ["predict", "{model}", "{photos}", "--submission", "{sample}", "--out", "{out}"]
    assert "is a file that is read here" in run(command, tmp_path / "link.csv")


@pytest.mark.parametrize("command", COMMANDS[2:6])
def test_an_earlier_file_of_the_command_is_replaced(
    command: list[str], monkeypatch: pytest.MonkeyPatch, model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    paint("photos/red/0.png", "red")
    paint("photos/blue/1.png", "blue")
    (tmp_path / "sample.csv").write_text("id,label\n0,0\n1,0\n")
    places = {"photos": tmp_path / "photos", "model": model_dir, "sample": tmp_path / "sample.csv"}
    words = [word.format(**places, out=tmp_path / "out.png") for word in command]
    monkeypatch.setattr(sys, "argv", ["tellapart", *words])
    for _ in range(2):
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
    assert (tmp_path / "out.png").stat().st_size > 0


FOLDER_COMMANDS = [
    pytest.param(["show", "{photos}", "--out", "{out}"], id="show --out"),
    pytest.param(["fix", "{photos}", "--drop-copies", "--out", "{out}"], id="fix --out"),
    pytest.param(["train", "{photos}", "--out", "{out}"], id="train --out"),
    pytest.param(["compare", "{photos}", "--out", "{out}"], id="compare --out"),
    pytest.param(["predict", "{model}", "{photos}", "--sort-into", "{out}"], id="predict --sort-into"),
]
DEMO = pytest.param(["demo", "--out", "{out}"], id="demo --out")


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo that is read is a failure."""

    def refuse(self: DiskFile, max_bytes: int) -> bytes:
        raise AssertionError(f"{self.path} was read")

    monkeypatch.setattr(DiskFile, "read", refuse)


@pytest.mark.usefixtures("no_reading")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_in_a_folder_that_is_not_there_is_told_before_a_photo_is_read(
    run: Callable[[list[str], Path], str], command: list[str], tmp_path: Path
) -> None:
    assert "the folder does not exist" in run(command, tmp_path / "nowhere" / "out")


@pytest.mark.usefixtures("no_reading")
@pytest.mark.parametrize("command", [*FOLDER_COMMANDS, DEMO])
def test_a_folder_of_somebody_else_is_told_before_a_photo_is_read(
    run: Callable[[list[str], Path], str], command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    assert "is not a folder that tellapart made" in run(command, tmp_path / "thesis")


@pytest.mark.usefixtures("no_reading")
@pytest.mark.parametrize("command", [*FOLDER_COMMANDS, DEMO])
def test_a_file_in_place_of_a_folder_is_told_before_a_photo_is_read(
    run: Callable[[list[str], Path], str], command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert "is a file. Give a folder as --" in run(command, tmp_path / "thesis.txt")


@pytest.mark.usefixtures("no_reading")
@pytest.mark.parametrize("command", FOLDER_COMMANDS)
def test_a_folder_among_the_photos_is_told_before_a_photo_is_read(
    run: Callable[[list[str], Path], str], command: list[str], tmp_path: Path
) -> None:
    assert "is inside the photos of" in run(command, tmp_path / "photos" / "out")


@pytest.mark.usefixtures("no_reading")
@pytest.mark.parametrize("command", [*FOLDER_COMMANDS, DEMO])
def test_a_read_only_place_is_told_before_a_photo_is_read(
    run: Callable[[list[str], Path], str], command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(outputs, "check_folder_writable", refuse)
    said = run(command, tmp_path / "new" / "out")
    assert "the disk is read-only" in said
    assert "or give another folder as --" in said
