"""`tellapart serve` as a process: it says where it is, answers, and ends like the other commands."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MAIN = "from tellapart.cli.entry import main; import sys; sys.argv[0] = 'tellapart'; main()"
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fastapi", "uvicorn"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


@contextmanager
def served(*words: str, output: int = subprocess.PIPE) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address and the process of a server, which is stopped after the block."""
    command = [sys.executable, "-c", MAIN, "serve", *words, "--port", "0"]
    with subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            found = re.search(r"http://\S+:\d+", first)
            assert found, first + process.stderr.read()
            yield found[0], process
        finally:
            process.kill()


def ask(address: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(address, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as exc:
        return exc.code, json.load(exc)


def run(*words: str, before: str = "") -> tuple[int, str]:
    """Exit code and error output of a server that does not start."""
    command = [sys.executable, "-c", before + MAIN, "serve", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_a_server_answers_until_it_is_stopped(
    number: signal.Signals, code: int, model_dir: Path, paint: Callable[..., Path]
) -> None:
    with served(f"pets={model_dir}") as (address, process):
        status, answer = ask(f"{address}/predict", paint("a.png", "red").read_bytes())
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert (status, answer["answer"]) == (200, "red")
    assert (process.returncode, errors) == (code, "tellapart: stopped.\n")
    events = [json.loads(line) for line in output.splitlines()]
    assert [one["event"] for one in events] == ["model loaded", "request"]
    assert (events[1]["path"], events[1]["status"]) == ("/predict", 200)


def test_a_request_that_runs_is_finished_when_the_server_is_stopped(
    model_dir: Path, paint: Callable[..., Path]
) -> None:
    photo = paint("a.png", "red").read_bytes()
    with served(f"pets={model_dir}") as (address, process):
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(photo)}\r\n\r\n"
            connection.sendall(head.encode() + photo[:10])
            assert ask(f"{address}/healthz")[0] == 200  # so the head above has been read
            process.send_signal(signal.SIGTERM)
            connection.sendall(photo[10:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        process.communicate(timeout=60)
    assert answer.startswith(b"HTTP/1.1 200")
    assert process.returncode == 143


def test_a_full_disk_for_the_log_does_not_end_the_server(model_dir: Path, paint: Callable[..., Path]) -> None:
    with open("/dev/full", "wb") as full, served(f"pets={model_dir}", output=full.fileno()) as (address, process):
        for _ in range(3):
            assert ask(f"{address}/predict", paint("a.png", "red").read_bytes())[0] == 200
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "tellapart: stopped.\n")


def test_a_port_that_is_taken_is_said_in_one_line(model_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, errors = run(f"pets={model_dir}", "--port", str(other.getsockname()[1]))
    assert (code, errors.count("\n")) == (2, 1)
    assert "is taken by another program. Give another --port" in errors


def test_what_is_not_installed_is_said_in_one_line(model_dir: Path) -> None:
    code, errors = run(f"pets={model_dir}", before=WITHOUT)
    assert (code, errors.count("\n")) == (2, 1)
    assert "pip install 'tellapart[serve]'" in errors


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pets=nowhere"], "'nowhere' does not exist"),
        (["pets=MODEL", "--host", "0.0.0.0"], "--host '0.0.0.0' lets other machines in"),
        (["pets=MODEL", "--host", "198.51.100.7", "--token-file", "TOKEN"], "is no address of this machine"),
        (["pets=MODEL", "--token-file", "nowhere"], "--token-file 'nowhere' cannot be read"),
        (["pets=MODEL", "--token-file", "SHORT"], "The token must have"),
        (["pets=MODEL", "--allow-origin", "shop"], "--allow-origin 'shop' is not an address"),
        (["pets=MODEL", "--not-sure", "7"], "--not-sure 7.0 must be above 0"),
        (["a b=MODEL"], "Give NAME=MODEL_DIR"),
        (["pets=MODEL", "pets=MODEL"], "Two models are called 'pets'"),
    ],
    ids=["no model", "host", "address", "no token", "short token", "origin", "rate", "name", "twice"],
)
def test_a_wrong_setting_is_said_in_one_line(words: list[str], said: str, model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-of-the-test\n")
    (tmp_path / "short").write_text("secret")
    given = {"MODEL": str(model_dir), "TOKEN": str(tmp_path / "token"), "SHORT": str(tmp_path / "short")}
    for name, path in given.items():
        words = [word.replace(name, path) for word in words]
    code, errors = run(*words)
    assert (code, errors.count("\n")) == (2, 1)
    assert said in errors
    assert "secret" not in errors
