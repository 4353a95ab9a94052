"""What commands do to a project, in steps that can be done twice, undone, and written to the journal.

Paths are relative to the folder of the project, with `/` between their parts. Only files that Studio wrote are moved;
what is decided of other photos is a row of `decisions.csv`.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tellapart.decisions.decision_table import Decision, Verdict, path_key
from tellapart.photos.names import PROJECT_DIR_NAME
from tellapart.store import output_error, sync_folder
from tellapart.untrusted import text_of

BIN_DIR, UNSORTED_DIR, INCOMING_DIR = (
    f"{PROJECT_DIR_NAME}/bin",
    f"{PROJECT_DIR_NAME}/unsorted",
    f"{PROJECT_DIR_NAME}/incoming",
)

_VERDICTS: dict[str, Verdict] = {"keep": "keep", "move": "move", "remove": "remove"}


@dataclass(frozen=True)
class MovePhoto:
    """A file of Studio's gets another place.

    Attributes:
        source, target: paths; a source in `INCOMING_DIR` is a new file.
        digest: of the content, as `digest_photo` gives it; a file of another content is not Studio's any more.
        group: photos of one burst have the same; `None` where it belongs to none.
        home: of a file in the bin, the place that it came from.
    """

    source: str
    target: str
    digest: str
    group: str | None = None
    home: str | None = None

    def inverse(self) -> "MovePhoto":
        """The move back; a new file goes to the bin."""
        if self.source.startswith(INCOMING_DIR):
            name = self.target.rpartition("/")[2]
            return MovePhoto(self.target, f"{BIN_DIR}/{self.digest[:8]}-{name}", self.digest, self.group, self.target)
        home = self.target if self.source.startswith(BIN_DIR) else None
        return MovePhoto(self.target, self.source, self.digest, self.group, home)

    def to_json(self) -> dict[str, Any]:
        """A dict that `effect_from_json` reads back."""
        return {"move": asdict(self)}


@dataclass(frozen=True)
class MakeFolder:
    """There is a folder; undone, it is gone if it is empty."""

    path: str

    def inverse(self) -> "RemoveFolder":
        """Its removal."""
        return RemoveFolder(self.path)

    def to_json(self) -> dict[str, Any]:
        """A dict that `effect_from_json` reads back."""
        return {"make_folder": self.path}


@dataclass(frozen=True)
class RemoveFolder:
    """An empty folder is gone; one that holds anything stays."""

    path: str

    def inverse(self) -> MakeFolder:
        """That it is there again."""
        return MakeFolder(self.path)

    def to_json(self) -> dict[str, Any]:
        """A dict that `effect_from_json` reads back."""
        return {"remove_folder": self.path}


@dataclass(frozen=True)
class Decide:
    """Rows of `decisions.csv` about one content in one class are replaced by others.

    Attributes:
        content: digest of the photo.
        class_name: the class of its folder.
        before, after: all rows about it; each is path, verdict and new class.
    """

    content: str
    class_name: str
    before: tuple["Row", ...]
    after: tuple["Row", ...]

    def inverse(self) -> "Decide":
        """The earlier rows again."""
        return replace(self, before=self.after, after=self.before)

    def to_json(self) -> dict[str, Any]:
        """A dict that `effect_from_json` reads back."""
        return {"decide": asdict(self)}


@dataclass(frozen=True)
class Hide:
    """A loose photo, by its content, or an empty class, by its name, is shown no more, or again.

    Attributes:
        kind: `photo` or `class`.
        name: digest or name.
        is_hidden: what it is from now on.
    """

    kind: str
    name: str
    is_hidden: bool = True

    def inverse(self) -> "Hide":
        """The opposite."""
        return replace(self, is_hidden=not self.is_hidden)

    def to_json(self) -> dict[str, Any]:
        """A dict that `effect_from_json` reads back."""
        return {"hide": asdict(self)}


Effect = MovePhoto | MakeFolder | RemoveFolder | Decide | Hide


def effect_from_json(value: dict[str, Any]) -> Effect:
    """The effect that `to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: the dict is not one of those.
    """
    ((kind, given),) = value.items()
    if kind == "move":
        return MovePhoto(**{**given, "source": inside(given["source"]), "target": inside(given["target"])})
    if kind == "make_folder":
        return MakeFolder(inside(given))
    if kind == "remove_folder":
        return RemoveFolder(inside(given))
    if kind == "decide":
        before, after = (tuple(_row_of(row) for row in given[name]) for name in ("before", "after"))
        return Decide(text_of(given["content"]), text_of(given["class_name"]), before, after)
    if kind == "hide":
        return Hide(text_of(given["kind"]), text_of(given["name"]), bool(given["is_hidden"]))
    raise ValueError(kind)


def _row_of(value: Any) -> "Row":
    path, verdict, new_class = value
    if verdict not in _VERDICTS:
        raise ValueError(verdict)
    return text_of(path), verdict, None if new_class is None else text_of(new_class)


def inside(path: Any) -> str:
    """The path, which stays in the folder of the project.

    Raises:
        ValueError: it leads out of it.
    """
    parts = text_of(path).split("/")
    if any(part in ("", ".", "..") for part in parts) or os.path.isabs(path) or "\0" in path:
        raise ValueError(f"{path!r} leads out of the folder")
    return str(path)


def carry_out(root: Path, effects: Iterable[Effect]) -> None:
    """Nothing; the folders and files are as the effects say, and stay so after a power cut.

    Decisions and what is hidden are not files of their own: whoever calls writes them.

    Raises:
        OutputError: the disk is full or fails.
    """
    changed: set[Path] = set()
    for effect in effects:
        if isinstance(effect, MovePhoto):
            source, target = root / effect.source, root / effect.target
            _make_folder(target.parent, changed)
            if os.path.lexists(source) and not os.path.lexists(target):
                _move(source, target)
            changed.update((source.parent, target.parent))
        elif isinstance(effect, MakeFolder):
            _make_folder(root / effect.path, changed)
        elif isinstance(effect, RemoveFolder):
            try:
                os.rmdir(root / effect.path)
                changed.add((root / effect.path).parent)
            except OSError:
                pass  # it holds something, or is gone already
    for folder in changed:
        if folder.is_dir():
            sync_folder(folder)


def with_rows(rows: Sequence[Decision], effects: Iterable[Effect]) -> list[Decision]:
    """The rows of `decisions.csv` after the effects."""
    changes = {(one.content, one.class_name): one for one in effects if isinstance(one, Decide)}
    kept = [row for row in rows if (row.content, row.class_name) not in changes]
    return kept + [
        Decision(0, one.content, path, one.class_name, _VERDICTS[verdict], new_class)
        for one in changes.values()
        for path, verdict, new_class in one.after
    ]


Row = tuple[str, str, str | None]


def decided_rows(
    about: Sequence[Row], class_name: str, path: str, target: str | None, *, is_kept: bool = False
) -> tuple[Row, ...]:
    """The rows about one content in one class after a photo gets the class `target`, or is removed where it is `None`.

    Copies in one class share their label, so that the rows about them never contradict each other. A photo whose target
    is the class of its folder needs no row.

    Args:
        about: the rows so far: path, verdict and new class.
        class_name: the class of the photo's folder.
        path: of the photo, as the file names it.
        target: its new class.
        is_kept: whether a person has confirmed that the folder is right.
    """
    others = [row for row in about if row[0] and path_key(row[0]) != path_key(path)]
    if target is None:
        return (*others, (path, "remove", None))
    kept = [row for row in others if row[1] == "remove"]
    if target != class_name:
        kept.append((path, "move", target))
    elif is_kept:
        kept.append((path, "keep", None))
    return tuple(kept)


def _make_folder(folder: Path, changed: set[Path]) -> None:
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            changed.add(folder.parent)
    except OSError as exc:
        raise output_error(folder, exc) from exc


def _move(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError:
        # A folder that is a link to another disk: the copy is whole before the file goes.
        partial = target.with_name(f".tellapart-{source.name}.partial")
        try:
            shutil.copyfile(source, partial)
            os.replace(partial, target)
            os.unlink(source)
        except OSError as exc:
            partial.unlink(missing_ok=True)
            raise output_error(target, exc) from exc
