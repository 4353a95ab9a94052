"""All photos and classes of a project at one moment, as a page shows them, with what was decided about them."""

import functools
import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tellapart.decisions.decision_table import Decision, Decisions
from tellapart.decisions.decisions import apply_decisions
from tellapart.errors import DatasetError
from tellapart.photos.files import DiskFile
from tellapart.photos.names import DECISIONS_NAME, NaturalKey, natural_key, printable
from tellapart.photos.photoset import PhotoSet
from tellapart.project.effects import BIN_DIR, UNSORTED_DIR
from tellapart.project.project_folder import FileState
from tellapart.project.project_memory import Ownership, SeenFiles
from tellapart.records import Skipped

_BIN_MARK = 9  # what stands before the name of a file in the bin


@dataclass(frozen=True, slots=True)
class StudioPhoto:
    """A photo of the project.

    Attributes:
        id: 16 hexadecimal digits of its path.
        path: relative to the folder of the project, with `/`.
        name: of its file, as it can be shown.
        label: its class by the folder and what was decided; `None` for one that is unsorted or in the bin.
        folder_label: the class of its folder; `None` for one without.
        state: `class`, `unsorted` or `bin`.
        digest: of its content, as `digest_photo` gives it; `None` while it is not known.
        is_ours: whether Studio wrote the file and may move it.
        group: photos of one burst have the same; `None` for one that belongs to none.
        problem: a line on why it cannot be used; `None` where it can, or that is not known yet.
    """

    id: str
    path: str
    name: str
    label: str | None
    folder_label: str | None
    state: str
    digest: str | None
    is_ours: bool
    group: str | None
    problem: str | None


@dataclass(frozen=True)
class ProjectState:
    """All photos and classes at one moment.

    Attributes:
        revision: another number after every change.
        photos: in natural order of their paths.
        classes: names in natural order.
        num_skipped: files that are not used, and photos with a problem.
        problem: a line on what keeps the folder from being trained on; `None` where all is well.
        by_id: the photos by their id.
    """

    revision: int
    photos: tuple[StudioPhoto, ...]
    classes: tuple[str, ...]
    num_skipped: int
    problem: str | None
    by_id: Mapping[str, StudioPhoto] = field(repr=False)


@dataclass(frozen=True)
class KnownFiles:
    """What a state is made of.

    Attributes:
        root: the folder.
        labels: by path of each photo, the class of its folder; `None` for one without.
        states: of all files.
        class_dirs: by class, the folder of its photos.
        ownership: what Studio wrote and hides.
        seen: digests and problems.
        rows: what was decided.
        num_skipped, problem: as in `ProjectState`, of the folder alone.
    """

    root: Path
    labels: Mapping[str, str | None]
    states: Mapping[str, FileState]
    class_dirs: Mapping[str, str]
    ownership: Ownership
    seen: SeenFiles
    rows: Sequence[Decision]
    num_skipped: int
    problem: str | None


def photo_id(path: str) -> str:
    """The id of the photo at a path."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def class_id(name: str) -> str:
    """The id of a class."""
    return hashlib.sha256(b"class " + unicodedata.normalize("NFC", name).encode()).hexdigest()[:16]


def decided_path(root: Path, path: str) -> str:
    """The path of a photo as `decisions.csv` names it: from the folder of the project on."""
    return printable(f"{root.name}/{path}")


def make_state(known: KnownFiles, revision: int) -> ProjectState:
    """The state of a project of which this is known; raises nothing, for a problem is part of it."""
    labels, problem = _decided_labels(known)
    sorted_contents = {
        found.digest
        for path, label in labels.items()
        if label is not None and (found := known.seen.get(path, known.states.get(path))) is not None
    } - {None}
    photos: list[StudioPhoto] = []
    for path in [*known.labels, *own_paths(known.states)]:
        seen = known.seen.get(path, known.states.get(path))
        digest = None if seen is None else seen.digest
        owned = known.ownership.photos.get(path)
        is_ours = owned is not None and digest in (None, owned.digest)
        state = _state_of(path, labels, digest in known.ownership.hidden_photos)
        if state == "unsorted" and not is_ours and digest in sorted_contents:
            continue  # a copy of it has a class
        photos.append(
            StudioPhoto(
                id=photo_id(path),
                path=path,
                name=_shown_name(path),
                label=labels.get(path) if state == "class" else None,
                folder_label=known.labels.get(path),
                state=state,
                digest=digest,
                is_ours=is_ours,
                group=owned.group if owned is not None and is_ours else None,
                problem=None if seen is None else seen.problem,
            )
        )
    photos.sort(key=lambda photo: _sort_key(photo.path))
    return ProjectState(
        revision=revision,
        photos=tuple(photos),
        classes=_classes(known, photos),
        num_skipped=known.num_skipped + sum(one.problem is not None and one.state == "class" for one in photos),
        problem=known.problem or problem,
        by_id={photo.id: photo for photo in photos},
    )


# Of ten thousand photos most keep their place from one state to the next.
@functools.lru_cache(maxsize=200_000)
def _sort_key(path: str) -> NaturalKey:
    return natural_key(path.split("/"))


def own_paths(states: Mapping[str, FileState]) -> list[str]:
    """The files in the bin and among Studio's unsorted photos."""
    return [path for path in states if path.startswith((f"{BIN_DIR}/", f"{UNSORTED_DIR}/")) and path[-1] != "/"]


def _state_of(path: str, labels: Mapping[str, str | None], is_hidden: bool) -> str:
    if path.startswith(BIN_DIR):
        return "bin"
    if path in labels:
        return "bin" if labels[path] is None else "class"
    return "bin" if is_hidden and not path.startswith(UNSORTED_DIR) else "unsorted"


def _shown_name(path: str) -> str:
    name = path.rpartition("/")[2]
    return printable(name[_BIN_MARK:] if path.startswith(BIN_DIR) and name[_BIN_MARK - 1 : _BIN_MARK] == "-" else name)


def _classes(known: KnownFiles, photos: Sequence[StudioPhoto]) -> tuple[str, ...]:
    """Those that have photos, and those whose folder has none, unless they were deleted."""
    used = {photo.label for photo in photos if photo.label is not None}
    filled = set(known.labels.values())
    empty = {name for name in known.class_dirs if name not in filled and name not in known.ownership.hidden_classes}
    return tuple(sorted(used | empty, key=lambda name: natural_key((name,))))


def _decided_labels(known: KnownFiles) -> tuple[dict[str, str | None], str | None]:
    """The class of each photo that has one in its folder, `None` for one that was removed; and what is wrong."""
    labels = {path: label for path, label in known.labels.items() if label is not None}
    if not known.rows or not labels:
        return dict(labels), None
    paths = list(labels)
    names = sorted(set(labels.values()), key=lambda name: natural_key((name,)))
    numbers = {name: number for number, name in enumerate(names)}
    photos = PhotoSet(
        source=known.root.name,
        paths=tuple(decided_path(known.root, path) for path in paths),
        labels=np.array([numbers[label] for label in labels.values()], np.int64),
        class_names=tuple(names),
        skipped=(),
        places=tuple(DiskFile(path) for path in paths),
    )
    digests = [_digest_of(known, path) for path in paths]
    try:
        applied = apply_decisions(photos, digests, Decisions(DECISIONS_NAME, tuple(known.rows)), must_match=False)
    except DatasetError as exc:
        return dict(labels), str(exc)
    assert applied.photos.labels is not None
    decided: dict[str, str | None] = dict.fromkeys(paths)
    for row, label in zip(applied.rows.tolist(), applied.photos.labels.tolist(), strict=True):
        decided[paths[row]] = applied.photos.class_names[label]
    return decided, None


def _digest_of(known: KnownFiles, path: str) -> str | Skipped:
    seen = known.seen.get(path, known.states.get(path))
    return Skipped(path, "") if seen is None or seen.digest is None else seen.digest
