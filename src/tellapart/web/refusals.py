"""What goes wrong with a request, as the status and the one line of JSON that the client gets."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tellapart.errors import (
    BundleError,
    ConfigError,
    DatasetError,
    ImageError,
    OutputError,
    TellapartError,
    is_out_of_memory,
)
from tellapart.formats.photo_formats import sniff_format
from tellapart.translation import gettext as _
from tellapart.web.request_log import RequestLog
from tellapart.web.service_metrics import ServiceMetrics


@dataclass
class RequestError(Exception):
    """A request that is not answered.

    Attributes:
        status: of HTTP.
        message: what was wrong, and what to send instead.
        retry_seconds: after which the client may try again; `None` where that does not help.
        reason: the kind, for counting.
    """

    status: int
    message: str
    retry_seconds: int | None = None
    reason: str = "bad request"

    def response(self) -> JSONResponse:
        """The answer to send."""
        headers = {} if self.retry_seconds is None else {"Retry-After": str(self.retry_seconds)}
        return JSONResponse({"error": " ".join(self.message.split())}, self.status, headers)


def too_large(max_bytes: int) -> RequestError:
    """The refusal of a body beyond the limit."""
    message = _("The request is too large: at most {most:,} bytes are read. Send a smaller photo.")
    return RequestError(413, message.format(most=max_bytes), reason="too large")


def photo_error(exc: ImageError, data: bytes) -> RequestError:
    """The refusal of a photo that cannot be read, with the reason that `tellapart predict` gives."""
    message = _("The photo {reason}.").format(reason=str(exc).rstrip("."))
    if not data:
        return RequestError(400, message, reason="photo")
    return RequestError(415 if sniff_format(data[:64]) is None else 422, message, reason="photo")


def as_request_error(exc: Exception) -> RequestError | None:
    """The refusal for an error of the rest of tellapart; `None` for a defect."""
    if isinstance(exc, RequestError):
        return exc
    if isinstance(exc, (ConfigError, DatasetError)):
        return RequestError(400, str(exc))
    if isinstance(exc, OutputError):
        return RequestError(507, str(exc), reason="disk")
    if isinstance(exc, BundleError):
        return RequestError(500, str(exc), reason="model")
    if is_out_of_memory(exc):
        return RequestError(503, _("There is not enough memory for this photo now."), 5, reason="memory")
    return None


def answer_errors(app: FastAPI, metrics: ServiceMetrics, log: RequestLog) -> None:
    """Nothing; every error of the app is a line of JSON with a status."""

    def refuse(error: RequestError) -> Response:
        metrics.refused.labels(error.reason).inc()
        return error.response()

    async def on_known(request: Request, exc: Exception) -> Response:
        error = as_request_error(exc)
        if error is not None:
            return refuse(error)
        log.add("defect", path=request.url.path, error=f"{type(exc).__name__}: {' '.join(str(exc).split())}")
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
