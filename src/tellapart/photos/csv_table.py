"""The one reader of CSV files: encoding, delimiter, header and ragged rows; what the cells mean is the caller's."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from tellapart.errors import DatasetError
from tellapart.store import restore_cell
from tellapart.translation import gettext as _
from tellapart.untrusted import MAX_TABLE_BYTES, read_regular

_DELIMITERS = (",", ";", "\t", "|")
# The line by which Excel is told the delimiter.
_DELIMITER_LINE = re.compile(r'"?sep=(.)"?[,;\t]*(\r\n|\r|\n)', re.IGNORECASE)
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row: the line it begins on, from 1, and as many values as there are columns, as they are written."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Attributes:
        header: the names of the columns as they are written, those without a name at the end left out; empty for an
            empty file.
        rows: in the order of the file, without blank ones.
        delimiter: what stands between values.
        note: what the owner of the file should know, as a sentence about it; `None` where all is well.
    """

    header: tuple[str, ...]
    rows: tuple[TableRow, ...]
    delimiter: str
    note: str | None = None


def read_table(path: str | Path, what: str = "CSV", delimiter: str | None = None, *, is_restored: bool = True) -> Table:
    """The table in a file.

    Accepts commas, semicolons, tabs or bars, any line ends, UTF-8 with or without a byte order mark, UTF-16 with one,
    and a first line such as `sep=;`. What is no UTF-8 is read as Windows-1252, with a note. A row may lack values at
    its end, as spreadsheets leave them out, or end in delimiters.

    Args:
        path: the file.
        what: what the user knows it as, for messages.
        delimiter: the one it has; `None` finds it in the header.
        is_restored: whether a cell that tellapart has escaped for spreadsheets is given as it was before.

    Raises:
        DatasetError: the file cannot be read, is no text, has a quote without an end, or a row with more values than
            there are columns; the message names the line.
    """
    shown = f"{what} {str(path)!r}"
    try:
        data = read_regular(path, MAX_TABLE_BYTES)
    except OSError as exc:
        raise DatasetError(
            _("{shown} cannot be read: {strerror}. Check the path and its permissions.").format(
                shown=shown, strerror=exc.strerror
            ),
            paths=[path],
        ) from exc
    text, note = _decode(data, shown, path)
    text, told, num_before = _without_delimiter_line(text)
    delimiter = delimiter or told or find_delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[TableRow] = []
    line = 1 + num_before
    try:
        header = _without_end(next(reader, []))
        line = reader.line_num + 1 + num_before
        for cells in reader:
            if len(_without_end(cells)) > len(header):
                raise DatasetError(
                    _(
                        "{shown} cannot be used: line {line} has {num} values for {total} "
                        "columns. Correct the file, or quote values that hold {delimiter!r}."
                    ).format(shown=shown, line=line, num=len(cells), total=len(header), delimiter=delimiter),
                    paths=[path],
                )
            if any(cell.strip() for cell in cells):
                cells = [restore_cell(cell) if is_restored else cell for cell in cells]
                padded = (*cells, *[""] * (len(header) - len(cells)))
                rows.append(TableRow(line, padded[: len(header)]))
            line = reader.line_num + 1 + num_before
    except csv.Error as exc:
        raise DatasetError(
            _("{shown} cannot be used: line {line} is not a row of a CSV ({reason}). Correct the file.").format(
                shown=shown, line=line, reason=exc
            ),
            paths=[path],
        ) from exc
    return Table(header, tuple(rows), delimiter, note)


def read_header(head: bytes) -> tuple[str, ...]:
    """The columns that the beginning of a file names; empty where it is no text."""
    text, told, _unused = _without_delimiter_line(head.decode(_find_encoding(head), "replace"))
    try:
        return tuple(next(csv.reader(io.StringIO(text, newline=""), delimiter=told or find_delimiter(text)), []))
    except csv.Error:
        return ()


def _decode(data: bytes, shown: str, path: str | Path) -> tuple[str, str | None]:
    encoding = _find_encoding(data)
    try:
        text = data.decode(encoding)
        if "\0" not in text:
            return text, None
    except UnicodeError:
        if b"\0" not in data:
            # Five bytes mean nothing in Windows-1252, and something in Latin-1.
            name = "cp1252" if _is_encoded(data, "cp1252") else "latin-1"
            return data.decode(name), (
                _(
                    "is not UTF-8 text and was read as Windows-1252. If names look wrong, "
                    "save the file again as 'CSV UTF-8'"
                )
            )
    raise DatasetError(
        _("{shown} is not a text file. Save the table again as 'CSV UTF-8'.").format(shown=shown), paths=[path]
    )


def _without_delimiter_line(text: str) -> tuple[str, str | None, int]:
    """The text after a line such as `sep=;`, the delimiter that it names, and the number of such lines, 0 or 1."""
    match = _DELIMITER_LINE.match(text)
    return (text, None, 0) if match is None else (text[match.end() :], match[1], 1)


def _is_encoded(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeError:
        return False
    return True


def _find_encoding(data: bytes) -> str:
    return "utf-16" if data[:2] in _UTF16_MARKS else "utf-8-sig"


def find_delimiter(text: str) -> str:
    """The delimiter that occurs most in the header, outside of quotes; a comma where there is none."""
    line = re.sub(r'"[^"\r\n]*"', "", text[:65536].split("\n", 1)[0].split("\r", 1)[0])
    return max(_DELIMITERS, key=line.count)


def _without_end(cells: list[str]) -> tuple[str, ...]:
    """The cells up to the last that is not blank."""
    num = max((number for number, cell in enumerate(cells, 1) if cell.strip()), default=0)
    return tuple(cells[:num])


def normalize_column(name: str) -> str:
    """The name of a column, equal for those that differ only in case, blanks, underscores and hyphens."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())
