import csv
import errno
import gc
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tellapart.commands import predict
from tellapart.commands.predict import PredictOutputs, write_predictions
from tellapart.errors import BundleError, ConfigError, DatasetError, OutputError
from tellapart.photos.csv_table import read_table
from tellapart.predict.bundle import Bundle, write_bundle
from tellapart.records import Prediction
from tellapart.report.grid import draw_grid

Paint = Callable[..., Path]


def read_rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def answers(model_dir: Path, sources: Sequence[Path], tmp_path: Path) -> list[tuple[str, str]]:
    """Path below `tmp_path` and class of each photo, from the CSV."""
    write_predictions(model_dir, sources, outputs=PredictOutputs(csv=tmp_path / "answers.csv"))
    rows = read_rows(tmp_path / "answers.csv")[1:]
    return [(Path(row[0]).relative_to(tmp_path).as_posix(), row[1]) for row in rows]


@pytest.fixture
def map_dir(tmp_path: Path, map_bundle: Bundle) -> Path:
    """A model folder whose model has activation maps."""
    write_bundle(tmp_path / "map-model", map_bundle)
    return tmp_path / "map-model"


def test_photos_of_a_folder_and_a_zip_are_told_apart(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint("unseen/10.png", "red")
    paint("unseen/9.png", "blue")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(paint("1.png", "red"), "test/1.png")
    assert answers(model_dir, [tmp_path / "unseen", tmp_path / "more.zip"], tmp_path) == [
        ("unseen/9.png", "blue"),
        ("unseen/10.png", "red"),
        ("more.zip/test/1.png", "red"),
    ]


def test_a_folder_without_photos_is_an_error_at_once(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty.*holds no photos.*Check the path"):
        write_predictions(model_dir, [tmp_path / "empty"])


def test_two_folders_without_photos_are_an_error_at_once(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with pytest.raises(DatasetError, match="no photos in .*one, .*two.*Give photos"):
        write_predictions(model_dir, [tmp_path / "one", tmp_path / "two"])


def test_a_folder_that_is_no_model_is_an_error_at_once(paint: Paint, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a model folder"):
        write_predictions(tmp_path, [paint("a.png", "red")])


def test_the_csv_has_a_row_for_each_photo_with_a_column_for_each_class(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    paths = [paint("b.png", "red"), paint("broken.png", "red"), paint("a, or not.png", "blue")]
    paths[1].write_bytes(b"\x89PNG\r\n\x1a\n")
    write_predictions(model_dir, paths, outputs=PredictOutputs(csv=tmp_path / "out.csv"))
    sure, unsure = "0.997527", "0.00247262"
    assert read_rows(tmp_path / "out.csv") == [
        ["path", "predicted_class", "probability", "p_blue", "p_red", "nearest_class", "answer"],
        [str(paths[0]), "red", sure, unsure, sure, "red", "red"],
        [str(paths[2]), "blue", sure, sure, unsure, "blue", "blue"],
    ]


def test_a_full_disk_leaves_the_earlier_csv(
    model_dir: Path, paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "out.csv").write_text("path,predicted_class,probability,earlier")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="out.csv': the disk is full"):
        write_predictions(model_dir, [paint("a.png", "red")], outputs=PredictOutputs(csv=tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text() == "path,predicted_class,probability,earlier"


def test_stopping_in_the_middle_leaves_no_part_of_a_csv_and_ends_the_threads(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    def stop(num_done: int, num_photos: int) -> None:
        raise KeyboardInterrupt

    outputs = PredictOutputs(csv=tmp_path / "out" / "out.csv")
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        write_predictions(model_dir, [paint("a.png", "red")] * 200, outputs=outputs, on_photo=stop)
    assert list((tmp_path / "out").iterdir()) == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("photos")] == []


def test_progress_is_told_photo_by_photo(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    told: list[tuple[int, int]] = []
    write_predictions(
        model_dir, [paint("a.png", "red"), tmp_path / "notes.txt"] * 2, on_photo=lambda *numbers: told.append(numbers)
    )
    assert told == [(1, 2), (2, 2)]


def test_the_summary_counts_all_and_keeps_the_first(model_dir: Path, paint: Paint) -> None:
    paths = [paint(f"{number}.png", ["red", "blue", "red"][number % 3]) for number in range(12)]
    for number in (0, 4, 5):
        paths[number].write_bytes(b"\x89PNG\r\n\x1a\n")
    summary = write_predictions(model_dir, paths, outputs=PredictOutputs(limit=2))
    assert summary.counts == {"red": 6, "blue": 3}
    assert [(row, item.path) for row, item in summary.first] == [(1, str(paths[1])), (2, str(paths[2]))]
    assert [item.path for item in summary.first_skipped] == [str(paths[0]), str(paths[4])]
    assert summary.num_skipped == 3


def test_the_grid_is_a_png_of_the_photos_that_could_be_read(
    model_dir: Path, paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [paint(f"{number}.png", "red", (24, 30 + number)) for number in range(4)]
    paths[0].write_bytes(b"\x89PNG\r\n\x1a\n")
    drawn = keep_drawn(monkeypatch)
    write_predictions(model_dir, paths, outputs=PredictOutputs(grid=tmp_path / "grid.png", limit=2))
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert [image.shape for image in drawn] == [(24, 31, 3), (24, 32, 3)]


def test_a_photo_that_goes_before_the_grid_is_drawn_is_grey(
    model_dir: Path, paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [paint(f"{number}.png", "red", (24, 30 + number)) for number in range(2)]
    drawn, write_grid = keep_drawn(monkeypatch), predict._write_grid

    def write_later(*arguments: object) -> None:
        paths[0].unlink()
        write_grid(*arguments)

    monkeypatch.setattr(predict, "_write_grid", write_later)
    write_predictions(model_dir, paths, outputs=PredictOutputs(grid=tmp_path / "grid.png"))
    assert [len(np.unique(image)) > 1 for image in drawn] == [False, True]
    assert drawn[0].min() == 200


def keep_drawn(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The images that grids will be drawn of."""
    drawn: list[np.ndarray] = []

    def draw(images: Sequence[np.ndarray], titles: Sequence[str]) -> object:
        drawn.extend(images)
        return draw_grid(images, titles)

    monkeypatch.setattr("tellapart.report.grid.draw_grid", draw)
    return drawn


def test_where_no_photo_can_be_read_nothing_is_written_and_the_first_reason_is_said(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    path = paint("a.png", "red")
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    outputs = PredictOutputs(csv=tmp_path / "out.csv", grid=tmp_path / "grid.png")
    with pytest.raises(DatasetError, match="there are no predictions, because '.*a.png' is cut off"):
        write_predictions(model_dir, [path], outputs=outputs)
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "grid.png").exists()


def test_a_table_from_before_stays_where_no_photo_can_be_read(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    outputs = PredictOutputs(csv=tmp_path / "out.csv")
    write_predictions(model_dir, [paint("a.png", "red")], outputs=outputs)
    before = (tmp_path / "out.csv").read_bytes()
    paint("a.png", "red").write_bytes(b"text")
    with pytest.raises(DatasetError, match="there are no predictions, because .* is text, not a photo"):
        write_predictions(model_dir, [tmp_path / "a.png"], outputs=outputs)
    assert (tmp_path / "out.csv").read_bytes() == before


def test_a_heatmap_colours_the_place_that_speaks_for_the_class(
    map_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[20:, 40:, 0] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    drawn = keep_drawn(monkeypatch)
    write_predictions(map_dir, [tmp_path / "a.png"], outputs=PredictOutputs(grid=tmp_path / "g.png", heatmap=True))
    changed = np.abs(drawn[0].astype(int) - pixels).sum(axis=2)
    assert drawn[0].shape == pixels.shape
    assert changed[30:, 50:].min() > 20
    assert changed[:10, :20].max() < changed[30:, 50:].min()


def test_without_the_flag_the_grid_shows_the_photos_as_they_are(
    map_dir: Path, paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = keep_drawn(monkeypatch)
    write_predictions(map_dir, [paint("a.png", "red")], outputs=PredictOutputs(grid=tmp_path / "g.png"))
    np.testing.assert_array_equal(drawn[0], np.full((24, 32, 3), (255, 0, 0), np.uint8))


def test_a_heatmap_of_a_model_without_maps_is_refused_before_anything_is_written(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    outputs = PredictOutputs(tmp_path / "out.csv", tmp_path / "grid.png", heatmap=True)
    with pytest.raises(ConfigError, match="`heatmap` needs a model.*`recipe='scratch'`.*`recipe='transfer'`"):
        write_predictions(model_dir, [paint("a.png", "red")], outputs=outputs)
    assert not (tmp_path / "out.csv").exists()


def test_a_heatmap_without_a_grid_is_refused() -> None:
    with pytest.raises(ConfigError, match="`heatmap` is drawn into the picture of `grid`"):
        PredictOutputs(heatmap=True)


def test_a_submission_that_does_not_fit_is_refused_before_the_photos_are_read(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    (tmp_path / "sample.csv").write_text("id,label\n1,moth\n")
    told: list[int] = []
    outputs = PredictOutputs(submission=(tmp_path / "sample.csv", tmp_path / "mine.csv"))
    with pytest.raises(DatasetError, match="'moth'"):
        write_predictions(model_dir, [paint("1.png", "red")], outputs=outputs, on_photo=lambda *numbers: told.append(1))
    assert told == []


def test_a_submission_without_all_its_photos_is_refused_and_the_csv_is_there(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    (tmp_path / "sample.csv").write_text("id,label\n1,red\n2,red\n")
    outputs = PredictOutputs(tmp_path / "out.csv", submission=(tmp_path / "sample.csv", tmp_path / "mine.csv"))
    with pytest.raises(DatasetError, match="1 of 2 ids"):
        write_predictions(model_dir, [paint("1.png", "red")], outputs=outputs)
    assert len(read_rows(tmp_path / "out.csv")) == 2


def test_memory_does_not_grow_with_the_number_of_photos(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    process = psutil.Process()
    resident: list[int] = []

    def measure(num_done: int, num_photos: int) -> None:
        if num_done % 500 == 0:
            resident.append(process.memory_info().rss)

    (tmp_path / "sample.csv").write_text("id,label\nb,red\n")
    sources = [paint("a.png", "red")] * 4000 + [paint("b.png", "blue")]
    outputs = PredictOutputs(tmp_path / "o.csv", submission=(tmp_path / "sample.csv", tmp_path / "mine.csv"))
    write_predictions(model_dir, sources, outputs=outputs, on_photo=measure)
    assert len(resident) == 8
    assert max(resident[2:]) - resident[1] < 4e6  # the 3,000 photos, decoded, would take 7 MB
    assert len(read_rows(tmp_path / "o.csv")) == 4002


def test_no_more_predictions_are_kept_than_are_shown(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    alive: list[int] = []

    def count(num_done: int, num_photos: int) -> None:
        if num_done in (100, num_photos):
            alive.append(sum(type(thing) is Prediction for thing in gc.get_objects()))

    (tmp_path / "sample.csv").write_text("id,label\nb,red\n")
    outputs = PredictOutputs(
        tmp_path / "out.csv",
        tmp_path / "grid.png",
        submission=(tmp_path / "sample.csv", tmp_path / "mine.csv"),
        sort_into=tmp_path / "sorted",
        limit=3,
    )
    write_predictions(
        model_dir, [paint("a.png", "red")] * 200 + [paint("b.png", "blue")], outputs=outputs, on_photo=count
    )
    assert alive[1] - alive[0] <= 1  # the one that the sample asks for


def test_predicting_loads_nothing_that_only_learning_or_drawing_needs(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tellapart.commands.predict import PredictOutputs, write_predictions\n"
        f"outputs = PredictOutputs(Path({str(tmp_path / 'out.csv')!r}), sort_into=Path({str(tmp_path / 'sorted')!r}))\n"
        f"summary = write_predictions({str(model_dir)!r}, [{str(paint('a.jpg', 'red'))!r}], outputs=outputs)\n"
        "assert summary.counts == {'red': 1}, summary\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"keras", "torch", "tensorflow", "jax", "onnx", "pandas", "matplotlib", "sklearn", "scipy"}
    assert heavy & set(done.stdout.split()) == set()


def test_answers_about_photos_with_names_like_formulas_open_as_text(
    model_dir: Path, paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["+x.png", "-é.png", "=1+1.png", "@猫.png"]
    for name in names:
        paint(name, "red")
    monkeypatch.chdir(tmp_path)
    write_predictions(model_dir, names, outputs=PredictOutputs(csv=tmp_path / "out.csv"))

    assert [row[0] for row in read_rows(tmp_path / "out.csv")[1:]] == [f"'{name}" for name in names]
    assert [row.cells[0] for row in read_table(tmp_path / "out.csv").rows] == names
