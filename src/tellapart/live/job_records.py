"""What was asked of a job, kept in its folder, and how it is, as the page takes it."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tellapart.live.progress_file import Progress
from tellapart.store import to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.untrusted import read_json, text_of

_JOB_NAME = "job.json"

JobState = Literal["running", "pausing", "paused", "interrupted", "done", "failed"]
_Wish = Literal["run", "pause"]


@dataclass(frozen=True)
class JobOrder:
    """What was asked of a job.

    Attributes:
        id: 12 hexadecimal digits.
        recipe: how to train.
        run_name: of the folder of its run.
        minutes, epochs: how long; `None` leaves it to the recipe.
        made_at: seconds since 1970.
        wish: whether it is to run, or to pause.
    """

    id: str
    recipe: str
    run_name: str
    minutes: float | None
    epochs: int | None
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
        message: why it failed, in one line.
    """

    order: JobOrder
    state: JobState
    progress: Progress | None
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the page takes it."""
        done = self.progress
        return {
            "id": self.order.id,
            "recipe": self.order.recipe,
            "run": self.order.run_name,
            "minutes": self.order.minutes,
            "epochs": self.order.epochs,
            "state": "running" if self.state == "pausing" else self.state,
            "message": _("Pausing. What it has learned is kept.") if self.state == "pausing" else self.message,
            "stage": "" if done is None else done.stage,
            "progress": 1.0 if self.state == "done" else None if done is None else done.share,
            "epoch": None if done is None else done.epoch,
            "num_epochs": None if done is None else done.num_epochs,
            "seconds_left": done.seconds_left if done is not None and self.state == "running" else None,
            "accuracy": None if done is None else done.validation_accuracy,
            "can_pause": self.state == "running",
            "can_resume": self.state in ("paused", "interrupted", "failed"),
        }


def write_order(folder: Path, order: JobOrder) -> None:
    """Nothing; what was asked survives a kill from now on.

    Raises:
        OutputError: it cannot be written.
    """
    write_file(folder / _JOB_NAME, to_json_bytes({"kind": "tellapart job", **asdict(order)}))


def read_order(folder: Path) -> JobOrder | None:
    """What was asked of the job in a folder; `None` where that is damaged."""
    try:
        found = read_json(folder / _JOB_NAME)
        order = JobOrder(
            id=folder.name,
            recipe=text_of(found["recipe"]),
            run_name=text_of(found["run_name"]),
            minutes=None if found["minutes"] is None else float(found["minutes"]),
            epochs=None if found["epochs"] is None else int(found["epochs"]),
            made_at=float(found["made_at"]),
            wish="pause" if found["wish"] == "pause" else "run",
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # The name becomes a path, and the file may be anybody's.
    return order if re.fullmatch(r"[a-z]+-[0-9]{1,9}", order.run_name) else None
