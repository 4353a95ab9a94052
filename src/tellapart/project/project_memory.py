"""What Studio remembers of a project: which files it wrote, what it hides, and what it has seen of each file.

The first two follow from the journal. The last can be found out again at any time.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.errors import OutputError
from tellapart.images.preprocess import DECODER_VERSION
from tellapart.project.effects import BIN_DIR, Effect, Hide, MakeFolder, MovePhoto
from tellapart.project.project_folder import FileState
from tellapart.store import write_file
from tellapart.untrusted import MAX_TABLE_BYTES, read_json, text_of, whole_of

_SEEN_NAME = "seen.json"


@dataclass(frozen=True, slots=True)
class OwnedPhoto:
    """A file that Studio wrote: content, burst, and in the bin where it came from."""

    digest: str
    group: str | None
    home: str | None


class Ownership:
    """What Studio wrote, made and hides, by the journal.

    Attributes:
        photos: by path.
        folders: that it made for classes.
        hidden_photos: digests of loose photos that were put into the bin.
        hidden_classes: names of empty classes that were deleted.
    """

    def __init__(self) -> None:
        self.photos: dict[str, OwnedPhoto] = {}
        self.folders: set[str] = set()
        self.hidden_photos: set[str] = set()
        self.hidden_classes: set[str] = set()

    def add(self, effects: Iterable[Effect]) -> None:
        """Nothing; what the effects have done is entered."""
        for effect in effects:
            if isinstance(effect, MovePhoto):
                self.photos.pop(effect.source, None)
                home = effect.home if effect.target.startswith(BIN_DIR) else None
                self.photos[effect.target] = OwnedPhoto(effect.digest, effect.group, home)
            elif isinstance(effect, MakeFolder):
                self.folders.add(effect.path)
            elif isinstance(effect, Hide):
                hidden = self.hidden_photos if effect.kind == "photo" else self.hidden_classes
                (hidden.add if effect.is_hidden else hidden.discard)(effect.name)


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file as it was when it was looked at.

    Attributes:
        state: of the file.
        digest: of its content; `None` where it cannot be read.
        problem: why it cannot be used; `None` where it can.
        is_whole: whether it was decoded; else only its content is known.
    """

    state: FileState
    digest: str | None
    problem: str | None
    is_whole: bool = True


class SeenFiles:
    """Content and problem of files, valid while a file is as it was.

    Args:
        folder: where they are kept from one start to the next.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _SEEN_NAME
        self._files: dict[str, SeenFile] = {}
        self._is_saved = True
        try:
            self._read(read_json(self._path, MAX_TABLE_BYTES))
        except (OSError, KeyError, TypeError, ValueError):
            self._files.clear()  # none yet, or damaged: it is found out again

    def get(self, path: str, state: FileState | None) -> SeenFile | None:
        """What was seen of the file, if it is still in that state."""
        found = self._files.get(path)
        return found if found is not None and found.state == state else None

    def add(self, path: str, seen: SeenFile) -> None:
        """Nothing; this is known of the file from now on."""
        self._files[path] = seen
        self._is_saved = False

    def save(self, paths: Iterable[str]) -> None:
        """Nothing; what was seen of the files at these paths is on the disk, where that has room."""
        if self._is_saved:
            return
        self._files = {path: self._files[path] for path in paths if path in self._files}
        files = {path: [*one.state, one.digest, one.problem] for path, one in self._files.items() if one.is_whole}
        value = {"decoder": DECODER_VERSION, "files": files}
        try:
            write_file(self._path, json.dumps(value, ensure_ascii=True).encode())
            self._is_saved = True
        except OutputError:
            return

    def _read(self, value: dict[str, Any]) -> None:
        if value["decoder"] != DECODER_VERSION:
            return
        for path, (size, modified_ns, inode, digest, problem) in value["files"].items():
            state = FileState(whole_of(size), int(modified_ns), int(inode))
            known = None if digest is None else text_of(digest)
            self._files[path] = SeenFile(state, known, None if problem is None else text_of(problem))
