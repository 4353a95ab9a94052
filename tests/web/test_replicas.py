"""Two servers behind nginx, as `docs/how-to/serve-many.md` has it: one is killed under load, and nothing is lost."""

import getpass
import http.client
import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs/how-to/serve-many.md"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx, which stands before the servers, is not installed"),
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def nginx(ports: dict[int, int], work_dir: Path) -> Iterator[None]:
    """nginx with the configuration of the page, on other ports."""
    page = re.search(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert page
    text = re.sub(r"127\.0\.0\.1:(\d+)", lambda match: f"127.0.0.1:{ports[int(match[1])]}", page[1])
    paths = "".join(
        f"{name}_temp_path {work_dir}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {", f"http {{ access_log off; {paths}")
    (work_dir / "nginx.conf").write_text(
        f"user {getpass.getuser()}; pid {work_dir}/pid; error_log stderr crit; daemon off;\n{text}"
    )
    assert NGINX is not None
    with subprocess.Popen([NGINX, "-p", str(work_dir), "-c", str(work_dir / "nginx.conf")]) as process:
        try:
            yield
        finally:
            process.terminate()


def ask(port: int, photo: bytes) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/predict", photo)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body)["answer"] if answer.status == 200 else body.decode("latin-1")
    finally:
        connection.close()


def wait_for(port: int) -> None:
    """Returns when something listens at the port."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=60).close()
        except ConnectionRefusedError:
            continue
        return


def test_a_server_that_is_killed_loses_at_most_what_runs_in_it(
    folders: dict[str, Path], draw: Callable[..., bytes], run_process: Callable[..., Any], tmp_path: Path
) -> None:
    photos = [draw(seed, (300, 400)) for seed in range(5)]
    num_clients, num_photos = 4, 120
    with ExitStack() as stack:
        (first, dying), (second, _other) = (stack.enter_context(run_process(folders["colours"])) for _ in range(2))
        front = free_port()
        stack.enter_context(nginx({8000: front, 8001: first, 8002: second}, tmp_path))
        wait_for(front)
        num_done = threading.Semaphore(0)

        def work(number: int) -> tuple[int, str]:
            try:
                return ask(front, photos[number % len(photos)])
            finally:
                num_done.release()

        with ThreadPoolExecutor(num_clients) as clients:
            running = [clients.submit(work, number) for number in range(num_photos)]
            for _ in range(num_photos // 3):
                num_done.acquire()
            dying.kill()
            answers = [one.result() for one in running]
        statuses = [status for status, _ in answers]
        assert sum(status != 200 for status in statuses) <= num_clients
        assert statuses[-num_photos // 3 :] == [200] * len(statuses[-num_photos // 3 :])
        expected = [ask(second, photo) for photo in photos]
        wrong = [
            number
            for number, answer in enumerate(answers)
            if answer[0] == 200 and answer != expected[number % len(photos)]
        ]
        assert wrong == []
