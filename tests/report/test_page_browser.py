"""The page in a real Chromium: opened from a file, without a network, on a desk and on a phone."""

import csv
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.records import LabelSuspect
from tellapart.report.page import Report, render_report

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import Chrome, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

NAMES = ("cat", 'a "dog", or\ntwo', "</script><b>owl")
OWN_PATH = '{row}, "é"\n.jpg'


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory, make_report: Callable[..., Report]) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(render_report(make_report(NAMES, num_photos=300, error=0.1, path=OWN_PATH)))
    return path


@pytest.fixture
def page(browser: Chrome, page_path: Path) -> Chrome:
    """The page, freshly opened, with nothing decided."""
    browser.set_window_size(1280, 900)
    browser.get(page_path.as_uri())
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    return browser


def choose(page: Chrome, row: int, value: str) -> None:
    """Clicks keep, move or remove of a label to check."""
    chosen = page.find_element(By.CSS_SELECTOR, f".choose[data-row='{row}'] input[value='{value}']")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", chosen)
    chosen.click()


def select_below(page: Chrome, row: int) -> Select:
    """The choice below a photo with that row."""
    return Select(page.find_element(By.CSS_SELECTOR, f".decide[data-row='{row}'] select"))


def download(page: Chrome, folder: Path) -> list[list[str]]:
    path = folder / page.execute_script("return JSON.parse(document.getElementById('data').textContent).download")
    path.unlink(missing_ok=True)
    page.find_element(By.ID, "download").click()
    WebDriverWait(page, 300).until(lambda _: path.exists() and path.stat().st_size)
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file, strict=True))


def overflow(page: Chrome) -> int:
    return page.execute_script("return document.documentElement.scrollWidth - window.innerWidth")


def is_shown(element: WebElement) -> bool:
    return element.is_displayed()


def test_the_console_has_nothing_to_say(page: Chrome) -> None:
    assert page.get_log("browser") == []


def test_decisions_are_downloaded_as_a_csv_that_reads_back(page: Chrome, download_dir: Path) -> None:
    choose(page, 0, "keep")
    choose(page, 1, "move")
    choose(page, 2, "remove")
    select_below(page, 20).select_by_visible_text("cat")
    assert download(page, download_dir) == [
        ["content", "path", "class", "decision", "new_class"],
        [f"{0:040x}", '0, "é"\n.jpg', NAMES[0], "keep", ""],
        [f"{1:040x}", '1, "é"\n.jpg', NAMES[1], "move", NAMES[2]],
        [f"{2:040x}", '2, "é"\n.jpg', NAMES[2], "remove", ""],
        [f"{20:040x}", '20, "é"\n.jpg', NAMES[2], "move", NAMES[0]],
    ]


def test_the_number_of_decisions_is_announced(page: Chrome) -> None:
    choose(page, 0, "keep")
    choose(page, 1, "remove")
    status = page.find_element(By.ID, "status")
    assert status.get_attribute("aria-live") == "polite"
    assert status.get_attribute("textContent") == "2 photos decided: 1 keep, 1 remove"


def test_a_decision_can_be_undone(page: Chrome) -> None:
    choose(page, 0, "keep")
    page.find_element(By.CSS_SELECTOR, ".choose[data-row='0'] .undo").click()
    assert page.find_element(By.ID, "status").get_attribute("textContent") == "Nothing decided yet"
    assert not is_shown(page.find_element(By.ID, "bar"))


def test_decisions_are_still_there_when_the_page_is_opened_again(page: Chrome) -> None:
    choose(page, 3, "remove")
    page.refresh()
    assert page.find_element(By.CSS_SELECTOR, ".choose[data-row='3'] input[value='remove']").is_selected()


def test_choosing_a_class_means_moving(page: Chrome) -> None:
    choices = page.find_element(By.CSS_SELECTOR, ".choose[data-row='0'] select")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", choices)
    Select(choices).select_by_index(1)
    assert page.find_element(By.CSS_SELECTOR, ".choose[data-row='0'] input[value='move']").is_selected()


def test_all_choices_about_one_photo_agree(page: Chrome) -> None:
    choose(page, 0, "remove")
    shown = page.find_elements(By.CSS_SELECTOR, ".choose[data-row='0'] input:checked, .decide[data-row='0'] select")
    assert {one.get_attribute("value") for one in shown} == {"remove"}


def test_a_cell_of_the_matrix_shows_its_examples_when_it_is_focused(page: Chrome) -> None:
    cell = page.find_element(By.CSS_SELECTOR, ".matrix td[class^='w'] a")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", cell)
    preview = page.find_element(By.ID, "preview")
    WebDriverWait(page, 300).until(lambda _: is_shown(preview))
    assert preview.find_elements(By.CSS_SELECTOR, "svg.photo")
    cell.send_keys(Keys.ESCAPE)
    assert not is_shown(preview)


def test_photos_and_where_the_model_looked_take_turns(page: Chrome) -> None:
    photo = page.find_element(By.CSS_SELECTOR, "#surest .seen")
    heat = page.find_element(By.CSS_SELECTOR, "#surest .heat")
    assert (is_shown(photo), is_shown(heat)) == (True, False)
    page.execute_script("document.querySelector('[data-heat=surest]').click()")
    assert (is_shown(photo), is_shown(heat)) == (False, True)


@pytest.mark.parametrize("num_classes", [3, 100])
def test_a_phone_scrolls_down_only(browser: Chrome, tmp_path: Path, make_report: Callable, num_classes: int) -> None:
    names = [f"a class with the rather long name {number}" for number in range(num_classes)]
    path = tmp_path / "phone.html"
    path.write_bytes(render_report(make_report(names, num_photos=600, error=0.15, path="x" * 90 + "{row}.jpg")))
    metrics = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    width = browser.execute_script("return window.innerWidth")
    too_wide = overflow(browser)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert (width, too_wide) == (360, 0)


def test_the_page_can_be_read_without_its_script(browser: Chrome, page_path: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(page_path.as_uri())
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert is_shown(browser.find_element(By.CSS_SELECTOR, "#surest .heat"))
    assert not is_shown(browser.find_element(By.CSS_SELECTOR, ".suspects .decision"))
    assert browser.find_element(By.CSS_SELECTOR, ".verdict .word").text
    assert "Accuracy" in browser.find_element(By.CSS_SELECTOR, "header.head").text


def test_everything_is_open_in_print_and_nothing_is_left_to_click(page: Chrome) -> None:
    choose(page, 0, "keep")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    time.sleep(0.1)
    closed = page.find_elements(By.CSS_SELECTOR, "details:not([open])")
    controls = [one for one in page.find_elements(By.CSS_SELECTOR, "button, select, input, nav") if is_shown(one)]
    heat = is_shown(page.find_element(By.CSS_SELECTOR, "#surest .heat"))
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert (closed, controls, heat) == ([], [], True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(page: Chrome, scheme: str, poor_contrasts: Callable) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    choose(page, 0, "keep")
    poor = poor_contrasts()
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert poor == []


def open_large(page: Chrome, row: int, around: str = "section") -> WebElement:
    """Clicks the first photo of that row that is shown within `around`."""
    photos = page.find_elements(By.CSS_SELECTOR, f"{around} svg.photo[data-row='{row}']")
    photo = next(one for one in photos if one.is_displayed())
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", photo)
    photo.click()
    return page.find_element(By.CSS_SELECTOR, "dialog.large")


def press(page: Chrome, *keys: str) -> None:
    for key in keys:
        page.switch_to.active_element.send_keys(key)


def is_on_top(page: Chrome, one: WebElement) -> bool:
    """Whether the element is what is painted last in its middle."""
    return bool(
        page.execute_script(
            "const [one] = arguments, box = one.getBoundingClientRect(); one.style.pointerEvents = 'auto';"
            "const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);"
            "one.style.pointerEvents = ''; return top === one",
            one,
        )
    )


def decided(page: Chrome) -> str:
    return str(page.find_element(By.ID, "status").get_attribute("textContent"))


def test_a_photo_opens_large_and_closes_with_escape(page: Chrome) -> None:
    dialog = open_large(page, 0, ".suspects")
    picture = dialog.find_element(By.CSS_SELECTOR, ".large-picture > :first-child")
    small = page.find_element(By.CSS_SELECTOR, ".suspects svg.photo[data-row='0']")
    assert picture.tag_name == "img"
    assert picture.size["height"] > 2 * small.size["height"]
    press(page, Keys.ESCAPE)
    assert not is_shown(dialog)
    assert page.switch_to.active_element == small


def test_a_photo_opens_large_with_the_keyboard(page: Chrome) -> None:
    photo = page.find_element(By.CSS_SELECTOR, ".suspects svg.photo[data-row='1']")
    page.execute_script("arguments[0].focus()", photo)
    press(page, Keys.ENTER)
    assert is_shown(page.find_element(By.CSS_SELECTOR, "dialog.large"))


def test_the_keys_go_through_the_photos_and_decide(page: Chrome, download_dir: Path) -> None:
    dialog = open_large(page, 0, ".suspects")
    press(page, "k", "r", "1", Keys.ARROW_LEFT)
    caption = dialog.find_element(By.CSS_SELECTOR, ".large-caption").text
    assert caption.startswith("3 of ")
    assert dialog.find_element(By.CSS_SELECTOR, ".large-verdict").text == "Decided: move to cat"
    press(page, Keys.ESCAPE)
    assert [row[3:] for row in download(page, download_dir)[1:]] == [["keep", ""], ["remove", ""], ["move", NAMES[0]]]


def test_the_key_of_its_own_class_keeps_a_photo(page: Chrome) -> None:
    open_large(page, 0, ".suspects")
    press(page, "1")
    assert decided(page) == "1 photo decided: 1 keep"


def test_the_last_decision_is_undone_by_a_key(page: Chrome) -> None:
    dialog = open_large(page, 0, ".suspects")
    press(page, "k", "r", "z", "z")
    assert decided(page) == "Nothing decided yet"
    assert dialog.find_element(By.CSS_SELECTOR, ".large-caption").text.startswith("1 of ")


def test_the_map_lies_exactly_over_the_photo(page: Chrome) -> None:
    row = page.execute_script("return Object.keys(JSON.parse(document.getElementById('data').textContent).maps)[0]")
    dialog = open_large(page, row, ".gallery")
    press(page, "h")
    photo, heat = dialog.find_elements(By.CSS_SELECTOR, ".large-picture > *")
    assert is_shown(heat)
    assert photo.rect == heat.rect
    assert is_on_top(page, heat)
    press(page, "h")
    assert not is_shown(heat)


def test_sure_suggestions_are_accepted_at_once_but_never_a_tenth_of_a_class(page: Chrome) -> None:
    button = page.find_element(By.CSS_SELECTOR, "[data-least]")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    data = page.execute_script("return JSON.parse(document.getElementById('data').textContent)")
    sure = [row for row, (_, probability) in data["suggested"].items() if probability >= 0.95]
    leaving = Counter(data["photos"][row][2] for row in sure)
    stays = {name for name, num in leaving.items() if num >= data["counts"][data["classes"].index(name)] / 10}
    button.click()
    taken = [row for row in sure if data["photos"][row][2] not in stays]
    said = page.find_element(By.ID, "accepted").text
    assert said.startswith(f"{len(taken)} suggestion")
    assert ("Look yourself at" in said) == bool(stays)


def test_a_group_is_decided_at_once(page: Chrome) -> None:
    slot = page.find_element(By.CSS_SELECTOR, ".decide-group")
    rows = slot.get_attribute("data-rows").split()
    select = Select(slot.find_element(By.TAG_NAME, "select"))
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", slot)
    select.select_by_value("first")
    assert decided(page) == f"{len(rows)} photos decided: 1 keep, {len(rows) - 1} remove"


def test_copies_share_a_decision(
    browser: Chrome, tmp_path: Path, make_report: Callable[..., Report], download_dir: Path
) -> None:
    path = tmp_path / "copies.html"
    path.write_bytes(render_report(make_report(suspects=(LabelSuspect(4, 0, 1, 0.01, 0.97, (6, 8)),))))
    browser.set_window_size(1280, 900)
    browser.get(path.as_uri())
    choose(browser, 4, "remove")
    assert [row[3] for row in download(browser, download_dir)[1:]] == ["remove"] * 3


def test_the_large_photo_fits_on_a_phone(page: Chrome) -> None:
    page.set_window_size(390, 844)
    dialog = open_large(page, 0, ".suspects")
    assert dialog.rect["width"] <= page.execute_script("return window.innerWidth")
    assert page.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", dialog)
    picture = dialog.find_element(By.CSS_SELECTOR, ".large-picture > :first-child")
    assert picture.size["height"] > 60


def test_the_command_names_the_folder_that_the_page_is_in(page: Chrome, page_path: Path) -> None:
    said = page.find_element(By.ID, "fix-command").text
    assert said.startswith(f"tellapart fix {page_path.parent} --decisions decisions-")


def test_a_detail_is_shown_pixel_by_pixel(page: Chrome) -> None:
    row = page.execute_script("return Object.keys(JSON.parse(document.getElementById('data').textContent).details)[0]")
    dialog = open_large(page, row, "section")
    press(page, "d")
    (picture,) = dialog.find_elements(By.CSS_SELECTOR, ".large-picture > *")
    assert (picture.size["width"], picture.size["height"]) == (400, 300)
    press(page, "d")
    assert dialog.find_element(By.CSS_SELECTOR, ".large-picture > :first-child").rect["height"] > 300


def test_a_photo_without_a_detail_offers_none(page: Chrome) -> None:
    dialog = open_large(page, 4, ".suspects")
    press(page, "d")
    buttons = [one.text for one in dialog.find_elements(By.TAG_NAME, "button") if is_shown(one)]
    assert not [text for text in buttons if text.startswith("Full resolution")]


def test_the_map_of_the_large_photo_has_its_legend(page: Chrome) -> None:
    row = page.execute_script("return Object.keys(JSON.parse(document.getElementById('data').textContent).maps)[0]")
    dialog = open_large(page, row, ".gallery")
    legend = dialog.find_element(By.CSS_SELECTOR, ".legend")
    assert not is_shown(legend)
    press(page, "h")
    assert is_shown(legend)


def test_the_slider_of_a_threshold_works_by_keyboard_and_moves_its_marks(page: Chrome) -> None:
    card = page.find_element(By.CSS_SELECTOR, "[data-dial='0']")
    slider = card.find_element(By.CSS_SELECTOR, "input[type=range]")
    stops = page.execute_script("return JSON.parse(document.getElementById('data').textContent).dials[0].stops")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)
    slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    words = [part.text for part in card.find_elements(By.CSS_SELECTOR, "[data-part]")]
    dots = [dot.get_attribute("cx") for dot in card.find_elements(By.CSS_SELECTOR, ".here")]
    assert (words, slider.get_attribute("aria-valuetext")) == (stops[1][:5], stops[1][0])
    assert [float(place) for place in dots] == [stops[1][5], stops[1][7]]
    assert card.find_element(By.CLASS_NAME, "dial-command").text.endswith(f"={stops[1][0]}'")
    assert card.find_element(By.CLASS_NAME, "dial-command").text.startswith("tellapart dial /")


def test_thresholds_fit_a_phone(page: Chrome) -> None:
    page.set_window_size(390, 844)
    page.execute_script("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert overflow(page) <= 0
