"""The service under requests that a program makes up from its OpenAPI document: it never fails."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tellapart.web.serve_config import ServeLimits

ST = shutil.which("st", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
Run = Callable[..., AbstractContextManager[tuple[str, int]]]


def num_cases(folders: dict[str, Path], run_server: Run, most: int, work_dir: Path) -> int:
    """The requests that schemathesis made, none of which the service failed at; `most` for each address."""
    assert ST is not None
    with run_server(folders, ServeLimits(max_wait_ms=60_000)) as (host, port):
        command = [ST, "run", f"http://{host}:{port}/openapi.json", "--checks", CHECKS, "--seed", "1", "--no-shrink"]
        command += [
            "--max-examples",
            str(most),
            "--phases",
            "examples,coverage,fuzzing",
            "--no-color",
            "--warnings=off",
        ]
        done = subprocess.run(command, cwd=work_dir, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    found = re.search(r"([\d,]+) generated", done.stdout)
    assert found, done.stdout[-2000:]
    return int(found[1].replace(",", ""))


@pytest.mark.slow
@pytest.mark.skipif(ST is None, reason="schemathesis is not installed")
def test_no_request_that_is_made_up_makes_the_service_fail(
    folders: dict[str, Path], run_server: Run, tmp_path: Path
) -> None:
    assert num_cases(folders, run_server, 10, tmp_path) >= 300


@pytest.mark.soak
@pytest.mark.skipif(ST is None, reason="schemathesis is not installed")
def test_no_request_of_thousands_makes_the_service_fail(
    folders: dict[str, Path], run_server: Run, tmp_path: Path
) -> None:
    assert num_cases(folders, run_server, 1_500, tmp_path) >= 10_000
