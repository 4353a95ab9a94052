"""`create_app`: the service as an ASGI app, with its routes. Running it is `web/server.py`'s."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware.cors import CORSMiddleware

from tellapart.photos.loading import num_cores
from tellapart.web.access import AccessGuard
from tellapart.web.inference_protocol import make_protocol_routes
from tellapart.web.page_routes import make_page_routes
from tellapart.web.predict_routes import make_predict_routes
from tellapart.web.prediction_queue import PredictionQueue
from tellapart.web.refusals import answer_errors
from tellapart.web.request_body import BodyReader
from tellapart.web.request_log import RequestLog
from tellapart.web.serve_config import ServeConfig, ServeLimits
from tellapart.web.served_models import ServedModels
from tellapart.web.service_metrics import ServiceMetrics
from tellapart.web.service_state import ServiceState

# FastAPI can report to OpenTelemetry; an environment variable must not turn that on.
NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)


def create_app(
    models: Mapping[str, str | Path],
    limits: ServeLimits = ServeLimits(),
    config: ServeConfig = ServeConfig(),
    log: RequestLog | None = None,
) -> FastAPI:
    """The service as an ASGI app; its threads run while its lifespan does.

    Args:
        models: name to the folder that training made; at least one.
        limits: what clients may take.
        config: whom it answers, and when its models may answer.
        log: where requests are written; `None` writes none.

    Raises:
        TellapartError: a model cannot be loaded, or cannot keep the rates of `config`.
    """
    from importlib.metadata import version

    state = _open(models, limits, config, log or RequestLog(None))
    app = FastAPI(
        title="tellapart",
        version=version("tellapart"),
        docs_url=None,
        redoc_url=None,
        lifespan=lambda app: _lifespan(state),
        telemetry=NO_TELEMETRY,
    )
    app.state.service = state
    app.include_router(make_predict_routes(state))
    app.include_router(make_protocol_routes(state, app.version))
    app.include_router(make_page_routes(app, state))
    answer_errors(app, state.metrics, state.log)
    if config.allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.allow_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "inference-header-content-length"],
            expose_headers=["retry-after", "inference-header-content-length"],
        )
    app.add_middleware(AccessGuard, config=config, metrics=state.metrics, log=state.log)
    return app


def _open(folders: Mapping[str, str | Path], limits: ServeLimits, config: ServeConfig, log: RequestLog) -> ServiceState:
    metrics = ServiceMetrics()

    def on_event(event: str, details: Mapping[str, object]) -> None:
        log.add(event, **details)
        metrics.takeovers.labels(details["model"], event.removeprefix("model ")).inc()

    models = ServedModels({name: Path(folder) for name, folder in folders.items()}, config, on_event)
    slowest = max(served.seconds for served in models)
    queue = PredictionQueue(num_cores(), limits.max_wait_ms, slowest, metrics.count_job)
    bodies = BodyReader(limits.max_bytes, limits.max_buffered_bytes)
    metrics.add_gauges(
        [
            ("tellapart_waiting", "Photos that wait for a worker.", lambda: queue.num_waiting),
            ("tellapart_running", "Photos that are worked on.", lambda: queue.num_running),
            ("tellapart_expected_wait_seconds", "Of a photo sent now.", queue.expected_wait_seconds),
            ("tellapart_buffered_bytes", "Of uploads that are held.", lambda: bodies.num_buffered_bytes),
            ("tellapart_log_lines_lost", "Lines of the log that could not be written.", lambda: log.num_lost),
        ]
    )
    return ServiceState(models, queue, bodies, limits, metrics, log)


@asynccontextmanager
async def _lifespan(state: ServiceState) -> AsyncIterator[None]:
    state.log.start()
    state.queue.start()
    state.models.watch()
    for served in state.models:
        state.log.add("model loaded", model=served.name, version=served.version)
    try:
        yield
    finally:
        await asyncio.to_thread(state.models.close)
        await asyncio.to_thread(state.queue.close)
        await asyncio.to_thread(state.log.close)
