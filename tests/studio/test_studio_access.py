"""Who may call Studio: one browser with the token; no other page, no other name, and phones only to add photos."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

Open = Callable[..., TestClient]
Page = Any
TOKEN, PHONE_TOKEN = "t" * 43, "p" * 43
ASKED = ["/api/project", "/api/photos", "/api/events", f"/thumb/{'0' * 40}.webp", f"/photo/{'0' * 16}"]
DONE = ["/api/commands", "/api/uploads?name=a.png"]


@pytest.fixture
def stranger(open_studio: Open) -> Iterator[TestClient]:
    """A client without a session."""
    with open_studio(phone_token=PHONE_TOKEN) as client:
        yield client


@pytest.fixture
def phone(open_studio: Open) -> Iterator[TestClient]:
    """A client at the port for phones, with the token of phones."""
    with open_studio(phone_token=PHONE_TOKEN, phone_port=8100) as client:
        client.headers["authorization"] = f"Bearer {PHONE_TOKEN}"
        yield client


@pytest.mark.parametrize("path", ASKED)
def test_nothing_is_told_without_a_session(path: str, stranger: TestClient) -> None:
    answer = stranger.get(path)
    assert (answer.status_code, list(answer.json())) == (401, ["error"])


@pytest.mark.parametrize("path", DONE)
def test_nothing_is_done_without_a_session(path: str, stranger: TestClient, folder: Path) -> None:
    assert stranger.post(path, content=b"{}").status_code == 401
    assert [path.name for path in folder.iterdir()] == [".tellapart"]


@pytest.mark.parametrize("token", ["", "t", "t" * 42, "t" * 44, PHONE_TOKEN, None, 7, ["t" * 43]])
def test_another_token_opens_no_session(token: object, stranger: TestClient) -> None:
    answer = stranger.post("/api/session", json={"token": token})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


def test_the_session_is_a_cookie_that_no_other_site_and_no_script_has(stranger: TestClient) -> None:
    cookie = stranger.post("/api/session", json={"token": TOKEN}).headers["set-cookie"]
    assert {part.strip().lower() for part in cookie.split(";")} >= {"httponly", "samesite=strict", "path=/"}


@pytest.mark.parametrize("path", ["/", "/collect", "/static/main.js"])
def test_the_empty_page_is_open(path: str, stranger: TestClient) -> None:
    assert stranger.get(path).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9000", "http://localhost:8100", "null"])
@pytest.mark.parametrize("path", [*DONE, "/api/session"])
def test_a_page_of_another_origin_does_nothing(path: str, origin: str, page: Page, folder: Path) -> None:
    answer = page.client.post(path, content=b'{"do": "add_class", "name": "x"}', headers={"origin": origin})
    assert (answer.status_code, (folder / "x").exists()) == (403, False)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ASKED)
def test_a_page_of_another_site_sees_nothing(path: str, site: str, page: Page) -> None:
    assert page.client.get(path, headers={"sec-fetch-site": site}).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8100", "localhost.evil.example", "", "127.0.0.1.nip.io"]
)
@pytest.mark.parametrize("path", ["/", "/api/project", "/api/session"])
def test_a_name_that_leads_here_by_dns_is_refused(path: str, host: str, page: Page) -> None:
    assert page.client.get(path, headers={"host": host}).status_code == 421


def test_answers_say_what_a_page_may_load(page: Page) -> None:
    headers = page.client.get("/api/project").headers
    assert headers["content-security-policy"].startswith("default-src 'self'; img-src 'self' blob: data:;")
    assert headers["cache-control"] == "no-store"


def test_an_answer_keeps_the_headers_that_it_states_itself(page: Page) -> None:
    assert page.client.get("/").headers.get_list("cache-control") == ["no-cache"]


def test_a_phone_adds_photos_to_a_class(phone: TestClient, folder: Path, draw: Callable[..., bytes]) -> None:
    (folder / "cat").mkdir()
    phone.app.state.studio.project.read_again()  # type: ignore[attr-defined]
    (cat,) = phone.get("/phone/classes").json()["classes"]
    answer = phone.post("/phone/photos", params={"class": cat["id"], "name": "IMG_1.JPG"}, content=draw(1, "JPEG"))
    assert (answer.status_code, len(answer.json()["added"]), answer.json()["skipped"]) == (200, 1, [])
    assert (folder / "cat/IMG_1.JPG").read_bytes() == draw(1, "JPEG")


def test_a_phone_sends_no_zips(phone: TestClient, folder: Path, draw: Callable[..., bytes]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", draw(1))
    assert phone.post("/phone/photos", params={"name": "a.png"}, content=buffer.getvalue()).status_code == 415
    assert list((folder / ".tellapart/unsorted").iterdir()) == []


@pytest.mark.parametrize("path", [*ASKED, "/", "/collect", "/api/session"])
def test_a_phone_sees_nothing_else(path: str, phone: TestClient) -> None:
    assert phone.get(path).status_code == 404


@pytest.mark.parametrize("path", [*DONE, "/api/session"])
def test_a_phone_does_nothing_else(path: str, phone: TestClient) -> None:
    assert phone.post(path, json={"token": TOKEN}).status_code == 404


def test_the_token_of_phones_opens_nothing_at_the_port_of_the_page(stranger: TestClient) -> None:
    headers = {"authorization": f"Bearer {PHONE_TOKEN}", "cookie": f"tellapart-studio-8100={PHONE_TOKEN}"}
    assert [stranger.get(path, headers=headers).status_code for path in ASKED] == [401] * len(ASKED)


@pytest.mark.parametrize("given", ["", "Bearer ", f"Bearer {TOKEN}", f"Bearer {PHONE_TOKEN}x"])
def test_a_phone_without_its_token_adds_nothing(given: str, phone: TestClient, draw: Callable[..., bytes]) -> None:
    answer = phone.post("/phone/photos", content=draw(1), headers={"authorization": given})
    assert answer.status_code == 401


def test_phones_are_not_let_in_unless_asked_for(page: Page, draw: Callable[..., bytes]) -> None:
    headers = {"authorization": "Bearer "}
    assert page.client.post("/phone/photos", content=draw(1), headers=headers).status_code == 401
