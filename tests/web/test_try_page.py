"""The page to try photos in a real Chromium with a camera of its own, which finds no other host."""

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import Chrome  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

from tellapart.web.serve_config import ServeConfig, ServeLimits  # noqa: E402

TOKEN = "a-long-token-of-the-tests"
Run = Callable[..., AbstractContextManager[tuple[str, int]]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def camera_browser(open_chromium: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    """A Chromium with a made-up camera, which cannot find any host by name."""
    with open_chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def address(folders: dict[str, Path], run_server: Run) -> Iterator[str]:
    """The address of a server with both models, which lets everybody wait."""
    with run_server(folders, ServeLimits(max_wait_ms=60_000)) as (host, port):
        yield f"http://{host}:{port}/"


@pytest.fixture
def page(camera_browser: Chrome, address: str) -> Chrome:
    """The page, freshly opened, with its models."""
    camera_browser.get_log("browser")  # what an earlier page has said
    camera_browser.get(address)
    WebDriverWait(camera_browser, 300).until(lambda one: one.find_elements(By.CSS_SELECTOR, "#model option"))
    return camera_browser


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, draw: Callable[..., bytes]) -> str:
    path = tmp_path_factory.mktemp("photos") / "a.png"
    path.write_bytes(draw(3, (60, 90)))
    return str(path)


def text_of(page: Chrome, name: str) -> str:
    return page.find_element(By.ID, name).text


def wait_for_answer(page: Chrome) -> str:
    WebDriverWait(page, 300).until(lambda one: text_of(one, "answer"))
    return text_of(page, "answer")


def test_a_chosen_photo_gets_an_answer_and_a_bar_for_each_class(page: Chrome, photo: str) -> None:
    page.find_element(By.ID, "file").send_keys(photo)
    answer = wait_for_answer(page)
    bars = page.find_elements(By.CSS_SELECTOR, "#bars li")
    names = [bar.find_element(By.TAG_NAME, "span").text for bar in bars]
    assert sorted(names) == ["blue", "green", "red"]
    assert answer.startswith(names[0])
    widths = [bar.find_element(By.CSS_SELECTOR, ".fill").rect["width"] for bar in bars]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0
    assert page.get_log("browser") == []


def test_the_heat_map_is_drawn_over_the_photo(page: Chrome, photo: str) -> None:
    Select(page.find_element(By.ID, "model")).select_by_visible_text("maps")
    page.find_element(By.ID, "with-heat").click()
    page.find_element(By.ID, "file").send_keys(photo)
    WebDriverWait(page, 300).until(lambda one: one.find_element(By.ID, "heat").is_displayed())
    assert page.find_element(By.ID, "heat").rect["width"] == page.find_element(By.ID, "photo").rect["width"]
    assert page.get_log("browser") == []


DROP = """
const bytes = Uint8Array.from(atob(arguments[1]), (one) => one.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
const kind = arguments[0];
const event = kind === "paste"
  ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
  : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
document.body.dispatchEvent(event);
"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_photo_that_is_dropped_or_pasted_gets_an_answer(kind: str, page: Chrome, draw: Callable[..., bytes]) -> None:
    page.execute_script(DROP, kind, base64.b64encode(draw(8)).decode())
    assert wait_for_answer(page)
    assert page.find_element(By.ID, "photo").is_displayed()


def test_what_is_no_photo_is_said(page: Chrome, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no photo at all")
    page.find_element(By.ID, "file").send_keys(str(tmp_path / "a.png"))
    WebDriverWait(page, 300).until(lambda one: "The photo is" in text_of(one, "error"))


def test_the_camera_is_answered_again_and_again_until_it_is_stopped(page: Chrome) -> None:
    page.execute_script(
        "window.answers = 0; new MutationObserver(() => window.answers++)"
        ".observe(document.getElementById('answer'), {childList: true});"
    )
    page.find_element(By.ID, "camera").click()
    WebDriverWait(page, 300).until(lambda one: one.execute_script("return window.answers") >= 3)
    assert page.find_element(By.ID, "video").is_displayed()
    page.find_element(By.ID, "camera").click()
    assert not page.find_element(By.ID, "video").is_displayed()
    assert page.get_log("browser") == []


def test_a_camera_that_stops_by_itself_is_said(page: Chrome) -> None:
    page.find_element(By.ID, "camera").click()
    wait_for_answer(page)
    page.execute_script("document.querySelector('video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
    assert "has stopped" in text_of(page, "error")
    assert not page.find_element(By.ID, "video").is_displayed()


def test_everything_comes_from_the_server(page: Chrome, address: str) -> None:
    names = page.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert {name.removeprefix(address) for name in names} >= {"static/page.js", "static/style.css", "models"}
    assert [name for name in names if not name.startswith(address)] == []


def test_a_page_of_a_server_with_a_token_asks_for_it(
    camera_browser: Chrome, folders: dict[str, Path], run_server: Run, photo: str
) -> None:
    with run_server(folders, ServeLimits(), ServeConfig(token=TOKEN)) as (host, port):
        camera_browser.get(f"http://{host}:{port}/")
        WebDriverWait(camera_browser, 300).until(lambda one: one.find_element(By.ID, "token-form").is_displayed())
        camera_browser.find_element(By.ID, "token").send_keys(TOKEN)
        camera_browser.find_element(By.CSS_SELECTOR, "#token-form button").click()
        WebDriverWait(camera_browser, 300).until(lambda one: one.find_elements(By.CSS_SELECTOR, "#model option"))
        camera_browser.find_element(By.ID, "file").send_keys(photo)
        assert wait_for_answer(camera_browser)
        log: list[Any] = camera_browser.get_log("browser")
        assert [line for line in log if "401" not in line["message"]] == []
