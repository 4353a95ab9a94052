"""What a person asks of a project, turned into effects: classes, labels, the bin, and undo.

Each function plans under the lock of the project and commits at once. What cannot be done is a `DatasetError`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from tellapart.errors import DatasetError
from tellapart.formats.photo_formats import PHOTO_SUFFIXES
from tellapart.photos.folder_kinds import is_split_name
from tellapart.photos.names import LONGEST_FOLDER_NAME, class_name, safe_name, same_name_key
from tellapart.project.command_plan import CommandPlan, Renamed
from tellapart.project.effects import (
    Decide,
    MovePhoto,
)
from tellapart.project.project import Project
from tellapart.project.project_state import StudioPhoto, class_id, photo_id
from tellapart.translation import gettext as _

_LONGEST_STEM = 100


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


def label_photos(project: Project, ids: Sequence[str], identity: str, batch: str | None = None) -> Renamed:
    """Old id to new id of the photos whose files have moved; all have the class. A `batch` is undone together."""
    with project.lock:
        name = find_class(project, identity)
        plan = CommandPlan(project)
        for photo in find_photos(project, ids):
            plan.label(photo, name)
        return _commit(project, "label", plan, batch)


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


def _commit(project: Project, verb: str, plan: CommandPlan, batch: str | None = None) -> Renamed:
    """Old id to new id; a command without effects is no entry of the journal."""
    if effects := plan.effects():
        project.commit(verb, effects, batch)
    return plan.renamed
