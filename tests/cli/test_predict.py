"""`tellapart predict` as a user sees it: what is printed where, and what is left when it is stopped."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from tellapart.cli import progress
from tellapart.cli.app import main
from tellapart.cli.progress import watch_prediction
from tellapart.predict.bundle import Bundle, write_bundle

Paint = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch, model_dir: Path) -> Callable[..., int]:
    """A function from the arguments after MODEL_DIR to the exit code of `tellapart predict`."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["tellapart", "predict", str(model_dir), *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    return run


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file that begins like a photo and then ends."""
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    return path


def test_the_first_photos_the_counts_and_what_was_skipped_are_printed(
    predict: Callable[..., int], paint: Paint, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    red, blue = paint("a.png", "red"), paint("b.png", "blue")
    assert predict(red, broken, blue, red, "--limit", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [f"{red}  red 99.8%", f"{blue}  blue 99.8%", "3 photos: blue 1, red 2"]
    assert lines[3].startswith(f"skipped {broken}: ")
    assert len(lines) == 4


def test_more_skipped_photos_than_the_limit_are_counted(
    predict: Callable[..., int], paint: Paint, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(broken, paint("a.png", "red"), broken, broken, "--limit", 0) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[2]) == ("1 photo: red 1", "skipped 2 more")


def test_where_no_photo_can_be_read_the_exit_code_is_2_and_one_line_says_why(
    predict: Callable[..., int], broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(broken, broken) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tellapart: none of the 2 files")


def test_sorting_says_how_many_photos_were_copied_and_were_there(
    predict: Callable[..., int], paint: Paint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(paint("a.png", "red"), "--sort-into", tmp_path / "sorted") == 0
    assert f"1 photo copied into {tmp_path / 'sorted'}\n" in capsys.readouterr().out
    assert predict(tmp_path / "a.png", paint("b.png", "blue"), "--sort-into", tmp_path / "sorted") == 0
    assert f"1 photo copied into {tmp_path / 'sorted'}, 1 were there already\n" in capsys.readouterr().out


def test_a_heatmap_is_drawn_into_the_grid(
    predict: Callable[..., int], model_dir: Path, map_bundle: Bundle, paint: Paint, tmp_path: Path
) -> None:
    write_bundle(model_dir, map_bundle)
    assert predict(paint("a.png", "red"), "--grid", tmp_path / "grid.png", "--heatmap") == 0
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_heat_maps_of_too_few_places_are_said_to_be(
    predict: Callable[..., int], model_dir: Path, map_bundle: Bundle, paint: Paint, tmp_path: Path, capsys: Capture
) -> None:
    write_bundle(model_dir, map_bundle)
    assert predict(paint("a.png", "red"), "--grid", tmp_path / "grid.png", "--heatmap") == 0
    said = "The heat maps of this model have only 3 x 2 places, too few to show where it looked."
    assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--heatmap"], "--heatmap is drawn into the picture of --grid"),
        (
            ["--heatmap", "--grid", "grid.png"],
            "--heatmap needs a model that can show where it looks, and this model cannot. Train with `tellapart",
        ),
        (["--sort-into", "."], "is not a folder that tellapart made"),
        (["--out", "x.csv"], "give --submission and --out together"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_users_mistake_is_one_line_and_ends_with_code_2(
    predict: Callable[..., int],
    paint: Paint,
    flags: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    paint("photos/a.png", "red")
    assert predict("photos", *flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "photos"]


def test_ctrl_c_is_one_line_with_code_130_and_leaves_no_part_of_a_csv(
    predict: Callable[..., int],
    paint: Paint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @contextmanager
    def interrupted() -> Iterator[Callable[[int, int], None]]:
        def stop(num_done: int, num_photos: int) -> None:
            if num_done == 5:
                raise KeyboardInterrupt

        yield stop

    monkeypatch.setattr("tellapart.cli.predict.watch_prediction", interrupted)
    (tmp_path / "out").mkdir()
    photo = paint("a.png", "red")
    assert predict(*[photo] * 50, "--csv", tmp_path / "out/answers.csv", "--sort-into", tmp_path / "out/sorted") == 130
    assert capsys.readouterr().err.splitlines() == ["tellapart: stopped."]
    copies = ["a (2).png", "a (3).png", "a (4).png", "a (5).png", "a.png"]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == [*copies, "sorted.json"]


def test_nothing_is_shown_of_a_short_prediction_without_a_terminal(
    predict: Callable[..., int], paint: Paint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(paint("a.png", "red")) == 0
    assert capsys.readouterr().err == ""


def shown_on(console: Console, monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> str:
    """What a prediction of 1,000 photos shows, of which one more is done at each of these times."""
    clock = [0.0]
    monkeypatch.setattr(progress, "make_console", lambda stderr: console)
    with watch_prediction(lambda: clock[-1]) as show:
        for num_done, moment in enumerate(seconds, start=1):
            clock.append(moment)
            show(num_done, 1000)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_terminal_a_line_a_minute_says_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=200)
    text = shown_on(console, monkeypatch, [1.0, 59.0, 61.0, 62.0, 122.0])
    assert text == "  photo 3/1,000, 5 h 37 min left\n  photo 5/1,000, 6 h 44 min left\n"


def test_on_a_terminal_the_photos_done_and_the_time_left_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    text = shown_on(console, monkeypatch, [1.0, 2.0, 3.0])
    assert "photo 3/1,000" in text
    assert "16 min 37 s left" in text
