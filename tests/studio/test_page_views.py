"""Studio in a real Chromium with a camera of its own, which finds no other host: by mouse, by keys alone, by axe."""

import base64
import json
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("fastapi", reason="tellapart[serve] is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tellapart.studio.page_shell import VIEWS, page_texts, static_files
from tellapart.translation import use_language

from .pages import (
    Opened,
    Studio,
    ask,
    button,
    class_id,
    drawn,
    focus_grid,
    num_photos,
    open_page,
    press,
    text_of,
    wait,
    wait_until,
    write_photos,
)

AXE = Path(__file__).resolve().parents[2] / ".npm/axe.min.js"

pytestmark = pytest.mark.slow


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
    wait(page, ".verdict-card")
    button(page, "Serve this model").click()
    wait_until(page, lambda: ask(page, "/api/project")["served"])
    address = ask(page, "/api/project")["served"]["address"]
    answer = json.load(urlopen(Request(f"{address}/predict", new.read_bytes())))
    assert set(answer["probabilities"]) == {"cat", "dog"}
    wait_until(page, lambda: button(page, "Stop serving")).click()
    wait_until(page, lambda: ask(page, "/api/project")["served"] is None)
    assert page.get_log("browser") == []


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


def test_the_first_key_of_a_page_leads_to_the_photos_and_arrows_through_a_toolbar(
    browser: Chrome, pets: Studio
) -> None:
    page = open_page(browser, pets, "/collect?class=unsorted")
    page.refresh()  # where another test was at this address the focus is still there
    wait(page, ".tile")
    press(page, Keys.TAB, Keys.ENTER)
    assert page.switch_to.active_element.get_attribute("class") == "grid"
    ActionChains(page).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
    texts = []
    for _ in range(3):
        texts.append(page.switch_to.active_element.text.split()[0])
        press(page, Keys.ARROW_RIGHT)
    assert len(set(texts)) == 3


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
    button(page, "Merge into …").click()
    wait(page, "dialog.finder input").send_keys("an" + Keys.ENTER)
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
