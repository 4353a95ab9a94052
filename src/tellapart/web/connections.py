"""uvicorn's protocol with what it lacks: deadlines for head, body and answer, and a cap on connections.

A middleware comes too late for this: uvicorn calls the app once the head of a request is whole, and a client may never
finish it. When there are too many connections, the one that has made the server wait longest makes room, so that an
honest client gets in while thousands of slow ones stay.
"""

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from tellapart.translation import gettext as _
from tellapart.web.serve_config import ServeLimits
from tellapart.web.service_metrics import ServiceMetrics

# For what is still to be sent when a connection is closed.
_CLOSE_SECONDS = 2.0


class LimitedProtocol(H11Protocol):
    """A connection that is closed when its client is too slow.

    Attributes:
        limits: of all connections.
        metrics: where closed connections are counted.
        waiting: the connections that wait for their client, the longest first.
    """

    limits: ServeLimits
    metrics: ServiceMetrics
    waiting: "dict[LimitedProtocol, None]"

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._num_unwanted = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Nothing; the connection is open, and its client has so long to send the head of a request."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            slowest = next(iter(self.waiting), None)
            if slowest is None:  # all are being answered
                self._refuse(503, _("The server has too many connections. Try again in 1 s."), "connections")
                return
            slowest._refuse(503, _("The server has too many connections. Try again in 1 s."), "connections")
        self._wait_for_client(self.limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing; the connection is forgotten."""
        self._stop_waiting()
        if self._write_deadline is not None:
            self._write_deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Nothing; what has arrived is handled, and the deadline is that of what is to come."""
        if self.transport.is_closing():
            return
        earlier = self.cycle
        if self.conn.our_state is h11.DONE:  # a body that was refused is still arriving
            self._num_unwanted += len(data)
            if self._num_unwanted > self.limits.max_bytes:
                self.transport.abort()
                return
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.cycle is not earlier:
            self._num_unwanted = 0
            self._wait_for_client(self.limits.body_seconds)
        elif self._deadline is None and self.conn.their_state is h11.IDLE:
            self._wait_for_client(self.limits.header_seconds)  # the next request has begun
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop_waiting()

    def eof_received(self) -> None:
        """Nothing; a client that ends its side in the middle of a request is told so."""
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._refuse(400, _("The request was cut off: its body is shorter than its head says."), "cut off")

    def on_response_complete(self) -> None:
        """Nothing; the connection waits for the next request."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._stop_waiting()
            self.waiting[self] = None  # idle; uvicorn's own timer closes it

    def send_400_response(self, msg: str) -> None:
        """Nothing; what is no HTTP is answered with one line of JSON."""
        self._refuse(400, _("This is not a request of HTTP/1.1."), "no http")

    def pause_writing(self) -> None:
        """Nothing; the client has so long to take what was sent."""
        super().pause_writing()
        self._write_deadline = self.loop.call_later(self.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Nothing; the client has taken it."""
        super().resume_writing()
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None

    def _wait_for_client(self, seconds: float) -> None:
        self._stop_waiting()
        self.waiting[self] = None
        self._deadline = self.loop.call_later(seconds, self._on_deadline)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        self._refuse(408, _("The request took too long to arrive."), "slow")

    def _refuse(self, status: int, message: str, reason: str) -> None:
        """Nothing; the client is told why, where it can be told anything, and the connection is closed."""
        self._stop_waiting()
        self.metrics.refused.labels(reason).inc()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the app, which may wait for the body, gives up
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": message}).encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
                *([("retry-after", "1")] if status == 503 else []),
            ]
            for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)


def limited_protocol(limits: ServeLimits, metrics: ServiceMetrics) -> type[LimitedProtocol]:
    """The protocol of one server, as uvicorn takes it."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": limits, "metrics": metrics, "waiting": {}})
