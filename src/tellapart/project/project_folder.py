"""What is in the folder of a project: its photos with the class of their folder, as training reads it, and its classes.

Nothing here is written or decoded. `list_states` tells cheaply whether anything has changed since.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tellapart.config import ImageLimits
from tellapart.errors import DatasetError
from tellapart.photos.files import FoundFile, Labelled, Reading, list_folder
from tellapart.photos.layout import label_files
from tellapart.photos.misplaced import drop_repeated, without_own_files
from tellapart.photos.names import PROJECT_DIR_NAME, class_name, is_system_name
from tellapart.photos.source_reading import take_photos
from tellapart.project.effects import BIN_DIR, UNSORTED_DIR

# Links that lead in circles end here.
_DEEPEST = 40


class FileState(NamedTuple):
    """What tells that a file is as it was: size in bytes, when it changed, and its number on the disk."""

    size: int
    modified_ns: int
    inode: int


@dataclass(frozen=True)
class FolderReading:
    """The photos and classes of a folder.

    Attributes:
        labels: by path of each photo, relative with `/`, the class of its folder; `None` for a loose one.
        class_dirs: by class, the folder that new photos of it go to; folders without photos are classes too.
        parent: the folder that new classes go to; empty for the project's own.
        class_level: which folder of a path is the class, where training must be told; else `None`.
        num_skipped: files that are no photos that can be read.
        problem: a line on what keeps the folder from being trained on; `None` where all is well.
    """

    labels: dict[str, str | None]
    class_dirs: dict[str, str]
    parent: str
    class_level: int | None
    num_skipped: int
    problem: str | None = None


def list_states(root: Path) -> dict[str, FileState]:
    """The state of each file that may be a photo, by path, Studio's bin and unsorted photos included.

    Folders are among them, with a `/` at the end and no state.
    """
    states: dict[str, FileState] = {}
    waiting = [("", 0), (f"{BIN_DIR}/", 1), (f"{UNSORTED_DIR}/", 1)]
    while waiting:
        before, depth = waiting.pop()
        try:
            with os.scandir(root / before) as entries:
                for entry in entries:
                    if is_system_name(entry.name) or depth > _DEEPEST:
                        continue
                    path = before + entry.name
                    try:
                        if entry.is_dir():
                            states[path + "/"] = FileState(0, 0, 0)
                            waiting.append((path + "/", depth + 1))
                        else:
                            states[path] = state_of(entry.stat())
                    except OSError:
                        continue  # gone meanwhile, or a link that leads nowhere
        except OSError:
            continue
    return states


def state_of(status: os.stat_result) -> FileState:
    """The state of a file or folder with that status."""
    if stat.S_ISDIR(status.st_mode):
        return FileState(0, 0, 0)
    return FileState(status.st_size, status.st_mtime_ns, status.st_ino)


def read_folder(root: Path, made: Iterable[str], limits: ImageLimits) -> FolderReading:
    """The photos of the folder with their classes.

    Args:
        root: the folder.
        made: folders that Studio made for classes; where one is right in `root`, all folders there are classes, unless
            photos have their class in their name.
        limits: the largest photo that is read.

    Raises:
        DatasetError: the folder cannot be opened.
    """
    listing = without_own_files(list_folder(str(root)))
    photos, left_out = take_photos(listing, limits)
    reading, level, problem = _label(photos, str(root), is_ours=any("/" not in path for path in made))
    drop_repeated(reading)
    labelled = {item.file.parts: item for item in reading.labelled}
    repeated = {parts for parts, _reason in reading.left_out} - {file.parts for file in _loose(photos, reading)}
    found: dict[str, str | None] = {}
    for file in photos:
        item = labelled.get(file.parts)
        if item is not None:
            found["/".join(file.parts)] = item.label
        elif file.parts not in repeated:
            found["/".join(file.parts)] = None
    class_dirs, parent = _class_dirs(reading.labelled)
    depth = parent.count("/") + 1 if parent else 0
    empty = {
        class_name(parts[-1]): "/".join(parts)
        for parts in listing.folders
        if len(parts) == depth + 1 and "/".join(parts[:-1]) == parent and class_name(parts[-1]) not in class_dirs
    }
    num_skipped = sum(parts[0] != PROJECT_DIR_NAME for parts, _reason in (*left_out, *listing.left_out)) - len(empty)
    return FolderReading(found, {**empty, **class_dirs}, parent, level, max(0, num_skipped), problem)


def _label(photos: list[FoundFile], source: str, *, is_ours: bool) -> tuple[Reading, int | None, str | None]:
    """The photos with their classes, the level that these are at where it must be told, and what is wrong."""
    problem = None
    for level in (None, 1):
        try:
            reading = label_files(photos, source, level)
        except DatasetError as exc:
            problem = problem or str(exc)
            continue
        is_by_name = reading is not None and all(len(item.file.parts) == 1 for item in reading.labelled)
        if reading is not None and (level == 1 or is_by_name or not is_ours):
            return reading, level, None if is_ours else problem
    # No folder has a photo yet: all are loose.
    return Reading(left_out=[(photo.parts, "") for photo in photos]), None, None


def _loose(photos: Iterable[FoundFile], reading: Reading) -> list[FoundFile]:
    """The photos without a class; links to one that is taken already are not among them."""
    labelled = {item.file.place for item in reading.labelled}
    return [file for file in photos if file.place not in labelled]


def _class_dirs(labelled: Iterable[Labelled]) -> tuple[dict[str, str], str]:
    """The folder of each class that most of its photos are in, and the folder that most of those are in."""
    counts: dict[str, Counter[str]] = {}
    parents: Counter[str] = Counter()
    for item in labelled:
        if item.split == "test":
            continue
        folders = item.file.parts[:-1]
        depth = next((n for n in range(len(folders), 0, -1) if class_name(folders[n - 1]) == item.label), None)
        if depth is not None:
            counts.setdefault(item.label, Counter())["/".join(folders[:depth])] += 1
            parents["/".join(folders[: depth - 1])] += 1
    parent = parents.most_common(1)[0][0] if parents else ""
    return {label: found.most_common(1)[0][0] for label, found in counts.items()}, parent
