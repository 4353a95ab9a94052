"""The routes of jobs and runs: train in other ways, read reports, compare, serve and export."""

import asyncio
import secrets
import zipfile
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask

from tellapart.commands.compare_runs import RunAnswer, RunComparison, compare_runs
from tellapart.errors import ConfigError, DatasetError, DependencyError, OutputError
from tellapart.export.target import TARGETS
from tellapart.installation import install_extra
from tellapart.live.job_records import JobStatus
from tellapart.measure.mcnemar import describe_test
from tellapart.measure.number_words import percent
from tellapart.predict.bundle import EXPORT_FILE, EXPORTS_DIR
from tellapart.project.effects import INCOMING_DIR
from tellapart.runs.run_report import REPORT_NAME, rebuild_report
from tellapart.store import output_error, remove_quietly
from tellapart.studio.model_side import ModelSide, describe_job, describe_run, run_id
from tellapart.translation import gettext as _
from tellapart.untrusted import read_regular
from tellapart.web.refusals import RequestError

_MOST_REPORT_BYTES = 256 * 1024**2
# The page of a report is one file: its own styles, scripts and pictures, and nothing from anywhere. Its scripts run in
# an origin of their own, without the session of Studio.
_REPORT_POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; font-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-downloads"
)


class JobRequest(BaseModel):
    """What `/api/jobs` takes."""

    recipe: str
    minutes: float | None = None
    epochs: int | None = None


class ServeRequest(BaseModel):
    """What `/api/serve` takes."""

    run: str
    on: bool


class ExportRequest(BaseModel):
    """What `/api/exports` takes."""

    run: str
    target: str


def make_job_routes(side: ModelSide) -> APIRouter:
    """The routes of jobs, answering from `side`."""
    router = APIRouter()

    @router.get("/api/jobs")
    async def list_jobs() -> JSONResponse:
        statuses = await asyncio.to_thread(side.jobs.statuses)
        return JSONResponse([describe_job(status, side.photos) for status in statuses])

    @router.post("/api/jobs")
    async def start(asked: JobRequest) -> JSONResponse:
        try:
            status = await asyncio.to_thread(side.jobs.start, asked.recipe, asked.minutes, asked.epochs)
        except ConfigError as exc:
            raise RequestError(409, str(exc), reason="job") from exc
        return JSONResponse(describe_job(status, side.photos))

    @router.post("/api/exports")
    async def export(asked: ExportRequest) -> JSONResponse:
        run = await asyncio.to_thread(side.find_run, asked.run)
        try:
            status = await asyncio.to_thread(side.jobs.export, run.run_dir, asked.target)
        except ConfigError as exc:
            raise RequestError(409, str(exc), reason="export") from exc
        except DependencyError as exc:
            message = _("The export to {target} needs {module}, which is not installed. Install it with: {command}")
            command = install_extra(TARGETS[asked.target].needs.get(exc.name or "", "train"))
            shown = message.format(target=asked.target, module=exc.name, command=command)
            raise RequestError(409, shown, reason="export") from exc
        return JSONResponse(describe_job(status, side.photos))

    @router.post("/api/jobs/{number}/{verb}")
    async def steer(number: str, verb: Literal["pause", "resume", "cancel"]) -> JSONResponse:
        steps = {"pause": side.jobs.pause, "resume": side.jobs.resume, "cancel": side.jobs.cancel}
        try:
            status: JobStatus | None = await asyncio.to_thread(steps[verb], number)
        except DatasetError as exc:
            raise RequestError(404, str(exc), reason="job") from exc
        except ConfigError as exc:
            raise RequestError(409, str(exc), reason="job") from exc
        return JSONResponse({"id": number} if status is None else describe_job(status, side.photos))

    return router


def make_run_routes(side: ModelSide) -> APIRouter:
    """The routes of runs, answering from `side`."""
    router = APIRouter()

    @router.get("/api/runs")
    async def list_runs() -> JSONResponse:
        return JSONResponse([describe_run(run) for run in await asyncio.to_thread(side.runs)])

    @router.get("/runs/{identity}/report")
    async def report(identity: str) -> HTMLResponse:
        page = await asyncio.to_thread(_read_report, side, identity)
        return HTMLResponse(page, headers={"Content-Security-Policy": _REPORT_POLICY})

    @router.get("/api/runs/{identity}/compare/{other}")
    async def compare(identity: str, other: str) -> JSONResponse:
        return JSONResponse(await asyncio.to_thread(_compare, side, identity, other))

    @router.post("/api/serve")
    async def serve(asked: ServeRequest) -> JSONResponse:
        return JSONResponse(await asyncio.to_thread(_serve, side, asked))

    @router.get("/runs/{identity}/exports/{target}.zip")
    async def download(identity: str, target: str) -> FileResponse:
        path = await asyncio.to_thread(_pack_export, side, identity, target)
        return FileResponse(path, filename=f"{target}.zip", background=BackgroundTask(remove_quietly, path))

    return router


def _read_report(side: ModelSide, identity: str) -> bytes:
    """The page of a run, made again where it is missing.

    Raises:
        RequestError: it cannot be had.
    """
    run_dir = side.find_run(identity).run_dir
    try:
        rebuild_report(run_dir, cache_dir=side.photos.cache_dir)
        return read_regular(run_dir / REPORT_NAME, _MOST_REPORT_BYTES)
    except OSError as exc:
        raise RequestError(404, _("This report cannot be read: {reason}.").format(reason=exc.strerror or exc)) from exc


def _compare(side: ModelSide, identity: str, other: str) -> dict[str, Any]:
    runs = [side.find_run(one) for one in (identity, other)]
    try:
        found: RunComparison = compare_runs(runs[0].run_dir, runs[1].run_dir)
    except DatasetError as exc:
        raise RequestError(409, str(exc), reason="run") from exc
    photos = [
        {
            "digest": photo.content,
            "name": photo.path,
            "class": photo.class_name,
            "answers": [_describe_answer(answer) for answer in (photo.first, photo.second)],
            "right": [answer.class_name == photo.class_name for answer in (photo.first, photo.second)],
        }
        for photo in found.differing
    ]
    return {
        "sentence": f"{describe_test(found.test)}.",
        "num_photos": found.num_photos,
        "p_value": found.test.p_value,
        "accuracies": [found.first_accuracy, found.second_accuracy],
        "photos": photos,
    }


def _describe_answer(answer: RunAnswer) -> str:
    return f"{answer.class_name} {percent(answer.probability)}"


def _serve(side: ModelSide, asked: ServeRequest) -> dict[str, Any]:
    if not asked.on:
        side.server.stop()
        return {"run": None, "address": None}
    run = side.find_run(asked.run)
    try:
        return {"run": run_id(run.run_dir), "address": side.server.start(run.run_dir)}
    except OutputError as exc:
        raise RequestError(409, str(exc), reason="serve") from exc


def _pack_export(side: ModelSide, identity: str, target: str) -> Path:
    """An export as a zip, which whoever calls removes.

    Raises:
        RequestError: there is none.
        OutputError: the disk is full or fails.
    """
    run_dir = side.find_run(identity).run_dir
    folder = run_dir / EXPORTS_DIR / target
    if target not in TARGETS or not (folder / EXPORT_FILE).is_file():
        raise RequestError(404, _("This export is not there any more. Export the model again."), reason="export")
    path = side.project.root / INCOMING_DIR / secrets.token_hex(8)
    try:
        with zipfile.ZipFile(path, "w") as packed:
            for name in sorted(one for one in folder.rglob("*") if one.is_file()):
                packed.write(name, f"{target}/{name.relative_to(folder).as_posix()}")
    except OSError as exc:
        remove_quietly(path)
        raise output_error(path, exc) from exc
    return path
