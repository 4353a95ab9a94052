"""From a CSV of paths and labels to labelled photos: finds the file each row means, and tells what has none.

`photos/csv_columns.py` reads the rows; `photos/sources.py` calls this for a CSV, and for a folder or zip with one.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from tellapart.errors import DatasetError
from tellapart.photos.csv_columns import LabelRow, read_labels, read_paths
from tellapart.photos.files import ArchiveMember, DiskFile, FoundFile, Labelled, Reading
from tellapart.photos.folder_kinds import find_splits
from tellapart.photos.misplaced import reason_no_photo
from tellapart.photos.names import name_some
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop, ngettext

_NOT_UNIQUE = gettext_noop("several files have that name. Write the path in the CSV")
_NO_FILE = gettext_noop("is named in the CSV, but there is no such file")
# What Label Studio puts before the name of a file that is uploaded.
_UPLOADED = re.compile(r"(?:.*/)?[0-9a-f]{8}-(?P<name>[^/]+)")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass
class RowFinder:
    """Finds the file that the path, name or id in a row means, all compared in one Unicode form (NFC).

    Args:
        folder: what relative paths start from on disk; `None` for a zip.
        list_files: lists the files of the source, called when a path is not found on disk, at most once.
    """

    folder: str | None
    list_files: Callable[[], Sequence[FoundFile]]
    _index: "_Index | None" = field(default=None, init=False)

    def find(self, text: str) -> list[FoundFile]:
        """The files a row may mean: one when all is well, none when it is missing, several when it says too little.

        A path goes before a name, and a name before one without its suffix. A name stands for a file in some folder
        only where the folders in the row do not contradict: `cat/1.jpg` is never `dog/1.jpg`.
        """
        spellings = dict.fromkeys((text, text.strip(), text.strip().replace("\\", "/")))
        for path in spellings:
            if found := self._on_disk(path):
                return found
        if self._index is None:
            self._index = _Index(self.list_files())
        for path in dict.fromkeys([*spellings, _without_address(text)]):
            if found := self._index.find(path):
                return found
        uploaded = _UPLOADED.fullmatch(text.strip())
        return [] if uploaded is None else self._index.find(uploaded["name"])

    def has(self, text: str) -> bool:
        """Whether a row may mean some file."""
        return bool(text.strip()) and bool(self.find(text))

    def place_key(self, file: FoundFile) -> tuple[str, ...]:
        """Equal for files at one place, however their paths are written; a link is a place of its own."""
        if self.folder is None:
            return (_zip_path(file) or "", *file.parts)
        return (os.path.abspath(os.path.join(self.folder, *file.parts)),)

    def _on_disk(self, path: str) -> list[FoundFile]:
        if (
            self.folder is None
            or not path
            or "\0" in path
            or not os.path.isfile(full := os.path.join(self.folder, path))
        ):
            return []
        parts = (path,) if os.path.isabs(path) else tuple(part for part in path.split("/") if part not in ("", "."))
        return [FoundFile(parts, DiskFile(os.path.realpath(full)))]


class _Index:
    """Files by all that may stand for them; a row may begin with the name of the zip that holds its file."""

    def __init__(self, files: Sequence[FoundFile]) -> None:
        self._names = _Names(files)
        by_zip: defaultdict[str, list[FoundFile]] = defaultdict(list)
        for file in files:
            if (name := _zip_name(file)) is not None:
                by_zip[name].append(file)
        self._zips = {name: _Names(inside) for name, inside in by_zip.items()}

    def find(self, path: str) -> list[FoundFile]:
        parts = tuple(_nfc(part) for part in path.split("/") if part not in ("", "."))
        if not parts:
            return []
        for depth, folder in enumerate(parts[:-1], start=1):
            if folder in self._zips and (found := self._zips[folder].find(parts[depth:])):
                return found
        found = self._names.find(parts)
        # Who has unpacked the zips writes the folder that each has become.
        named = [file for file in found if os.path.splitext(_zip_name(file) or "")[0] in parts[:-1]]
        return named if len(found) > 1 and named else found


class _Names:
    """Files by path, name and stem."""

    def __init__(self, files: Sequence[FoundFile]) -> None:
        self._by_path: defaultdict[tuple[str, ...], dict[str | None, FoundFile]] = defaultdict(dict)
        self._by_name: defaultdict[str, list[tuple[tuple[str, ...], FoundFile]]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[tuple[tuple[str, ...], FoundFile]]] = defaultdict(list)
        for file in files:
            *folders, name = parts = tuple(map(_nfc, file.parts))
            self._by_path[parts].setdefault(_zip_path(file), file)
            self._by_name[name].append((tuple(folders), file))
            self._by_stem[os.path.splitext(name)[0]].append((tuple(folders), file))

    def find(self, parts: tuple[str, ...]) -> list[FoundFile]:
        """The files that the path, at least a name, may mean; those of several zips are several."""
        if exact := self._by_path.get(parts):
            return list(exact.values())
        *folders, name = parts
        for named in (self._by_name.get(name, []), self._by_stem.get(name, [])):
            same = [(_num_same_end(found, folders), file) for found, file in named]
            fitting = [(number, file) for number, file in same if number is not None]
            if fitting:
                most = max(number for number, _unused in fitting)
                return [file for number, file in fitting if number == most]
        return []


def _zip_path(file: FoundFile) -> str | None:
    """The zip that a file is in; `None` for a file on disk."""
    return str(file.place.archive.path) if isinstance(file.place, ArchiveMember) else None


def _zip_name(file: FoundFile) -> str | None:
    """The name of the zip that a file is in, without its folders."""
    path = _zip_path(file)
    return None if path is None else _nfc(os.path.basename(path))


def _num_same_end(one: Sequence[str], other: Sequence[str]) -> int | None:
    """How many folders the shorter of two has, if the longer ends in them; `None` if it does not."""
    number = min(len(one), len(other))
    return number if tuple(one[len(one) - number :]) == tuple(other[len(other) - number :]) else None


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _without_address(text: str) -> str:
    """The path in an address on the web, or in one of Label Studio's; else the text as it is."""
    path = text.strip()
    if "?d=" in path:
        return unquote(path.partition("?d=")[2])
    return unquote(path.partition("?")[0].partition("#")[0]) if _ADDRESS.match(path) else path


def match_paths(csv_path: str, finder: RowFinder) -> Reading:
    """The photos that the rows of a CSV name, each once, without labels, and what is left out.

    Raises:
        DatasetError: the CSV cannot be read or has no column of paths, or more than half of its files are missing.
    """
    paths, notes = read_paths(csv_path, finder.has)
    found, left_out = _find_files([LabelRow(path, ("",)) for path in paths], finder)
    missing = [parts[0] for parts, reason in left_out if reason == _(_NO_FILE)]
    _check_missing(missing, len(paths), csv_path, finder.folder or os.curdir)
    reading = Reading(left_out=left_out, notes=list(notes))
    for file, _unused in found:
        _add_photo(reading, file, [""], [None])
    return reading


def match_rows(csv_path: str, finder: RowFinder, shown_folder: str) -> Reading:
    """The photos that the rows of a CSV name, with their labels; each photo once.

    All values are text, so that `007` stays `007`. A photo that rows give different labels, a row with none or with
    several, and a row whose file is missing are left out with the reason. The split is that in a column of the CSV, or
    else in the folders.

    Args:
        csv_path: the table.
        finder: finds the file of a row.
        shown_folder: what paths in it are relative to, for messages.

    Raises:
        DatasetError: the CSV cannot be read or lacks a column, the files of more than half of the labelled rows are
            missing, or no row has a single label.
    """
    table = read_labels(csv_path, finder.has)
    usable = [row for row in table.rows if len(row.labels) == 1]
    reading = Reading(notes=list(table.notes))
    reading.left_out += [((row.path,), _reason(row)) for row in table.rows if len(row.labels) != 1]
    if not usable:
        _refuse_labels(csv_path, table.rows)
    found, left_out = _find_files(usable, finder)
    _check_missing([parts[0] for parts, why in left_out if why == _(_NO_FILE)], len(usable), csv_path, shown_folder)
    reading.left_out += left_out
    for file, rows in found:
        _add_photo(reading, file, [row.labels[0] for row in rows], [row.split for row in rows])
    if not table.has_splits:
        _add_folder_splits(reading)
    return reading


def _reason(row: LabelRow) -> str:
    if not row.labels:
        return _("has no label in the CSV")
    return _("has several labels in the CSV, {labels}, and a photo has one class").format(labels=name_some(row.labels))


def _refuse_labels(csv_path: str, rows: Sequence[LabelRow]) -> None:
    several = next((row for row in rows if row.labels), None)
    if several is None:
        raise DatasetError(
            _("no row of CSV {csv_path!r} has a label. Fill the label column.").format(csv_path=csv_path),
            paths=[csv_path],
        )
    raise DatasetError(
        _(
            "each row of CSV {csv_path!r} has several labels, such as {labels} for {path!r}. A photo has one "
            "class. Give a CSV with one label for each photo."
        ).format(csv_path=csv_path, labels=name_some(several.labels), path=several.path),
        paths=[csv_path],
    )


def _find_files(
    rows: Sequence[LabelRow], finder: RowFinder
) -> tuple[list[tuple[FoundFile, list[LabelRow]]], list[tuple[tuple[str, ...], str]]]:
    """Each file with the rows that mean it, and the rows that mean none or several, with the reason."""
    found: dict[tuple[str, ...], tuple[FoundFile, list[LabelRow]]] = {}
    left_out: list[tuple[tuple[str, ...], str]] = []
    for row in rows:
        files = finder.find(row.path)
        if len(files) == 1:
            found.setdefault(finder.place_key(files[0]), (files[0], []))[1].append(row)
        else:
            left_out.append(((row.path,), _(_NOT_UNIQUE) if files else _(_NO_FILE)))
    return list(found.values()), left_out


def _check_missing(missing: Sequence[str], num_rows: int, csv_path: str, shown_folder: str) -> None:
    if len(missing) * 2 > num_rows:
        raise DatasetError(
            ngettext(
                "The only file named in CSV {csv_path!r} is missing: {missing}. Give paths relative to {folder!r}. "
                "Correct the paths in the CSV, or the folder.",
                "{num:,} of the {total:,} files named in CSV {csv_path!r} are missing: {missing}. Give paths "
                "relative to {folder!r}. Correct the paths in the CSV, or the folder.",
                num_rows,
            ).format(
                num=len(missing),
                total=num_rows,
                csv_path=csv_path,
                missing=name_some(missing),
                folder=shown_folder,
            ),
            paths=missing,
        )


def _add_photo(reading: Reading, file: FoundFile, labels: Sequence[str], splits: Sequence[str | None]) -> None:
    names = list(dict.fromkeys(labels))
    reason = reason_no_photo(file.name, file.place)
    if reason is not None:
        reading.left_out.append((file.parts, reason))
    elif len(names) > 1:
        reading.left_out.append(
            (file.parts, _("rows of the CSV give it different labels: {names}").format(names=name_some(names)))
        )
    elif len(set(splits)) > 1:
        reading.left_out.append((file.parts, _("rows of the CSV put it into different splits")))
    else:
        reading.labelled.append(Labelled(file, names[0], splits[0]))


def _add_folder_splits(reading: Reading) -> None:
    """Gives each photo the split that its folders name, where they are split folders."""
    items = reading.labelled
    splits = find_splits([item.file.parts[:-1] for item in items], [item.label for item in items])
    reading.labelled = [Labelled(item.file, item.label, split) for item, split in zip(items, splits, strict=True)]
