"""Who may call Studio: the browser that was given the token, and phones on the same network, which can only add photos.

The token comes in the fragment of the address, which browsers do not send; the page exchanges it for a cookie that
other sites' pages never send. What any page can make a browser ask, as with a form or an image, is refused by its
`Origin` and `Sec-Fetch-Site` as well.
"""

import hmac
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Scope

from tellapart.translation import gettext as _
from tellapart.web.access import OPEN_FOLDER, AccessGuard
from tellapart.web.refusals import RequestError
from tellapart.web.request_log import RequestLog
from tellapart.web.serve_config import ServeConfig
from tellapart.web.service_metrics import ServiceMetrics

PAGE_PATHS = ("/", "/collect", "/check", "/try", "/use", "/train")
SESSION_PATH, PHONE_PAGE = "/api/session", "/phone"
PHONE_PHOTOS, PHONE_CLASSES = "/phone/photos", "/phone/classes"
# A page of another site may lead here by a link, and nowhere else.
_OPEN_PATHS = frozenset({*PAGE_PATHS, SESSION_PATH, PHONE_PAGE})
_PHONE_PATHS = (PHONE_PAGE, PHONE_PHOTOS, PHONE_CLASSES)


@dataclass(frozen=True)
class StudioKeys:
    """The tokens of one Studio.

    Attributes:
        token: of the page.
        phone_token: of phones; `None` where none are let in.
        phone_port: the port that phones call; nothing else is answered there.
        port: the port of the page, which names its cookie: browsers share cookies between ports.
    """

    token: str = field(repr=False)
    phone_token: str | None = field(default=None, repr=False)
    phone_port: int | None = None
    port: int = 0

    @property
    def cookie_name(self) -> str:
        """Of the cookie that holds the token."""
        return f"tellapart-studio-{self.port}"


class StudioGuard(AccessGuard):
    """Lets requests through to Studio, or answers them itself with 4xx.

    Args:
        app: what is guarded.
        keys: what clients must show.
        metrics, log: as for `AccessGuard`.
    """

    def __init__(self, app: ASGIApp, keys: StudioKeys, metrics: ServiceMetrics, log: RequestLog) -> None:
        super().__init__(app, ServeConfig(), metrics, log)
        self._keys = keys

    def check_client(self, scope: Scope, headers: Headers) -> None:
        """Nothing, if the client has shown what it must to ask for the path.

        Raises:
            RequestError: it has not, or a page of another site asks.
        """
        path = scope["path"]
        server = scope.get("server") or ("", None)
        is_phone = self._keys.phone_port is not None and server[1] == self._keys.phone_port
        if is_phone and path not in _PHONE_PATHS and not path.startswith(OPEN_FOLDER):
            raise RequestError(404, _("Only photos can be sent to this address."), reason="phone")
        is_open = path in _OPEN_PATHS or path.startswith(OPEN_FOLDER)
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_open:
            raise RequestError(403, _("Pages of other sites may not call Studio."), reason="origin")
        if is_open:
            return
        if path in _PHONE_PATHS:
            self._check_phone(headers)
        elif not _is_equal(self._given(headers), self._keys.token):
            message = _("This page is not open any more. Open the address that `tellapart studio` printed.")
            raise RequestError(401, message, reason="token")

    def _check_phone(self, headers: Headers) -> None:
        token = self._keys.phone_token
        if token is None or not _is_equal(headers.get("authorization", "").removeprefix("Bearer "), token):
            raise RequestError(401, _("Scan the code on the computer's screen again."), reason="token")

    def _given(self, headers: Headers) -> str:
        return cookie_parser(headers.get("cookie", "")).get(self._keys.cookie_name, "")


def is_token(given: object, keys: StudioKeys) -> bool:
    """Whether a page has given the token."""
    return isinstance(given, str) and _is_equal(given, keys.token)


def _is_equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
