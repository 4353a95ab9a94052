"""What happens, as a line of JSON each, written by a thread of its own: no request waits for a disk or a pipe.

Lines that cannot be written, as on a full disk, are counted and lost; the service goes on.
"""

import json
import logging
import queue
import threading
import time
from typing import BinaryIO

_MOST_WAITING = 10_000


class RequestLog:
    """Takes events from any thread, and writes them in order.

    Args:
        stream: where the lines go; `None` writes none.

    Attributes:
        num_lost: lines that could not be written.
    """

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream
        self._lines: queue.Queue[bytes | None] = queue.Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None
        self.num_lost = 0

    def start(self) -> None:
        """Nothing; from now on lines are written."""
        if self._stream is not None:
            self._thread = threading.Thread(target=self._write, name="log", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Nothing; what was taken is written, where that takes less than a second."""
        if self._thread is None:
            return
        try:
            self._lines.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(timeout=1)
        self._thread = None

    def add(self, event: str, **details: object) -> None:
        """Nothing; a line with the time, the event and the details is written when it is its turn."""
        if self._stream is None:
            return
        now = time.time()
        moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
        line = json.dumps({"time": moment, "event": event, **details}).encode() + b"\n"
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.num_lost += 1

    def _write(self) -> None:
        assert self._stream is not None
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line)
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # full, or who reads it has gone
                self.num_lost += 1


class LogHandler(logging.Handler):
    """Passes what libraries log on to a `RequestLog`, errors with the last line of their traceback."""

    def __init__(self, log: RequestLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Nothing; the record is a line of the log."""
        error = record.exc_info[1] if record.exc_info else None
        details = {} if error is None else {"error": f"{type(error).__name__}: {error}"}
        message = " ".join(record.getMessage().split())
        self._log.add("library", level=record.levelname.lower(), name=record.name, message=message, **details)
