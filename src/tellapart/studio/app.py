"""`create_studio_app`: Studio as an ASGI app for one folder, and `run_studio`, which runs it on its sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from tellapart.config import ImageLimits
from tellapart.live.live_model import REST_SECONDS
from tellapart.project.project import Project
from tellapart.project.small_copies import BackgroundPass, SmallCopies
from tellapart.studio.events import EventBus
from tellapart.studio.model_routes import make_model_routes
from tellapart.studio.model_side import ModelSide
from tellapart.studio.page_shell import make_shell_routes
from tellapart.studio.project_routes import StudioState, make_copy_routes, make_project_routes
from tellapart.studio.run_routes import make_job_routes, make_run_routes
from tellapart.studio.studio_access import StudioGuard, StudioKeys
from tellapart.web.refusals import answer_errors
from tellapart.web.request_log import RequestLog
from tellapart.web.serve_config import ServeLimits
from tellapart.web.service import NO_TELEMETRY
from tellapart.web.service_metrics import ServiceMetrics

# Photos come from the machine itself or its network; a zip of gigabytes takes its time.
STUDIO_LIMITS = ServeLimits(body_seconds=3600.0)


@dataclass(frozen=True)
class StudioConfig:
    """How Studio runs.

    Attributes:
        keys: what clients must show.
        limits: the largest photo that is read.
        cache_dir: folder of the cache; `None` is the user's own.
        look_seconds: how often the folder is looked at for changes of other programs.
        backbone: what photos are looked at with; `None` leaves it to the training.
        rest_seconds: without a change, after which the model is chosen with cross-validation.
    """

    keys: StudioKeys
    limits: ImageLimits = ImageLimits()
    cache_dir: str | None = None
    look_seconds: float = 2.0
    backbone: str | None = None
    rest_seconds: float = REST_SECONDS


def create_studio_app(folder: Path, config: StudioConfig, log: RequestLog | None = None) -> FastAPI:
    """Studio for a folder as an ASGI app; its threads run while its lifespan does.

    `app.state.studio` is the `StudioState`, `app.state.metrics` counts.

    Args:
        folder: of the project; exists, and its lock is held.
        config: how it runs.
        log: where requests are written; `None` writes none.

    Raises:
        DatasetError: the folder cannot be opened.
        OutputError: nothing can be written into it.
    """
    log = log or RequestLog(None)
    metrics, events = ServiceMetrics(), EventBus()
    project = Project(folder, config.limits)
    copies = SmallCopies(config.limits, config.cache_dir)
    side = ModelSide(project, events, config.cache_dir, config.backbone, config.rest_seconds)
    state = StudioState(project, copies, events, config.keys, side.facts(), side.proposals)
    project.on_change(lambda: events.publish("project", {"revision": project.revision}))
    background = BackgroundPass(project, copies, config.look_seconds, lambda error: log.add("defect", error=error))
    app = FastAPI(
        title="tellapart studio",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lambda app: _lifespan(state, side, background, log),
        telemetry=NO_TELEMETRY,
    )
    app.state.studio, app.state.metrics = state, metrics
    app.include_router(make_project_routes(state))
    app.include_router(make_copy_routes(state))
    app.include_router(make_model_routes(side))
    app.include_router(make_job_routes(side))
    app.include_router(make_run_routes(side))
    app.include_router(make_shell_routes())
    answer_errors(app, metrics, log)
    app.add_middleware(StudioGuard, keys=config.keys, metrics=metrics, log=log)
    return app


@asynccontextmanager
async def _lifespan(
    state: StudioState, side: ModelSide, background: BackgroundPass, log: RequestLog
) -> AsyncIterator[None]:
    log.start()
    background.start()
    side.start()
    try:
        yield
    finally:
        state.events.close()
        await asyncio.to_thread(side.close)
        await asyncio.to_thread(background.close)
        await asyncio.to_thread(state.project.close)
        await asyncio.to_thread(state.copies.close)
        await asyncio.to_thread(log.close)
