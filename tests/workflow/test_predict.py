import csv
import errno
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.config import ImageLimits
from tellapart.errors import BundleError, DatasetError, OutputError
from tellapart.records import Prediction, Skipped
from tellapart.workflow.predict import open_model, predict_photos, write_predictions_csv, write_predictions_grid

Paint = Callable[..., Path]
RESULTS = (
    Prediction("b.jpg", "red", 0.75, (0.25, 0.75)),
    Skipped("broken.jpg", "cut short"),
    Prediction("a, or not.jpg", "blue", 0.123456789, (0.123456789, 1e-7)),
)


def read_rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_photos_of_a_folder_and_a_zip_are_told_apart(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint("unseen/10.png", "red")
    paint("unseen/9.png", "blue")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(paint("1.png", "red"), "test/1.png")
    results = predict_photos(*open_model(model_dir, [tmp_path / "unseen", tmp_path / "more.zip"]))
    assert [(Path(result.path).relative_to(tmp_path).as_posix(), result.predicted_class) for result in results] == [
        ("unseen/9.png", "blue"),
        ("unseen/10.png", "red"),
        ("more.zip/test/1.png", "red"),
    ]


def test_a_photo_above_the_limits_is_skipped(model_dir: Path, paint: Paint) -> None:
    (result,) = predict_photos(*open_model(model_dir, [paint("a.png", "red")], ImageLimits(max_pixels=10)))
    assert isinstance(result, Skipped)


def test_a_folder_without_photos_is_an_error_at_once(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty.*holds no photos.*check the path"):
        open_model(model_dir, [tmp_path / "empty"])


def test_two_folders_without_photos_are_an_error_at_once(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with pytest.raises(DatasetError, match="no photos in .*one, .*two.*Check the path"):
        open_model(model_dir, [tmp_path / "one", tmp_path / "two"])


def test_a_folder_that_is_no_model_is_an_error_at_once(paint: Paint, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a model folder"):
        open_model(tmp_path, [paint("a.png", "red")])


def test_the_csv_has_a_row_for_each_photo_with_a_column_for_each_class(tmp_path: Path) -> None:
    write_predictions_csv(tmp_path / "out.csv", RESULTS, ("blue", "red"))
    assert read_rows(tmp_path / "out.csv") == [
        ["path", "predicted_class", "probability", "p_blue", "p_red"],
        ["b.jpg", "red", "0.75", "0.25", "0.75"],
        ["a, or not.jpg", "blue", "0.123457", "0.123457", "1e-07"],
    ]


def test_skipped_photos_are_handed_back_and_not_written(tmp_path: Path) -> None:
    assert write_predictions_csv(tmp_path / "out.csv", iter(RESULTS), ("blue", "red")) == (RESULTS[1],)


def test_a_full_disk_leaves_the_earlier_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "out.csv").write_text("earlier")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="out.csv': the disk is full"):
        write_predictions_csv(tmp_path / "out.csv", RESULTS, ("blue", "red"))
    assert (tmp_path / "out.csv").read_text() == "earlier"


def test_the_grid_is_a_png_of_the_photos_that_could_be_read(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paths = [paint(f"{number}.png", "red") for number in range(4)]
    paths[0].write_bytes(b"\x89PNG\r\n\x1a\n")
    predictor, photos = open_model(model_dir, paths)
    results = predict_photos(predictor, photos)
    write_predictions_grid(tmp_path / "grid.png", photos, results, limit=2)
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_a_grid_of_nothing_readable_is_refused(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    path = paint("a.png", "red")
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    predictor, photos = open_model(model_dir, [path])
    with pytest.raises(DatasetError, match="no grid to draw"):
        write_predictions_grid(tmp_path / "grid.png", photos, predict_photos(predictor, photos), limit=2)


def test_predicting_loads_nothing_that_only_learning_or_drawing_needs(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tellapart.workflow.predict import open_model, predict_photos, write_predictions_csv\n"
        "from tellapart.workflow.submission import write_submission\n"
        f"results = predict_photos(*open_model({str(model_dir)!r}, [{str(paint('a.jpg', 'red'))!r}]))\n"
        f"assert write_predictions_csv(Path({str(tmp_path / 'out.csv')!r}), results, ('blue', 'red')) == ()\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"keras", "torch", "tensorflow", "jax", "onnx", "pandas", "matplotlib", "seaborn", "sklearn", "scipy"}
    assert heavy & set(done.stdout.split()) == set()
