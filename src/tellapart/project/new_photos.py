"""New photos become part of a project: those that lie in its folder for incoming ones, each with the class it is for.

Nothing is in a class before its bytes are on the disk and its entry is in the journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tellapart.errors import DatasetError
from tellapart.project.command_plan import CommandPlan
from tellapart.project.effects import UNSORTED_DIR, MovePhoto
from tellapart.project.project import Project
from tellapart.project.project_commands import check_class_name
from tellapart.project.project_state import photo_id
from tellapart.translation import gettext as _


@dataclass(frozen=True)
class NewPhoto:
    """A photo that lies in the folder for incoming ones.

    Attributes:
        incoming: its path there, relative to the folder of the project.
        name: that it is to have.
        digest: of its content, as `digest_photo` gives it.
        label: its class, made where there is none; `None` leaves it unsorted.
    """

    incoming: str
    name: str
    digest: str
    label: str | None


@dataclass
class Added:
    """What has become of an upload: ids of new photos, and name and reason of each file that was not taken."""

    ids: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def add_photos(
    project: Project, photos: Sequence[NewPhoto], added: Added, batch: str | None = None, *, is_burst: bool = False
) -> None:
    """Nothing; the photos are in their classes, but for those that are there already, and `added` says so.

    Args:
        project: that they are added to.
        photos: new ones, whose bytes are on the disk.
        added: to which ids and reasons are appended.
        batch: what is undone together.
        is_burst: whether the photos of the batch are one burst of a camera.

    Raises:
        OutputError: the disk is full or fails; none of them is in a class then.
    """
    with project.lock:
        plan = CommandPlan(project)
        state = project.state()
        known = {(photo.label, photo.digest) for photo in state.photos if photo.state != "bin"}
        names = set(state.classes)
        effects: list[MovePhoto] = []
        for photo in photos:
            if (photo.label, photo.digest) in known:
                added.skipped.append(
                    (photo.name, _("is in this class already") if photo.label else _("is here already"))
                )
                continue
            known.add((photo.label, photo.digest))
            try:
                target = _target(project, plan, photo, names)
            except DatasetError as exc:
                added.skipped.append((photo.name, str(exc)))
                continue
            effects.append(MovePhoto(photo.incoming, target, photo.digest, batch if is_burst else None))
        if effects:
            project.commit("upload", [*plan.effects(), *effects], batch)
            added.ids += [photo_id(effect.target) for effect in effects]


def _target(project: Project, plan: CommandPlan, photo: NewPhoto, names: set[str]) -> str:
    """Where a new photo goes; a class that is not there yet is made.

    Raises:
        DatasetError: nothing can be called like its class.
    """
    if photo.label is None:
        return plan.free_path(UNSORTED_DIR, photo.name)
    if photo.label in names:
        return plan.new_path(photo.label, photo.name)
    label = check_class_name(project, photo.label)
    plan.unhide(label)
    return plan.free_path(plan.class_dir(label), photo.name)
