"""What a job does, each as a command in a process of its own: a training on the photos of a project, or an export."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.live.detached_process import remove_folder, tellapart_command
from tellapart.live.live_project import LiveProject, runs_dir, train_command
from tellapart.predict.bundle import BUNDLE_FILE, EXPORT_FILE, EXPORTS_DIR
from tellapart.runs.run_folder import RUN_FILE_NAME
from tellapart.store import remove_partials
from tellapart.translation import current_language
from tellapart.untrusted import text_of

_RUN_NAME = re.compile(r"[a-z]+-[0-9]{1,9}")
_TARGET = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True)
class TrainingTask:
    """A training by one recipe.

    Attributes:
        recipe: how to train.
        run_name: of the folder of its run.
        minutes, epochs: how long; `None` leaves it to the recipe.
    """

    recipe: str
    run_name: str
    minutes: float | None = None
    epochs: int | None = None

    # It keeps what it has learned when it is stopped, and a kill loses nothing.
    can_pause = True

    def run_dir(self, project: LiveProject) -> Path:
        """The folder of the run that it makes."""
        return runs_dir(project) / self.run_name

    def command(self, project: LiveProject, progress_path: Path) -> list[str]:
        """What trains, or goes on from where the run is."""
        settings: dict[str, object] = {"resume": True}
        if not (self.run_dir(project) / RUN_FILE_NAME).exists():
            settings = {"recipe": self.recipe, "minutes": self.minutes, "epochs": self.epochs}
        return train_command(project, self.run_dir(project), progress_path, **settings)

    def is_made(self, project: LiveProject) -> bool:
        """Whether there is a model."""
        return (self.run_dir(project) / BUNDLE_FILE).exists()

    def remove_unfinished(self, project: LiveProject) -> None:
        """Nothing; its run is gone.

        Raises:
            OutputError: it cannot be removed.
        """
        remove_folder(self.run_dir(project))

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {"recipe": self.recipe, "run_name": self.run_name, "minutes": self.minutes, "epochs": self.epochs}

    def describe(self) -> dict[str, Any]:
        """As the page takes it."""
        return {"kind": "training", "run": self.run_name, **self.to_json()}


@dataclass(frozen=True)
class ExportTask:
    """An export of a run to one target.

    Attributes:
        exported: the folder of the run.
        target: such as `keras`.
    """

    exported: Path
    target: str

    can_pause = False

    @property
    def export_dir(self) -> Path:
        """Where the export goes."""
        return self.exported / EXPORTS_DIR / self.target

    def run_dir(self, _project: LiveProject) -> Path:
        """The folder of the run that it needs."""
        return self.exported

    def command(self, _project: LiveProject, progress_path: Path) -> list[str]:
        """What exports, each time from the beginning."""
        settings = {"to": self.target, "progress": progress_path, "language": current_language()}
        return tellapart_command("export", str(self.exported), **settings)

    def is_made(self, _project: LiveProject) -> bool:
        """Whether there is an export."""
        return (self.export_dir / EXPORT_FILE).exists()

    def remove_unfinished(self, _project: LiveProject) -> None:
        """Nothing; what a killed export has left is gone, and an earlier one of this target stays."""
        remove_partials(self.export_dir.parent)

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {"exported": str(self.exported), "target": self.target}

    def describe(self) -> dict[str, Any]:
        """As the page takes it."""
        return {"kind": "export", "run": self.exported.name, "target": self.target}


Task = TrainingTask | ExportTask


def read_task(found: dict[str, Any]) -> Task:
    """The task that was kept.

    Raises:
        KeyError, TypeError, ValueError: the record is damaged.
    """
    if "target" in found:
        target = text_of(found["target"])
        if not _TARGET.fullmatch(target):
            raise ValueError(target)
        return ExportTask(Path(text_of(found["exported"])), target)
    run_name = text_of(found["run_name"])
    if not _RUN_NAME.fullmatch(run_name):  # the name becomes a path, and the file may be anybody's
        raise ValueError(run_name)
    return TrainingTask(
        recipe=text_of(found["recipe"]),
        run_name=run_name,
        minutes=None if found["minutes"] is None else float(found["minutes"]),
        epochs=None if found["epochs"] is None else int(found["epochs"]),
    )
