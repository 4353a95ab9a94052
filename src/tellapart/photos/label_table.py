"""A CSV of paths and labels -> its rows; the only place that reads a table with pandas.

Which file a row means is decided in `photos/row_matching.py`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tellapart.errors import DatasetError
from tellapart.photos.names import class_name, name_some

if TYPE_CHECKING:
    import pandas as pd

_PATH_COLUMNS = (
    *("path", "file", "filename", "image", "image_path", "id"),
    *("file_name", "filepath", "file_path", "image_name", "image_id", "photo"),
)
_LABEL_COLUMNS = ("label", "class", "category", "target", "labels", "class_name")
_DELIMITERS = (",", ";", "\t")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row: a path or id as written, and a label without surrounding blanks, empty where there is none."""

    path: str
    label: str


def read_label_table(csv_path: str) -> list[LabelRow]:
    """The rows of a CSV with a header, in its order; all values are text, so that `007` stays `007`.

    Accepts commas, semicolons or tabs; UTF-8, with or without a byte order mark, or UTF-16 with one. The column of the
    path is called path, file, filename, image, image_path or id, that of the label label, class, category or target,
    in any case.

    Raises:
        DatasetError: the file cannot be read, is no such table, has no rows, or lacks a column.
    """
    table = _read_table(csv_path)
    columns = [str(column) for column in table.columns]
    path_column = _find_column(columns, _PATH_COLUMNS, "path", csv_path)
    label_column = _find_column(columns, _LABEL_COLUMNS, "label", csv_path)
    paths, labels = table.iloc[:, path_column].tolist(), table.iloc[:, label_column].tolist()
    if not paths:
        raise DatasetError(f"CSV {csv_path!r} has a header but no rows; one row per photo is needed. Add them.")
    return [LabelRow(str(path), class_name(str(label))) for path, label in zip(paths, labels, strict=True)]


def _read_table(csv_path: str) -> "pd.DataFrame":
    # Importing pandas takes longer than reading most folders; only a CSV needs it.
    import pandas as pd

    try:
        with open(csv_path, "rb") as file:
            encoding = find_encoding(file.read(2))
        with open(csv_path, encoding=encoding) as lines:
            delimiter = find_delimiter(lines.readline())
        with warnings.catch_warnings():
            # Rows longer than the header would otherwise be cut with no more than a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                csv_path,
                sep=delimiter,
                encoding=encoding,
                dtype=str,
                keep_default_na=False,
                na_filter=False,
                index_col=False,
            )
    except OSError as exc:
        raise DatasetError(f"CSV {csv_path!r} cannot be read: {exc.strerror}. Check the path and its rights.") from exc
    except UnicodeError as exc:
        raise DatasetError(
            f"CSV {csv_path!r} is not UTF-8 text; UTF-8 and UTF-16 are accepted. Save it again as 'CSV UTF-8'."
        ) from exc
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning, ValueError) as exc:
        said = " ".join(str(exc).split())
        raise DatasetError(
            f"CSV {csv_path!r} is not a table that can be read ({said}); a header line and one row per photo are "
            "accepted, all of the same length. Correct the line, or quote values that hold the delimiter."
        ) from exc


def find_encoding(head: bytes) -> str:
    """How a table is encoded, by its first 2 bytes: UTF-16 with a byte order mark, else UTF-8 with or without one."""
    return "utf-16" if head in _UTF16_MARKS else "utf-8-sig"


def find_delimiter(header: str) -> str:
    """The delimiter that occurs most in the header; a comma where there is none."""
    return max(_DELIMITERS, key=header.count)


def _find_column(columns: Sequence[str], accepted: Sequence[str], meaning: str, csv_path: str) -> int:
    """The position of the first accepted name among the columns, in any case."""
    lower = [column.strip().lower() for column in columns]
    for name in accepted:
        if name in lower:
            return lower.index(name)
    raise DatasetError(
        f"CSV {csv_path!r} has no {meaning} column; columns found: {name_some(columns)}; accepted: "
        f"{', '.join(accepted)}. Rename a column in its first line, or add that line."
    )
