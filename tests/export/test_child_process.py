"""A process that converts: what becomes of it is one line, however it ends."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tellapart.errors import DependencyError, ExportError, OutputError
from tellapart.export.child_process import FAILURE_NAME, run_command
from tellapart.export.target import TARGETS

TARGET = TARGETS["triton"]


def run(code: str, work_dir: Path, seconds: float = 60) -> str:
    return run_command([sys.executable, "-c", code], TARGET, work_dir, work_dir / "out", seconds)


def fail_as(kind: str, message: str, number: int = 0) -> str:
    failure = {"kind": kind, "message": message, "errno": number}
    return f"import json; open({FAILURE_NAME!r}, 'w').write(json.dumps({failure!r})); raise SystemExit(1)"


def test_what_it_prints_is_given_back(tmp_path: Path) -> None:
    assert run("print('cat 0.9')", tmp_path) == "cat 0.9\n"


def test_one_that_raises_gives_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="exporting to triton failed: ValueError: no such layer. Nothing was written"):
        run("raise ValueError('no such layer')", tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGSEGV, "ended by signal 11"), (signal.SIGKILL, "often for want of memory")],
    ids=["crash", "kill"],
)
def test_one_that_crashes_is_told(number: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=said):
        run(f"import os; os.kill(os.getpid(), {int(number)})", tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
def test_one_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('child.txt', 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(ExportError, match="took longer than 3 seconds and was stopped"):
        run(code, tmp_path, seconds=3)
    child = int((tmp_path / "child.txt").read_text())
    time.sleep(0.1)
    status = Path(f"/proc/{child}/stat")
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("kind", [ExportError, DependencyError], ids=lambda kind: kind.__name__)
def test_an_error_of_ours_is_raised_as_it_was(kind: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(kind, match="^the layer 'x' has no counterpart.$"):
        run(fail_as(kind.__name__, "the layer 'x' has no counterpart."), tmp_path)


def test_a_full_disk_names_the_export(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="out': the disk is full"):
        run(fail_as("OSError", "No space left on device", 28), tmp_path)
