"""One reader takes every CSV that people and their programs write, and names the line of what it cannot take."""

import contextlib
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.errors import DatasetError
from tellapart.photos.csv_table import read_header, read_table

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=8)
NAMES = st.lists(st.from_regex("[a-z]{1,5}", fullmatch=True), min_size=2, max_size=4)


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_delimiters_and_line_ends_are_found(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    lines = ["path,label", "h\u00fcnd.jpg,dog", "", "caf\u00e9.jpg,", ","]
    table = read_table(write(tmp_path, end.join(lines).replace(",", delimiter), encoding))
    assert table.header == ("path", "label")
    assert [row.cells for row in table.rows] == [("h\u00fcnd.jpg", "dog"), ("caf\u00e9.jpg", "")]
    assert [row.line for row in table.rows] == [2, 4]
    assert table.delimiter == delimiter
    assert (table.note is None) == (encoding != "cp1252")


def test_a_byte_that_windows_1252_lacks_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"path,label\n\x81.jpg,cat\n")
    assert read_table(tmp_path / "table.csv").rows[0].cells == ("\x81.jpg", "cat")


def test_a_delimiter_at_the_end_of_every_line_makes_no_column(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "path,label,\na.jpg,cat,\nb.jpg,dog,,\n"))
    assert (table.header, [row.cells for row in table.rows]) == (
        ("path", "label"),
        [("a.jpg", "cat"), ("b.jpg", "dog")],
    )


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "SEP=;;;\n"])
def test_a_line_that_tells_the_delimiter_is_no_row(tmp_path: Path, first: str) -> None:
    path = write(tmp_path, first + "path;label\na,b.jpg;cat\n")
    table = read_table(path)
    assert (table.header, table.delimiter) == (("path", "label"), ";")
    assert [(row.line, row.cells) for row in table.rows] == [(3, ("a,b.jpg", "cat"))]
    assert read_header(path.read_bytes()) == ("path", "label")


def test_a_delimiter_within_quotes_is_none(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, '"a, b, c";d\n1;2\n')).header == ("a, b, c", "d")


def test_values_that_lack_at_the_end_of_a_row_are_empty(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "a,b,c\n1\n")).rows[0].cells == ("1", "", "")


def test_a_row_that_spans_lines_counts_by_its_first(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'a,b\n"1\n2",x\n3,y\n'))
    assert [row.line for row in table.rows] == [2, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 values for 2 columns. Correct the file, or quote values that hold ','"),
        ("a;b\n1;2;3;4\n", "line 2 has 4 values for 2 columns.*';'"),
        ('a,b\n1,"2\n', "line 2 is not a row of a CSV"),
        ("a,b\n\0,2\n", "is not a text file. Save the table again as 'CSV UTF-8'"),
    ],
    ids=["long row", "long row with semicolons", "open quote", "zero byte"],
)
def test_what_cannot_be_read_is_named_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DatasetError, match=f"^list '.*table.csv' .*{words}") as caught:
        read_table(write(tmp_path, text), "list")
    assert "\n" not in str(caught.value)


def test_utf16_without_its_mark_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a text file"):
        read_table(write(tmp_path, "path,label\n", "utf-16-le"))


def test_an_empty_file_is_a_table_of_nothing(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, ""))
    assert (table.header, table.rows) == ((), ())


@given(header=NAMES, data=st.data(), delimiter=st.sampled_from(",;\t"))
def test_what_python_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, header: list[str], data: st.DataObject, delimiter: str
) -> None:
    row = st.lists(CELLS, min_size=len(header), max_size=len(header)).filter(lambda cells: any(map(str.strip, cells)))
    rows = data.draw(st.lists(row, max_size=4))
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows([header, *rows])
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(text.getvalue().encode())
    assert [list(row.cells) for row in read_table(path).rows] == rows


@given(st.binary(max_size=80))
def test_any_bytes_are_a_table_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    read_header(content)
    with contextlib.suppress(DatasetError):
        read_table(path)
