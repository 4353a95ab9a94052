"""Keeping a library's Python warnings off the user's screen while it works for us, and only then."""

import threading
import warnings
from typing import Any


class QuietModules:
    """A context in which warnings from some modules are not shown, for any number of threads at once.

    `warnings.catch_warnings` changes the whole process, so the first thread enters it, the last one leaves it, and the
    filter names the modules: the warnings of others are shown as ever.

    Args:
        pattern: regular expression for the beginning of the names of the modules that warn.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._lock = threading.Lock()
        self._num_inside = 0
        self._caught: warnings.catch_warnings[Any] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._num_inside == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=self._pattern)
            self._num_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._num_inside -= 1
            if self._num_inside == 0 and self._caught is not None:
                self._caught.__exit__(None, None, None)
                self._caught = None
