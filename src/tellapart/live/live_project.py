"""What the model side needs to know of a project, whoever keeps it, and the command that trains on its photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tellapart.live.detached_process import tellapart_command
from tellapart.photos.names import PROJECT_DIR_NAME
from tellapart.translation import current_language

RUNS_DIR_NAME = "runs"


@dataclass(frozen=True)
class ModelPhoto:
    """A photo of a project, as the model needs to know it.

    Attributes:
        id: of the photo in the project.
        path: of the file.
        class_name: its class; `None` for an unsorted one.
        group: photos of one burst have the same; `None` where it belongs to none.
        is_confirmed: whether a person has decided on its class.
    """

    id: str
    path: Path
    class_name: str | None
    group: str | None = None
    is_confirmed: bool = False


class LiveProject(Protocol):
    """The photos of a project."""

    @property
    def folder(self) -> Path:
        """Of the photos."""

    @property
    def cache_dir(self) -> str | None:
        """Folder of the store of seen photos; `None` is the user's own."""

    @property
    def class_level(self) -> int | None:
        """The setting of a training that sees the classes as the project does."""

    def model_photos(self) -> Sequence[ModelPhoto]:
        """All photos that are there now, unsorted ones included; called from other threads."""


def state_dir(project: LiveProject) -> Path:
    """The folder in which Studio keeps what is its own."""
    return project.folder / PROJECT_DIR_NAME


def runs_dir(project: LiveProject) -> Path:
    """The folder of the runs that Studio makes."""
    return state_dir(project) / RUNS_DIR_NAME


def train_command(project: LiveProject, run_dir: Path, progress_path: Path, **settings: object) -> list[str]:
    """The command that trains on the photos of the project.

    Args:
        project: whose photos.
        run_dir: where the run goes.
        progress_path: where it says how far it is.
        settings: further ones, by their Python names; `None` is left out.
    """
    return tellapart_command(
        "train",
        str(project.folder),
        out=run_dir,
        progress=progress_path,
        language=current_language(),
        cache_dir=project.cache_dir,
        class_level=project.class_level,
        **settings,
    )
