"""What a person asks of a project, turned into effects: classes, labels, the bin, and undo.

Each function plans under the lock of the project and commits at once. What cannot be done is a `DatasetError`.
"""

import os
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from tellapart.errors import DatasetError, ImageError
from tellapart.formats.photo_formats import PHOTO_SUFFIXES
from tellapart.photos.folder_kinds import is_split_name
from tellapart.photos.loading import digest_photo
from tellapart.photos.names import LONGEST_FOLDER_NAME, class_name, safe_name, same_name_key
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
from tellapart.project.project_state import StudioPhoto, class_id, decided_path, photo_id
from tellapart.store import open_whole
from tellapart.translation import gettext as _

Renamed = dict[str, str]
_LONGEST_STEM = 100


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


def add_class(project: Project, name: str) -> str:
    """The id of a new class, which has a folder.

    Raises:
        DatasetError: there is one of that name, or it cannot be the name of a folder.
        OutputError: the disk is full or fails.
    """
    with project.lock:
        checked = check_class_name(project, name)
        plan = CommandPlan(project)
        plan.class_dir(checked)
        plan.unhide(checked)
        project.commit("add_class", plan.effects())
        return class_id(checked)


def rename_class(project: Project, identity: str, name: str) -> Renamed:
    """Old id to new id of the photos whose files have moved; the class has another name."""
    with project.lock:
        old = find_class(project, identity)
        new = check_class_name(project, name)
        return _empty_into(project, "rename_class", old, new)


def merge_classes(project: Project, source: str, into: str) -> Renamed:
    """Old id to new id of the photos whose files have moved; all photos of one class are in another one."""
    with project.lock:
        old, new = find_class(project, source), find_class(project, into)
        if old == new:
            raise DatasetError(_("A class cannot be merged into itself. Choose another one."))
        return _empty_into(project, "merge_classes", old, new)


def delete_class(project: Project, identity: str) -> Renamed:
    """Old id to new id of the photos whose files have moved; all photos of the class are in the bin."""
    with project.lock:
        name = find_class(project, identity)
        plan = CommandPlan(project)
        for photo in project.state().photos:
            if photo.label == name:
                plan.bin(photo)
        plan.drop_class(name)
        project.commit("delete_class", plan.effects())
        return plan.renamed


def label_photos(project: Project, ids: Sequence[str], identity: str) -> Renamed:
    """Old id to new id of the photos whose files have moved; all have the class."""
    with project.lock:
        name = find_class(project, identity)
        plan = CommandPlan(project)
        for photo in find_photos(project, ids):
            plan.label(photo, name)
        return _commit(project, "label", plan)


def keep_photos(project: Project, ids: Sequence[str]) -> Renamed:
    """Nothing has moved: a person has confirmed the class of these photos."""
    with project.lock:
        plan = CommandPlan(project)
        for photo in find_photos(project, ids):
            if photo.label is not None and photo.folder_label is not None:
                plan.decide(photo, photo.label, is_kept=True)
        return _commit(project, "keep", plan)


def bin_photos(project: Project, ids: Sequence[str]) -> Renamed:
    """Old id to new id of the photos whose files have moved; all are in the bin."""
    with project.lock:
        plan = CommandPlan(project)
        for photo in find_photos(project, ids):
            if photo.state != "bin":
                plan.bin(photo)
        return _commit(project, "bin", plan)


def restore_photos(project: Project, ids: Sequence[str]) -> Renamed:
    """Old id to new id of the photos whose files have moved; none is in the bin any more."""
    with project.lock:
        plan = CommandPlan(project)
        for photo in find_photos(project, ids):
            if photo.state == "bin":
                plan.restore(photo)
        return _commit(project, "restore", plan)


def undo(project: Project) -> Renamed:
    """Old id to new id of the photos whose files have moved; the last command, or burst, is taken back.

    Raises:
        DatasetError: there is nothing left to undo.
    """
    with project.lock:
        entries = project.journal.undoable()
        if not entries:
            raise DatasetError(_("There is nothing left to undo."))
        plan = CommandPlan(project)
        for effect in (one for entry in entries for one in reversed(entry.effects)):
            back = effect.inverse()
            if not isinstance(back, MovePhoto):
                plan.add(back)
            elif os.path.lexists(project.root / back.source):  # else another program has taken it away
                folder, _slash, name = back.target.rpartition("/")
                target = plan.free_path(folder, name)
                plan.add(MovePhoto(back.source, target, back.digest, back.group, back.home))
                plan.renamed[photo_id(back.source)] = photo_id(target)
        if project.rows_problem is not None and any(isinstance(one, Decide) for one in plan.effects()):
            raise DatasetError(project.rows_problem)
        project.commit("undo", plan.effects(), undone=[entry.number for entry in entries])
        return plan.renamed


def find_class(project: Project, identity: str) -> str:
    """The name of the class with that id.

    Raises:
        DatasetError: there is none.
    """
    names = {class_id(name): name for name in project.state().classes}
    if identity not in names:
        raise DatasetError(_("This class is not there any more. Choose another one."))
    return names[identity]


def find_photos(project: Project, ids: Iterable[str]) -> list[StudioPhoto]:
    """The photos with these ids, each once.

    Raises:
        DatasetError: one is not there.
    """
    known: Mapping[str, StudioPhoto] = project.state().by_id
    wanted = list(dict.fromkeys(ids))
    if any(one not in known for one in wanted):
        raise DatasetError(_("A photo is not there any more. Another program may have moved or deleted it."))
    return [known[one] for one in wanted]


def check_class_name(project: Project, name: str) -> str:
    """The name, which a new class and its folder can have.

    Raises:
        DatasetError: it is empty, cannot be the name of a folder everywhere, or a class has it already.
    """
    cleaned = class_name(name)
    safe = safe_name(cleaned[:LONGEST_FOLDER_NAME])
    if not cleaned:
        raise DatasetError(_("The class has no name. Type one, such as 'cat'."))
    if safe != cleaned:
        message = _(
            'A class cannot be called {name!r}. Give at most {most} characters without <>:"/\\|?*, such as {safe!r}.'
        )
        raise DatasetError(message.format(name=cleaned[:80], most=LONGEST_FOLDER_NAME, safe=safe))
    if is_split_name(cleaned):
        message = _("{name!r} is how a part of the photos is called, as for testing. Give the class another name.")
        raise DatasetError(message.format(name=cleaned))
    same = [one for one in project.state().classes if same_name_key(one) == same_name_key(cleaned)]
    if same:
        raise DatasetError(_("There is a class {name!r} already. Give another name.").format(name=same[0]))
    return cleaned


def safe_photo_name(name: str, suffix: str) -> str:
    """A name for a new file, made from what a browser says it is called.

    Args:
        name: with or without folders; not to be trusted.
        suffix: of its format, such as `.jpg`, taken where the name has none of a photo.
    """
    stem, given = os.path.splitext(PurePosixPath(name.replace("\\", "/")).name)
    stem = safe_name(class_name(stem)[:_LONGEST_STEM])
    return f"{stem}{given if given.lower() in PHOTO_SUFFIXES else suffix}"


def _empty_into(project: Project, verb: str, old: str, new: str) -> Renamed:
    plan = CommandPlan(project)
    plan.class_dir(new)
    plan.unhide(new)
    for photo in project.state().photos:
        if photo.label == old:
            plan.label(photo, new)
    plan.drop_class(old)
    project.commit(verb, plan.effects())
    return plan.renamed


def _commit(project: Project, verb: str, plan: CommandPlan) -> Renamed:
    """Old id to new id; a command without effects is no entry of the journal."""
    if effects := plan.effects():
        project.commit(verb, effects)
    return plan.renamed
