"""The service under thousands of clients and requests, as a process of its own: its memory stays bounded."""

import contextlib
import http.client
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pillow_heif
import psutil
import pytest

from tellapart.web.serve_config import ServeLimits

Start = Callable[..., AbstractContextManager[tuple[int, "subprocess.Popen[str]"]]]
Draw = Callable[..., bytes]
Record = Callable[[str, object], None]

pillow_heif.register_heif_opener()

MEGABYTE = 1024**2
NUM_CLIENTS = 1000
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"80000\r\n" + bytes(0x80000) + b"\r\n"
# What each client sends, then holds its connection: a part of what it has announced, or more than is read.
CLIENTS = {
    "silent": (b"",),
    "slow head": (b"POST /pre",),
    "slow body": (HEAD % 100_000, b"\xff\xd8\xff"),
    "half a body": (HEAD % 1_200_000, bytes(600_000)),
    "huge body": (HEAD % 10**10, *[bytes(MEGABYTE)] * 20),
    "huge body in chunks": (CHUNKED, *[CHUNK] * 140),
}
# Beside what is held of bodies: the last of them while it is joined, and what connections cost.
MOST_GROWTH_BYTES = 2 * ServeLimits().max_buffered_bytes + 128 * MEGABYTE


def send_what_is_taken(connection: socket.socket, parts: tuple[bytes, ...]) -> None:
    """Sends the parts as far as the server takes them at once."""
    connection.settimeout(0.2)
    with contextlib.suppress(OSError):
        for part in parts:
            connection.sendall(part)


def post(port: int, photo: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/predict", photo)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.soak
@pytest.mark.parametrize("parts", list(CLIENTS.values()), ids=list(CLIENTS))
def test_a_thousand_hostile_clients_leave_memory_bounded_and_an_honest_one_answered(
    parts: tuple[bytes, ...], folders: dict[str, Path], run_process: Start, draw: Draw, record_property: Record
) -> None:
    with run_process(folders["colours"]) as (port, process), contextlib.ExitStack() as stack:
        assert post(port, draw(1)) == 200
        usage = psutil.Process(process.pid)
        before, highest = usage.memory_info().rss, 0
        for number in range(NUM_CLIENTS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            send_what_is_taken(connection, parts)
            if number % 20 == 0:
                highest = max(highest, usage.memory_info().rss)
        assert post(port, draw(2)) == 200
        highest = max(highest, usage.memory_info().rss)
        record_property("MB before and at most", (before // MEGABYTE, highest // MEGABYTE))
        assert highest - before < MOST_GROWTH_BYTES
        assert process.poll() is None


@pytest.mark.soak
def test_memory_is_flat_over_a_hundred_thousand_requests(
    folders: dict[str, Path], run_process: Start, draw: Draw, record_property: Record
) -> None:
    kinds = ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "HEIF", "JPEG", "JPEG"]
    photos = [draw(seed, (60 + 10 * seed, 80), kind) for seed, kind in enumerate(kinds)]
    bodies = [*photos, b"hello, I am no photo", photos[0][:300], b""]
    num_threads, num_rounds, num_each = 2, 10, 5_000

    with run_process(folders["maps"]) as (port, process):

        def ask(thread: int) -> list[int]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            statuses = []
            for number in range(num_each):
                path = "/predict?heatmap=1" if number % 7 == 0 else "/predict"
                connection.request("POST", path, bodies[(number + thread) % len(bodies)])
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)
            connection.close()
            return statuses

        usage, sizes, statuses = psutil.Process(process.pid), [], set[int]()
        with ThreadPoolExecutor(num_threads) as threads:
            for _ in range(num_rounds):
                for found in threads.map(ask, range(num_threads)):
                    statuses.update(found)
                sizes.append(usage.memory_info().rss)
        record_property("MB after each tenth", [round(size / MEGABYTE, 1) for size in sizes])
    assert statuses <= {200, 400, 415, 422}
    assert sizes[-1] - sizes[0] < 16 * MEGABYTE
