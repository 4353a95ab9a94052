"""What the columns of a CSV of labels hold: which has the photos, which the labels, which the split.

Columns are told by what they hold, for their names differ; a name decides where several would do.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tellapart.errors import DatasetError
from tellapart.formats.photo_formats import PHOTO_SUFFIXES
from tellapart.photos.csv_table import read_table
from tellapart.photos.folder_kinds import SPLIT_KINDS
from tellapart.photos.names import class_name, name_some
from tellapart.translation import gettext as _

_PATH_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_name"),
    *("photo", "img", "picture", "image_file", "url", "id", "image_id"),
)
_LABEL_COLUMNS = (
    *("label", "class", "category", "target", "labels", "class_name", "label_name", "category_name", "classes"),
    *("choice", "choices", "tag", "tags", "species", "breed", "diagnosis", "dx"),
)
_SPLIT_COLUMNS = ("split", "subset", "partition", "set", "fold")
_TABLE_KINDS = SPLIT_KINDS | {"eval": "validation", "evaluation": "validation"}
_YES, _NO = frozenset({"1", "1.0", "true", "yes", "x"}), frozenset({"0", "0.0", "-1", "-1.0", "false", "no", ""})
# Rows that are looked at to find the column of the photos.
_NUM_LOOKED_AT = 200
_ENOUGH_FOUND = 0.5
# A column of labels has so many rows for each of its values, on the average.
_ROWS_A_LABEL = 2
# Separators of several labels in one value; a comma or blank only where the parts come back in other values.
_SURE_SEPARATORS = re.compile(r"\s*[|;]\s*")


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row: a path or id as written, its labels without surrounding blanks, none or several, and its split."""

    path: str
    labels: tuple[str, ...]
    split: str | None = None


@dataclass(frozen=True)
class LabelTable:
    """The rows of a CSV in their order, whether it has a split, and sentences for its owner."""

    rows: tuple[LabelRow, ...]
    has_splits: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Columns:
    """A table by columns, with the names as written and in small letters."""

    path: str
    names: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    @property
    def lower(self) -> list[str]:
        return [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in self.names]

    @property
    def num_rows(self) -> int:
        return len(self.values[0]) if self.values else 0


def read_paths(csv_path: str, is_file: Callable[[str], bool]) -> tuple[list[str], tuple[str, ...]]:
    """The paths or ids in a CSV, each once, and sentences for its owner; labels play no part.

    Raises:
        DatasetError: the CSV cannot be read, or no column has paths.
    """
    columns = _read_columns(csv_path, is_file)
    values = columns.values[_find_paths(columns, is_file)]
    return [value for value in dict.fromkeys(values) if value.strip()], columns.notes


def read_labels(csv_path: str, is_file: Callable[[str], bool]) -> LabelTable:
    """The rows of a CSV of photos and labels.

    The labels are in one column, or in one column for each class with 1 and 0. A table without header is one whose
    first line names a photo.

    Args:
        csv_path: the table.
        is_file: whether a value is the path, name or id of a photo.

    Raises:
        DatasetError: the CSV cannot be read, has no rows, or it cannot be told which column has the paths or labels.
    """
    columns = _read_columns(csv_path, is_file)
    paths = _find_paths(columns, is_file)
    split = _find_splits(columns, paths)
    labels, notes = _find_labels(columns, {paths, *([] if split is None else [split])})
    splits: Sequence[str | None] = [None] * columns.num_rows
    if split is not None:
        splits = [_TABLE_KINDS.get(value.strip().lower()) for value in columns.values[split]]
    rows = [LabelRow(*row) for row in zip(columns.values[paths], labels, splits, strict=True)]
    return LabelTable(tuple(rows), split is not None, (*columns.notes, *_unused_split(columns, split), *notes))


def _read_columns(csv_path: str, is_file: Callable[[str], bool]) -> _Columns:
    table = read_table(csv_path)
    names, rows = table.header, [row.cells for row in table.rows]
    if any(os.path.splitext(name.strip())[1].lower() in PHOTO_SUFFIXES and is_file(name) for name in names):
        rows, names = (
            [names, *rows],
            tuple(f"column {number}" for number in range(1, len(names) + 1)),
        )
    if names and not rows:
        raise DatasetError(
            _("CSV {csv_path!r} has a header but no rows. Add a row for each photo.").format(csv_path=csv_path),
            paths=[csv_path],
        )
    notes = () if table.note is None else (_("CSV {csv_path!r} {note}.").format(csv_path=csv_path, note=table.note),)
    values = tuple(zip(*rows, strict=True)) if rows else ()
    return _Columns(csv_path, names, values, notes)


def _find_paths(columns: _Columns, is_file: Callable[[str], bool]) -> int:
    """The column whose values are photos; of several the first by its name, and of none the one with a known name."""
    known = [columns.lower.index(name) for name in _PATH_COLUMNS if name in columns.lower]
    shares: dict[int, float] = {}
    order: list[int] = [*known, *(number for number in range(len(columns.names)) if number not in known)]
    for number in order:
        step = max(1, columns.num_rows // _NUM_LOOKED_AT)
        looked = [value for value in columns.values[number][::step] if value.strip()]
        shares[number] = sum(map(is_file, looked)) / max(1, len(looked))
        if number in known and shares[number] >= _ENOUGH_FOUND:
            return number
    if any(shares.values()):
        return max(order, key=lambda number: shares[number])
    if known:
        return known[0]
    raise _no_column(columns, _("path"), _PATH_COLUMNS)


def _no_column(columns: _Columns, meaning: str, known: Sequence[str]) -> DatasetError:
    said = _(
        "CSV {path!r} has no column for the {meaning}, only {names}. In the first line, name one {first!r}, or one of "
        "{others}."
    )
    names = [name for name in columns.names if name.strip()]
    if not names:
        said = _(
            "CSV {path!r} has no columns with a name. Write a first line with their names, such as path and label, and "
            "then a row for each photo."
        )
    return DatasetError(
        said.format(
            path=columns.path, meaning=meaning, names=name_some(names), first=known[0], others=", ".join(known[1:])
        ),
        paths=[columns.path],
    )


def _find_splits(columns: _Columns, paths: int) -> int | None:
    """The column that says what trains, validates and tests; by its name, or by holding at least two of these words."""
    found: list[int] = []
    for number, values in enumerate(columns.values):
        words = {value.strip().lower() for value in values} - {""}
        if number == paths or not words or not words <= set(_TABLE_KINDS):
            continue
        is_known = columns.lower[number] in _SPLIT_COLUMNS
        kinds = {_TABLE_KINDS[word] for word in words}
        if is_known or (len(kinds) >= 2 and "train" in kinds and columns.lower[number] not in _LABEL_COLUMNS):
            found.insert(0 if is_known else len(found), number)
    return found[0] if found else None


def _unused_split(columns: _Columns, split: int | None) -> tuple[str, ...]:
    unused = [number for number, name in enumerate(columns.lower) if name in _SPLIT_COLUMNS[:3]]
    if split is not None or not unused:
        return ()
    values = [value for value in dict.fromkeys(columns.values[unused[0]]) if value.strip()]
    return (
        _(
            "The column {column!r} of CSV {path!r} is not used: it holds {values}, and not train, validation or test."
        ).format(
            column=columns.names[unused[0]].strip(), path=columns.path, values=name_some(values, 3) or _("nothing")
        ),
    )


def _find_labels(columns: _Columns, used: set[int]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The labels of each row, and what is to be said of them."""
    free = [number for number in range(len(columns.names)) if number not in used]
    known = [columns.lower.index(name) for name in _LABEL_COLUMNS if name in columns.lower]
    known = [number for number in known if number in free]
    filled = [number for number in known if any(map(str.strip, columns.values[number]))]
    if filled:
        return _split_values(columns, filled[0])
    switches = [number for number in free if _is_switch(columns.values[number])]
    if len(switches) >= _ROWS_A_LABEL and not known:
        names = [class_name(columns.names[number]) for number in switches]
        rows = zip(*(columns.values[number] for number in switches), strict=True)
        return [
            tuple(name for name, value in zip(names, row, strict=True) if value.strip().lower() in _YES) for row in rows
        ], ()
    by_content = [number for number in free if _may_be_labels(columns.values[number])]
    words = [number for number in by_content if not all(map(_is_number, columns.values[number]))]
    chosen = known or (words if len(words) == 1 else by_content if len(by_content) == 1 else [])
    if not chosen:
        raise _no_column(columns, _("label"), _LABEL_COLUMNS)
    return _split_values(columns, chosen[0])


def _is_switch(values: Sequence[str]) -> bool:
    words = {value.strip().lower() for value in values}
    return words <= _YES | _NO and bool(words & _YES or words - {""})


def _may_be_labels(values: Sequence[str]) -> bool:
    words = [value.strip() for value in values if value.strip()]
    return len(set(words)) >= 2 and len(set(words)) * _ROWS_A_LABEL <= len(words)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[-+]?[\d.,]*(?:e[-+]?\d+)?\s*", text, re.IGNORECASE) is not None


def _split_values(columns: _Columns, number: int) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The labels in each value of one column."""
    values = columns.values[number]
    found = [_split_value(value) for value in values]
    if any(len(labels) > 1 for labels in found):
        return found, ()
    for separator in (r"\s*,\s*", r"\s+"):
        joined = [value for value in dict.fromkeys(value.strip() for value in values) if re.search(separator, value)]
        counts = Counter(part for value in set(map(str.strip, values)) for part in re.split(separator, value))
        if len(joined) < 2 or any(counts[part] < 2 for value in joined for part in re.split(separator, value)):
            continue
        note = _(
            "The column {column!r} of CSV {path!r} seems to hold several labels for each photo, such as "
            "{example!r}. Each combination is taken as a class."
        ).format(column=columns.names[number].strip(), path=columns.path, example=joined[0])
        return found, (note,)
    return found, ()


def _split_value(value: str) -> tuple[str, ...]:
    """The labels in one value: of a list, or with bars or semicolons between them, or a single one."""
    text = value.strip()
    parts: Sequence[object] = _SURE_SEPARATORS.split(text)
    if text[:1] in ("[", "{"):
        try:
            listed = json.loads(text if '"' in text else text.replace("'", '"'))
        except ValueError:
            listed = text
        if isinstance(listed, dict):
            listed = listed.get("choices", text)
        parts = listed if isinstance(listed, list) else [listed]
    names = [class_name(str(part)) for part in parts]
    return tuple(dict.fromkeys(name for name in names if name))
