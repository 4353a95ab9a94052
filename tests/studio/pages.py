"""Studio as a server in a thread and what a browser does with its page, for the tests in a real Chromium."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from uvicorn import Config, Server

from tellapart.demo.drawing import DEMO_CLASSES, draw_photo
from tellapart.live.detached_process import DetachedProcess
from tellapart.studio.app import StudioConfig, create_studio_app
from tellapart.studio.launch import describe_phones
from tellapart.studio.studio_access import StudioKeys
from tellapart.web.server import listen

TOKEN, PHONE_TOKEN = "s" * 43, "p" * 43


@dataclass
class Studio:
    """An open Studio: its folder, where a browser finds it, and where a phone does."""

    folder: Path
    address: str
    phone_address: str


Opened = Callable[[Path], AbstractContextManager[Studio]]


def drawn(kind: int, seed: int) -> bytes:
    """A JPEG of a drawn cat or dog, unlike all of other seeds."""
    buffer = io.BytesIO()
    Image.fromarray(draw_photo(DEMO_CLASSES[kind], np.random.default_rng(seed))).save(buffer, "JPEG")
    return buffer.getvalue()


def write_photos(folder: Path, kind: int, num: int, begin: int = 0) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(begin, begin + num):
        (folder / f"{seed}.jpg").write_bytes(drawn(kind, 1000 * kind + seed))
    return [str(folder / f"{seed}.jpg") for seed in range(begin, begin + num)]


@contextmanager
def running(folder: Path, cache_dir: Path, backbone: Path) -> Iterator[Studio]:
    """Studio for a folder, in a thread."""
    listeners = [listen("127.0.0.1", 0, has_token=False) for _ in range(2)]
    port, phone_port = [one.getsockname()[1] for one in listeners]
    config = StudioConfig(
        StudioKeys(TOKEN, PHONE_TOKEN, phone_port, port),
        cache_dir=str(cache_dir),
        look_seconds=0.2,
        backbone=str(backbone),
        rest_seconds=1.0,
    )
    app = create_studio_app(folder, config)
    phone_address = f"http://127.0.0.1:{phone_port}/phone#{PHONE_TOKEN}"
    app.state.studio.facts["lan"] = lambda: describe_phones(phone_address)
    server = Server(Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=(listeners,))
    thread.start()
    try:
        yield Studio(folder, f"http://127.0.0.1:{port}", phone_address)
    finally:
        server.should_exit = True
        thread.join(60)
        DetachedProcess(folder / ".tellapart" / "serve").end(10)  # else it would outlive a test that failed


def open_page(browser: Chrome, studio: Studio, path: str = "/") -> Chrome:
    """The page with a session, at a view, once it shows something."""
    browser.get_log("browser")  # what an earlier page has said
    browser.get(f"{studio.address}{path}#{TOKEN}")
    wait(browser, "main h1")
    return browser


def wait(browser: Chrome, selector: str, seconds: float = 300) -> Any:
    """The first element that the selector finds, as soon as it is to be seen."""

    def shown(one: Chrome) -> Any:
        return next((found for found in one.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()), None)

    return WebDriverWait(browser, seconds, ignored_exceptions=[WebDriverException]).until(shown, selector)


def wait_until(browser: Chrome, is_so: Callable[[], object], seconds: float = 300) -> Any:
    return WebDriverWait(browser, seconds, ignored_exceptions=[WebDriverException]).until(lambda _: is_so())


def text_of(browser: Chrome, selector: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector))


def button(browser: Chrome, text: str) -> Any:
    return browser.find_element(By.XPATH, f"//main//button[normalize-space()='{text}']")


def press(browser: Chrome, *keys: str) -> None:
    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def ask(browser: Chrome, path: str) -> Any:
    """What the server answers to the page."""
    script = "const done = arguments[1]; fetch(arguments[0]).then((answer) => answer.json()).then(done)"
    return browser.execute_async_script(script, path)


def num_photos(browser: Chrome) -> dict[str, int]:
    return {one["name"]: one["num_photos"] for one in ask(browser, "/api/project")["classes"]}


def class_id(browser: Chrome, name: str) -> str:
    return next(str(one["id"]) for one in ask(browser, "/api/project")["classes"] if one["name"] == name)


def focus_grid(page: Chrome, most_presses: int = 15) -> None:
    """Goes to the photos by Tab, as somebody without a mouse does."""
    wait(page, ".tile")
    for _ in range(most_presses):
        press(page, Keys.TAB)
        if page.switch_to.active_element.get_attribute("class") == "grid":
            return
    pytest.fail("Tab does not reach the photos")
