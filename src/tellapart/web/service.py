"""`create_app`: the service as an ASGI app, with its routes. Running it is `web/server.py`'s."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from tellapart.errors import TellapartError
from tellapart.photos.loading import num_cores
from tellapart.translation import gettext as _
from tellapart.web.access import AccessGuard
from tellapart.web.inference_protocol import make_protocol_routes
from tellapart.web.page_routes import make_page_routes
from tellapart.web.predict_routes import make_predict_routes
from tellapart.web.prediction_queue import PredictionQueue
from tellapart.web.refusals import RequestError, as_request_error
from tellapart.web.request_body import BodyReader
from tellapart.web.request_log import RequestLog
from tellapart.web.serve_config import ServeConfig, ServeLimits
from tellapart.web.served_models import ServedModels
from tellapart.web.service_metrics import ServiceMetrics
from tellapart.web.service_state import ServiceState

# FastAPI can report to OpenTelemetry; an environment variable must not turn that on.
_NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)


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
        telemetry=_NO_TELEMETRY,
    )
    app.state.service = state
    app.include_router(make_predict_routes(state))
    app.include_router(make_protocol_routes(state, app.version))
    app.include_router(make_page_routes(app, state))
    _answer_errors(app, state)
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


def _answer_errors(app: FastAPI, state: ServiceState) -> None:
    """Nothing; every error of the app is a line of JSON with a status."""

    def refuse(error: RequestError) -> Response:
        state.metrics.refused.labels(error.reason).inc()
        return error.response()

    async def on_known(request: Request, exc: Exception) -> Response:
        error = as_request_error(exc)
        if error is not None:
            return refuse(error)
        state.log.add("defect", path=request.url.path, error=f"{type(exc).__name__}: {' '.join(str(exc).split())}")
        return refuse(RequestError(500, _("This is a defect of tellapart, not of your photo."), reason="defect"))

    async def on_parameter(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, RequestValidationError)
        first = exc.errors()[0]
        message = _("`{name}` is wrong: {reason}.")
        reason = str(first["msg"])
        return refuse(RequestError(400, message.format(name=first["loc"][-1], reason=reason[:1].lower() + reason[1:])))

    async def on_http(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        messages = {404: _("There is nothing at {path!r}."), 405: _("{path!r} does not take {method}.")}
        message = messages.get(exc.status_code, "{detail}")
        shown = message.format(path=request.url.path[:64], method=request.method, detail=exc.detail)
        response = refuse(RequestError(exc.status_code, shown))
        response.headers.update(exc.headers or {})
        return response

    async def on_leave(request: Request, exc: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it

    handlers: dict[type[Exception], Callable[[Request, Exception], Coroutine[Any, Any, Response]]] = {
        RequestError: on_known,
        TellapartError: on_known,
        MemoryError: on_known,
        Exception: on_known,
        RequestValidationError: on_parameter,
        HTTPException: on_http,
        ClientDisconnect: on_leave,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
