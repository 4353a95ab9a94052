import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tellapart.distribute import uri_bytes
from tellapart.distribute.uri_bytes import UriReader, join_uri, local_path
from tellapart.errors import DatasetError, ImageError

OBJECTS = {"/photos/a.jpg": b"first", "/photos/deep/cat 403.jpg": b"second", "/photos/large.jpg": b"x" * 2000}


class Storage(BaseHTTPRequestHandler):
    """As much of S3 as reading needs: buckets `photos` and `private`, which nobody may read."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        data, status = OBJECTS.get(path, b""), 200
        if path not in OBJECTS:
            status = 403 if path.startswith("/private") else 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-amz-bucket-region", "us-east-1")
        self.end_headers()
        self.wfile.write(data if self.command == "GET" else b"")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A store of objects on this machine, which the environment names."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("uri", "data"), [("a.jpg", b"first"), ("deep/cat 403.jpg", b"second")])
def test_a_bucket_is_read(bucket: None, uri: str, data: bytes) -> None:
    assert UriReader("s3://photos").read(uri, 1000) == data
    assert UriReader("/elsewhere").read(f"s3://photos/{uri}", 1000) == data


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://photos/gone 403.jpg", "there is no such file"),
        ("s3://private/a.jpg", "permission denied. Check the credentials"),
        ("s3://photos/large.jpg", "2,000 bytes, and at most 1,000 are read"),
    ],
)
def test_a_bucket_says_why_not(bucket: None, uri: str, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        UriReader("").read(uri, 1000)
    assert caught.value.path == uri


@pytest.mark.parametrize(
    "said",
    [
        "When reading information for key 'a.jpg' in bucket 'b': AWS Error NETWORK_CONNECTION during HeadObject",
        "When resolving region for bucket 'b': AWS Error UNKNOWN (HTTP status 503) during HeadBucket operation",
        "AWS Error SLOW_DOWN during GetObject operation: Please reduce your request rate.",
        "google::cloud::Status(UNAVAILABLE: Retry policy exhausted, with a last message of CURL error [6])",
        "google::cloud::Status(UNAVAILABLE: Could not create a OAuth2 access token to authenticate the request)",
        "curlCode: 28, Timeout was reached",
    ],
)
@pytest.mark.parametrize("uri", ["s3://photos/404.jpg", "gs://photos/denied.jpg", "a.jpg"])
def test_a_store_that_cannot_be_reached_ends_the_work(said: str, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def open_nothing(self: UriReader, uri: str) -> None:
        tried.append(uri)
        raise OSError(said)

    monkeypatch.setattr(UriReader, "open", open_nothing)
    monkeypatch.setattr(uri_bytes, "_PAUSES", (0.0, 0.0))
    with pytest.raises(DatasetError, match="cannot be reached: .*Run the same command to continue"):
        UriReader("s3://photos").read(uri, 1000)
    assert len(tried) == 3


def test_a_store_that_answers_again_is_read(bucket: None, monkeypatch: pytest.MonkeyPatch) -> None:
    left, open_it = [1, 2], UriReader.open

    def open_later(self: UriReader, uri: str) -> object:
        if left:
            left.pop()
            raise OSError("AWS Error SLOW_DOWN during GetObject operation")
        return open_it(self, uri)

    monkeypatch.setattr(UriReader, "open", open_later)
    monkeypatch.setattr(uri_bytes, "_PAUSES", (0.0, 0.0))
    assert UriReader("").read("s3://photos/a.jpg", 1000) == b"first"


def test_buckets_of_one_name_in_two_clouds_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    class Storage:
        FileSystem: type

        @staticmethod
        def from_uri(uri: str) -> tuple[type, str]:
            opened.append(uri.partition("?")[0])
            return Storage, ""

        @staticmethod
        def open_input_file(path: str) -> object:
            raise PermissionError(path)

    Storage.FileSystem = Storage
    monkeypatch.setattr(uri_bytes.pyarrow, "fs", Storage)
    reader = UriReader("")
    for uri in ("gs://photos/a.jpg", "s3://photos/a.jpg", "gs://photos/b.jpg", "gs://me@photos/b.jpg"):
        with pytest.raises(ImageError, match="permission denied"):
            reader.read(uri, 10)
    assert opened == ["gs://photos", "s3://photos", "gs://me@photos"]


def test_a_file_is_read_by_path_and_by_address(tmp_path: Path) -> None:
    path = tmp_path / "a 100%#?.jpg"
    path.write_bytes(b"photo")
    for uri in (path.name, str(path), path.as_uri()):
        assert UriReader(str(tmp_path)).read(uri, 10) == b"photo"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("gone permission.jpg", "there is no such file"),
        (".", "it is a folder"),
        ("large.jpg", "at most"),
        ("a\0.jpg", "cannot be read"),
        ("http://198.51.100.7/a.jpg", "addresses with http:// are not read"),
        ("HTTPS://198.51.100.7/a.jpg", "addresses with https:// are not read"),
        ("zip://a.jpg", "addresses with zip:// are not read"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, uri: str, words: str) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(2000))
    with pytest.raises(ImageError, match=words):
        UriReader(str(tmp_path)).read(uri, 1000)


def test_addresses_begin_at_the_base_only_where_they_are_relative() -> None:
    assert join_uri("s3://photos/lists", "new/a.jpg") == "s3://photos/lists/new/a.jpg"
    assert join_uri("s3://photos/lists", "gs://other/a.jpg") == "gs://other/a.jpg"
    assert join_uri("/lists", "/photos/a.jpg") == "/photos/a.jpg"
    assert local_path("file://localhost/photos/a%20b.jpg") == "/photos/a b.jpg"
