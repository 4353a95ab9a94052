"""`show`: every photo checked, counts and shapes of the usable ones, pictures in a folder of ours."""

import csv
import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.commands.show import show, summarise_shapes
from tellapart.errors import DatasetError, OutputError
from tellapart.records import ImageInfo, Skipped

FILES = {"grid.png", "classes.png", "skipped.csv", "show.json"}


def encode(height: int, width: int, suffix: str = ".jpg") -> bytes:
    image = np.random.default_rng(height * width).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return bytes(cv2.imencode(suffix, image)[1])


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """3 cats and 2 dogs that decode, one cat cut in half, one empty dog."""
    photos = tmp_path / "photos"
    for number, size in enumerate([(30, 40), (30, 40), (60, 20)]):
        write(photos / "cat" / f"{number}.jpg", encode(*size))
    write(photos / "dog" / "0.png", encode(48, 48, ".png"))
    write(photos / "dog" / "1.jpg", encode(24, 36))
    whole = encode(200, 200)
    write(photos / "cat" / "half.jpg", whole[: len(whole) // 2])
    write(photos / "dog" / "empty.jpg", b"")
    return photos


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    for number in range(1, 4):
        write(tmp_path / "test1" / f"{number}.jpg", encode(30, 30 + number))
    return tmp_path / "test1"


def test_counts_hold_only_photos_that_decode(folder: Path) -> None:
    shown = show(folder)
    assert shown.counts == {"cat": 3, "dog": 2}
    assert len(shown.photos) == len(shown.infos) == 5


def test_broken_photos_are_skipped_with_a_reason(folder: Path) -> None:
    skipped = {Path(item.path).name: item.reason for item in show(folder).skipped}
    assert set(skipped) == {"half.jpg", "empty.jpg"}
    assert all(skipped.values())


def test_infos_belong_to_their_photos(folder: Path) -> None:
    shown = show(folder)
    found = {Path(path).name: info for path, info in zip(shown.photos.paths, shown.infos, strict=True)}
    assert found["2.jpg"] == ImageInfo("JPEG", 60, 20)


def test_without_a_folder_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    show(folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_is_shown_like_a_folder(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for path in sorted((folder / "cat").glob("?.jpg")):
            archive.write(path, f"train/cat.{path.stem}.jpg")
        archive.write(folder / "dog" / "1.jpg", "train/dog.1.jpg")
    assert show(tmp_path / "train.zip").counts == {"cat": 3, "dog": 1}


def test_an_unlabelled_source_is_shown_without_counts(unlabelled: Path) -> None:
    shown = show(unlabelled)
    assert shown.counts == {}
    assert len(shown.infos) == 3
    assert shown.photos.unlabelled_reason


def test_labels_that_were_asked_for_must_be_there(unlabelled: Path) -> None:
    with pytest.raises(DatasetError, match="label-pattern|pattern"):
        show(unlabelled, label_pattern="^(moth)_")


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        show(tmp_path / "nowhere")


def test_a_folder_without_photos_is_an_error_and_leaves_no_output(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(DatasetError, match="bare"):
        show(tmp_path / "bare", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_folder_gets_pictures_list_and_marker(folder: Path, tmp_path: Path) -> None:
    show(folder, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert all(cv2.imread(str(tmp_path / "out" / name)) is not None for name in ("grid.png", "classes.png"))
    marker = json.loads((tmp_path / "out" / "show.json").read_text("utf-8"))
    assert (marker["class_counts"], marker["num_skipped"]) == ({"cat": 3, "dog": 2}, 2)


def test_the_list_names_every_skipped_file(folder: Path, tmp_path: Path) -> None:
    shown = show(folder, tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "skipped.csv").read_text("utf-8-sig"))))
    expected = [Skipped(f"photos/{Path(item.path).relative_to(folder)}", item.reason) for item in shown.skipped]
    assert [Skipped(row["path"], row["reason"]) for row in rows] == expected


def test_an_earlier_output_is_replaced(folder: Path, unlabelled: Path, tmp_path: Path) -> None:
    show(folder, tmp_path / "out")
    show(unlabelled, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert json.loads((tmp_path / "out" / "show.json").read_text("utf-8"))["num_photos"] == 3


def test_a_folder_of_someone_else_is_left_alone(folder: Path, tmp_path: Path) -> None:
    theirs = write(tmp_path / "theirs" / "grid.png", b"holiday")
    with pytest.raises(OutputError, match="theirs.*'grid.png'"):
        show(folder, theirs.parent)
    assert theirs.read_bytes() == b"holiday"


@pytest.mark.parametrize("place", ["cat", "new"])
def test_output_inside_the_photos_is_refused(folder: Path, place: str) -> None:
    with pytest.raises(OutputError, match=f"{place}.*inside the photos"):
        show(folder, folder / place)
    assert not (folder / "new").exists()


def test_a_source_of_broken_photos_only_is_still_shown(tmp_path: Path) -> None:
    for name in ("cat/1.jpg", "dog/1.jpg"):
        write(tmp_path / "photos" / name, encode(80, 80)[:300])
    shown = show(tmp_path / "photos", tmp_path / "out")
    assert len(shown.photos) == 0
    assert len(shown.skipped) == 2


def test_photos_of_very_different_sizes_share_a_grid(tmp_path: Path) -> None:
    for name, size in {
        "cat/1.jpg": (1, 1),
        "cat/2.jpg": (900, 1300),
        "dog/1.jpg": (2, 700),
        "dog/2.jpg": (64, 64),
    }.items():
        write(tmp_path / "photos" / name, encode(*size))
    shown = show(tmp_path / "photos", tmp_path / "out")
    assert shown.counts == {"cat": 2, "dog": 2}


def test_no_photos_have_no_shapes() -> None:
    assert summarise_shapes([]) is None


def test_shapes_are_summarised_by_area_and_count() -> None:
    sizes = [(10, 20), (10, 20), (40, 10), (5, 5), (10, 20)]
    summary = summarise_shapes([ImageInfo("JPEG", *size) for size in sizes] + [ImageInfo("PNG", 40, 10)])
    assert summary is not None
    assert (summary.smallest, summary.largest, summary.median) == ((5, 5), (40, 10), (10, 15))
    assert summary.commonest == (((10, 20), 3), ((40, 10), 2), ((5, 5), 1))
    assert summary.formats == {"JPEG": 5, "PNG": 1}


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1))
def test_every_photo_lies_between_the_smallest_and_the_largest(sizes: list[tuple[int, int]]) -> None:
    summary = summarise_shapes([ImageInfo("PNG", *size) for size in sizes])
    assert summary is not None
    areas = [height * width for height, width in sizes]
    assert (np.prod(summary.smallest), np.prod(summary.largest)) == (min(areas), max(areas))
    assert summary.num_shapes == len(set(sizes))
