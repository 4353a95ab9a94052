import csv
import datetime
import errno
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tellapart.commands.predict import PredictOutputs, write_predictions
from tellapart.commands.sorting import SortedPhotos, sort_photos
from tellapart.errors import OutputError
from tellapart.photos.sources import list_photos
from tellapart.predict.bundle import Bundle, write_bundle
from tellapart.predict.model import load

Paint = Callable[..., Path]


def sort(model_dir: Path, sources: Sequence[Path], sort_dir: Path) -> SortedPhotos:
    """What was sorted."""
    done = write_predictions(model_dir, sources, outputs=PredictOutputs(sort_into=sort_dir)).sorted_photos
    assert done is not None
    return done


def files_below(folder: Path) -> list[str]:
    """All files in folders of `folder`."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))


def read_table(sort_dir: Path) -> list[list[str]]:
    with (sort_dir / "sorted.csv").open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Path to bytes and modification time of all files below."""
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def photos_dir(paint: Paint, tmp_path: Path) -> Path:
    """Three photos in two folders, two of them of the same name and colour, all from the year 2001."""
    paint("photos/one/a.png", "red")
    paint("photos/one/b.png", "blue")
    paint("photos/two/a.png", "red", (30, 30))
    for path in (tmp_path / "photos").rglob("*.png"):
        os.utime(path, ns=(10**18, 10**18 + 123456789))
    return tmp_path / "photos"


def test_each_photo_is_copied_into_the_folder_of_its_class(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    assert sort(model_dir, [photos_dir], tmp_path / "sorted") == SortedPhotos(3, 0, ())
    assert files_below(tmp_path / "sorted") == ["blue/b.png", "red/a (2).png", "red/a.png"]
    assert (tmp_path / "sorted/red/a.png").read_bytes() == (photos_dir / "one/a.png").read_bytes()
    assert (tmp_path / "sorted/red/a (2).png").read_bytes() == (photos_dir / "two/a.png").read_bytes()


def test_the_photos_stay_as_they_are(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    before = contents(photos_dir)
    sort(model_dir, [photos_dir], tmp_path / "sorted")
    assert contents(photos_dir) == before


def test_a_copy_keeps_the_modification_time_and_is_no_link(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(photos_dir / "one/b.png")
    sort(model_dir, [photos_dir / "one", tmp_path / "link.png"], tmp_path / "sorted")
    copies = [tmp_path / "sorted/blue/b.png", tmp_path / "sorted/blue/link.png"]
    assert [copy.stat().st_mtime_ns for copy in copies] == [10**18 + 123456789] * 2
    assert [(copy.is_symlink(), copy.stat().st_nlink) for copy in copies] == [(False, 1)] * 2


def test_the_table_says_what_came_from_where(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    sort(model_dir, [photos_dir], tmp_path / "sorted")
    assert read_table(tmp_path / "sorted") == [
        ["path", "copied_to", "predicted_class", "probability", "nearest_class"],
        [str(photos_dir / "one/a.png"), "red/a.png", "red", "0.997527", "red"],
        [str(photos_dir / "one/b.png"), "blue/b.png", "blue", "0.997527", "blue"],
        [str(photos_dir / "two/a.png"), "red/a (2).png", "red", "0.997527", "red"],
    ]


def test_sorting_again_copies_nothing_twice(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    sort(model_dir, [photos_dir], tmp_path / "sorted")
    before = contents(tmp_path / "sorted/red")
    assert sort(model_dir, [photos_dir], tmp_path / "sorted") == SortedPhotos(0, 3, ())
    assert contents(tmp_path / "sorted/red") == before
    assert files_below(tmp_path / "sorted") == ["blue/b.png", "red/a (2).png", "red/a.png"]


def test_sorting_again_in_another_order_copies_nothing_twice(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    sort(model_dir, [photos_dir / "one", photos_dir / "two"], tmp_path / "sorted")
    done = sort(model_dir, [photos_dir / "two", photos_dir / "one"], tmp_path / "sorted")
    assert done == SortedPhotos(0, 3, ())


def test_another_photo_of_the_same_name_does_not_replace_an_earlier_copy(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    sort(model_dir, [paint("one/a.png", "red")], tmp_path / "sorted")
    sort(model_dir, [paint("two/a.png", "red", (30, 30))], tmp_path / "sorted")
    assert files_below(tmp_path / "sorted") == ["red/a (2).png", "red/a.png"]


def test_identical_photos_of_the_same_name_are_each_copied_once(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    sources = [paint(f"{number}/a.png", "red") for number in range(3)]
    assert sort(model_dir, sources, tmp_path / "sorted") == SortedPhotos(3, 0, ())
    assert sort(model_dir, sources, tmp_path / "sorted") == SortedPhotos(0, 3, ())
    assert files_below(tmp_path / "sorted") == ["red/a (2).png", "red/a (3).png", "red/a.png"]


def test_a_photo_whose_own_name_ends_in_a_number_is_not_mixed_up(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    sources = [paint("1/a (2).png", "red"), paint("1/a.png", "red"), paint("2/a.png", "red"), paint("3/a.png", "red")]
    sort(model_dir, sources, tmp_path / "sorted")
    assert [row[1] for row in read_table(tmp_path / "sorted")[1:]] == [
        "red/a (2).png",
        "red/a.png",
        "red/a (3).png",
        "red/a (4).png",
    ]


def test_members_of_a_zip_are_written_with_the_time_they_have_in_it(
    model_dir: Path, paint: Paint, tmp_path: Path
) -> None:
    member = zipfile.ZipInfo("deep/down/what?.png", date_time=(2011, 7, 31, 12, 30, 20))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr(member, paint("1.png", "red").read_bytes())
    sort(model_dir, [tmp_path / "more.zip"], tmp_path / "sorted")
    copy = tmp_path / "sorted/red/what_.png"
    assert copy.read_bytes() == (tmp_path / "1.png").read_bytes()
    assert int(copy.stat().st_mtime) == int(datetime.datetime(2011, 7, 31, 12, 30, 20).timestamp())


def test_a_zip_without_times_is_sorted_all_the_same(model_dir: Path, paint: Paint, tmp_path: Path) -> None:
    member = zipfile.ZipInfo("a.png")
    member.date_time = (1980, 0, 0, 0, 0, 0)
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr(member, paint("1.png", "red").read_bytes())
    assert sort(model_dir, [tmp_path / "more.zip"], tmp_path / "sorted") == SortedPhotos(1, 0, ())


def test_photos_that_cannot_be_read_are_not_copied(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    (photos_dir / "one/a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    summary = write_predictions(model_dir, [photos_dir], outputs=PredictOutputs(sort_into=tmp_path / "sorted"))
    assert summary.num_skipped == 1
    assert files_below(tmp_path / "sorted") == ["blue/b.png", "red/a.png"]


def test_a_photo_that_vanishes_after_its_prediction_is_named(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    photos, predictor = list_photos([photos_dir / "one", photos_dir / "two"]), load(model_dir)
    predictions = list(predictor.predict(photos))
    (photos_dir / "two/a.png").unlink()
    with sort_photos(tmp_path / "s", [photos_dir], photos, predictor.class_names) as sorter:
        for row, prediction in enumerate(predictions):
            sorter.add(row, prediction)
    assert files_below(tmp_path / "s") == ["blue/b.png", "red/a.png"]
    assert [lost.path for lost in sorter.done.lost] == [str(photos_dir / "two/a.png")]


def test_a_folder_with_other_things_is_refused_untouched(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="'letter.txt' and no 'sorted.json'.*folder as `sort_into`"):
        sort(model_dir, [photos_dir], tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("place", ["sorted", "one/sorted", "."])
def test_a_folder_inside_the_photos_is_refused_and_not_made(model_dir: Path, photos_dir: Path, place: str) -> None:
    before = sorted(photos_dir.rglob("*"))
    with pytest.raises(OutputError, match="`sort_into` .* is inside the photos .*Give a folder outside"):
        sort(model_dir, [photos_dir], photos_dir / place)
    assert sorted(photos_dir.rglob("*")) == before


def test_a_file_of_the_user_in_a_class_folder_is_never_replaced(
    model_dir: Path, photos_dir: Path, tmp_path: Path
) -> None:
    sort(model_dir, [photos_dir / "one"], tmp_path / "sorted")
    (tmp_path / "sorted/red/a.png").write_text("painted over")
    (tmp_path / "sorted/red/a (2).png").symlink_to(tmp_path / "nowhere")
    sort(model_dir, [photos_dir / "one"], tmp_path / "sorted")
    assert (tmp_path / "sorted/red/a.png").read_text() == "painted over"
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "sorted/red/a (3).png").read_bytes() == (photos_dir / "one/a.png").read_bytes()


def test_a_file_in_the_place_of_a_class_folder_is_named(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    sort(model_dir, [photos_dir / "one/b.png"], tmp_path / "sorted")
    (tmp_path / "sorted/red").write_text("in the way")
    with pytest.raises(OutputError, match="cannot make the folder .*red.*`sort_into`"):
        sort(model_dir, [photos_dir], tmp_path / "sorted")


def test_a_full_disk_leaves_no_part_of_a_photo(
    model_dir: Path, photos_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(descriptor: int, data: bytes) -> int:
        if bytes(data[:4]) == b"\x89PNG":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, data)

    real_write = os.write
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OutputError, match="red/a.png': the disk is full"):
        sort(model_dir, [photos_dir], tmp_path / "sorted")
    assert sorted(path.name for path in (tmp_path / "sorted").rglob("*")) == ["red", "sorted.json"]


def test_what_a_killed_sorting_left_half_written_is_removed(model_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    sort(model_dir, [photos_dir], tmp_path / "sorted")
    for folder in ("sorted", "sorted/red"):
        (tmp_path / folder / ".tellapart-0123456789ab.partial").write_bytes(b"half")
    sort(model_dir, [photos_dir], tmp_path / "sorted")
    assert list((tmp_path / "sorted").rglob("*.partial")) == []


def test_photos_are_not_synced_one_by_one(
    model_dir: Path, paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    sort(model_dir, [paint(f"{number}.png", "red") for number in range(30)], tmp_path / "sorted")
    assert len(synced) <= 5  # the marker, the table and the folder of the class, each a file and its folder at most


def test_a_class_that_is_named_like_a_path_stays_inside(
    paint: Paint, tmp_path: Path, make_bundle: Callable[..., Bundle]
) -> None:
    bundle = replace(make_bundle(), class_names=("blue", "../../escaped"))
    write_bundle(tmp_path / "m", bundle)
    sort(tmp_path / "m", [paint("a.png", "red")], tmp_path / "deep/sorted")
    assert files_below(tmp_path / "deep/sorted") == ["_.._escaped/a.png"]


def test_a_photo_that_was_sorted_into_another_class_stays_there_and_is_named(
    model_dir: Path, photos_dir: Path, tmp_path: Path
) -> None:
    sort(model_dir, [photos_dir], tmp_path / "sorted")
    (tmp_path / "sorted/red/a.png").rename(tmp_path / "sorted/blue/moved.png")
    before = contents(tmp_path / "sorted/blue")
    done = sort(model_dir, [photos_dir], tmp_path / "sorted")

    assert done.elsewhere == ((str(photos_dir / "one/a.png"), "blue/moved.png"),)
    assert contents(tmp_path / "sorted/blue") == before
    assert not (tmp_path / "sorted/red/a.png").exists()
    assert [row[1] for row in read_table(tmp_path / "sorted")[1:]] == ["blue/moved.png", "blue/b.png", "red/a (2).png"]
