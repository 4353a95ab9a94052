"""What happens, told to every open page as server-sent events; a page that comes back is told what it has missed.

Only the newest event of each kind counts, because each says that something is to be asked for again or holds the whole
state. So nothing grows, however long a page stays away.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

_HEARTBEAT_SECONDS = 15.0


@dataclass(frozen=True)
class StudioEvent:
    """Something that has happened.

    Attributes:
        number: rising, over restarts too.
        kind: `project`, `model`, `job` or `check`.
        data: what the page is told; JSON.
    """

    number: int
    kind: str
    data: dict[str, Any]

    def to_bytes(self) -> bytes:
        """The event as it is sent."""
        return f"id: {self.number}\nevent: {self.kind}\ndata: {json.dumps(self.data)}\n\n".encode()


class EventBus:
    """Takes events from any thread, and gives them to whoever listens in the loop."""

    def __init__(self) -> None:
        # Milliseconds: an earlier process has given smaller numbers, unless it had a thousand changes a second.
        self._number = int(time.time() * 1000)
        self._lock = threading.Lock()
        self._newest: dict[str, StudioEvent] = {}
        self._listeners: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self.is_closed = False

    def publish(self, kind: str, data: dict[str, Any], key: str = "") -> None:
        """Nothing; every listener is told.

        Args:
            kind, data: as in `StudioEvent`.
            key: events of one kind with different keys do not replace each other, such as those of two jobs.
        """
        with self._lock:
            self._number += 1
            name = f"{kind} {key}"
            self._newest.pop(name, None)
            self._newest[name] = StudioEvent(self._number, kind, data)
        self._wake()

    def close(self) -> None:
        """Nothing; all listeners end."""
        self.is_closed = True
        self._wake()

    async def listen(self, last: int | None) -> AsyncIterator[bytes]:
        """The events after the number `last`, then each as it happens, and a line now and then that keeps it open."""
        flag = asyncio.Event()
        self._listeners[flag] = asyncio.get_running_loop()
        seen = self._number if last is None else last
        try:
            yield b": open\n\n"
            while not self.is_closed:
                flag.clear()
                for event in self._after(seen):
                    seen = event.number
                    yield event.to_bytes()
                try:
                    await asyncio.wait_for(flag.wait(), _HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            del self._listeners[flag]

    def _after(self, number: int) -> list[StudioEvent]:
        with self._lock:
            return sorted((e for e in self._newest.values() if e.number > number), key=lambda event: event.number)

    def _wake(self) -> None:
        for flag, loop in list(self._listeners.items()):
            try:
                loop.call_soon_threadsafe(flag.set)
            except RuntimeError:  # the loop has ended
                continue
