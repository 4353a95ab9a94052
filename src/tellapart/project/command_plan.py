"""The effects of one command, gathered photo by photo: what moves, what is decided, what is hidden."""

import os
import secrets
from collections import defaultdict

from tellapart.errors import DatasetError, ImageError
from tellapart.photos.loading import digest_photo
from tellapart.photos.names import class_name, safe_name
from tellapart.project.effects import (
    BIN_DIR,
    INCOMING_DIR,
    UNSORTED_DIR,
    Decide,
    Effect,
    Hide,
    MakeFolder,
    MovePhoto,
    RemoveFolder,
    Row,
    decided_rows,
)
from tellapart.project.project import Project
from tellapart.project.project_state import StudioPhoto, decided_path, photo_id
from tellapart.store import open_whole
from tellapart.translation import gettext as _

Renamed = dict[str, str]


class CommandPlan:
    """The effects of one command, gathered.

    Args:
        project: whose lock is held.

    Attributes:
        renamed: old id to new id of the photos that get another place.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._effects: list[Effect] = []
        self._taken: set[str] = set()
        self._rows: dict[tuple[str, str], tuple[tuple[Row, ...], tuple[Row, ...]]] = {}
        self.renamed: Renamed = {}
        self._about: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in project.rows:
            self._about[row.content, row.class_name].append((row.path, row.verdict, row.new_class))

    def effects(self) -> list[Effect]:
        """All of them, in order."""
        decided = [Decide(*key, *rows) for key, rows in self._rows.items() if rows[0] != rows[1]]
        return [*self._effects, *decided]

    def add(self, effect: Effect) -> None:
        """Nothing; the effect is part of the plan."""
        self._effects.append(effect)

    def class_dir(self, name: str) -> str:
        """The folder that photos of the class go to; made where there is none.

        Raises:
            DatasetError: no folder can have the name of the class.
        """
        known = self._project.class_dirs.get(name)
        if known is None and safe_name(name) != name:
            raise DatasetError(_("No folder can be called {name!r}. Rename the class first.").format(name=name))
        path = known or "/".join(part for part in (self._project.parent, name) if part)
        effect = MakeFolder(path)
        if known is None and effect not in self._effects:
            self.add(effect)
        return path

    def free_path(self, folder: str, name: str) -> str:
        """A path in the folder at which there is nothing, named like `name`."""
        stem, suffix = os.path.splitext(name)
        before = f"{folder}/" if folder else ""
        number, path = 1, before + name
        while path.casefold() in self._taken or os.path.lexists(self._project.root / path):
            number += 1
            path = f"{before}{stem} ({number}){suffix}"
        self._taken.add(path.casefold())
        return path

    def move(self, photo: StudioPhoto, target: str, home: str | None = None) -> None:
        """Nothing; a file of Studio's gets that place."""
        owned = self._project.ownership.photos[photo.path]
        self.add(MovePhoto(photo.path, target, owned.digest, owned.group, home))
        self.renamed[photo.id] = photo_id(target)

    def decide(self, photo: StudioPhoto, target: str | None, *, is_kept: bool = False) -> None:
        """Nothing; a photo that stays where it is gets the class `target`, or is left out where that is `None`.

        Raises:
            DatasetError: nothing can be decided, or the photo is no longer there.
        """
        if self._project.rows_problem is not None:
            raise DatasetError(self._project.rows_problem)
        assert photo.folder_label is not None
        key = self.digest(photo), photo.folder_label
        if key not in self._rows:
            self._rows[key] = (tuple(self._about[key]),) * 2
        before, about = self._rows[key]
        path = decided_path(self._project.root, photo.path)
        self._rows[key] = before, decided_rows(about, photo.folder_label, path, target, is_kept=is_kept)

    def digest(self, photo: StudioPhoto) -> str:
        """The digest of a photo as it is now.

        Raises:
            DatasetError: it is no longer there, or cannot be read.
        """
        if photo.digest is not None and self._project.is_unchanged(photo):
            return photo.digest
        digest = digest_photo(self._read(photo))
        self._project.note_digest(photo, digest)
        return digest

    def is_ours(self, photo: StudioPhoto) -> bool:
        """Whether Studio wrote the file, and nobody has changed it since.

        Raises:
            DatasetError: as for `digest`.
        """
        owned = self._project.ownership.photos.get(photo.path)
        return owned is not None and owned.digest == self.digest(photo)

    def new_path(self, label: str, name: str) -> str:
        """Where a new photo of a class goes: into its folder; where classes are in names, into the name of the file.

        Raises:
            DatasetError: no folder can have the name of the class.
        """
        if not self._project.is_by_name:
            return self.free_path(self.class_dir(label), name)
        suffix, number = os.path.splitext(name)[1], 1
        while os.path.lexists(self._project.root / f"{label}.{number}{suffix}"):
            number += 1
        return self.free_path("", f"{label}.{number}{suffix}")

    def label(self, photo: StudioPhoto, name: str) -> None:
        """Nothing; the photo gets the class, by a move of a file of Studio's, by a decision, or by a copy.

        Raises:
            DatasetError: the photo is no longer there, or nothing can be decided.
        """
        if self.is_ours(photo):
            if photo.folder_label is not None and self._project.rows:
                self.decide(photo, photo.folder_label)
            if photo.folder_label != name:
                self.move(photo, self.new_path(name, photo.name))
        elif photo.folder_label is not None:
            self.decide(photo, name)
        else:  # a decision is about a photo that has a class
            data = self._read(photo)
            incoming = f"{INCOMING_DIR}/{secrets.token_hex(8)}"
            with open_whole(self._project.root / incoming) as file:
                file.write(data)
            target = self.new_path(name, photo.name)
            digest = digest_photo(data)
            self._project.note_digest(photo, digest)
            self.add(MovePhoto(incoming, target, digest))
            if digest in self._project.ownership.hidden_photos:
                self.add(Hide("photo", digest, is_hidden=False))
            self.renamed[photo.id] = photo_id(target)

    def bin(self, photo: StudioPhoto) -> None:
        """Nothing; the photo is in the bin, or left out by a decision, or not shown any more.

        Raises:
            DatasetError: as for `label`.
        """
        if self.is_ours(photo):
            path = self.free_path(BIN_DIR, f"{secrets.token_hex(4)}-{photo.name}")
            self.move(photo, path, home=photo.path)
        elif photo.folder_label is not None:
            self.decide(photo, None)
        else:
            self.add(Hide("photo", self.digest(photo)))

    def restore(self, photo: StudioPhoto) -> None:
        """Nothing; a photo in the bin is where it was before.

        Raises:
            DatasetError: as for `label`.
        """
        owned = self._project.ownership.photos.get(photo.path)
        if owned is not None and self.is_ours(photo):
            home = owned.home or f"{UNSORTED_DIR}/{photo.name}"
            folder, _slash, name = home.rpartition("/")
            if folder and not folder.startswith(UNSORTED_DIR):
                self.add(MakeFolder(folder))
                self.unhide(class_name(folder.rpartition("/")[2]))
            self.move(photo, self.free_path(folder, name))
        elif photo.folder_label is not None:
            self.decide(photo, self._label_before(photo))
        elif photo.digest is not None:
            self.add(Hide("photo", photo.digest, is_hidden=False))

    def unhide(self, name: str) -> None:
        """Nothing; a class of that name is shown, though it was deleted."""
        if name in self._project.ownership.hidden_classes:
            self.add(Hide("class", name, is_hidden=False))

    def drop_class(self, name: str) -> None:
        """Nothing; a class that has no photos any more is gone, with its folder where Studio made it."""
        path = self._project.class_dirs.get(name)
        if path is not None:
            if path in self._project.ownership.folders:
                self.add(RemoveFolder(path))
            self.add(Hide("class", name))

    def _label_before(self, photo: StudioPhoto) -> str | None:
        """The class that a removed photo had by a decision before, else that of its folder."""
        path = decided_path(self._project.root, photo.path)
        key = photo.digest, photo.folder_label
        for one in (one for entry in reversed(self._project.journal.entries) for one in entry.effects):
            if isinstance(one, Decide) and (one.content, one.class_name) == key and (path, "remove", None) in one.after:
                return next((row[2] for row in one.before if row[1] == "move"), photo.folder_label)
        return photo.folder_label

    def _read(self, photo: StudioPhoto) -> bytes:
        try:
            return self._project.place_of(photo).read(self._project.limits.max_bytes)
        except ImageError as exc:
            raise DatasetError(f"{photo.name}: {exc}.", paths=[photo.path]) from exc
