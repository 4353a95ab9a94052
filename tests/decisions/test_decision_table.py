import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tellapart.decisions.decision_table import (
    Decision,
    decisions_to_csv,
    find_decisions,
    path_key,
    read_decisions,
)
from tellapart.errors import DatasetError
from tellapart.photos.names import class_name

A, B, C = "a" * 40, "0123456789" * 4, "c" * 40
HEADER = "content,path,class,decision,new_class"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes lines, after the header, as a file of decisions and gives its path."""

    def make(*lines: str, header: str = HEADER, end: str = "\n", encoding: str = "utf-8") -> Path:
        path = tmp_path / "decisions.csv"
        path.write_bytes("".join(line + end for line in (header, *lines)).encode(encoding))
        return path

    return make


EXPECTED = (
    Decision(2, A, "p/cat/1.jpg", "cat", "keep"),
    Decision(3, B, "p/cat/2.jpg", "cat", "move", "dog"),
    Decision(4, C, "p/dog/3.jpg", "dog", "remove"),
)
LINES = (f"{A},p/cat/1.jpg,cat,keep,", f"{B},p/cat/2.jpg,cat,move,dog", f"{C},p/dog/3.jpg,dog,remove,")


def test_each_row_is_a_decision_with_its_line(write: Write) -> None:
    assert read_decisions(write(*LINES)).rows == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"], ids=["crlf", "cr", "lf"])
@pytest.mark.parametrize("delimiter", [";", "\t", ","], ids=["semicolons", "tabs", "commas"])
def test_what_spreadsheets_save_is_read(write: Write, encoding: str, end: str, delimiter: str) -> None:
    header, *lines = (line.replace(",", delimiter) for line in (HEADER, *LINES))
    assert read_decisions(write(*lines, header=header, end=end, encoding=encoding)).rows == EXPECTED


def test_case_blanks_order_and_further_columns_do_not_matter(write: Write) -> None:
    path = write(
        f" MOVE ,mine, {B.upper()}, cat , dog ,p/cat/2.jpg",
        f"Keep,,{A.upper()},cat,cat,p/cat/1.jpg",
        header="Decision, Remark,CONTENT,Class, New Class,Path",
    )
    assert read_decisions(path).rows == (
        Decision(2, B, "p/cat/2.jpg", "cat", "move", "dog"),
        Decision(3, A, "p/cat/1.jpg", "cat", "keep"),
    )


def test_path_and_new_class_may_be_missing(write: Write) -> None:
    path = write(f"{A},cat,keep", header="content,class,decision")
    assert read_decisions(path).rows == (Decision(2, A, "", "cat", "keep"),)


def test_a_row_may_end_before_its_empty_values(write: Write) -> None:
    assert read_decisions(write(f"{A},p/1.jpg,cat,keep")).rows == (Decision(2, A, "p/1.jpg", "cat", "keep"),)


def test_rows_that_are_blank_or_undecided_are_left_out(write: Write) -> None:
    assert read_decisions(write("", ",,,,", f"{A},p/1.jpg,cat, ,", LINES[1])).rows == (
        Decision(5, B, "p/cat/2.jpg", "cat", "move", "dog"),
    )


def test_a_header_alone_holds_no_decisions(write: Write) -> None:
    assert read_decisions(write()).rows == ()


def test_a_quoted_path_may_hold_anything(write: Write) -> None:
    path = write(f'{A},"p/cat/a ""big"", b\n.jpg",cat,keep,', LINES[2])
    assert read_decisions(path).rows == (
        Decision(2, A, 'p/cat/a "big", b\n.jpg', "cat", "keep"),
        Decision(4, C, "p/dog/3.jpg", "dog", "remove"),
    )


def test_a_move_to_the_class_it_has_is_a_keep(write: Write) -> None:
    assert read_decisions(write(f"{A},p/1.jpg,cat,move,cat")).rows == (Decision(2, A, "p/1.jpg", "cat", "keep"),)


def test_a_class_name_in_another_unicode_form_is_the_same(write: Write) -> None:
    assert read_decisions(write(f"{A},p/1.jpg,cafe\u0301,keep,")).rows[0].class_name == "caf\u00e9"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{A},p/1.jpg,cat,delete,", "line 2 has the decision 'delete', not one of keep, move, remove"),
        ("abc,p/1.jpg,cat,keep,", "line 2 has the content 'abc', not 40 hexadecimal digits"),
        ("1.23E+39,p/1.jpg,cat,keep,", "line 2 has the content '1.23E"),
        (f"{A},p/1.jpg,,keep,", "line 2 has no class"),
        (f"{A},p/1.jpg,cat,move,", "line 2 moves a photo, but new_class is empty"),
        (f"{A},p/1.jpg,cat,keep,dog", "line 2 has the new_class 'dog' and the decision 'keep', not 'move'"),
        (f"{A},p/1, 2.jpg,cat,keep,,x", "line 2 has 7 values for 5 columns"),
        (f'{A},"p/1.jpg,cat,keep,', "line 2 is not a row of a CSV"),
    ],
    ids=["verdict", "content", "number", "class", "move", "keep-elsewhere", "too-long", "quote"],
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(write: Write, line: str, words: str) -> None:
    with pytest.raises(DatasetError, match=f"decisions.csv' cannot be used: {words}.*Correct the file") as caught:
        read_decisions(write(line))
    assert "\n" not in str(caught.value)


def test_of_many_bad_rows_the_first_is_told_and_the_others_counted(write: Write) -> None:
    with pytest.raises(DatasetError, match=r"line 3 has the content 'x'.* \(and 2 more problems\)"):
        read_decisions(write(LINES[0], "x,,cat,keep,", "y,,cat,keep,", "z,,cat,keep,"))


def test_columns_that_are_missing_are_named_with_those_found(write: Write) -> None:
    with pytest.raises(DatasetError, match="no column 'content', 'decision', only 'path', 'class'. Write"):
        read_decisions(write("p/1.jpg,cat", header="path,class"))


def test_an_empty_file_has_no_columns(write: Write) -> None:
    with pytest.raises(DatasetError, match="have no columns with a name. Write"):
        read_decisions(write(header=""))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no.csv' cannot be read: No such file.*Check the path"):
        read_decisions(tmp_path / "no.csv")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(DatasetError, match="is not a text file.*Save the table again as 'CSV UTF-8'"):
        read_decisions(tmp_path / "d.csv")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("p/1.jpg,cat,keep,", "p/1.jpg,cat,remove,"),
        ("p/1.jpg,cat,keep,", "p/1.jpg,cat,move,dog"),
        ("p/1.jpg,cat,keep,", "p/2.jpg,cat,move,dog"),
        ("p/1.jpg,cat,move,owl", "p/2.jpg,cat,move,dog"),
        ("p/1.jpg,cat,remove,", ",cat,keep,"),
        (",cat,remove,", "p/1.jpg,cat,keep,"),
        ("p/1.jpg,cat,remove,", r"p\1.jpg,cat,keep,"),
    ],
)
def test_two_decisions_about_one_photo_are_named_by_both_lines(write: Write, first: str, second: str) -> None:
    with pytest.raises(DatasetError, match="lines 2 and 4 decide differently about the same photo"):
        read_decisions(write(f"{A},{first}", LINES[1], f"{A},{second}"))


def test_the_same_decision_twice_is_one(write: Write) -> None:
    assert read_decisions(write(*LINES, *LINES)).rows == EXPECTED


@pytest.mark.parametrize(
    "second", ["p/2.jpg,cat,remove,", "p/dog/1.jpg,dog,move,owl", "p/2.jpg,cat,keep,"], ids=["copy", "class", "same"]
)
def test_copies_may_be_decided_on_one_by_one(write: Write, second: str) -> None:
    assert len(read_decisions(write(f"{A},p/1.jpg,cat,keep,", f"{A},{second}")).rows) == 2


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NAMES = TEXTS.map(class_name).filter(bool)


@given(path=TEXTS.map(str.strip), label=NAMES)
@example(path="a\rb", label='"')
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, path: str, label: str) -> None:
    file = tmp_path_factory.getbasetemp() / "round.csv"
    rows = [Decision(2, A, path, label, "remove"), Decision(3, B, path, label, "move", f"not {label}")]
    file.write_bytes(decisions_to_csv(rows))
    assert [replace(one, line=0) for one in read_decisions(file).rows] == [replace(one, line=0) for one in rows]


def test_the_written_columns_are_those_of_the_report() -> None:
    lines = list(csv.reader(io.StringIO(decisions_to_csv(EXPECTED).decode("utf-8-sig"))))
    assert lines == [
        HEADER.split(","),
        [A, "p/cat/1.jpg", "cat", "keep", ""],
        [B, "p/cat/2.jpg", "cat", "move", "dog"],
        [C, "p/dog/3.jpg", "dog", "remove", ""],
    ]


def test_decisions_in_a_folder_are_found(write: Write) -> None:
    path = write(*LINES)
    assert find_decisions(path.parent) == path


@pytest.mark.parametrize("header", ['"Content";"Class";"Decision"', "\ufeffcontent,class,decision\r"])
def test_decisions_are_known_by_their_columns(write: Write, header: str) -> None:
    path = write(header=header)
    assert find_decisions(path.parent) == path


def test_a_table_of_the_same_name_but_other_columns_is_not_ours(write: Write) -> None:
    assert find_decisions(write("1.jpg,cat", header="path,label").parent) is None


@pytest.mark.parametrize("name", ["nothing", "decisions.csv"], ids=["missing", "a-file"])
def test_only_a_folder_holds_decisions(write: Write, name: str) -> None:
    assert find_decisions(write(*LINES).parent / name) is None


@pytest.mark.parametrize(
    ("first", "second", "num_parts"),
    [
        ("p/cat/1.jpg", r".\p\cat\1.jpg", 0),
        ("/home/me/p/cat/1.jpg", "p/cat/1.jpg", 2),
        ("p/a/caf\u00e9.jpg", "p/b/cafe\u0301.jpg", 1),
    ],
)
def test_paths_of_other_systems_and_places_mean_the_same(first: str, second: str, num_parts: int) -> None:
    assert path_key(first, num_parts) == path_key(second, num_parts)
