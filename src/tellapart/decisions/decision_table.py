r"""`decisions.csv`: what a person has decided about single photos, read and written.

The report page makes the file in a browser, `tellapart fix` leaves one in a cleaned copy, and people write it in a
spreadsheet. What the decisions do to photos is in `decisions/decisions.py`.

    content,path,class,decision,new_class
    5f0c...,photos/cat/7.jpg,cat,keep,
    91aa...,photos/cat/12.jpg,cat,move,dog
    07d4...,photos/dog/3.jpg,dog,remove,
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tellapart.errors import DatasetError
from tellapart.photos.csv_table import normalize_column, read_table
from tellapart.photos.files import DiskFile, FoundFile
from tellapart.photos.misplaced import DECISION_COLUMNS, is_own_file
from tellapart.photos.names import DECISIONS_NAME, class_name, name_some
from tellapart.store import to_csv_bytes
from tellapart.translation import gettext as _

_COLUMNS = ("content", "path", "class", "decision", "new_class")
_ACCEPTED = ("keep", "move", "remove")
_CONTENT = re.compile(r"[0-9a-f]{40}")

Verdict = Literal["keep", "move", "remove"]


@dataclass(frozen=True)
class Decision:
    """What is to become of one photo.

    Attributes:
        line: where it stands in its file, from 1; a row that spans lines counts by its first.
        content: BLAKE2b of the photo's bytes, 40 hexadecimal digits, as `digest_photos` gives.
        path: where the photo stood; tells byte-identical copies of one class apart, and may be empty.
        class_name: the label it had.
        verdict: `keep` confirms the label, `move` replaces it, `remove` leaves the photo out.
        new_class: the label it gets by `move`; else `None`.
    """

    line: int
    content: str
    path: str
    class_name: str
    verdict: Verdict
    new_class: str | None = None

    @property
    def label(self) -> str | None:
        """The class that the photo belongs to by this decision; `None` if it is to be removed."""
        return {"keep": self.class_name, "move": self.new_class}.get(self.verdict)


@dataclass(frozen=True)
class Decisions:
    """The rows of one file, each once, in its order; `shown` is the file as it was named, `note` a sentence on it."""

    shown: str
    rows: tuple[Decision, ...]
    note: str | None = None


def find_decisions(source: str | Path) -> Path | None:
    """The `decisions.csv` that stands in a folder of photos; `None` where there is none, or the source is no folder.

    A table of that name without the columns of one is somebody else's.
    """
    path = Path(source) / DECISIONS_NAME
    is_there = path.is_file() and is_own_file(FoundFile((DECISIONS_NAME,), DiskFile(str(path))))
    return path if is_there else None


def read_decisions(path: str | Path) -> Decisions:
    """The decisions in a CSV, each once.

    Accepts commas, semicolons or tabs, any line ends, UTF-8 with or without a byte order mark or UTF-16 with one,
    columns in any order and further ones, any case of their names and of what is decided, and blanks around values.
    The columns path and new_class may be missing. A row whose decision is empty is not decided, and left out.

    Raises:
        DatasetError: the file cannot be read, lacks a column, or has a row that says too little or that contradicts
            another one; the message names the line.
    """
    shown = str(path)
    found: list[Decision] = []
    problems: list[str] = []
    rows_read, note = _read_rows(shown)
    for line, cells in rows_read:
        try:
            decision = _read_row(line, cells)
        except ValueError as exc:
            problems.append(str(exc))
        else:
            found += [] if decision is None else [decision]
    rows, contradictions = _merge(found)
    if problems or contradictions:
        _refuse(shown, [*problems, *contradictions])
    return Decisions(
        shown, rows, None if note is None else _("the decisions file {shown!r} {note}.").format(shown=shown, note=note)
    )


def decisions_to_csv(rows: Iterable[Decision]) -> bytes:
    """The rows as the bytes of a `decisions.csv`."""
    lines = [[row.content, row.path, row.class_name, row.verdict, row.new_class or ""] for row in rows]
    return to_csv_bytes([_COLUMNS, *lines])


def path_key(path: str, num_parts: int = 0) -> str:
    """Equal for paths that mean the same on any system; of their last `num_parts` parts, or of all with 0."""
    parts = [part for part in unicodedata.normalize("NFC", path).replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(part.strip() for part in parts[-num_parts:])


def _read_rows(shown: str) -> tuple[list[tuple[int, dict[str, str]]], str | None]:
    """Line number, and column name to value without surrounding blanks, of each row; and what is to be said of it."""
    table = read_table(shown, _("decisions file"))
    columns = [normalize_column(cell) for cell in table.header]
    _check_columns(shown, columns)
    # Of two columns with one name the first counts.
    pairs = [(row.line, zip(reversed(columns), reversed(row.cells), strict=True)) for row in table.rows]
    return [(line, {name: value.strip() for name, value in values}) for line, values in pairs], table.note


def _check_columns(shown: str, columns: Sequence[str]) -> None:
    missing = [name for name in DECISION_COLUMNS if name not in columns]
    if missing:
        found = [column for column in columns if column]
        said = _(
            "the decisions {shown!r} have no column {missing}, only {found}. Write {columns} into the "
            "first line, or download the file from the report again."
        )
        if not found:
            said = _(
                "the decisions {shown!r} have no columns with a name. Write {columns} into the first line, or download "
                "the file from the report again."
            )
        raise DatasetError(
            said.format(shown=shown, missing=name_some(missing), found=name_some(found), columns=", ".join(_COLUMNS)),
            paths=[shown],
        )


def _read_row(line: int, cells: Mapping[str, str]) -> Decision | None:
    """The decision of a row; `None` if it holds none.

    Raises:
        ValueError: the row says too little or something unknown.
    """
    verdict = cells["decision"].lower()
    if not verdict:
        return None
    if verdict not in _ACCEPTED:
        raise ValueError(
            _("line {line} has the decision {found!r}, not one of {accepted}").format(
                line=line, found=cells["decision"], accepted=", ".join(_ACCEPTED)
            )
        )
    content, label = cells["content"].lower(), class_name(cells["class"])
    if not _CONTENT.fullmatch(content):
        raise ValueError(
            _("line {line} has the content {found!r}, not 40 hexadecimal digits").format(
                line=line, found=cells["content"]
            )
        )
    if not label:
        raise ValueError(_("line {line} has no class. Write the class that the photo had").format(line=line))
    new_class = class_name(cells.get("new_class", ""))
    if verdict == "move" and not new_class:
        raise ValueError(_("line {line} moves a photo, but new_class is empty").format(line=line))
    if verdict != "move" and new_class not in ("", label):
        raise ValueError(
            _("line {line} has the new_class {new_class!r} and the decision {verdict!r}, not 'move'").format(
                line=line, new_class=new_class, verdict=verdict
            )
        )
    path = cells.get("path", "")
    if verdict == "move" and new_class != label:
        return Decision(line, content, path, label, "move", new_class)
    return Decision(line, content, path, label, "remove" if verdict == "remove" else "keep")


def _merge(rows: Sequence[Decision]) -> tuple[tuple[Decision, ...], list[str]]:
    """Each decision once, and what is wrong with those that contradict an earlier one.

    Of byte-identical copies in one class some may be removed and others not, so a row that removes contradicts only
    rows with the same path, or where one has none. All that stay get the same label.
    """
    merged: dict[tuple[str, str, str], Decision] = {}
    first_labelled: dict[tuple[str, str], Decision] = {}
    first_row: dict[tuple[str, str], Decision] = {}
    pathless: dict[tuple[str, str], Decision] = {}
    problems: list[str] = []
    for row in rows:
        photo, place = (row.content, row.class_name), path_key(row.path)
        earlier = [merged.get((*photo, place)), pathless.get(photo), None if place else first_row.get(photo)]
        if row.label is not None:
            earlier.append(first_labelled.setdefault(photo, row))
        other = next((one for one in earlier if one is not None and one.label != row.label), None)
        if other is not None:
            problems.append(
                _("lines {first} and {second} decide differently about the same photo").format(
                    first=other.line, second=row.line
                )
            )
        merged.setdefault((*photo, place), row)
        first_row.setdefault(photo, row)
        if not place:
            pathless.setdefault(photo, row)
    return tuple(merged.values()), problems


def _refuse(shown: str, problems: Sequence[str]) -> None:
    if len(problems) == 1:
        message = _("the decisions {shown!r} cannot be used: {problem}. Correct the file.")
    else:
        message = _("the decisions {shown!r} cannot be used: {problem} (and {num:,} more problems). Correct the file.")
    raise DatasetError(
        message.format(shown=shown, problem=problems[0], num=len(problems) - 1),
        paths=[shown],
    )
