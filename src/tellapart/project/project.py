"""The project that Studio shows: a folder's photos and classes, what was decided about them, and how that changes.

All changes go through `commit`, which writes them to the journal before it makes them. The folder belongs to its owner:
other programs may change it at any moment, which `notice` finds. May be used from several threads.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tellapart.config import ImageLimits, SourceConfig
from tellapart.decisions.decision_table import Decision, decisions_to_csv, find_decisions, read_decisions
from tellapart.errors import DatasetError, OutputError
from tellapart.photos.files import DiskFile
from tellapart.photos.labels import token_before_number
from tellapart.photos.names import DECISIONS_NAME, PROJECT_DIR_NAME, class_name
from tellapart.project.effects import (
    BIN_DIR,
    INCOMING_DIR,
    UNSORTED_DIR,
    Decide,
    Effect,
    MakeFolder,
    MovePhoto,
    RemoveFolder,
    carry_out,
    with_rows,
)
from tellapart.project.journal import JOURNAL_NAME, Journal, JournalEntry
from tellapart.project.project_folder import FileState, FolderReading, list_states, read_folder, state_of
from tellapart.project.project_memory import Ownership, SeenFile, SeenFiles
from tellapart.project.project_state import KnownFiles, ProjectState, StudioPhoto, make_state, own_paths
from tellapart.store import output_error, remove_quietly, write_file
from tellapart.translation import gettext as _

_BACKUP_NAME = "decisions-before-studio.csv"


class Project:
    """A folder that is open in Studio.

    Args:
        root: the folder; exists, and no other Studio has it.
        limits: the largest photo that is read.

    Attributes:
        root, limits: as given.
        lock: held by whoever plans a change until it is made.
        journal: all changes.
        ownership: what Studio wrote and hides.
        class_dirs: by class, the folder that new photos of it go to.
        parent: the folder that new classes go to; empty for `root`.
        rows: what was decided about photos.
        revision: another number after every change, rising over restarts too.
        rows_problem: a line on why nothing can be decided now; `None` where it can.

    Raises:
        DatasetError: the folder cannot be opened.
        OutputError: nothing can be written into it.
    """

    def __init__(self, root: Path, limits: ImageLimits = ImageLimits()) -> None:
        self.root, self.limits = root, limits
        self.lock = threading.RLock()
        self._watchers: list[Callable[[], None]] = []
        self._colors: dict[str, int] = {}
        self._state: ProjectState | None = None
        self._labels: dict[str, str | None] = {}
        self._files: dict[str, FileState] = {}
        self.class_dirs: dict[str, str] = {}
        self.rows: tuple[Decision, ...] = ()
        self.rows_problem: str | None = None
        # Milliseconds: an earlier process has given smaller numbers, unless it had a thousand changes a second.
        self.revision = int(time.time() * 1000)
        try:
            for name in (BIN_DIR, UNSORTED_DIR, INCOMING_DIR):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise output_error(root / PROJECT_DIR_NAME, exc) from exc
        self.journal = Journal(root / PROJECT_DIR_NAME / JOURNAL_NAME)
        self._read_rows()
        if self.journal.unfinished is not None:
            self._make_real(self.journal.unfinished.effects)
            self.journal.finish()
        for left_over in (root / INCOMING_DIR).iterdir():  # of uploads that were cut off
            remove_quietly(left_over)
        self.ownership = Ownership()
        for entry in self.journal.entries:
            self.ownership.add(entry.effects)
        self._seen = SeenFiles(root / PROJECT_DIR_NAME)
        self._reading: FolderReading
        self.read_again()

    def on_change(self, watcher: Callable[[], None]) -> None:
        """Nothing; the watcher is called after every change, from any thread; it must not wait for anything."""
        self._watchers.append(watcher)

    def close(self) -> None:
        """Nothing; what was seen of the photos is kept for the next start."""
        with self.lock:
            self._seen.save(self._files)
            self.journal.close()

    def source_config(self) -> SourceConfig:
        """How the folder is to be read, so that training sees the classes that are shown."""
        return SourceConfig(class_level=self._reading.class_level, limits=self.limits)

    def place_of(self, photo: StudioPhoto) -> DiskFile:
        """Where the bytes of the photo are."""
        return DiskFile(str(self.root / photo.path))

    @property
    def is_by_name(self) -> bool:
        """Whether the photos have their classes in their names, as in `cat.12.jpg`."""
        labelled = [path for path, label in self._labels.items() if label is not None]
        return bool(labelled) and not any("/" in path for path in labelled)

    def color_of(self, name: str) -> int:
        """The number of the colour of a class, which it keeps while the project is open."""
        with self.lock:
            return self._colors.setdefault(name, len(self._colors))

    def state(self) -> ProjectState:
        """All photos and classes now."""
        with self.lock:
            if self._state is None:
                known = KnownFiles(
                    root=self.root,
                    labels=self._labels,
                    states=self._files,
                    class_dirs=self.class_dirs,
                    ownership=self.ownership,
                    seen=self._seen,
                    rows=self.rows,
                    num_skipped=self._reading.num_skipped,
                    problem=self._reading.problem or self.rows_problem,
                )
                self._state = make_state(known, self.revision)
            return self._state

    def commit(
        self, verb: str, effects: Sequence[Effect], batch: str | None = None, undone: Sequence[int] = ()
    ) -> JournalEntry:
        """The entry of the journal: the effects are on the disk, and whoever watches is told.

        Raises:
            OutputError: the disk is full or fails; all is as before then.
        """
        with self.lock:
            entry = self.journal.append(verb, effects, batch, undone)
            rows = self.rows
            try:
                self._make_real(effects)
            except OutputError:
                self._reverse(effects, rows)
                self.journal.take_back()
                raise
            self.journal.finish()
            self.ownership.add(effects)
            self._follow(effects)
            self._changed()
            return entry

    def note_seen(self, found: Mapping[str, SeenFile]) -> None:
        """Nothing; this is known of these files from now on, unless they have changed meanwhile."""
        with self.lock:
            for path, seen in found.items():
                if self._files.get(path) == seen.state:
                    self._seen.add(path, seen)
            self._changed()

    def is_unchanged(self, photo: StudioPhoto) -> bool:
        """Whether the file of the photo is as it was when it was looked at."""
        try:
            state = state_of((self.root / photo.path).stat())
        except OSError:
            return False
        return self._seen.get(photo.path, state) is not None

    def note_digest(self, photo: StudioPhoto, digest: str) -> None:
        """Nothing; the content of a photo that was not looked at yet is known; the lock is held."""
        state = self._files.get(photo.path)
        if state is not None:
            self._seen.add(photo.path, SeenFile(state, digest, None, is_whole=False))

    def unseen(self) -> list[str]:
        """The photos that were not looked at yet."""
        with self.lock:
            found = {path: self._seen.get(path, self._files.get(path)) for path in self._labels}
            found |= {path: self._seen.get(path, self._files.get(path)) for path in own_paths(self._files)}
            return [path for path, seen in found.items() if seen is None or not seen.is_whole]

    def save_seen(self) -> None:
        """Nothing; what was seen of the photos is on the disk."""
        with self.lock:
            self._seen.save(self._files)

    def notice(self) -> bool:
        """Whether other programs have changed the folder since it was last looked at; it has been read again then."""
        revision = self.revision
        states = list_states(self.root)
        with self.lock:
            if revision != self.revision or states == self._files:
                return False
            try:
                self.read_again()
            except DatasetError as exc:  # the folder is gone, as with a disk that was unplugged
                self._labels, self.class_dirs, self.rows = {}, {}, ()
                self._reading = replace(self._reading, problem=str(exc))
                self._changed()
            return True

    def read_again(self) -> None:
        """Nothing; the folder and its decisions have been read.

        Raises:
            DatasetError: the folder cannot be opened.
        """
        with self.lock:
            self._files = list_states(self.root)
            made = [path for path in self.ownership.folders if f"{path}/" in self._files]
            self._reading = read_folder(self.root, made, self.limits)
            self._labels = {path: label for path, label in self._reading.labels.items() if path in self._files}
            self.class_dirs, self.parent = dict(self._reading.class_dirs), self._reading.parent
            self._read_rows()
            self._changed()

    def _read_rows(self) -> None:
        self.rows, self.rows_problem = (), None
        path = self.root / DECISIONS_NAME
        try:
            if find_decisions(self.root) is not None:
                self.rows = read_decisions(path).rows
            elif path.exists():
                message = _("{name!r} in this folder is a table of another program. Rename it to decide about photos.")
                self.rows_problem = message.format(name=DECISIONS_NAME)
        except DatasetError as exc:
            self.rows_problem = str(exc)

    def _make_real(self, effects: Sequence[Effect]) -> None:
        carry_out(self.root, effects)
        if self.rows_problem is not None or not any(isinstance(one, Decide) for one in effects):
            return
        path, backup = self.root / DECISIONS_NAME, self.root / PROJECT_DIR_NAME / _BACKUP_NAME
        if path.exists() and not backup.exists():  # it may have columns of its owner's
            write_file(backup, path.read_bytes())
        rows = with_rows(self.rows, effects)
        write_file(path, decisions_to_csv(rows))
        self.rows = tuple(rows)

    def _reverse(self, effects: Sequence[Effect], rows: tuple[Decision, ...]) -> None:
        """Nothing; what has been made real of the effects is undone, and files are where they were."""
        back = [
            MovePhoto(one.target, one.source, one.digest) if isinstance(one, MovePhoto) else one.inverse()
            for one in reversed(effects)
        ]
        try:
            carry_out(self.root, back)
        finally:
            self.rows = rows

    def _follow(self, effects: Iterable[Effect]) -> None:
        """Nothing; what is known of the folder is as the effects have left it."""
        for effect in effects:
            if isinstance(effect, MakeFolder):
                self.class_dirs.setdefault(class_name(effect.path.rpartition("/")[2]), effect.path)
                self._look(f"{effect.path}/")
            elif isinstance(effect, RemoveFolder) and not self._look(f"{effect.path}/"):
                self.class_dirs = {name: path for name, path in self.class_dirs.items() if path != effect.path}
        labels = {path: name for name, path in self.class_dirs.items()}
        for effect in effects:
            if isinstance(effect, MovePhoto):
                self._labels.pop(effect.source, None)
                self._look(effect.source)
                if not self._look(effect.target):
                    continue
                self._seen.add(effect.target, SeenFile(self._files[effect.target], effect.digest, None))
                if not effect.target.startswith(f"{PROJECT_DIR_NAME}/"):
                    folder, _slash, name = effect.target.rpartition("/")
                    self._labels[effect.target] = labels.get(folder) if folder else token_before_number(name)
        self._look(DECISIONS_NAME)

    def _look(self, path: str) -> bool:
        """Whether there is a file or folder at the path; its state is noted."""
        try:
            status = (self.root / path).stat()
        except OSError:
            self._files.pop(path, None)
            return False
        self._files[path] = state_of(status)
        return True

    def _changed(self) -> None:
        self.revision += 1
        self._state = None
        for watcher in self._watchers:
            watcher()
