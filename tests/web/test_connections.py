"""Slow, huge, broken and vanishing clients, on real sockets: they are cut off, and the next honest one is answered."""

import contextlib
import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from tellapart.web.serve_config import ServeLimits

Run = Callable[..., AbstractContextManager[tuple[str, int]]]
SHORT = ServeLimits(
    max_connections=20, max_bytes=200_000, max_buffered_bytes=1_000_000, header_seconds=0.2, body_seconds=0.3
)
PATIENT = ServeLimits(max_connections=20, max_bytes=200_000, max_buffered_bytes=1_000_000)
NARROW = replace(PATIENT, max_pixels=50)
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def strict(folders: dict[str, Path], run_server: Run) -> Iterator[tuple[str, int]]:
    """The address of a server with short deadlines."""
    with run_server({"m": folders["colours"]}, SHORT) as address:
        yield address


@pytest.fixture(scope="module")
def patient(folders: dict[str, Path], run_server: Run) -> Iterator[tuple[str, int]]:
    """The address of a server with the usual deadlines, and few connections."""
    with run_server({"m": folders["colours"]}, PATIENT) as address:
        yield address


@pytest.fixture(scope="module")
def narrow(folders: dict[str, Path], run_server: Run) -> Iterator[tuple[str, int]]:
    """The address of a server that takes few pixels."""
    with run_server({"m": folders["colours"]}, NARROW) as address:
        yield address


def read_all(connection: socket.socket) -> bytes:
    """What the server sends until it closes the connection."""
    connection.settimeout(60)
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def exchange(address: tuple[str, int], data: bytes) -> tuple[int, dict[str, object]]:
    """Status and JSON of what the server answers to these bytes, after which nothing is sent."""
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(data)
        answer = read_all(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "took too long"),
        (b"POST /pre", "took too long"),
        (HEAD % 1000, "took too long"),
        (HEAD % 1000 + b"\xff\xd8\xff", "took too long"),
        (
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "took too long",
        ),
    ],
    ids=["nothing", "half a head", "no body", "half a body", "half the chunks"],
)
def test_a_client_that_is_too_slow_is_told_and_cut_off(data: bytes, words: str, strict: tuple[str, int]) -> None:
    status, answer = exchange(strict, data)
    assert (status, words in str(answer["error"])) == (408, True)
    assert exchange(strict, HEALTH)[0] == 200


def test_a_second_request_has_its_own_deadline(strict: tuple[str, int]) -> None:
    with socket.create_connection(strict, timeout=60) as connection:
        connection.sendall(HEALTH.replace(b"Connection: close\r\n", b""))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /heal")
        assert b"408" in read_all(connection)


def test_a_body_that_is_refused_is_read_no_further_than_the_limit(strict: tuple[str, int]) -> None:
    with socket.create_connection(strict, timeout=60) as connection:
        connection.sendall(HEAD % 10**9)
        num_sent = 0
        with contextlib.suppress(OSError):
            while num_sent < 10**9:
                num_sent += connection.send(bytes(65536))
    assert num_sent < 10**8
    assert exchange(strict, HEALTH)[0] == 200


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
    ],
    ids=["TLS", "words", "no host", "huge head", "negative length", "two lengths", "no chunk"],
)
def test_what_is_no_http_is_said_to_be_none(data: bytes, status: int, patient: tuple[str, int]) -> None:
    found, answer = exchange(patient, data)
    assert (found, list(answer)) == (status, ["error"])
    assert exchange(patient, HEALTH)[0] == 200


def read_answer(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and JSON of an answer on a connection that stays open."""
    connection.settimeout(60)
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(65536)
    return int(answer.split()[1]), json.loads(answer.partition(b"\r\n\r\n")[2])


FORM = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
IN_A_FORM = b"Content-Type: multipart/form-data; boundary=x\r\n"


@pytest.mark.parametrize(
    ("kind", "size"),
    [("JPEG", "38 x 25"), *((kind, "300 x 200") for kind in "PNG GIF WEBP AVIF JPEG2000 TIFF BMP HEIF".split())],
)
@pytest.mark.parametrize(("headers", "before"), [(b"", b""), (IN_A_FORM, FORM)], ids=["raw", "form"])
def test_too_many_pixels_are_refused_by_the_first_bytes_of_an_upload(
    kind: str, size: str, headers: bytes, before: bytes, narrow: tuple[str, int], draw: Callable[..., bytes]
) -> None:
    head = before + draw(3, (200, 300), kind)[:2000]
    with socket.create_connection(narrow, timeout=60) as connection:
        connection.sendall((HEAD % 190_000).replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n") + head)
        status, answer = read_answer(connection)  # not another byte is sent
    assert (status, f"{size} pixels" in str(answer["error"])) == (422, True)


def test_what_is_no_photo_is_refused_by_the_first_bytes_of_an_upload(narrow: tuple[str, int]) -> None:
    with socket.create_connection(narrow, timeout=60) as connection:
        connection.sendall(HEAD % 190_000 + b"PK\x03\x04" * 2000)
        status, answer = read_answer(connection)
    assert (status, "zip" in str(answer["error"])) == (415, True)


@pytest.mark.parametrize("num_photos", [1, 3])
def test_the_protocol_refuses_too_many_pixels_by_the_first_bytes(
    num_photos: int, narrow: tuple[str, int], draw: Callable[..., bytes]
) -> None:
    tensor = {"name": "photo", "datatype": "BYTES", "shape": [num_photos], "parameters": {"binary_data_size": 180_000}}
    described = json.dumps({"inputs": [tensor]}).encode()
    head = described + struct.pack("<I", 60_000) + draw(3, (200, 300))[:2000]
    extension = b"\r\nInference-Header-Content-Length: %d\r\n\r\n" % len(described)
    request = (HEAD % (len(described) + 180_000)).replace(b"/predict", b"/v2/models/m/infer")
    with socket.create_connection(narrow, timeout=60) as connection:
        connection.sendall(request.replace(b"\r\n\r\n", extension) + head)
        status, answer = read_answer(connection)
    assert (status, "300 x 200 pixels" in str(answer["error"])) == (422, True)


def test_an_upload_that_is_cut_off_is_told(patient: tuple[str, int]) -> None:
    with socket.create_connection(patient, timeout=60) as connection:
        connection.sendall(HEAD % 1000 + b"\xff\xd8\xff")
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"cut off" in answer


def test_a_client_that_leaves_is_forgotten(patient: tuple[str, int], draw: Callable[..., bytes]) -> None:
    photo = draw(1)
    for length in (0, 10, len(photo)):
        with socket.create_connection(patient, timeout=60) as connection:
            connection.sendall(HEAD % len(photo) + photo[:length])
    assert exchange(patient, (HEAD % len(photo)).replace(b"Host", b"Connection: close\r\nHost") + photo)[0] == 200


@pytest.mark.parametrize(
    "data", [b"", b"POST /pre", HEAD % 100_000 + bytes(50_000)], ids=["silent", "half a head", "half a body"]
)
def test_many_slow_clients_leave_room_for_an_honest_one(
    data: bytes, patient: tuple[str, int], draw: Callable[..., bytes]
) -> None:
    photo = draw(2)
    with contextlib.ExitStack() as stack:
        for _ in range(5 * PATIENT.max_connections):
            connection = stack.enter_context(socket.create_connection(patient, timeout=60))
            with contextlib.suppress(OSError):
                connection.sendall(data)
        answer = exchange(patient, (HEAD % len(photo)).replace(b"Host", b"Connection: close\r\nHost") + photo)
    assert answer[0] == 200


def test_requests_behind_each_other_are_answered_in_order(patient: tuple[str, int]) -> None:
    with socket.create_connection(patient, timeout=60) as connection:
        connection.sendall(HEALTH.replace(b"Connection: close\r\n", b"") * 3 + HEALTH)
        assert read_all(connection).count(b'{"status":"ok"}') == 4
