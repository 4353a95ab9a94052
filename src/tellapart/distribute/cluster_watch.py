"""Whether a Ray cluster still answers, asked while a job waits for it.

When the head of a cluster is gone, Ray's own code waits a minute and ends the process without a word. A thread asks
before that, and interrupts the main thread by a signal, which raises an error with the reason.
"""

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

from tellapart.translation import gettext as _

# A head that is busy, or starts again, is given half a minute; Ray gives it one.
_SECONDS_BETWEEN, _SECONDS_TO_ANSWER, _MOST_FAILURES = 5.0, 5.0, 4


class ClusterGoneError(ConnectionError):
    """The head of the cluster does not answer any more."""


def answers(address: str, seconds: float) -> str | None:
    """`None` if something listens at `HOST:PORT`, else the reason why not.

    Args:
        address: of the head.
        seconds: to wait.
    """
    host, _colon, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), seconds).close()
    except (OSError, ValueError, OverflowError) as exc:
        return str(getattr(exc, "strerror", None) or exc)
    return None


@contextlib.contextmanager
def cluster_watched(address: str, seconds_between: float = _SECONDS_BETWEEN) -> Iterator[None]:
    """The block runs as long as the cluster answers; outside the main thread nothing is watched.

    Args:
        address: of the head, `HOST:PORT`.
        seconds_between: two questions.

    Raises:
        ClusterGoneError: it has not answered for four questions.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_done, is_gone = threading.Event(), threading.Event()
    earlier = signal.getsignal(signal.SIGINT)

    def watch() -> None:
        num_failures = 0
        while num_failures < _MOST_FAILURES:
            if is_done.wait(seconds_between):
                return
            num_failures = 0 if answers(address, _SECONDS_TO_ANSWER) is None else num_failures + 1
        is_gone.set()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if is_gone.is_set():
            raise ClusterGoneError(_("no answer from {address}").format(address=address))
        if callable(earlier):
            earlier(number, frame)
        elif earlier is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    signal.signal(signal.SIGINT, on_signal)
    thread = threading.Thread(target=watch, name="cluster-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()
        signal.signal(signal.SIGINT, earlier)
