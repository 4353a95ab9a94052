"""Served models for the tests: one that sees only colour, and one that also shows where it looks."""

import io
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tellapart.predict.bundle import Bundle, write_bundle
from tellapart.web.serve_config import ServeConfig, ServeLimits
from tellapart.web.server import listen, serve
from tellapart.web.service import create_app

LOCAL = "http://127.0.0.1:8000"
MAIN = "from tellapart.cli.entry import main; import sys; sys.argv[0] = 'tellapart'; main()"


@pytest.fixture(scope="session")
def draw() -> Callable[..., bytes]:
    """A function that draws a photo, unlike all of other seeds; `size` is height and width."""

    def make(seed: int, size: tuple[int, int] = (30, 40), kind: str = "PNG") -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 255, (5, 7, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BICUBIC).save(buffer, kind)
        return buffer.getvalue()

    return make


@pytest.fixture(scope="session")
def folders(
    tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Bundle], map_bundle: Bundle
) -> dict[str, Path]:
    """Model folders by name: `colours` for three classes, `maps` with activation maps; not to be changed."""
    root = tmp_path_factory.mktemp("served")
    write_bundle(root / "colours", make_bundle(("blue", "green", "red")))
    write_bundle(root / "maps", map_bundle)
    return {name: root / name for name in ("colours", "maps")}


@pytest.fixture(scope="session")
def open_client() -> Callable[..., TestClient]:
    """A function from folders, limits and settings to a client, to be entered as a context."""

    def make(
        folders: dict[str, Path], limits: ServeLimits = ServeLimits(), config: ServeConfig = ServeConfig()
    ) -> TestClient:
        return TestClient(create_app(folders, limits, config), base_url=LOCAL, raise_server_exceptions=False)

    return make


@pytest.fixture(scope="session")
def client(folders: dict[str, Path], open_client: Callable[..., TestClient]) -> Iterator[TestClient]:
    """A client of a service with both models."""
    with open_client(folders) as opened:
        yield opened


@pytest.fixture(scope="session")
def colours(folders: dict[str, Path], open_client: Callable[..., TestClient]) -> Iterator[TestClient]:
    """A client of a service with one model."""
    with open_client({"colours": folders["colours"]}) as opened:
        yield opened


@pytest.fixture(scope="session")
def run_server() -> Callable[..., AbstractContextManager[tuple[str, int]]]:
    """A function from folders, limits and settings to a server in a thread: a context that gives its host and port."""

    @contextmanager
    def run(folders: dict[str, Path], *settings: object) -> Iterator[tuple[str, int]]:
        listener = listen("127.0.0.1", 0, has_token=False)
        address = listener.getsockname()
        servers: list[Any] = []
        thread = threading.Thread(
            target=serve, args=(folders, listener, *settings), kwargs={"on_start": servers.append}
        )
        thread.start()
        try:
            yield address
        finally:
            while not servers and thread.is_alive():
                thread.join(0.01)
            servers[0].should_exit = True
            thread.join(60)
        assert not thread.is_alive()

    return run


@pytest.fixture(scope="session")
def run_process() -> Callable[..., AbstractContextManager[tuple[int, "subprocess.Popen[str]"]]]:
    """A function from a folder to a server as a process of its own: a context that gives its port and the process."""

    @contextmanager
    def run(folder: Path) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
        command = [sys.executable, "-c", MAIN, "serve", f"m={folder}", "--port", "0", "--max-wait-ms", "10000"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
                assert found
                yield int(found[1]), process
            finally:
                process.kill()

    return run
