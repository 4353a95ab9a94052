"""What goes wrong with a request, as the status and the one line of JSON that the client gets."""

from dataclasses import dataclass

from fastapi.responses import JSONResponse

from tellapart.errors import BundleError, ConfigError, DatasetError, ImageError, is_out_of_memory
from tellapart.formats.photo_formats import sniff_format
from tellapart.translation import gettext as _


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
    if isinstance(exc, BundleError):
        return RequestError(500, str(exc), reason="model")
    if is_out_of_memory(exc):
        return RequestError(503, _("There is not enough memory for this photo now."), 5, reason="memory")
    return None
