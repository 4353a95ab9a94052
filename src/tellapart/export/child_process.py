"""A converter or a runner in a process of its own, with a time limit; what becomes of it is told in one line.

A library that crashes, hangs or prints does so there. The process reads and writes one working folder.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tellapart.errors import BundleError, DependencyError, ExportError, TellapartError
from tellapart.export.target import Target
from tellapart.store import output_error
from tellapart.translation import current_language
from tellapart.translation import gettext as _
from tellapart.untrusted import read_json, text_of, whole_of

Step = Literal["convert", "run"]
FAILURE_NAME, LOG_NAME = "failure.json", "log.txt"
# The exit code of a process that could not even write why it failed.
DISK_FULL_CODE = 74
# Converters take seconds, int8 calibration a minute.
TIME_LIMIT_SECONDS = 600.0
_MODULE = f"{__name__.rpartition('.')[0]}.converter_process"
_LOG_BYTES = 64 * 1024
_LONGEST_LINE = 300
# Libraries have many words for a full disk.
_LEAST_FREE_BYTES = 64 * 1024


def run_apart(step: Step, target: Target, work_dir: Path, shown: Path, seconds: float | None = None) -> None:
    """Nothing; the step was done in another process.

    Args:
        step: to convert the bundle in the working folder, or to run the export there on its photos.
        target: whose converter and runner are used.
        work_dir: the working folder, as `converter_process.py` has it.
        shown: where the export will be, for messages.
        seconds: after so many it is ended; `None` takes `TIME_LIMIT_SECONDS`.

    Raises:
        ExportError: it failed, crashed or took too long.
        OutputError: the disk is full.
    """
    command = [sys.executable, "-m", _MODULE, step, target.name, str(work_dir)]
    run_command(command, target, work_dir, shown, seconds)


def run_command(command: list[str], target: Target, work_dir: Path, shown: Path, seconds: float | None = None) -> str:
    """What the command has printed; it runs in the working folder.

    Raises:
        ExportError: it failed, crashed or took too long.
        OutputError: the disk is full.
    """
    limit = TIME_LIMIT_SECONDS if seconds is None else seconds
    log_path = work_dir / LOG_NAME
    try:
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=work_dir,
                env=_environment(target.environment, work_dir),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired as exc:
                raise ExportError(
                    _("exporting to {target} took longer than {seconds:g} seconds and was stopped. Try again.").format(
                        target=target.name, seconds=limit
                    ),
                    target=target.name,
                ) from exc
            finally:
                _end(process)
    except OSError as exc:
        if isinstance(exc, TellapartError):
            raise
        raise output_error(shown, exc) from exc
    if code != 0:
        raise explain(target, work_dir, shown, code)
    return _read_log(log_path)


def _environment(of_target: Mapping[str, str], work_dir: Path) -> dict[str, str]:
    """The variables of this process, with those of the target, the same modules, and temporary files that go away."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    shared = {"PYTHONPATH": path, "LANGUAGE": current_language(), "ORT_DISABLE_TELEMETRY": "1", "PYTHONUTF8": "1"}
    return {**os.environ, **shared, "TMPDIR": str(work_dir), "TEMP": str(work_dir), **of_target}


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Nothing; the process and those that it has started are over."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # over already
    elif process.poll() is None:
        process.kill()
    process.wait()


def explain(target: Target, work_dir: Path, shown: Path, code: int) -> TellapartError:
    """Why a process has ended with this code; arguments as for `run_command`."""
    try:
        failure = read_json(work_dir / FAILURE_NAME)
        kind, said, number = text_of(failure["kind"]), text_of(failure["message"]), whole_of(failure["errno"])
    except (KeyError, OSError, TypeError, ValueError):
        kind, said, number = "", _last_line(work_dir / LOG_NAME), 0
    if code == DISK_FULL_CODE or shutil.disk_usage(work_dir).free < _LEAST_FREE_BYTES:
        number = errno.ENOSPC
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return output_error(shown, OSError(number, os.strerror(number)))
    own = {error.__name__: error for error in (BundleError, DependencyError, ExportError)}
    if kind in own:
        return own[kind](said)
    if code < 0 or code > 128:
        said = _("its process was ended by signal {number}").format(number=-code if code < 0 else code - 128)
        if code == -getattr(signal, "SIGKILL", 9):
            said = _("its process was ended from outside, often for want of memory")
    return ExportError(
        _("exporting to {target} failed: {reason}. Nothing was written.").format(
            target=target.name, reason=_shorten(said) or _("its process ended with code {code}").format(code=code)
        ),
        target=target.name,
    )


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in _read_log(path).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _read_log(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _shorten(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 3]}..."


def run_example(script: str, photo: str, target: Target, work_dir: Path, shown: Path, class_name: str) -> None:
    """Nothing, if the example names this class for the photo, in the last line that it prints.

    Args:
        script, photo: paths below the working folder.
        target: of the export.
        work_dir: the working folder.
        shown: the folder of the export, as messages name it.
        class_name: that the photo has by the export.

    Raises:
        ExportError: it fails, or names another.
    """
    printed = run_command([sys.executable, script, photo], target, work_dir, shown).strip().splitlines()
    if not printed or not printed[-1].startswith(class_name):
        raise ExportError(
            _("the example of the export to {target} names another class: {printed!r}. Nothing was written.").format(
                target=target.name, printed=printed[-1] if printed else ""
            ),
            target=target.name,
        )
