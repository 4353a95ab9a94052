from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.config import SourceConfig
from tellapart.errors import DatasetError
from tellapart.photos.sources import open_labelled
from tellapart.store import to_csv_bytes

Plant = Callable[..., Path]
ROWS = "a.jpg,cat\nb.jpg,cat\nc.jpg,dog\nd.jpg,dog\n"
NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


@pytest.fixture
def write_csv(plant: Plant) -> Callable[..., Path]:
    """A function that writes `labels.csv` beside four photos and gives its path."""

    def write(text: str, encoding: str = "utf-8") -> Path:
        path = plant(*NAMES) / "labels.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("path,label\n" + ROWS, id="plain"),
        pytest.param("\ufeffFileName,Class\r\n" + ROWS.replace("\n", "\r\n"), id="byte order mark"),
        pytest.param("number;label;image\n" + "".join(f"1;{r[6:]};{r[:5]}\n" for r in ROWS.split()), id="semicolons"),
        pytest.param("path\tlabel\n" + ROWS.replace(",", "\t"), id="tabs"),
        pytest.param("id,target\n" + ROWS.replace(".jpg", ""), id="ids"),
        pytest.param("path,label\n" + ROWS + ROWS, id="every row twice"),
        pytest.param("path,label\n" + ROWS.replace("a.jpg", "./a.jpg").replace(",cat", ", cat "), id="blanks"),
    ],
)
def test_a_csv_gives_paths_and_labels(write_csv: Callable[..., Path], text: str) -> None:
    path = write_csv(text)
    photos = open_labelled(path)

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert photos.paths == tuple(str(path.parent / name) for name in NAMES)


def test_a_csv_in_utf16_is_read(write_csv: Callable[..., Path]) -> None:
    assert open_labelled(write_csv("path,label\n" + ROWS, "utf-16")).counts() == {"cat": 2, "dog": 2}


def test_numbers_stay_the_text_they_are(write_csv: Callable[..., Path]) -> None:
    text = "path,label\n" + ROWS.replace("cat", "007").replace("dog", "NA")

    assert open_labelled(write_csv(text)).class_names == ("007", "NA")


def test_absolute_paths_are_accepted(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    folder = write_csv("").parent
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("path,label\n" + "".join(f"{folder}/{row}\n" for row in ROWS.split()))

    assert open_labelled(elsewhere).paths[0] == f"{folder}/a.jpg"


def test_a_csv_named_without_a_folder_is_relative_to_here(
    write_csv: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_csv("path,label\n" + ROWS).parent)

    assert open_labelled("labels.csv").paths == NAMES


def test_labels_for_a_folder_are_relative_to_it(tmp_path: Path, plant: Plant) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path,label\nx/a.jpg,cat\nx/f.jpg,\nb,cat\nc.jpg,dog\ny\\d.jpg,dog\n")
    photos = open_labelled(
        plant("x/a.jpg", "x/b.jpg", "y/c.jpg", "y/d.jpg", "y/e.jpg", "x/f.jpg"), SourceConfig(labels_csv=str(table))
    )

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert [(Path(skipped.path).name, skipped.reason) for skipped in photos.skipped] == [
        ("f.jpg", "has no label in the CSV"),
        ("e.jpg", "is not named in `labels_csv`"),
    ]


def test_labels_for_a_zip_find_its_members(tmp_path: Path, pack: Callable[..., Path]) -> None:
    table = tmp_path / "table.csv"
    table.write_text("id,label\na,cat\nb,cat\ntrain/c.jpg,dog\nd.jpg,dog\n")
    photos = open_labelled(pack(*(f"train/{name}" for name in NAMES)), SourceConfig(labels_csv=str(table)))

    assert photos.counts() == {"cat": 2, "dog": 2}


def test_a_name_that_several_files_have_is_left_out(tmp_path: Path, plant: Plant) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path,label\n1.jpg,cat\nx/1.jpg,dog\n")
    photos = open_labelled(plant("x/1.jpg", "y/1.jpg"), SourceConfig(labels_csv=str(table)), check=False)

    assert photos.counts() == {"dog": 1}
    assert "several files" in photos.skipped[0].reason


def test_rows_that_cannot_be_used_are_skipped_with_a_reason(write_csv: Callable[..., Path]) -> None:
    path = write_csv("path,label\n" + ROWS + "gone.jpg,cat\nlabels.csv,cat\na.jpg,dog\nb.jpg, \n")
    photos = open_labelled(path, check=False)

    assert photos.counts() == {"cat": 1, "dog": 2}
    assert [(Path(skipped.path).name, skipped.reason.split(". ")[0]) for skipped in photos.skipped] == [
        ("a.jpg", "rows of the CSV give it different labels: 'cat', 'dog'"),
        ("b.jpg", "has no label in the CSV"),
        ("gone.jpg", "is named in the CSV, but there is no such file"),
        ("labels.csv", "a table, not a photo"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("name,label\n" + ROWS, "no path column, only 'name', 'label'. In", id="no path"),
        pytest.param("path,sort\n" + ROWS, "no label column, only 'path', 'sort'", id="no label"),
        pytest.param("path,label\n", "header but no rows", id="no rows"),
        pytest.param("", "no path column, only none", id="empty"),
        pytest.param(
            "path,label\na.jpg,cat\nb.jpg,dog,x,y\n",
            "labels.csv' cannot be used: line 3 has 4 values for 2 columns",
            id="long row",
        ),
        pytest.param("path,label\na.jpg,\nb.jpg,\n", "no row of CSV .* has a label", id="no labels"),
        pytest.param(
            "path,label\na.jpg,cat\n" + "".join(f"{n}.jpg,dog\n" for n in range(7)),
            "7 of the 8 files .* are missing: '0.jpg', .*'4.jpg' and 2 more. Give paths relative to",
            id="missing files",
        ),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused(write_csv: Callable[..., Path], text: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        open_labelled(write_csv(text))


def test_a_csv_that_is_not_utf8_is_read_and_said(write_csv: Callable[..., Path]) -> None:
    photos = open_labelled(write_csv("path,label\n" + ROWS.replace("cat", "ch\u00e4t"), "cp1252"))

    assert photos.class_names == ("ch\u00e4t", "dog")
    assert [(Path(one.path).name, one.reason.partition(".")[0]) for one in photos.skipped] == [
        ("labels.csv", "is not UTF-8 text and was read as Windows-1252")
    ]


def test_a_csv_that_is_not_there_is_refused(plant: Plant) -> None:
    with pytest.raises(DatasetError, match="'no.csv' cannot be read: No such file"):
        open_labelled(plant(*NAMES), SourceConfig(labels_csv="no.csv"))


def test_a_csv_takes_no_other_source_of_labels(write_csv: Callable[..., Path]) -> None:
    with pytest.raises(DatasetError, match="Leave out `label_pattern`"):
        open_labelled(write_csv("path,label\n" + ROWS), SourceConfig(label_pattern="(.)"))


def test_a_table_that_was_escaped_for_spreadsheets_names_its_photos(plant: Callable[..., Path], tmp_path: Path) -> None:
    folder = plant("=1.jpg", "-2.jpg", "'=3.jpg", "@4.jpg")
    rows = [("path", "label"), ("=1.jpg", "=a"), ("-2.jpg", "=a"), ("'=3.jpg", "+b"), ("@4.jpg", "+b")]
    (tmp_path / "labels.csv").write_bytes(to_csv_bytes(rows))
    photos = open_labelled(folder, SourceConfig(labels_csv=str(tmp_path / "labels.csv")))

    assert photos.counts() == {"+b": 2, "=a": 2}
