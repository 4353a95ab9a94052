"""A process of our own that outlives Studio: started once, found again after Studio was killed, stopped.

A lock in its folder, which it inherits and holds until it ends, says that it runs: no number of a process that may be
another's by now, and no second process of the same task.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tellapart.errors import OutputError
from tellapart.store import output_error
from tellapart.translation import gettext as _

if sys.platform != "win32":
    import fcntl

_LOCK_NAME, _OUTPUT_NAME = "process.lock", "output.txt"
_MOST_OUTPUT_BYTES = 64 * 1024
# Below this a file of a few lines may still be written, and nothing else.
_FULL_BYTES = 16 * 1024**2
# How much later in turn than Studio itself, so that its page stays quick.
_NICE = 5

# Processes that run are let go by nobody but the system, which wants to be asked how they have ended.
_started: list[subprocess.Popen[bytes]] = []


class DetachedProcess:
    """The process of one task; may be used from several threads.

    Args:
        folder: of the task alone; made when the process is started.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()

    def start(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> bool:
        """Whether a process of the command was started: it is not where one runs already.

        Args:
            command: the program and its arguments.
            variables: of the environment, beside those of this process.

        Raises:
            OutputError: the folder cannot be written.
        """
        with self._guard:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = self._take_lock()
                if lock is None:
                    return False
                try:
                    with open(self.folder / _OUTPUT_NAME, "wb") as output:
                        self._process = subprocess.Popen(
                            command,
                            stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL,
                            stderr=output,
                            env={**os.environ, **(variables or {})},
                            start_new_session=True,
                            pass_fds=() if sys.platform == "win32" else (lock,),
                        )
                    _started[:] = [*(one for one in _started if one.poll() is None), self._process]
                    os.ftruncate(lock, 0)
                    os.lseek(lock, 0, os.SEEK_SET)
                    os.write(lock, str(self._process.pid).encode())
                finally:
                    os.close(lock)
            except OSError as exc:
                raise output_error(self.folder, exc) from exc
            if sys.platform != "win32":
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)
            return True

    def is_running(self) -> bool:
        """Whether the process, of this Studio or of an earlier one, has not ended yet."""
        with self._guard:
            if self._process is not None:
                if self._process.poll() is None:
                    return True
                self._process = None
            if not (self.folder / _LOCK_NAME).exists():
                return False
            if sys.platform == "win32":
                return _is_alive(self._pid())
            try:
                lock = self._take_lock()
            except OSError:
                return False
            if lock is None:
                return True
            os.close(lock)
            return False

    def stop(self, number: int = signal.SIGTERM) -> bool:
        """Whether there was a process, which now has the signal."""
        if not self.is_running() or (pid := self._pid()) is None:
            return False
        with suppress(OSError):
            os.kill(pid, number)
        return True

    def end(self, seconds: float) -> None:
        """Nothing; the process has ended: by SIGTERM, or after so many seconds by SIGKILL."""
        if self.stop() and not self.wait(seconds):
            self.kill(seconds)

    def kill(self, seconds: float) -> None:
        """Nothing; the process has ended at once, which loses nothing: every file is whole at any moment."""
        if self.stop(getattr(signal, "SIGKILL", signal.SIGTERM)):
            self.wait(seconds)

    def wait(self, seconds: float) -> bool:
        """Whether the process ends, or has ended, within so many seconds."""
        waiting = threading.Event()
        for _turn in range(max(1, round(seconds / 0.02))):
            if not self.is_running():
                return True
            waiting.wait(0.02)
        return not self.is_running()

    def output(self) -> str:
        """The beginning of what the process has printed to stderr."""
        try:
            with open(self.folder / _OUTPUT_NAME, "rb") as file:
                return file.read(_MOST_OUTPUT_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""

    def _take_lock(self) -> int | None:
        """The open file of the lock, which nobody else has; `None` where the process has it."""
        lock = os.open(self.folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
        if sys.platform != "win32":
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return None
            except OSError:  # a disk without locks
                pid = self._pid()
                if _is_alive(pid):
                    os.close(lock)
                    return None
        return lock

    def _pid(self) -> int | None:
        if self._process is not None:
            return self._process.pid
        try:
            return int((self.folder / _LOCK_NAME).read_bytes() or b"0") or None
        except (OSError, ValueError):
            return None


def tellapart_command(command: str, argument: str, **settings: object) -> list[str]:
    """The command line of this installation.

    Args:
        command: such as `train`.
        argument: what it is about.
        settings: by their Python names; `None` is left out, and `True` turns something on.
    """
    line = [sys.executable, "-m", "tellapart", command, argument]
    for name, value in settings.items():
        if value is not None:
            line += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return line


def describe_end(folder: Path) -> str:
    """Why a process may have ended without a word: a full disk, or something from outside."""
    with suppress(OSError):
        if shutil.disk_usage(folder).free < _FULL_BYTES:
            return _("The disk is full. Free some space, then try again.")
    return _("The process ended early. Try again.")


def remove_folder(folder: Path) -> None:
    """Nothing; the folder is gone.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise OutputError(
            _("{path!r} cannot be removed: {reason}.").format(path=str(folder), reason=exc.strerror or exc), path=folder
        ) from exc


def _is_alive(pid: int | None) -> bool:
    """Whether there is a process of that number."""
    if pid is None:
        return False
    if sys.platform == "win32":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
