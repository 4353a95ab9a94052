"""From a CSV of paths and labels to labelled photos: finds the file each row means, and tells what has none.

`photos/csv_table.py` reads the table; `photos/sources.py` calls this for a CSV, and for a folder or zip with one.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tellapart.errors import DatasetError
from tellapart.images.formats import PHOTO_SUFFIXES
from tellapart.photos.csv_table import read_table
from tellapart.photos.files import ArchiveMember, DiskFile, FoundFile, Labelled, Reading
from tellapart.photos.folder_kinds import find_splits
from tellapart.photos.misplaced import reason_no_photo
from tellapart.photos.names import class_name, name_some

_PATH_COLUMNS = (
    *("path", "file", "filename", "image", "image_path", "id"),
    *("file_name", "filepath", "file_path", "image_name", "image_id", "photo"),
)
_LABEL_COLUMNS = ("label", "class", "category", "target", "labels", "class_name")
_NOT_UNIQUE = "several files are called so; write the path in the CSV"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row: a path or id as written, and a label without surrounding blanks, empty where there is none."""

    path: str
    label: str


@dataclass
class RowFinder:
    """Finds the file that the path or id in a row means.

    Args:
        folder: what relative paths start from on disk; `None` for a zip.
        list_files: lists the files of the source, called when a path is not found on disk, at most once.
        by_file_name: whether a name without folders may stand for a file in some folder of the source.
    """

    folder: str | None
    list_files: Callable[[], Sequence[FoundFile]]
    by_file_name: bool
    _by_text: dict[str, list[FoundFile]] | None = field(default=None, init=False)

    def find(self, text: str) -> list[FoundFile]:
        """The files a row may mean: one when all is well, none when it is missing, several when it says too little."""
        for path in dict.fromkeys((text, text.strip(), text.strip().replace("\\", "/"))):
            found = self._on_disk(path) or self._listed(path)
            if found:
                return found
        return []

    def _on_disk(self, path: str) -> list[FoundFile]:
        if self.folder is None or not path or not os.path.isfile(full := os.path.join(self.folder, path)):
            return []
        parts = (path,) if os.path.isabs(path) else tuple(part for part in path.split("/") if part not in ("", "."))
        return [FoundFile(parts, DiskFile(os.path.realpath(full)))]

    def _listed(self, path: str) -> list[FoundFile]:
        is_id = os.path.splitext(path)[1].lower() not in PHOTO_SUFFIXES
        if not (self.by_file_name or is_id):
            return []
        if self._by_text is None:
            self._by_text = _index(self.list_files())
        return self._by_text.get("/".join(part for part in path.split("/") if part not in ("", ".")), [])


def _index(files: Sequence[FoundFile]) -> dict[str, list[FoundFile]]:
    """Every text that may stand for a file: its path, or its name, with and without suffix; a path goes first."""
    exact = {"/".join(file.parts): [file] for file in files}
    loose: defaultdict[str, list[FoundFile]] = defaultdict(list)
    for file in files:
        path = "/".join(file.parts)
        for text in dict.fromkeys((os.path.splitext(path)[0], file.name, os.path.splitext(file.name)[0])):
            loose[text].append(file)
    return {**loose, **exact}


def match_rows(csv_path: str, finder: RowFinder, shown_folder: str) -> Reading:
    """The photos that the rows of a CSV name, with their labels; each photo once.

    All values are text, so that `007` stays `007`. The column of the path is called path, file, filename, image,
    image_path or id, that of the label label, class, category or target, in any case.

    A photo that rows give different labels, a row without label, and a row whose file is missing are left out with the
    reason.

    Args:
        csv_path: the table.
        shown_folder: what paths in it are relative to, for messages.

    Raises:
        DatasetError: the CSV cannot be read or lacks a column, the files of more than half of the labelled rows are
            missing, or no row has a label.
    """
    rows, note = _read_rows(csv_path)
    reading = Reading(left_out=[] if note is None else [(_parts(os.path.basename(csv_path)), note)])
    found: dict[DiskFile | ArchiveMember, tuple[FoundFile, list[str]]] = {}
    missing: list[str] = []
    labelled_rows = [row for row in rows if row.label]
    reading.left_out += [(_parts(row.path), "has no label in the CSV") for row in rows if not row.label]
    for row in labelled_rows:
        files = finder.find(row.path)
        if not files:
            missing.append(row.path)
        elif len(files) > 1:
            reading.left_out.append((_parts(row.path), _NOT_UNIQUE))
        else:
            found.setdefault(files[0].place, (files[0], []))[1].append(row.label)
    _check_missing(missing, len(labelled_rows), csv_path, shown_folder)
    reading.left_out += [(_parts(path), "is named in the CSV, but there is no such file") for path in missing]
    for file, labels in found.values():
        _add_photo(reading, file, list(dict.fromkeys(labels)))
    files, found_labels = [item.file for item in reading.labelled], [item.label for item in reading.labelled]
    splits = find_splits([file.parts[:-1] for file in files], found_labels)
    reading.labelled = [Labelled(*item) for item in zip(files, found_labels, splits, strict=True)]
    return reading


def _read_rows(csv_path: str) -> tuple[list[LabelRow], str | None]:
    """The rows in their order, and what the owner of the CSV should know."""
    table = read_table(csv_path)
    path_column = _find_column(table.header, _PATH_COLUMNS, "path", csv_path)
    label_column = _find_column(table.header, _LABEL_COLUMNS, "label", csv_path)
    if not table.rows:
        raise DatasetError(f"CSV {csv_path!r} has a header but no rows. Add a row for each photo.", paths=[csv_path])
    rows = [LabelRow(row.cells[path_column], class_name(row.cells[label_column])) for row in table.rows]
    return rows, table.note


def _find_column(columns: Sequence[str], known: Sequence[str], meaning: str, csv_path: str) -> int:
    """The position of the first known name among the columns, in any case."""
    lower = [column.strip().lower() for column in columns]
    for name in known:
        if name in lower:
            return lower.index(name)
    raise DatasetError(
        f"CSV {csv_path!r} has no {meaning} column, only {name_some(columns) or 'none'}. In the first line name one "
        f"{known[0]!r}, or one of {', '.join(known[1:])}.",
        paths=[csv_path],
    )


def _parts(path: str) -> tuple[str, ...]:
    return (path,)


def _check_missing(missing: Sequence[str], num_rows: int, csv_path: str, shown_folder: str) -> None:
    if num_rows == 0:
        raise DatasetError(f"no row of CSV {csv_path!r} has a label. Fill the label column.", paths=[csv_path])
    if len(missing) * 2 > num_rows:
        raise DatasetError(
            f"{len(missing):,} of the {num_rows:,} files named in CSV {csv_path!r} are missing: {name_some(missing)}. "
            f"Give paths relative to {shown_folder!r}. Correct the paths in the CSV, or the folder.",
            paths=missing,
        )


def _add_photo(reading: Reading, file: FoundFile, labels: Sequence[str]) -> None:
    reason = reason_no_photo(file.name, file.place)
    if reason is not None:
        reading.left_out.append((file.parts, reason))
    elif len(labels) > 1:
        reading.left_out.append((file.parts, f"rows of the CSV give it different labels: {name_some(labels)}"))
    else:
        reading.labelled.append(Labelled(file, labels[0]))
