"""Who may call: names, pages and tokens."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tellapart.errors import ConfigError
from tellapart.web.serve_config import ServeConfig, parse_models, read_token

TOKEN = "a-long-token-of-the-tests"
Open = Callable[..., TestClient]


@pytest.fixture
def guarded(folders: dict[str, Path], open_client: Open) -> TestClient:
    """A client of a service with a token, one further name and one page that may call it."""
    config = ServeConfig(token=TOKEN, allow_hosts=("Photos.Example",), allow_origins=("https://shop.example",))
    return open_client({"colours": folders["colours"]}, config=config)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401),
        ("", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer \u00e9\u00e9", 401),
        (f"Bearer {TOKEN}", 200),
    ],
)
@pytest.mark.parametrize("path", ["/models", "/v2", "/v2/models/colours", "/metrics"])
def test_what_tells_of_models_needs_the_token(path: str, given: str | None, status: int, guarded: TestClient) -> None:
    headers = {} if given is None else {"authorization": given.encode("latin-1")}
    assert guarded.get(path, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/predict", "/v2/models/colours/infer", "/nothing"])
def test_nothing_is_done_for_a_request_without_the_token(path: str, guarded: TestClient) -> None:
    answer = guarded.post(path, content=b"rubbish")
    assert (answer.status_code, "Bearer TOKEN" in answer.json()["error"]) == (401, True)


@pytest.mark.parametrize("path", ["/healthz", "/v2/health/live", "/v2/health/ready", "/", "/docs", "/openapi.json"])
def test_what_says_nothing_of_the_models_is_open(path: str, guarded: TestClient) -> None:
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8000", 200),
        ("192.0.2.7", 200),
        ("photos.example:8000", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("photos.example.evil", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("[", 421),
        ("a@localhost", 200),
    ],
)
def test_a_name_that_is_not_known_is_refused(host: str, status: int, guarded: TestClient) -> None:
    assert guarded.get("/healthz", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 415),
        ("http://127.0.0.1:8000", 415),
        ("https://shop.example", 415),
        ("https://evil.example", 403),
        ("http://shop.example", 403),
        ("http://127.0.0.1:9000", 403),
        ("null", 403),
    ],
)
def test_a_page_of_another_address_cannot_send_photos(origin: str | None, status: int, guarded: TestClient) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"} | ({} if origin is None else {"origin": origin})
    with guarded:
        assert guarded.post("/predict", content=b"no photo", headers=headers).status_code == status


def test_a_page_that_is_let_in_can_read_answers(guarded: TestClient) -> None:
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    before = guarded.options("/predict", headers=asked | {"access-control-request-headers": "authorization"})
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    other = guarded.options("/predict", headers=asked | {"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_pages_of_others_read_nothing_by_default(colours: TestClient) -> None:
    answer = colours.get("/models", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/models", "/nothing", "/static/page.js"])
def test_every_answer_allows_pages_nothing_but_their_own(path: str, colours: TestClient) -> None:
    policy = colours.get(path).headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; img-src 'self' blob: data:;")
    assert colours.get(path).headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("content", [b"", b"short", b"with spaces in between", b"x" * 2000, b"\xff" * 20])
def test_what_is_no_token_is_refused_without_being_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match="The token must have 16 to 1024") as caught:
        read_token(tmp_path / "token")
    assert content.decode("latin-1") not in str(caught.value) or not content


def test_a_token_is_not_shown_with_the_settings() -> None:
    assert TOKEN not in repr(ServeConfig(token=TOKEN))


def test_models_are_named_or_take_the_name_of_their_folder(tmp_path: Path) -> None:
    (tmp_path / "odd=name").mkdir()
    folders = parse_models([f"pets={tmp_path}", str(tmp_path / "cats-1")])
    assert folders == {"pets": tmp_path, "cats-1": tmp_path / "cats-1"}
    with pytest.raises(ConfigError, match="Give NAME=MODEL_DIR"):
        parse_models([str(tmp_path / "odd=name")])
