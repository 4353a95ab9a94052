"""A list of photos as a Parquet or CSV file with an address in each row, read piece by piece.

Nothing here holds the whole list: 10 million addresses pass as Arrow tables of some thousand rows. What is at an
address is read by `uri_bytes.py`.
"""

import csv
import io
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tellapart.distribute.uri_bytes import UriReader, explain_refusal, local_path, scheme_of
from tellapart.errors import DatasetError
from tellapart.photos.csv_table import find_delimiter, normalize_column
from tellapart.photos.names import name_some
from tellapart.store import restore_cell
from tellapart.translation import gettext as _

# The columns of the tables that are read.
PATH, LABEL = "path", "label"
# What the column of the addresses is called where nobody says.
_URI_COLUMNS = ("path", "uri")
_PARQUET_MARK = b"PAR1"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_HEAD_BYTES = 64 * 1024
_ROWS_A_TABLE = 4096


@dataclass
class UriList:
    """The addresses in a Parquet or CSV file, in its order; `open_uri_list` makes it.

    Attributes:
        source: the file as the user named it.
        uri_column, label_column: the columns that are read; without labels `None`.
        is_parquet: whether it is Parquet; else it is CSV.
        num_rows: rows of the file, those without an address included.
        num_blank: rows without an address among those that were read, which are left out.
    """

    source: str
    uri_column: str
    label_column: str | None
    is_parquet: bool
    num_rows: int = 0
    num_blank: int = field(default=0, init=False)

    @property
    def base(self) -> str:
        """What relative paths begin at: the folder of the file."""
        return os.path.dirname(self.source if scheme_of(self.source) else os.path.abspath(local_path(self.source)))

    def read(self, rows_a_table: int = _ROWS_A_TABLE) -> Iterator[pa.Table]:
        """Tables with the columns `path` and, with labels, `label`, both of strings; each row has a path.

        A label that is missing is null.

        Args:
            rows_a_table: rows of a table, at most.

        Raises:
            DatasetError: the file cannot be read to its end.
        """
        self.num_blank = 0
        read = self._read_parquet if self.is_parquet else self._read_csv
        with _telling(self.source):
            for table in read(rows_a_table):
                has_path = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(table[PATH]), ""), False)
                kept = table.filter(has_path)
                self.num_blank += table.num_rows - kept.num_rows
                if kept.num_rows:
                    yield kept

    def _read_parquet(self, rows_a_table: int) -> Iterator[pa.Table]:
        columns = [self.uri_column, *([] if self.label_column is None else [self.label_column])]
        with UriReader("").open(self.source) as file:
            for batch in pq.ParquetFile(file).iter_batches(rows_a_table, columns=columns):
                texts = [pc.cast(batch[name], pa.string()) for name in columns]
                yield pa.table(texts, names=[PATH, LABEL][: len(texts)])

    def _read_csv(self, rows_a_table: int) -> Iterator[pa.Table]:
        with _open_rows(self.source) as (header, rows):
            places = [header.index(self.uri_column)]
            places += [] if self.label_column is None else [header.index(self.label_column)]
            while chunk := list(itertools.islice(rows, rows_a_table)):
                texts = [[_cell(row, place) for row in chunk] for place in places]
                yield pa.table([pa.array(text, pa.string()) for text in texts], names=[PATH, LABEL][: len(texts)])


def open_uri_list(source: str, uri_column: str | None = None, label_column: str | None = None) -> UriList:
    """The list in a Parquet or CSV file, on this machine or in a bucket; its rows are counted, nothing more.

    Args:
        source: the file; its content says which of both it is.
        uri_column: the column of the addresses; `None` is `path` or `uri`.
        label_column: the column of the labels; `None` reads no labels.

    Raises:
        DatasetError: there is no such file, it is neither, it has no rows, or it lacks a column.
    """
    with _telling(source):
        with UriReader("").open(source) as file:
            is_parquet = file.read(len(_PARQUET_MARK)) == _PARQUET_MARK
            if is_parquet:
                file.seek(0)
                schema, num_rows = (opened := pq.ParquetFile(file)).schema_arrow, opened.metadata.num_rows
        if not is_parquet:
            with _open_rows(source) as (header, rows):
                schema, num_rows = pa.schema([(name, pa.string()) for name in header]), sum(1 for _row in rows)
    uri_column = _choose_column(source, schema, _URI_COLUMNS if uri_column is None else (uri_column,), "uri_column")
    if label_column is not None:
        label_column = _choose_column(source, schema, (label_column,), "label_column")
    if not num_rows:
        message = _("{source!r} has no rows. Give a list with a row for each photo.").format(source=source)
        raise DatasetError(message, paths=[source])
    kind = schema.field(uri_column).type
    if not pa.types.is_string(kind) and not pa.types.is_large_string(kind) and not pa.types.is_dictionary(kind):
        message = _("the column {name!r} of {source!r} is {kind}, not text. Give a column of paths or addresses.")
        raise DatasetError(message.format(name=uri_column, source=source, kind=kind), paths=[source])
    return UriList(source, uri_column, label_column, is_parquet, num_rows)


def _choose_column(source: str, schema: pa.Schema, wanted: Sequence[str], setting: str) -> str:
    """The first of the columns that the file has, in whatever case.

    Raises:
        DatasetError: it has none of them.
    """
    names: list[str] = schema.names
    known = {normalize_column(name): name for name in reversed(names)}
    for name in wanted:
        if name in names:
            return name
        if normalize_column(name) in known:
            return known[normalize_column(name)]
    raise DatasetError(
        _("{source!r} has no column {wanted}. Its columns are {names}. Name the right one with `{setting}`.").format(
            source=source,
            wanted=_(" or ").join(map(repr, wanted)),
            names=name_some(names) if names else _("none"),
            setting=setting,
        ),
        paths=[source],
    )


@contextmanager
def _open_rows(source: str) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
    """The header of a CSV and its other rows, blank ones left out, as they are read."""
    with UriReader("").open(source) as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        encoding = "utf-16" if head[:2] in _UTF16_MARKS else "utf-8-sig"
        delimiter = find_delimiter(head.decode(encoding, "replace"))
        lines = io.TextIOWrapper(file, encoding, newline="")
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        header = [name.strip() for name in next(rows, [])]
        yield header, (row for row in rows if any(cell.strip() for cell in row))


def _cell(row: list[str], place: int) -> str | None:
    return restore_cell(row[place]) if place < len(row) and row[place].strip() else None


@contextmanager
def _telling(source: str) -> Iterator[None]:
    """What goes wrong while a list is read becomes one clear error."""
    try:
        yield
    except DatasetError:
        raise
    except (UnicodeError, csv.Error) as exc:
        said = _("{source!r} is neither Parquet nor a CSV in UTF-8 ({reason}). Save the list again as one of them.")
        raise DatasetError(said.format(source=source, reason=" ".join(str(exc).split())), paths=[source]) from exc
    except (OSError, ValueError, NotImplementedError) as exc:
        said = _("{source!r} cannot be used: {reason}. Give a Parquet or CSV file with a column {column!r}.")
        reason = explain_refusal(exc)
        raise DatasetError(said.format(source=source, reason=reason, column=PATH), paths=[source]) from exc
