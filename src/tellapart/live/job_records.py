"""What was asked of a job, kept in its folder, and how it is, as the page takes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tellapart.live.job_tasks import Task, read_task
from tellapart.live.progress_file import Progress
from tellapart.store import to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.untrusted import read_json

_JOB_NAME = "job.json"

JobState = Literal["running", "pausing", "paused", "interrupted", "done", "failed"]
_Wish = Literal["run", "pause"]


@dataclass(frozen=True)
class JobOrder:
    """What was asked of a job.

    Attributes:
        id: 12 hexadecimal digits.
        task: what it does.
        made_at: seconds since 1970.
        wish: whether it is to run, or to pause.
    """

    id: str
    task: Task
    made_at: float
    wish: _Wish = "run"


@dataclass(frozen=True)
class JobStatus:
    """How a job is.

    Attributes:
        order: what was asked.
        state: `running`; `pausing` until its process has ended; `paused`; `interrupted` where the process was killed;
            `done`; or `failed`.
        progress: how far it is; `None` before it has begun.
        message: why it failed, or what it has made, in one line.
    """

    order: JobOrder
    state: JobState
    progress: Progress | None
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the page takes it."""
        done, task = self.progress, self.order.task
        return {
            "id": self.order.id,
            **task.describe(),
            "state": "running" if self.state == "pausing" else self.state,
            "message": _("Pausing. What it has learned is kept.") if self.state == "pausing" else self.message,
            "stage": "" if done is None else done.stage,
            "progress": 1.0 if self.state == "done" else None if done is None else done.share,
            "epoch": None if done is None else done.epoch,
            "num_epochs": None if done is None else done.num_epochs,
            "seconds_left": done.seconds_left if done is not None and self.state == "running" else None,
            "accuracy": None if done is None else done.validation_accuracy,
            "can_pause": self.state == "running" and task.can_pause,
            "can_resume": self.state in ("paused", "interrupted", "failed"),
        }


def write_order(folder: Path, order: JobOrder) -> None:
    """Nothing; what was asked survives a kill from now on.

    Raises:
        OutputError: it cannot be written.
    """
    kept = {"kind": "tellapart job", **order.task.to_json(), "made_at": order.made_at, "wish": order.wish}
    write_file(folder / _JOB_NAME, to_json_bytes(kept))


def read_order(folder: Path) -> JobOrder | None:
    """What was asked of the job in a folder; `None` where that is damaged."""
    try:
        found = read_json(folder / _JOB_NAME)
        wish: _Wish = "pause" if found["wish"] == "pause" else "run"
        return JobOrder(folder.name, read_task(found), float(found["made_at"]), wish)
    except (OSError, ValueError, KeyError, TypeError):
        return None
