"""Who may call: the hosts, pages and tokens that are let in, before anything of a request is read.

Names are checked because a page on the web can give its own name the address of this machine (DNS rebinding), and
origins because a browser sends a form to any address. One plain ASGI class; it also logs and counts each request.
"""

import hmac
import ipaddress
import time
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tellapart.translation import gettext as _
from tellapart.web.refusals import RequestError
from tellapart.web.request_log import RequestLog
from tellapart.web.serve_config import ServeConfig
from tellapart.web.service_metrics import ServiceMetrics

# What says nothing of the models: whether the server is well, and the pages that ask for the token themselves.
_OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/v2/health/live", "/v2/health/ready"})
OPEN_FOLDER = "/static/"
_POLICY = "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_SECURITY_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class AccessGuard:
    """Lets requests through to the app, or answers them itself with 4xx.

    Answers get the headers of security that they do not state themselves.

    Args:
        app: what is guarded.
        config: whom to let in.
        metrics: where each request is counted.
        log: where each request is written.
    """

    def __init__(self, app: ASGIApp, config: ServeConfig, metrics: ServiceMetrics, log: RequestLog) -> None:
        self._app = app
        self._token = None if config.token is None else f"Bearer {config.token}".encode()
        self._hosts = {"localhost", *(name.lower() for name in config.allow_hosts)}
        self._origins = set(config.allow_origins)
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Nothing; the request is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 499  # the client left before its answer, as nginx writes it

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                stated = {name.lower() for name, _value in headers}
                message["headers"] = [*headers, *(one for one in _SECURITY_HEADERS if one[0] not in stated)]
            await send(message)

        try:
            self._check(scope)
        except RequestError as exc:
            self._metrics.refused.labels(exc.reason).inc()
            await exc.response()(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)
        self._note(scope, status, time.perf_counter() - begun)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_known(host):
            message = _("The host {host!r} is not known. Start the server with `allow_host`, or call it by its number.")
            raise RequestError(421, message.format(host=host[:64]), reason="host")
        origin = headers.get("origin")
        is_own = origin is None or urlsplit(origin).netloc == host or origin in self._origins
        if not is_own and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            message = _("Pages of {origin!r} may not call this server. Start it with `allow_origin` to let them.")
            raise RequestError(403, message.format(origin=str(origin)[:64]), reason="origin")
        self.check_client(scope, headers)

    def check_client(self, scope: Scope, headers: Headers) -> None:
        """Nothing, if the client has shown what it must to ask for the path; the host and the origin are let in.

        Raises:
            RequestError: it has not.
        """
        if self._token is None or scope["path"] in _OPEN_PATHS or scope["path"].startswith(OPEN_FOLDER):
            return
        origin = headers.get("origin")
        if scope["method"] == "OPTIONS" and origin in self._origins:
            return  # what a browser asks before it sends the token
        given = headers.get("authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, self._token):
            raise RequestError(401, _("Send the token of the server as `Authorization: Bearer TOKEN`."), reason="token")

    def _is_known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _note(self, scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        client = scope.get("client")
        self._log.add(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round(seconds * 1000, 1),
            client=client[0] if client else None,
        )
