"""Studio for the tests: a folder, a client with a session, and drawn photos."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tellapart.studio.app import StudioConfig, create_studio_app
from tellapart.studio.studio_access import StudioKeys

if TYPE_CHECKING:
    from .pages import Opened, Studio

LOCAL = "http://127.0.0.1:8100"
TOKEN = "t" * 43
PHONE_TOKEN = "p" * 43


@pytest.fixture(scope="session")
def draw() -> Callable[..., bytes]:
    """A function that draws a photo, unlike all of other seeds; `size` is height and width."""

    def make(seed: int, kind: str = "PNG", size: tuple[int, int] = (30, 40)) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 255, (5, 7, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BICUBIC).save(buffer, kind)
        return buffer.getvalue()

    return make


class Page:
    """What a page does, with its session; each answer is checked and unpacked."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def project(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get("/api/project").json()
        return answer

    def class_id(self, name: str) -> str:
        return next(str(one["id"]) for one in self.project()["classes"] if one["name"] == name)

    def counts(self) -> dict[str, int]:
        return {one["name"]: one["num_photos"] for one in self.project()["classes"]}

    def photos(self, chosen: str) -> list[dict[str, Any]]:
        known = {one["name"]: one["id"] for one in self.project()["classes"]}
        answer = self.client.get("/api/photos", params={"class": known.get(chosen, chosen)})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["photos"]
        return found

    def ids(self, chosen: str) -> list[str]:
        return [photo["id"] for photo in self.photos(chosen)]

    def names(self, chosen: str) -> list[str]:
        return [photo["name"] for photo in self.photos(chosen)]

    def do(self, verb: str, **fields: Any) -> dict[str, Any]:
        answer = self.client.post("/api/commands", json={"do": verb, **fields})
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def refused(self, verb: str, **fields: Any) -> str:
        answer = self.client.post("/api/commands", json={"do": verb, **fields})
        assert answer.status_code == 409, answer.text
        return str(answer.json()["error"])

    def add(self, data: bytes, name: str = "photo.png", to: str = "unsorted", burst: str = "") -> dict[str, Any]:
        known = {one["name"]: one["id"] for one in self.project()["classes"]}
        params = {"class": known.get(to, to), "name": name} | ({"burst": burst} if burst else {})
        answer = self.client.post("/api/uploads", params=params, content=data)
        assert answer.status_code == 200, answer.text
        added: dict[str, Any] = answer.json()
        return added


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the project, empty."""
    path = tmp_path / "zoo"
    path.mkdir()
    return path


@pytest.fixture
def open_studio(folder: Path, tmp_path: Path, tiny_backbone: Path) -> Callable[..., TestClient]:
    """A function that opens Studio for the folder; the client is to be entered as a context, and has no session."""

    def make(**keys: Any) -> TestClient:
        given = StudioKeys(TOKEN, port=8100, **keys)
        # A model that never rests: what trains is the business of tests/live and of test_model_routes.py.
        config = StudioConfig(
            given,
            cache_dir=str(tmp_path / "cache"),
            look_seconds=0.05,
            backbone=str(tiny_backbone),
            rest_seconds=3600.0,
        )
        return TestClient(create_studio_app(folder, config), base_url=LOCAL, raise_server_exceptions=False)

    return make


@pytest.fixture
def page(open_studio: Callable[..., TestClient]) -> Iterator[Page]:
    """An open page with its session."""
    with open_studio() as client:
        assert client.post("/api/session", json={"token": TOKEN}).status_code == 204
        yield Page(client)


@pytest.fixture(scope="module")
def browser(open_chromium: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    """A Chromium whose camera shows drawn cats, and which cannot find any host by name."""
    with open_chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> "Opened":
    """A function from a folder to a Studio that is open for it, in a thread, as long as a block."""
    from .pages import running  # needs Selenium

    cache_dir = tmp_path_factory.mktemp("cache")
    return lambda folder: running(folder, cache_dir, tiny_backbone)


@pytest.fixture
def empty(tmp_path: Path, opened: "Opened") -> Iterator["Studio"]:
    """Studio on an empty folder."""
    (tmp_path / "zoo").mkdir()
    with opened(tmp_path / "zoo") as studio:
        yield studio


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory, opened: "Opened") -> Iterator["Studio"]:
    """Studio on a folder with 12 cats, 12 dogs and 8 photos without a class."""
    from .pages import write_photos

    folder = tmp_path_factory.mktemp("studio") / "pets"
    for kind, name in enumerate(("cat", "dog")):
        write_photos(folder / name, kind, 12)
    write_photos(folder, 1, 8, begin=100)
    with opened(folder) as studio:
        yield studio
