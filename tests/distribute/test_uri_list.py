import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tellapart.distribute.uri_list import LABEL, PATH, open_uri_list
from tellapart.errors import DatasetError

ROWS = [f"photos/{number}.jpg" for number in range(7)]


def write_parquet(place: Path, /, **columns: Sequence[object]) -> Path:
    pq.write_table(pa.table(dict(columns)), place)
    return place


def write_csv(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def read_all(source: Path, rows_a_table: int = 3, **columns: str) -> list[str]:
    return [
        path for table in open_uri_list(str(source), **columns).read(rows_a_table) for path in table[PATH].to_pylist()
    ]


@pytest.mark.parametrize("column", ["path", "uri", "Path", " URI "])
def test_the_column_of_the_addresses_is_found_by_its_name(tmp_path: Path, column: str) -> None:
    source = write_parquet(tmp_path / "list.parquet", other=range(7), **{column: ROWS})
    assert read_all(source) == ROWS


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_csv_is_read_whatever_its_delimiter_and_encoding(tmp_path: Path, delimiter: str, encoding: str) -> None:
    rows = [*ROWS, "photos/猫 1.jpg"]
    text = "".join(f"{number}{delimiter}{row}\r\n" for number, row in enumerate(rows))
    source = write_csv(tmp_path / "list.csv", f"number{delimiter}uri\r\n{text}", encoding)
    assert read_all(source) == rows


def test_a_table_has_at_most_the_rows_that_were_asked_for(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "list.csv", "path\n" + "\n".join(ROWS))
    assert [table.num_rows for table in open_uri_list(str(source)).read(3)] == [3, 3, 1]


def test_the_content_says_what_a_file_is_not_its_name(tmp_path: Path) -> None:
    assert read_all(write_parquet(tmp_path / "list.csv", path=ROWS)) == ROWS
    assert read_all(write_csv(tmp_path / "list.parquet", "path\na.jpg\n")) == ["a.jpg"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_text_of_any_kind_is_text(tmp_path: Path, kind: object) -> None:
    source = write_parquet(tmp_path / "list.parquet", path=pa.array(ROWS).cast(kind))
    assert read_all(source) == ROWS


def test_another_column_can_be_named(tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "list.parquet", path=["no"] * 7, photo=ROWS)
    assert read_all(source, uri_column="photo") == ROWS


def test_labels_are_read_as_text_and_a_missing_one_is_null(tmp_path: Path) -> None:
    parquet = write_parquet(tmp_path / "list.parquet", path=ROWS[:3], digit=[4, None, 2])
    table = next(open_uri_list(str(parquet), label_column="digit").read())
    assert table[LABEL].to_pylist() == ["4", None, "2"]
    table = next(
        open_uri_list(str(write_csv(tmp_path / "a.csv", "path,digit\na,4\nb,\nc,2\n")), label_column="digit").read()
    )
    assert table[LABEL].to_pylist() == ["4", None, "2"]


def test_rows_without_an_address_are_left_out_and_counted(tmp_path: Path) -> None:
    found = open_uri_list(str(write_parquet(tmp_path / "list.parquet", path=["a", None, "", " ", "b"])))
    assert [path for table in found.read() for path in table[PATH].to_pylist()] == ["a", "b"]
    assert (found.num_rows, found.num_blank) == (5, 3)


def test_relative_paths_begin_at_the_folder_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(tmp_path / "list.csv", "path\na.jpg\n")
    monkeypatch.chdir(tmp_path.parent)
    assert open_uri_list(f"{tmp_path.name}/list.csv").base == str(tmp_path)


def draw_cut(folder: Path) -> Path:
    data = write_parquet(folder / "whole.parquet", path=ROWS).read_bytes()
    (folder / "cut.parquet").write_bytes(data[: len(data) // 2])
    return folder / "cut.parquet"


BAD: dict[str, tuple[Callable[[Path], Path | str], str]] = {
    "absent": (lambda folder: folder / "list.csv", "there is no such file"),
    "a folder": (lambda folder: folder, "it is a folder"),
    "a pipe": (lambda folder: os.mkfifo(folder / "pipe") or folder / "pipe", "it is a pipe, socket or device"),  # type: ignore[func-returns-value]
    "cut": (draw_cut, "cannot be used"),
    "a photo": (lambda folder: write_csv(folder / "a.jpg", "\xff\xd8\xff", "latin-1"), "neither Parquet nor a CSV"),
    "no column": (lambda folder: write_csv(folder / "a.csv", "file;label\na;b\n"), "has no column 'path' or 'uri'"),
    "no rows": (lambda folder: write_csv(folder / "a.csv", "path\n"), "has no rows"),
    "no rows of parquet": (lambda folder: write_parquet(folder / "a", path=pa.array([], pa.string())), "has no rows"),
    "empty": (lambda folder: write_csv(folder / "a.csv", ""), "has no column"),
    "numbers": (lambda folder: write_parquet(folder / "a.parquet", path=[1, 2]), "is int64, not text"),
    "an open quote": (lambda folder: write_csv(folder / "a.csv", 'path\n"a.jpg\n'), "neither Parquet nor a CSV"),
    "a web page": (lambda folder: "https://example.org/list.csv", "addresses with https:// are not read"),
}


@pytest.mark.parametrize(("draw", "words"), BAD.values(), ids=BAD)
def test_a_bad_list_is_refused_in_one_line(tmp_path: Path, draw: Callable[[Path], Path | str], words: str) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        open_uri_list(str(draw(tmp_path)))
    assert "\n" not in str(caught.value)


def test_a_missing_column_names_those_that_are_there(tmp_path: Path) -> None:
    source = str(write_csv(tmp_path / "a.csv", "file,label\na,b\n"))
    with pytest.raises(DatasetError, match=r"no column 'species'. Its columns are 'file', 'label'.*`label_column`"):
        open_uri_list(source, uri_column="file", label_column="species")
