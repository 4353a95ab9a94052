"""Makes the pictures of the README on the photos of the demo: the top of a report, and Studio in a browser.

Run by `make screenshot`; needs Chromium, and chromedriver for Studio.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import cv2

from tellapart.cli.app import app
from tellapart.demo.collection import unpack_collection
from tellapart.studio.launch import Launched, run_studio

IMAGES = Path(__file__).resolve().parent / "images"
REPORT, STUDIO = IMAGES / "report.png", IMAGES / "studio.png"
_WIDTH, _HEIGHT = 1000, 850
_STUDIO_WIDTH, _STUDIO_HEIGHT = 1100, 760
_MOST_SECONDS = 300


def main() -> None:
    """Works in a temporary folder and replaces the pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        sys.exit("Chromium is not installed. Install it, e.g. `apt-get install chromium chromium-driver`.")
    with tempfile.TemporaryDirectory() as folder:
        photos = unpack_collection(Path(folder))
        photograph_report(Path(folder), chromium)
        photograph_studio(photos.labelled, chromium, driver)


def photograph_report(folder: Path, chromium: str) -> None:
    """Trains on the photos in `folder` and photographs the top of the report."""
    with contextlib.chdir(folder):  # so that the report names `photos`, not a temporary folder
        app(["train", "photos", "--out", "run"], standalone_mode=False)
    shot = folder / "shot.png"
    flags = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={_WIDTH},{_HEIGHT + 200}"]
    subprocess.run(
        [chromium, *flags, f"--screenshot={shot}", (folder / "run/report.html").as_uri()],
        check=True, capture_output=True,
    )  # fmt: skip
    cv2.imwrite(str(REPORT), cv2.imread(str(shot))[:_HEIGHT])


def photograph_studio(photos: Path, chromium: str, driver: str) -> None:
    """Opens Studio for the photos, waits for the tested model, and photographs the page."""
    started: list[Launched] = []
    is_open = threading.Event()

    def on_start(launched: Launched) -> None:
        started.append(launched)
        is_open.set()

    thread = threading.Thread(target=run_studio, args=(photos,), kwargs={"port": 0, "on_start": on_start})
    thread.start()
    try:
        if not is_open.wait(_MOST_SECONDS):
            sys.exit("Studio does not start.")
        _photograph(started[0].address, chromium, driver)
    finally:
        for one in started:
            one.stop()
        thread.join()


def _photograph(address: str, chromium: str, driver: str) -> None:
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService
    from selenium.webdriver.support.ui import WebDriverWait

    options = ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = Chrome(options=options, service=ChromeService(driver))
    try:
        size: dict[str, Any] = {
            "width": _STUDIO_WIDTH,
            "height": _STUDIO_HEIGHT,
            "deviceScaleFactor": 1,
            "mobile": False,
        }
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(address)
        # Until the model is tested its figure is marked as provisional, and what works says so.
        is_tested = "return document.querySelector('.interval') && !document.querySelector('.figure .tag, .busy')"
        WebDriverWait(browser, _MOST_SECONDS).until(lambda one: one.execute_script(is_tested))
        are_drawn = "return [...document.querySelectorAll('.tile img')].filter((one) => one.complete).length > 11"
        WebDriverWait(browser, _MOST_SECONDS).until(lambda one: one.execute_script(are_drawn))
        browser.save_screenshot(str(STUDIO))
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
