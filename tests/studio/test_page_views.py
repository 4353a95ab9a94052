"""Studio in a real Chromium with a camera of its own, which finds no other host: by mouse, by keys alone, by axe."""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="tellapart[serve] is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from uvicorn import Config, Server

from tellapart.demo.drawing import DEMO_CLASSES, draw_photo
from tellapart.studio.app import StudioConfig, create_studio_app
from tellapart.studio.page_shell import VIEWS, page_texts, static_files
from tellapart.studio.studio_access import StudioKeys
from tellapart.translation import use_language
from tellapart.web.server import listen

AXE = Path(__file__).resolve().parents[2] / ".npm/axe.min.js"
TOKEN = "s" * 43

pytestmark = pytest.mark.slow


@dataclass
class Studio:
    """An open Studio: its folder, and where a browser finds it."""

    folder: Path
    address: str


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


@pytest.fixture(scope="module")
def browser(open_chromium: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    """A Chromium whose camera shows drawn cats, and which cannot find any host by name."""
    with open_chromium() as driver:
        yield driver


@contextmanager
def running(folder: Path, cache_dir: Path, backbone: Path) -> Iterator[Studio]:
    """Studio for a folder, in a thread."""
    listener = listen("127.0.0.1", 0, has_token=False)
    port = listener.getsockname()[1]
    config = StudioConfig(
        StudioKeys(TOKEN, port=port),
        cache_dir=str(cache_dir),
        look_seconds=0.2,
        backbone=str(backbone),
        rest_seconds=1.0,
    )
    server = Server(
        Config(create_studio_app(folder, config), log_config=None, lifespan="on", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield Studio(folder, f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Opened:
    """A function from a folder to a Studio that is open for it as long as a block."""
    cache_dir = tmp_path_factory.mktemp("cache")
    return lambda folder: running(folder, cache_dir, tiny_backbone)


@pytest.fixture
def empty(tmp_path: Path, opened: Opened) -> Iterator[Studio]:
    """Studio on an empty folder."""
    (tmp_path / "zoo").mkdir()
    with opened(tmp_path / "zoo") as studio:
        yield studio


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory, opened: Opened) -> Iterator[Studio]:
    """Studio on a folder with 12 cats, 12 dogs and 8 photos without a class."""
    folder = tmp_path_factory.mktemp("studio") / "pets"
    for kind, name in enumerate(("cat", "dog")):
        write_photos(folder / name, kind, 12)
    write_photos(folder, 1, 8, begin=100)
    with opened(folder) as studio:
        yield studio


def open_page(browser: Chrome, studio: Studio, path: str = "/") -> Chrome:
    """The page with a session, at a view, once it shows something."""
    browser.get_log("browser")  # what an earlier page has said
    browser.get(f"{studio.address}{path}#{TOKEN}")
    wait(browser, "main h1")
    return browser


def wait(browser: Chrome, selector: str, seconds: float = 60) -> Any:
    """The first element that the selector finds, as soon as it is to be seen."""

    def shown(one: Chrome) -> Any:
        return next((found for found in one.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()), None)

    return WebDriverWait(browser, seconds, ignored_exceptions=[WebDriverException]).until(shown, selector)


def wait_until(browser: Chrome, is_so: Callable[[], object], seconds: float = 60) -> Any:
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


def photos_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_teacher_goes_from_an_empty_folder_to_a_served_model(browser: Chrome, empty: Studio, tmp_path: Path) -> None:
    page = open_page(browser, empty)
    page.find_element(By.ID, "name-0").send_keys("cat" + Keys.ENTER)
    wait_until(page, lambda: page.switch_to.active_element.get_attribute("id") == "name-1")
    page.switch_to.active_element.send_keys("dog" + Keys.ENTER)
    # Cats come from the camera, dogs from files.
    wait(page, ".pane .buttons .main").click()
    wait(page, ".record:enabled")
    wait_until(page, lambda: page.execute_script("return document.querySelector('video').videoWidth > 0"))
    ActionChains(page).click_and_hold(page.find_element(By.CSS_SELECTOR, ".record")).perform()
    wait_until(page, lambda: num_photos(page)["cat"] >= 8)
    ActionChains(page).release().perform()
    page.find_elements(By.CSS_SELECTOR, ".class-card")[1].click()
    wait_until(page, lambda: text_of(page, ".class-head h1").startswith("dog"))
    page.find_element(By.CSS_SELECTOR, ".pane input[accept]").send_keys(
        "\n".join(write_photos(tmp_path / "dogs", 1, 10))
    )
    wait_until(page, lambda: num_photos(page)["dog"] == 10)
    assert photos_of(empty.folder / "dog") != []
    assert ask(page, f"/api/photos?class={class_id(page, 'cat')}")["photos"][0]["group"] is not None
    # The figure is provisional at first, and the whole test follows.
    wait(page, ".figure .value")
    page.find_element(By.LINK_TEXT, "Try").click()
    new = tmp_path / "new.jpg"
    new.write_bytes(drawn(1, 77))
    wait(page, ".looking")
    page.find_element(By.CSS_SELECTOR, ".looking input[type=file]").send_keys(str(new))
    wait(page, ".answer .verdict")
    assert len(page.find_elements(By.CSS_SELECTOR, ".answer .bars li")) == 2
    page.find_element(By.LINK_TEXT, "Use").click()
    wait(page, ".verdict-card", 120)
    button(page, "Serve this model").click()
    wait_until(page, lambda: ask(page, "/api/project")["served"])
    address = ask(page, "/api/project")["served"]["address"]
    answer = json.load(urlopen(Request(f"{address}/predict", new.read_bytes())))
    assert set(answer["probabilities"]) == {"cat", "dog"}
    assert page.get_log("browser") == []


def class_id(browser: Chrome, name: str) -> str:
    return next(str(one["id"]) for one in ask(browser, "/api/project")["classes"] if one["name"] == name)


def focus_grid(page: Chrome) -> None:
    """Goes to the photos by Tab, as somebody without a mouse does."""
    wait(page, ".tile")
    for _ in range(60):
        press(page, Keys.TAB)
        if page.switch_to.active_element.get_attribute("class") == "grid":
            return
    pytest.fail("Tab does not reach the photos")


def num_unsorted(browser: Chrome) -> int:
    return int(ask(browser, "/api/project")["num_unsorted"])


def test_photos_are_sorted_by_keys_alone(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/collect?class=unsorted")
    before, unsorted = num_photos(page), num_unsorted(page)
    focus_grid(page)
    press(page, "1", "2", Keys.DELETE)  # each key is meant for the next photo
    wait_until(page, lambda: num_unsorted(page) == unsorted - 3)
    assert num_photos(page) == {"cat": before["cat"] + 1, "dog": before["dog"] + 1}
    press(page, "z", "z", "z")
    wait_until(page, lambda: num_unsorted(page) == unsorted)
    assert num_photos(page) == before
    shift = ActionChains(page).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    shift.key_up(Keys.SHIFT).perform()
    press(page, "d")
    wait(page, "dialog.finder")
    press(page, "o", Keys.ENTER)
    wait_until(page, lambda: num_photos(page)["dog"] == before["dog"] + 3)
    wait_until(page, lambda: page.switch_to.active_element.get_attribute("class") == "grid")
    press(page, "z")
    wait_until(page, lambda: num_photos(page) == before)
    assert page.get_log("browser") == []


def test_a_photo_is_looked_at_closely_by_keys(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets)
    wait(page, ".tile")
    page.get(f"{pets.address}/collect?class={class_id(page, 'cat')}")
    focus_grid(page)
    press(page, Keys.ENTER)
    first = wait(page, "dialog .photo").get_attribute("src")
    press(page, Keys.ARROW_RIGHT)
    wait_until(page, lambda: wait(page, "dialog .photo").get_attribute("src") != first)
    press(page, Keys.ESCAPE)
    wait_until(page, lambda: not page.find_elements(By.TAG_NAME, "dialog"))
    assert page.switch_to.active_element.get_attribute("class") == "grid"


def test_classes_are_made_renamed_merged_and_deleted_and_all_is_undone(browser: Chrome, empty: Studio) -> None:
    for name in ("ant", "bee"):
        write_photos(empty.folder / name, 0, 2, begin=10 * len(name))
    page = open_page(browser, empty)
    wait(page, ".new-class input").send_keys("cow" + Keys.ENTER)
    wait_until(page, lambda: text_of(page, ".class-head h1").startswith("cow"))
    button(page, "Rename").click()
    wait(page, ".rename input").send_keys("bull" + Keys.ENTER)
    wait_until(page, lambda: "bull" in num_photos(page))
    Select(page.find_element(By.CSS_SELECTOR, ".class-head select")).select_by_visible_text("ant")
    wait_until(page, lambda: set(num_photos(page)) == {"ant", "bee"})
    wait_until(page, lambda: text_of(page, ".class-head h1").startswith("ant"))
    button(page, "Delete").click()
    wait_until(page, lambda: set(num_photos(page)) == {"bee"})
    for _ in range(4):
        page.find_element(By.TAG_NAME, "body").send_keys("z")
    wait_until(page, lambda: num_photos(page) == {"ant": 2, "bee": 2})
    assert page.get_log("browser") == []


DROP = """
const transfer = new DataTransfer();
for (const [name, data] of arguments[1]) {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
}
const on = document.querySelector(arguments[2]);
on.dispatchEvent(arguments[0] === "paste"
  ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
  : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
"""


def drop(page: Chrome, kind: str, files: dict[str, bytes], on: str = "body") -> None:
    page.execute_script(DROP, kind, [(name, base64.b64encode(data).decode()) for name, data in files.items()], on)


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_files_that_are_dropped_or_pasted_are_added_and_others_named(kind: str, browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/collect?class=unsorted")
    before = ask(page, "/api/project")["num_unsorted"]
    seed = 700 if kind == "drop" else 720
    drop(page, kind, {"a.jpg": drawn(0, seed), "b.jpg": drawn(0, seed + 1), "c.jpg": b"no photo"})
    wait(page, ".status details")
    assert ask(page, "/api/project")["num_unsorted"] == before + 2
    assert "c.jpg" in page.execute_script("return document.querySelector('.status details').textContent")
    page.find_element(By.TAG_NAME, "body").send_keys("z")
    wait_until(page, lambda: ask(page, "/api/project")["num_unsorted"] < before + 2)


def test_a_photo_that_is_dropped_on_a_class_gets_that_class(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/collect?class=unsorted")
    before = num_photos(page)
    wait(page, ".class-card")
    drop(page, "drop", {"late.jpg": drawn(1, 750)}, ".classes li:nth-child(2) .class-card")
    wait_until(page, lambda: num_photos(page)["dog"] == before["dog"] + 1)


def test_what_another_program_adds_appears_by_itself(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/collect?class=unsorted")
    wait(page, ".tile")
    before = len(page.find_elements(By.CSS_SELECTOR, ".tile"))
    write_photos(pets.folder, 0, 1, begin=300)
    wait_until(page, lambda: len(page.find_elements(By.CSS_SELECTOR, ".tile")) == before + 1)


LAYOUT = """
const done = arguments[0];
import("/static/grid.js").then(({ layout }) => {
  const wrong = [];
  let seed = 7;
  const draw = (most) => (seed = (seed * 48271) % 2147483647) % most;
  for (let round = 0; round < 5000; round++) {
    const [width, height, num] = [280 + draw(3600), 200 + draw(1500), draw(20000)];
    const whole = layout(width, height, 0, num);
    const top = Math.min(draw(2000000), Math.max(0, whole.rows * whole.step - height));
    const { columns, step, first, last } = layout(width, height, top, num);
    const from = Math.floor(top / step) * columns;
    const to = Math.min(num, Math.ceil((top + height) / step) * columns);
    const isWhole = first >= 0 && first <= from && last >= to && last - first <= 300;
    if (!isWhole) wrong.push([width, height, num, top, first, last]);
  }
  done(wrong);
});
"""


def test_a_grid_of_any_size_has_all_photos_in_sight_and_at_most_300(browser: Chrome, pets: Studio) -> None:
    assert open_page(browser, pets).execute_async_script(LAYOUT) == []


def test_the_answer_of_the_camera_goes_on_until_it_is_stopped(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/try")
    wait_until(page, lambda: ask(page, "/api/project")["model"]["accuracy"] is not None)
    button(page, "Start the camera").click()
    wait(page, ".answer .verdict")
    page.execute_script("performance.setResourceTimingBufferSize(10000)")  # else the browser counts no more than 250
    count = "return performance.getEntriesByType('resource').filter((one) => one.name.includes('/api/try')).length"
    before = page.execute_script(count)
    wait_until(page, lambda: page.execute_script(count) > before + 3)
    button(page, "Stop the camera").click()
    assert not page.find_element(By.CSS_SELECTOR, "video").is_displayed()
    dogs = num_photos(page)["dog"]
    Select(page.find_element(By.CSS_SELECTOR, ".wrong select")).select_by_visible_text("dog")
    wait_until(page, lambda: num_photos(page)["dog"] > dogs)
    assert page.get_log("browser") == []


CAMERA_LOST = "document.querySelector('video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))"


def test_a_camera_that_stops_by_itself_is_said_in_try(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/try")
    button(page, "Start the camera").click()
    wait_until(page, lambda: page.execute_script("return document.querySelector('video').videoWidth > 0"))
    page.execute_script(CAMERA_LOST)
    wait_until(page, lambda: "has stopped" in text_of(page, ".status"))
    assert not page.find_element(By.CSS_SELECTOR, "video").is_displayed()


def test_a_camera_that_stops_by_itself_is_said_in_collect(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/collect?class=unsorted")
    wait(page, ".pane .buttons .main").click()
    wait(page, ".record:enabled")
    page.execute_script(CAMERA_LOST)
    wait_until(page, lambda: "has stopped" in text_of(page, ".status"))
    assert page.find_elements(By.CSS_SELECTOR, ".recorder") == []


def test_a_finding_is_decided_in_place_and_the_decision_is_on_disk(browser: Chrome, empty: Studio) -> None:
    for kind, name in enumerate(("cat", "dog")):
        write_photos(empty.folder / name, kind, 6)
    (empty.folder / "dog" / "copy.jpg").write_bytes((empty.folder / "cat" / "0.jpg").read_bytes())
    page = open_page(browser, empty, "/check")
    decide = wait(page, ".finding .decide")
    before = len(page.find_elements(By.CSS_SELECTOR, ".finding .group"))
    page.execute_script("arguments[0].focus()", decide)
    press(page, Keys.ENTER)
    wait_until(page, lambda: len(page.find_elements(By.CSS_SELECTOR, ".finding .group")) < before)
    assert ask(page, "/api/project")["can_undo"]
    assert page.get_log("browser") == []


AXE_RUN = """
const done = arguments[0];
axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => done(violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => [one.id, ...one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160))])),
  (error) => done([String(error)]));
"""


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core; `make axe` brings it")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/collect?class=unsorted", "/collect?class=bin", "/train", "/check", "/try", "/use"])
def test_axe_finds_nothing_serious(path: str, scheme: str, browser: Chrome, pets: Studio) -> None:
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    page = open_page(browser, pets, path)
    wait_until(page, lambda: text_of(page, "main h1"))
    page.execute_script(AXE.read_text("utf-8"))
    assert page.execute_async_script(AXE_RUN) == []


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core; `make axe` brings it")
def test_axe_finds_nothing_serious_in_an_empty_folder(browser: Chrome, empty: Studio) -> None:
    page = open_page(browser, empty)
    page.execute_script(AXE.read_text("utf-8"))
    assert page.execute_async_script(AXE_RUN) == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_fits_a_phone(view: str, browser: Chrome, pets: Studio) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page = open_page(browser, pets, f"/{view}")
        assert page.execute_script("return document.documentElement.scrollWidth") == 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("view", VIEWS)
def test_a_chinese_view_has_no_english_sentence_of_the_page(view: str, browser: Chrome, pets: Studio) -> None:
    with use_language("zh"):
        english = list(page_texts())
        page = open_page(browser, pets, f"/{view}")
        shown = page.execute_script("return document.body.innerText").splitlines()
    sentences = {text for text in english if "{" not in text and len(text) > 3}
    assert page.execute_script("return document.documentElement.lang") == "zh"
    assert [line for line in shown if line.strip() in sentences] == []


def test_everything_comes_from_studio_itself(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets)
    wait(page, ".tile, .empty")
    names = page.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    modules = {
        f"{pets.address}/static/{name}" for name in static_files() if name.endswith("e.js") and "phone" not in name
    }
    assert modules <= set(names)
    assert [name for name in names if not name.startswith(pets.address)] == []


def test_pages_that_were_left_keep_no_connection(browser: Chrome, pets: Studio) -> None:
    for _ in range(8):  # a browser has six connections to a server
        page = open_page(browser, pets)
    assert ask(page, "/api/project")["name"] == "pets"


def test_a_page_without_its_token_says_what_to_open(browser: Chrome, pets: Studio) -> None:
    browser.delete_all_cookies()
    browser.get(f"{pets.address}/collect")
    browser.delete_all_cookies()
    browser.refresh()
    wait_until(browser, lambda: "tellapart studio" in text_of(browser, "main"))


def test_a_page_says_that_studio_is_away(browser: Chrome, tmp_path: Path, opened: Opened) -> None:
    folder = tmp_path / "zoo"
    write_photos(folder / "cat", 0, 1)
    with opened(folder) as studio:
        page = open_page(browser, studio)
    wait(page, ".status .problem-text")
    assert "Studio" in text_of(page, ".status")
