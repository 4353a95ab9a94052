"""Studio's phone page, its trainings, exports and comparisons, in a real Chromium against the real server."""

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("fastapi", reason="tellapart[serve] is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tellapart.predict.bundle import EXPORT_FILE

from .pages import (
    PHONE_TOKEN,
    Studio,
    ask,
    button,
    drawn,
    open_page,
    text_of,
    wait,
    wait_until,
)

# Trainings and exports are processes, which a busy machine takes long to start.
LONG = 240
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}

pytestmark = pytest.mark.slow


def jobs_of(page: Chrome) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(page, "/api/jobs")
    return found


def state_of(page: Chrome, kind: str) -> str | None:
    """Of the newest job of a kind; `None` where there is none."""
    return next((job["state"] for job in jobs_of(page) if job["kind"] == kind), None)


def press_in_row(page: Chrome, text: str) -> None:
    """A button of the first job."""
    wait_until(page, lambda: any(one.text == text for one in page.find_elements(By.CSS_SELECTOR, ".job button")))
    next(one for one in page.find_elements(By.CSS_SELECTOR, ".job button") if one.text == text).click()


def test_a_phone_adds_photos_and_can_do_nothing_else(browser: Chrome, pets: Studio, tmp_path: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    photo = tmp_path / "from-a-phone.jpg"
    photo.write_bytes(drawn(1, 900))
    try:
        browser.delete_all_cookies()
        browser.get_log("browser")
        browser.get(pets.phone_address)
        wait_until(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, "option")) == 3)
        Select(browser.find_element(By.TAG_NAME, "select")).select_by_visible_text("dog")
        browser.find_element(By.CSS_SELECTOR, "input[multiple]").send_keys(str(photo))
        wait_until(browser, lambda: "1 photo added." in text_of(browser, "main"))
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        # Its token opens nothing, at its own address and at that of the page.
        phone = pets.phone_address.partition("/phone#")[0]
        statuses = {statuses_for(browser, f"{phone}/{path}") for path in ("", "api/project", "api/photos", "collect")}
        assert statuses == {404}
        assert browser.get_log("browser") != []  # the four that were refused
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page = open_page(browser, pets)
    names = [photo["name"] for photo in ask(page, f"/api/photos?class={dogs(page)}")["photos"]]
    assert "from-a-phone.jpg" in names
    page.get(f"{pets.address}/collect?class={dogs(page)}")
    wait(page, '.tile[title="from-a-phone.jpg"]')


def dogs(page: Chrome) -> str:
    return str(ask(page, "/api/project")["classes"][1]["id"])


def statuses_for(browser: Chrome, address: str) -> int:
    """The status of an answer to a phone that shows its token."""
    script = """const [address, token, done] = arguments;
    const headers = { Authorization: `Bearer ${token}` };
    fetch(address, { headers }).then((answer) => done(answer.status), () => done(0))"""
    return int(browser.execute_async_script(script, address, PHONE_TOKEN))


def test_the_code_for_a_phone_is_shown_and_leads_to_its_page(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/collect")
    button(page, "Use a phone").click()
    code = wait(page, ".phone .qr")
    assert page.execute_script("return arguments[0].naturalWidth > 100", code)
    assert pets.phone_address in text_of(page, ".phone")
    assert page.get_log("browser") == []


def test_a_training_is_paused_resumed_and_cancelled_though_the_tab_was_closed(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/train")
    wait(page, "[aria-label='Start: Classic']").click()
    wait_until(page, lambda: page.find_elements(By.CSS_SELECTOR, ".job.running"))
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    later = page.current_window_handle
    page.switch_to.window(first)
    page.close()
    page.switch_to.window(later)
    page = open_page(browser, pets, "/train")
    # It has gone on: its first epoch is told to the new tab.
    wait_until(page, lambda: "Epoch" in text_of(page, ".job"), LONG)
    press_in_row(page, "Pause")
    wait(page, ".job.paused")
    press_in_row(page, "Continue")
    wait(page, ".job.running")
    press_in_row(page, "Cancel")
    wait_until(page, lambda: not page.find_elements(By.CSS_SELECTOR, ".job"))
    assert jobs_of(page) == []
    assert page.get_log("browser") == []


def test_two_models_are_compared_photo_by_photo(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/use")
    wait_until(page, lambda: ask(page, "/api/model")["state"] == "ready", LONG)
    page.execute_async_script(MAKE_ANOTHER_MODEL, dogs(page))
    wait_until(page, lambda: len(ask(page, "/api/runs")) > 1, LONG)
    page = open_page(browser, pets, "/use")
    select = Select(wait(page, "section .field select", LONG))
    select.select_by_index(1)
    wait_until(page, lambda: text_of(page, ".comparison [aria-live]").endswith("."))
    compared = page.find_elements(By.CSS_SELECTOR, ".comparison .shot")
    assert all(one.text.count("%") == 2 for one in compared)
    assert page.get_log("browser") == []


# Gives a photo another class, so that there is one more model.
MAKE_ANOTHER_MODEL = """
const [classId, done] = arguments;
const headers = { "Content-Type": "application/json" };
const post = (body) => fetch("/api/commands", { method: "POST", headers, body: JSON.stringify(body) });
fetch("/api/photos?class=unsorted").then((answer) => answer.json()).then(({ photos }) =>
  post({ do: "label", photos: photos.slice(0, 2).map((one) => one.id), class: classId })).then(() => done());
"""


def test_an_export_is_made_in_the_background_and_downloaded(browser: Chrome, pets: Studio) -> None:
    page = open_page(browser, pets, "/use")
    Select(wait(page, "select[aria-label='What to export to']", LONG)).select_by_value("triton")
    button(page, "Export").click()
    link = wait(page, ".job.done a[download]", LONG).get_attribute("href")
    assert "photos" in text_of(page, ".job p")  # what it was proved on
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in page.get_cookies())
    with zipfile.ZipFile(BytesIO(urlopen(Request(link, headers={"Cookie": cookie})).read())) as packed:
        assert f"triton/{EXPORT_FILE}" in packed.namelist()
    page.get(f"{pets.address}/train")
    wait(page, ".job.done")
    press_in_row(page, "Remove from the list")
    wait_until(page, lambda: not page.find_elements(By.CSS_SELECTOR, ".job"))
    assert page.get_log("browser") == []
