import csv
import errno
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tellapart.commands.fix import FixSummary, find_download, fix
from tellapart.config import ImageLimits, TransferConfig
from tellapart.decisions.decisions import find_decisions, read_decisions
from tellapart.errors import ConfigError, DatasetError, OutputError
from tellapart.photos.loading import digest_photo
from tellapart.photos.sources import open_photos
from tellapart.runs.run_folder import RunFile, begin_run

Paint = Callable[..., Path]


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Path to bytes and modification time of all files below."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def photos_below(folder: Path) -> list[str]:
    """All files in folders of `folder`."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/**/*") if path.is_file())


@pytest.fixture
def photos_dir(paint: Paint, tmp_path: Path) -> Path:
    """Six photos of two classes, `cat/2.png` and `cat/2b.png` the same, all from the year 2001."""
    for name, colour, height in (
        ("cat/1", "red", 24),
        ("cat/2", "red", 25),
        ("cat/2b", "red", 25),
        ("cat/3", "red", 26),
    ):
        paint(f"photos/{name}.png", colour, (height, 30))
    paint("photos/dog/1.png", "blue")
    paint("photos/dog/4.png", "blue", (30, 30))
    for path in (tmp_path / "photos").rglob("*.png"):
        os.utime(path, ns=(10**18, 10**18 + 123456789))
    return tmp_path / "photos"


@pytest.fixture
def decide(tmp_path: Path, photos_dir: Path) -> Callable[..., Path]:
    """A function from rows such as `cat/1.png move dog` to a file of decisions about photos of `photos_dir`."""

    def write(*rows: str, name: str = "my.csv") -> Path:
        lines = [["content", "path", "class", "decision", "new_class"]]
        for row in rows:
            path, verdict, *new_class = row.split(" ")
            content = digest_photo((photos_dir / path).read_bytes())
            lines.append([content, str(photos_dir / path), path.split("/")[0], verdict, *(new_class or [""])])
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
        return tmp_path / name

    return write


def test_each_photo_is_copied_into_the_folder_of_its_class(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    summary = fix(
        photos_dir, tmp_path / "out", decisions=decide("cat/1.png move dog", "dog/4.png remove", "cat/3.png keep")
    )
    assert photos_below(tmp_path / "out") == ["cat/2.png", "cat/2b.png", "cat/3.png", "dog/1 (2).png", "dog/1.png"]
    assert summary == FixSummary({"cat": 3, "dog": 2}, 1, 1, 1, 0, 0, (), ())
    assert (tmp_path / "out/dog/1.png").read_bytes() == (photos_dir / "cat/1.png").read_bytes()
    assert (tmp_path / "out/dog/1.png").stat().st_mtime_ns == 10**18 + 123456789


def test_the_photos_stay_as_they_are(photos_dir: Path, decide: Callable[..., Path], tmp_path: Path) -> None:
    before = contents(photos_dir)
    fix(photos_dir, tmp_path / "out", decisions=decide("cat/1.png move dog", "dog/4.png remove"), drop_copies=True)
    assert contents(photos_dir) == before


def test_the_copy_is_a_source_in_which_decided_labels_are_known(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    fix(photos_dir, tmp_path / "out", decisions=decide("cat/1.png move dog", "dog/4.png remove", "cat/3.png keep"))
    photos = open_photos(tmp_path / "out")
    assert (photos.counts(), photos.skipped) == ({"cat": 3, "dog": 2}, ())
    found = find_decisions(tmp_path / "out")
    assert found is not None
    assert [(one.path, one.class_name, one.verdict, one.content) for one in read_decisions(found).rows] == [
        (str(tmp_path / f"out/{path}"), label, "keep", digest_photo((photos_dir / original).read_bytes()))
        for path, label, original in (("dog/1.png", "dog", "cat/1.png"), ("cat/3.png", "cat", "cat/3.png"))
    ]


def test_a_copy_of_the_copy_still_knows_what_was_decided_first(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    fix(photos_dir, tmp_path / "out", decisions=decide("cat/1.png move dog", "cat/3.png keep"))
    second = decide("cat/2.png keep", name="second.csv")
    summary = fix(tmp_path / "out", tmp_path / "again", decisions=second)
    labels = sorted(one.class_name for one in read_decisions(tmp_path / "again/decisions.csv").rows)
    assert (summary.num_kept, labels) == (2, ["cat", "cat", "cat", "dog"])


def test_a_later_decision_overrules_an_earlier_one(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    fix(photos_dir, tmp_path / "out", decisions=decide("cat/1.png keep"))
    fix(tmp_path / "out", tmp_path / "again", decisions=decide("cat/1.png move dog", name="second.csv"))
    assert [one.class_name for one in read_decisions(tmp_path / "again/decisions.csv").rows] == ["dog"]


def test_decisions_that_stand_in_the_source_need_not_be_named(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    decide("cat/1.png move dog").rename(photos_dir / "decisions.csv")
    assert fix(photos_dir, tmp_path / "out").num_moved == 1


def test_decisions_that_stand_in_the_source_are_applied_once_when_named(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    decide("cat/1.png move dog", "dog/1.png move cat").rename(photos_dir / "decisions.csv")
    summary = fix(photos_dir, tmp_path / "out", decisions=photos_dir / "decisions.csv")
    assert (summary.num_moved, summary.notes) == (2, ())


def test_decisions_in_the_source_that_are_about_other_photos_do_not_stop_it(photos_dir: Path, tmp_path: Path) -> None:
    (photos_dir / "decisions.csv").write_text(f"content,class,decision\n{'f' * 40},cat,keep\n")
    summary = fix(photos_dir, tmp_path / "out", drop_copies=True)
    assert (summary.num_photos, len(summary.notes)) == (5, 1)


def test_one_of_the_copies_in_a_class_is_kept_on_demand(photos_dir: Path, tmp_path: Path) -> None:
    summary = fix(photos_dir, tmp_path / "out", drop_copies=True)
    assert (summary.num_copies, summary.num_photos) == (1, 5)
    assert photos_below(tmp_path / "out") == ["cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png", "dog/4.png"]


def test_a_decision_about_a_copy_that_is_dropped_is_known_of_the_one_that_stays(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    fix(photos_dir, tmp_path / "out", decisions=decide("cat/2b.png keep"), drop_copies=True)
    (row,) = read_decisions(tmp_path / "out/decisions.csv").rows
    assert row.path == str(tmp_path / "out/cat/2.png")


def test_copies_of_two_classes_both_stay(photos_dir: Path, tmp_path: Path) -> None:
    (photos_dir / "dog/2.png").write_bytes((photos_dir / "cat/2.png").read_bytes())
    assert fix(photos_dir, tmp_path / "out", drop_copies=True).num_copies == 1


def test_running_again_copies_nothing_twice(photos_dir: Path, decide: Callable[..., Path], tmp_path: Path) -> None:
    decisions = decide("cat/1.png move dog")
    fix(photos_dir, tmp_path / "out", decisions=decisions)
    before = contents(tmp_path / "out")
    summary = fix(photos_dir, tmp_path / "out", decisions=decisions)
    after = contents(tmp_path / "out")
    assert (summary.num_photos, summary.num_there) == (6, 6)
    assert {path: data for path, (data, _) in after.items()} == {path: data for path, (data, _) in before.items()}


@pytest.mark.parametrize("num_written", range(6))
def test_a_copy_that_was_cut_short_is_completed(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_written: int
) -> None:
    decisions = decide("cat/1.png move dog")
    fix(photos_dir, tmp_path / "whole", decisions=decisions)
    with monkeypatch.context() as patch:
        fill_disk(patch, num_written)
        with pytest.raises(OutputError, match="the disk is full"):
            fix(photos_dir, tmp_path / "out", decisions=decisions)
    assert len(photos_below(tmp_path / "out")) == num_written
    assert not (tmp_path / "out/decisions.csv").exists()
    assert fix(photos_dir, tmp_path / "out", decisions=decisions).num_there == num_written
    assert photos_below(tmp_path / "out") == photos_below(tmp_path / "whole")


def fill_disk(patch: pytest.MonkeyPatch, num_photos: int) -> None:
    """After so many photos there is no room for another one."""
    written: list[bytes] = []

    def write(descriptor: int, data: bytes) -> int:
        is_photo = bytes(data[:4]) == b"\x89PNG"
        written.extend([bytes(data[:4])] * is_photo)
        if is_photo and len(written) > num_photos:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, data)

    real_write = os.write
    patch.setattr(os, "write", write)


def test_what_a_killed_run_left_half_written_is_removed(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    decisions = decide("cat/1.png move dog")
    fix(photos_dir, tmp_path / "out", decisions=decisions)
    for folder in ("out", "out/dog"):
        (tmp_path / folder / ".tellapart-0123456789ab.partial").write_bytes(b"half")
    fix(photos_dir, tmp_path / "out", decisions=decisions)
    assert list((tmp_path / "out").rglob("*.partial")) == []


def test_a_copy_made_with_other_decisions_is_not_written_into(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    fix(photos_dir, tmp_path / "out", decisions=decide("cat/1.png move dog"))
    before = contents(tmp_path / "out")
    with pytest.raises(OutputError, match="out' holds a copy .*made with other decisions.*`out`"):
        fix(photos_dir, tmp_path / "out", decisions=decide("cat/1.png remove"))
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", '{"kind": "tellapart cleaned copy"}'])
def test_a_marker_that_is_damaged_or_not_ours_is_no_permission(photos_dir: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/fixed.json").write_text(text)
    with pytest.raises(OutputError, match="holds a copy of other photos"):
        fix(photos_dir, tmp_path / "out", drop_copies=True)


def test_a_folder_with_something_else_is_refused_and_left_alone(photos_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="'letter.txt' and no 'fixed.json'.*Give a new or empty folder as `out`"):
        fix(photos_dir, tmp_path / "mine", drop_copies=True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("place", ["out", "cat/out", "."])
def test_a_folder_inside_the_photos_is_refused_and_not_made(photos_dir: Path, place: str) -> None:
    before = sorted(photos_dir.rglob("*"))
    with pytest.raises(OutputError, match="`out` .* is inside the photos"):
        fix(photos_dir, photos_dir / place, drop_copies=True)
    assert sorted(photos_dir.rglob("*")) == before


def test_nothing_to_do_is_told(photos_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No decisions were given.* as `decisions`, or give `drop_copies=True`"):
        fix(photos_dir, tmp_path / "out")


def test_a_file_without_decisions_is_told(photos_dir: Path, decide: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="my.csv' holds no decision, so there is nothing to fix"):
        fix(photos_dir, tmp_path / "out", decisions=decide())


def test_decisions_about_photos_that_all_changed_are_told_and_nothing_is_made(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path, paint: Paint
) -> None:
    decisions = decide("cat/1.png remove", "dog/4.png remove")
    paint("photos/cat/1.png", "green")
    paint("photos/dog/4.png", "green")
    with pytest.raises(DatasetError, match="none of the 2 decisions .* 2 photos have changed since"):
        fix(photos_dir, tmp_path / "out", decisions=decisions)
    assert not (tmp_path / "out").exists()


def test_no_photo_left_is_told_and_nothing_is_made(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    everything = [path.relative_to(photos_dir).as_posix() for path in photos_dir.rglob("*.png")]
    with pytest.raises(DatasetError, match="no photo of .* is left"):
        fix(photos_dir, tmp_path / "out", decisions=decide(*(f"{path} remove" for path in everything)))
    assert not (tmp_path / "out").exists()


def test_a_class_that_is_left_alone_is_told(photos_dir: Path, decide: Callable[..., Path], tmp_path: Path) -> None:
    summary = fix(photos_dir, tmp_path / "out", decisions=decide("dog/1.png move cat", "dog/4.png remove"))
    assert [note.split(". ")[0].split(",")[0] for note in summary.notes] == [
        "no photo is left in class 'dog'",
        f"only the class 'cat' is left in {str(tmp_path / 'out')!r}",
    ]


def test_files_that_are_no_photos_are_left_out_with_the_reason(photos_dir: Path, tmp_path: Path) -> None:
    (photos_dir / "cat/notes.txt").write_text("about cats")
    (photos_dir / "cat/page.jpg").write_text("<html>not found</html>")
    (photos_dir / "dog/large.png").write_bytes((photos_dir / "dog/1.png").read_bytes() + bytes(4000))
    summary = fix(photos_dir, tmp_path / "out", drop_copies=True, limits=ImageLimits(max_bytes=4000))
    assert sorted(Path(skip.path).name for skip in summary.skipped) == ["large.png", "notes.txt", "page.jpg"]
    assert (summary.counts, summary.num_photos) == ({"cat": 3, "dog": 2}, 5)


def test_a_photo_that_vanishes_while_it_is_copied_is_told(
    photos_dir: Path, decide: Callable[..., Path], tmp_path: Path
) -> None:
    def watch(num_done: int, num_photos: int) -> None:
        if num_done == 4:
            (photos_dir / "dog/4.png").unlink(missing_ok=True)

    summary = fix(photos_dir, tmp_path / "out", decisions=decide("dog/4.png keep"), on_photo=watch)
    assert [(Path(skip.path).name, skip.reason) for skip in summary.skipped] == [
        ("4.png", "the file is no longer there")
    ]
    assert read_decisions(tmp_path / "out/decisions.csv").rows == ()


def test_progress_rises_to_the_number_of_photos(photos_dir: Path, decide: Callable[..., Path], tmp_path: Path) -> None:
    seen: list[int] = []
    decisions = decide("cat/1.png remove", "dog/4.png remove")
    fix(photos_dir, tmp_path / "out", decisions=decisions, on_photo=lambda done, num: seen.append(done))
    assert (seen[0], seen[-1], seen == sorted(seen)) == (1, 6, True)


def test_split_folders_stay_apart(photos_dir: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for path in photos_dir.rglob("*.png"):
            target = tmp_path / "whole" / split / path.relative_to(photos_dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes() + split.encode())
    fix(tmp_path / "whole", tmp_path / "out", drop_copies=True)
    photos = open_photos(tmp_path / "out")
    assert photos.counts() == {"cat": 6, "dog": 4}
    assert [photos.given_splits.count(split) for split in ("train", "test")] == [5, 5]


def test_a_zip_is_copied_into_folders(photos_dir: Path, tmp_path: Path, decide: Callable[..., Path]) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for path in photos_dir.rglob("*.png"):
            archive.write(path, path.relative_to(photos_dir))
    fix(tmp_path / "p.zip", tmp_path / "out", decisions=decide("cat/1.png move dog"))
    assert open_photos(tmp_path / "out").counts() == {"cat": 3, "dog": 3}


def test_photos_labelled_by_name_are_copied_into_folders(paint: Paint, tmp_path: Path) -> None:
    for number in range(3):
        paint(f"flat/cat.{number}.png", "red")
        paint(f"flat/dog.{number}.png", "blue")
    fix(tmp_path / "flat", tmp_path / "out", drop_copies=True)
    assert photos_below(tmp_path / "out") == ["cat/cat.0.png", "dog/dog.0.png"]


@pytest.fixture
def label_table(paint: Paint, tmp_path: Path) -> Callable[[Sequence[str]], Path]:
    """A function from class names to a CSV that gives each class 2 photos, all in one folder."""

    def write(class_names: Sequence[str]) -> Path:
        rows = [["path", "label"]]
        for number, name in enumerate(class_names):
            for half in range(2):
                path = paint(f"table/all/{number}-{half}.png", "red", (10 + 2 * number + half, 30))
                rows.append([str(path.relative_to(tmp_path / "table")), name])
        with (tmp_path / "table/labels.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return tmp_path / "table/labels.csv"

    return write


def test_class_names_of_a_table_become_folders_and_this_is_told(
    label_table: Callable[[Sequence[str]], Path], tmp_path: Path
) -> None:
    source = label_table(["a/b", "Cat", "cat", "decisions.csv"])
    summary = fix(source, tmp_path / "out", drop_copies=True)
    assert summary.num_photos == 8
    assert open_photos(tmp_path / "out").class_names == ("Cat", "a_b", "cat (2)", "decisions.csv (2)")
    assert summary.notes[1:] == (
        "folders are named so that every system allows them: 'a_b' for 'a/b', 'cat (2)' for 'cat', "
        "'decisions.csv (2)' for 'decisions.csv'",
    )


def test_decided_labels_are_known_under_the_name_of_the_folder(
    label_table: Callable[[Sequence[str]], Path], tmp_path: Path
) -> None:
    source = label_table(["a/b", "cat"])
    content = digest_photo((tmp_path / "table/all/0-0.png").read_bytes())
    (tmp_path / "my.csv").write_text(f"content,class,decision\n{content},a/b,keep\n")
    fix(source, tmp_path / "out", decisions=tmp_path / "my.csv")
    assert [one.class_name for one in read_decisions(tmp_path / "out/decisions.csv").rows] == ["a_b"]


def test_a_class_called_like_masks_is_a_class_of_the_copy(
    label_table: Callable[[Sequence[str]], Path], tmp_path: Path
) -> None:
    summary = fix(label_table(["cat", "cat mask", "dog"]), tmp_path / "out", drop_copies=True)
    assert summary.notes == ()
    assert open_photos(tmp_path / "out").class_names == ("cat", "cat mask", "dog")


def test_classes_that_would_be_read_as_splits_are_told(
    label_table: Callable[[Sequence[str]], Path], tmp_path: Path
) -> None:
    summary = fix(label_table(["train", "test"]), tmp_path / "out", drop_copies=True)
    assert len(summary.notes) == 1
    assert summary.notes[0].startswith("4 photos, such as 'test/1-0.png', have names from which")


def test_the_marker_says_what_was_copied(photos_dir: Path, tmp_path: Path) -> None:
    fix(photos_dir, tmp_path / "out", drop_copies=True)
    marker = json.loads((tmp_path / "out/fixed.json").read_text())
    assert (marker["kind"], marker["source"]) == ("tellapart cleaned copy", photos_dir.name)


def test_photos_are_not_synced_one_by_one(paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        paint(f"photos/{'cat' if number % 2 else 'dog'}/{number}.png", "red", (20 + number, 30))
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    fix(tmp_path / "photos", tmp_path / "out", drop_copies=True)
    assert len(synced) <= 6  # the marker, the decisions and the folders of two classes


@pytest.mark.parametrize("name", ["decisions-1a2b3c4d.csv", "decisions-1a2b3c4d (2).csv", "decisions-1a2b3c4d(1).csv"])
@pytest.mark.parametrize("place", ["photos", "downloads"])
def test_a_download_is_found_by_its_name(
    name: str,
    place: str,
    photos_dir: Path,
    decide: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = {"photos": photos_dir, "downloads": tmp_path / "downloads"}[place]
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr("platformdirs.user_downloads_dir", lambda: str(tmp_path / "downloads"))
    decide("cat/1.png move dog").rename(folder / name)
    summary = fix(photos_dir, tmp_path / "out", decisions="decisions-1a2b3c4d.csv")
    assert summary.num_moved == 1


def test_the_newest_download_of_a_name_counts_and_others_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_downloads_dir", lambda: str(tmp_path))
    for age, name in enumerate(
        ["decisions-ab.csv", "decisions-ab (1).csv", "decisions-abc.csv", "decisions-ab old.csv"]
    ):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    assert find_download("decisions-ab.csv", []) == tmp_path / "decisions-ab (1).csv"
    assert find_download("gone.csv", []) == Path("gone.csv")
    assert find_download(tmp_path / "elsewhere.csv", []) == tmp_path / "elsewhere.csv"


def test_the_folder_of_a_run_means_its_photos(photos_dir: Path, decide: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    begin_run(tmp_path / "run", RunFile(str(photos_dir), TransferConfig(), None, "key", "finished"), None)
    summary = fix(tmp_path / "run", tmp_path / "out", decisions=decide("cat/1.png move dog"))
    assert (summary.num_photos, summary.num_moved) == (6, 1)
