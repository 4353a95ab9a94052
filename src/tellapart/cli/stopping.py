"""How a command ends when it is stopped: Ctrl-C, SIGTERM and SIGHUP say the same word and leave the same state.

The first signal raises `KeyboardInterrupt`, whichever it is, so that files are closed, progress bars cleared and what
was trained is kept. A second one ends the process at once, with nothing but the word: every file is whole at any
moment. A signal that was ignored at the start, as SIGHUP is by nohup, stays ignored. Nothing here is loaded when
tellapart is used from Python.
"""

import atexit
import contextlib
import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from tellapart.translation import gettext as _

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
# What wraps a command, such as make, may hand on a Ctrl-C that the command has already had.
_ONE_PRESS_SECONDS = 0.5
_SHOW_CURSOR = "\x1b[?25h"


class _State:
    """What has happened to this process: the first signal and when, and the exit code once that is certain."""

    is_heeded = False
    first: int | None = None
    first_at = 0.0
    final_code: int | None = None
    on_first: Callable[[], object] | None = None


def stop_line() -> str:
    """What a command that was stopped says."""
    return f"tellapart: {_('stopped.')}"


def exit_code() -> int:
    """128 and the number of the signal that has stopped the command."""
    return 128 + (_State.first or signal.SIGINT)


@contextmanager
def signals_heeded(is_last: bool = False) -> Iterator[None]:
    """Signals stop the command while the block runs; a block within another changes nothing.

    Args:
        is_last: the process ends after the block, and what was set stays until then.
    """
    if _State.is_heeded:
        yield
        return
    earlier = {number: signal.getsignal(number) for number in _SIGNALS}
    hook, _State.is_heeded, _State.first = sys.unraisablehook, True, None
    _State.on_first = None
    sys.unraisablehook = _on_unraisable
    for number, handler in earlier.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    try:
        yield
    finally:
        if not is_last:
            _State.is_heeded, sys.unraisablehook = False, hook
            for number, handler in earlier.items():
                signal.signal(number, handler)


def stop_calls(function: Callable[[], object]) -> None:
    """Nothing; the first signal calls this from now on, for a command that finishes what it is at before it ends."""
    _State.on_first = function


def is_stopped() -> bool:
    """Whether a signal has stopped the command."""
    return _State.first is not None


def end_with(code: int) -> NoReturn:
    """Ends the process with this code, whatever signal still comes.

    Python's own way out gives signals back to the system while it closes down, and ends with a bare SIGINT where
    Ctrl-C came within `exec`, as of a dataclass that was being made, though it was looked after (3.11 to 3.13).
    """
    _flush()
    _State.final_code = code
    if not is_stopped():
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as Python does
    atexit._run_exitfuncs()
    _flush()
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # who reads it has gone
            stream.flush()


def _on_signal(number: int, frame: Any) -> None:
    if _State.final_code is not None:
        os._exit(_State.final_code)
    if _State.first is None:
        _State.first, _State.first_at = number, time.monotonic()
        _leave_lost_terminal()
        if _State.on_first is not None:
            _State.on_first()
            return
        raise KeyboardInterrupt
    if time.monotonic() - _State.first_at >= _ONE_PRESS_SECONDS:
        with contextlib.suppress(OSError):
            is_terminal = os.isatty(2)
            os.write(2, f"{_SHOW_CURSOR if is_terminal else ''}{stop_line()}{os.linesep}".encode())
        os._exit(exit_code())


def _on_unraisable(unraisable: Any) -> None:
    """A stop that came while Python was in a place that cannot raise comes again a moment later."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt) and _State.first is not None:
        number, _State.first = _State.first, None
        timer = threading.Timer(0.05, signal.raise_signal, [number])
        timer.daemon = True
        timer.start()
        return
    sys.__unraisablehook__(unraisable)


def _leave_lost_terminal() -> None:
    """Writing to a terminal that was closed, which is what SIGHUP tells of, fails; from now on it goes nowhere."""
    if not hasattr(select, "poll"):
        return
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            poll = select.poll()
            poll.register(descriptor, 0)
            lost = any(
                event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _descriptor, event in poll.poll(0)
            )
            if lost and stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
