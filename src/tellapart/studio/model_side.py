"""The model side of an open project: what trains, checks, answers and serves, and what pages are told of it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tellapart.config import RECIPE_CONFIGS
from tellapart.errors import ImageError
from tellapart.export.target import TARGETS
from tellapart.live.full_choice import runs_of_project
from tellapart.live.job_records import JobStatus
from tellapart.live.jobs import Jobs
from tellapart.live.live_checkup import LiveCheckup
from tellapart.live.live_model import REST_SECONDS, LiveModel
from tellapart.live.live_project import ModelPhoto
from tellapart.live.model_server import ModelServer
from tellapart.live.model_status import ModelStatus
from tellapart.live.run_list import RunSummary
from tellapart.measure.verdict import ADVICE, COLOURS
from tellapart.photos.loading import num_cores
from tellapart.project.project import Project
from tellapart.project.project_state import StudioPhoto, class_id
from tellapart.studio.events import EventBus
from tellapart.translation import gettext as _
from tellapart.web.prediction_queue import PredictionQueue
from tellapart.web.refusals import RequestError

# A frame that would wait at all is refused: the page sends the next one when it has its answer.
_FRAME_SECONDS = 0.05


@dataclass(frozen=True)
class ModelPhotos:
    """A project as the model side needs to know it.

    Attributes:
        project: the folder.
        cache_dir: folder of the store of seen photos; `None` is the user's own.
    """

    project: Project
    cache_dir: str | None

    @property
    def folder(self) -> Path:
        """Of the photos."""
        return self.project.root

    @property
    def class_level(self) -> int | None:
        """The setting of a training that sees the classes as the project does."""
        return self.project.source_config().class_level

    def model_photos(self) -> Sequence[ModelPhoto]:
        """All photos that are there now, but for those in the bin."""
        state = self.project.state()
        confirmed = {(row.content, row.label) for row in self.project.rows if row.label is not None}
        return [
            ModelPhoto(
                photo.id,
                self.project.root / photo.path,
                photo.label,
                photo.group,
                (photo.digest or "", photo.label) in confirmed,
            )
            for photo in state.photos
            if photo.state != "bin" and (photo.label is not None or photo.state == "unsorted")
        ]


class ModelSide:
    """All that trains, checks, answers and serves for a project; may be asked from any thread.

    Args:
        project: the folder.
        events: where changes are told.
        cache_dir: folder of the cache; `None` is the user's own.
        backbone: what photos are looked at with; `None` leaves it to the training.
        rest_seconds: without a change, after which the full choice begins.
    """

    def __init__(
        self,
        project: Project,
        events: EventBus,
        cache_dir: str | None,
        backbone: str | None = None,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        self.project, self._events = project, events
        self.photos = ModelPhotos(project, cache_dir)
        self.model = LiveModel(
            self.photos, self._tell_model, backbone=backbone, rest_seconds=rest_seconds, kept=self._runs_in_use
        )
        self.checkup = LiveCheckup(
            lambda: self.model.snapshot, lambda status: events.publish("check", {"state": status.state})
        )
        self.jobs = Jobs(self.photos, self._tell_job)
        self.server = ModelServer(self.photos)
        self.queue = PredictionQueue(num_cores(), 0, _FRAME_SECONDS)
        project.on_change(self.model.project_changed)

    def start(self) -> None:
        """Nothing; from now on photos are looked at, and jobs are watched."""
        self.queue.start()
        self.model.start()
        self.jobs.watch()

    def close(self) -> None:
        """Nothing; all threads have ended. Jobs and the server of a run go on."""
        self.jobs.close()
        self.model.close()
        self.checkup.close()
        self.queue.close()

    def facts(self) -> dict[str, Callable[[], Any]]:
        """What `/api/project` says of the model side, each part asked for under its name."""
        return {
            "model": self.describe_model,
            "jobs": lambda: [describe_job(status, self.photos) for status in self.jobs.statuses()],
            "recipes": lambda: list(RECIPE_CONFIGS),
            "served": self.describe_served,
            "exports": lambda: list(TARGETS),
        }

    def describe_served(self) -> dict[str, Any] | None:
        """The run that other programs can ask, and where; `None` while there is none."""
        served = self.server.served()
        return None if served is None else {"run": run_id(served[0]), "address": served[1]}

    def describe_model(self) -> dict[str, Any]:
        """How the model is."""
        return asdict(self.model.status)

    def proposals(self) -> dict[str, dict[str, Any]]:
        """What unsorted photos may be, by their ids, in the order in which a label helps most."""
        return {
            identity: {"class": class_id(name), "probability": probability}
            for identity, (name, probability) in self.model.proposals.items()
        }

    def describe_check(self) -> dict[str, Any]:
        """The findings with their photos, in groups of those that belong together."""
        status = self.checkup.status()
        state = {"checking": "running"}.get(status.state, status.state)
        by_id = self.project.state().by_id
        now = {photo.id: photo for photo in self.photos.model_photos()}
        findings = []
        for finding in status.findings:
            # What was decided about since then is not asked again.
            groups = [
                group["photos"]
                for group in finding["groups"]
                if all(now.get(found["photo"].id) == found["photo"] for found in group["photos"])
            ]
            if groups or not finding["groups"]:
                findings.append({**finding, "groups": [_describe_group(group, by_id) for group in groups]})
        return {"state": state, "message": status.message, "findings": findings}

    def read_photo(self, identity: str) -> bytes:
        """The bytes of a photo.

        Raises:
            RequestError: it is not there any more.
        """
        photo = self.project.state().by_id.get(identity)
        if photo is None:
            raise RequestError(404, _("This photo is not there any more."), reason="photo")
        try:
            return self.project.place_of(photo).read(self.project.limits.max_bytes)
        except ImageError as exc:
            raise RequestError(404, str(exc), reason="photo") from exc

    def runs(self) -> list[RunSummary]:
        """All runs of the project, the newest first."""
        return runs_of_project(self.photos)

    def find_run(self, identity: str) -> RunSummary:
        """The run of that id.

        Raises:
            RequestError: there is none.
        """
        for run in self.runs():
            if run_id(run.run_dir) == identity:
                return run
        raise RequestError(404, _("This model is not there any more."), reason="run")

    def _runs_in_use(self) -> list[Path]:
        served = self.server.served()
        return [*self.jobs.run_dirs(), *([] if served is None else [served[0]])]

    def _tell_model(self, status: ModelStatus) -> None:
        self._events.publish("model", asdict(status))

    def _tell_job(self, number: str, status: JobStatus | None) -> None:
        if status is None:
            self._events.publish("project", {"revision": self.project.revision})
        else:
            self._events.publish("job", describe_job(status, self.photos), number)


def run_id(run_dir: Path) -> str:
    """The id of the run in a folder."""
    return hashlib.sha256(str(run_dir.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _describe_group(photos: Sequence[dict[str, Any]], by_id: Mapping[str, StudioPhoto]) -> list[dict[str, Any]]:
    described = []
    for found in photos:
        photo = by_id.get(found["photo"].id)
        if photo is None or photo.label is None:
            continue  # removed a moment ago
        proposal = None
        if "proposal" in found:
            proposal = {"class": class_id(found["proposal"]), "probability": found["probability"]}
        described.append(
            {
                "id": photo.id,
                "digest": photo.digest,
                "name": photo.name,
                "class": class_id(photo.label),
                "proposal": proposal,
            }
        )
    return described


def describe_job(status: JobStatus, photos: ModelPhotos) -> dict[str, Any]:
    """A job as the page takes it, with the id of the run that it makes or exports."""
    return {**status.to_json(), "run_id": run_id(status.order.task.run_dir(photos))}


def describe_run(run: RunSummary) -> dict[str, Any]:
    """A run as the page takes it."""
    identity = run_id(run.run_dir)
    return {
        "id": identity,
        "name": run.name,
        "recipe": run.recipe,
        "when": run.made_at,
        "num_photos": run.num_photos,
        "verdict": COLOURS.get(run.verdict, "amber"),
        "verdict_word": _(run.verdict) if run.verdict in COLOURS else "",
        "verdict_advice": _(ADVICE[run.verdict]) if run.verdict in COLOURS else "",
        "verdict_sentence": run.verdict_sentence,
        "accuracy": run.accuracy,
        "interval": run.interval_95,
        "report": f"/runs/{identity}/report",
    }
