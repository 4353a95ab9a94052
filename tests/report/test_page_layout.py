"""How the page is laid out in a real Chromium, for collections that strain it: nothing overlaps, nothing is cut off."""

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tellapart.report.page import Report, render_report

LONG_NAMES = tuple(
    f"Leaf with a rather long name and spots, number {number}" if number % 3 else f"Unbreakable_name_{'x' * 30}{number}"
    for number in range(20)
)
RIGHT_TO_LEFT = ("חתול שחור", "כלב גדול", "ציפור")
CHINESE = ("裂纹和划痕的金属表面", "良好", "缺口", "污渍和油渍")
COLLECTIONS: dict[str, dict[str, Any]] = {
    "two photos of a class": {"names": ("cat", "dog"), "counts": (30, 2)},
    "30 to 1": {"names": ("good", "cracked"), "counts": (750, 25), "error": 0.04},
    "a coin": {"names": ("heads", "tails"), "num_photos": 120, "error": 0.5},
    "20 long names": {"names": LONG_NAMES, "num_photos": 400, "error": 0.25, "path": "in {name}/the photo {row}.jpg"},
    "right to left": {"names": RIGHT_TO_LEFT, "num_photos": 90, "error": 0.2, "path": "{name}/תמונה {row}.jpg"},
    "Chinese": {
        "names": CHINESE, "num_photos": 90, "error": 0.2, "path": "{name}/照片{row}.jpg", "method": "cross-validation",
    },
    "40 classes": {"names": [f"{number} {'long ' * (number % 5)}name" for number in range(40)], "error": 0.3},
}  # fmt: skip
# A4 and US letter with the page's margins, in CSS pixels; and in inches.
PRINT_WIDTH = 688
PAPERS = {"A4": (8.27, 11.69), "letter": (8.5, 11.0)}
LOOKS = {
    "desk": (1200, False, {}),
    "phone": (390, True, {}),
    "dark": (1200, False, {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}),
    "dark phone": (390, True, {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}),
    "print": (PRINT_WIDTH, False, {"media": "print"}),
}

# Gives a sentence for each text that overlaps another or a photo, that is cut off, or that is wider than the page. What
# a scrolling box holds may be wider than the box, and counts as far as it can be seen.
FAULTS = r"""
for (const details of document.querySelectorAll("details")) details.open = true;
const overlap = (one, other) => Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1.5
  && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1.5;
const clip = (box, by) => ({ left: Math.max(box.left, by.left), right: Math.min(box.right, by.right),
  top: Math.max(box.top, by.top), bottom: Math.min(box.bottom, by.bottom) });
const faults = [], texts = [], photos = [];
const name = (one) => one.data
  ? `"${one.data.trim().slice(0, 40)}" in ${one.parentElement.tagName}.${one.parentElement.getAttribute("class") || ""}`
  : `photo ${one.dataset.row}`;
const say = (what, ...ones) => faults.push(`${what}: ${ones.map(name).join(" and ")}`);
const seen = (element, box, node) => {
  for (let one = element; one && one !== document.documentElement; one = one.parentElement) {
    const style = getComputedStyle(one);
    if (style.overflowX === "visible" || one === document.body) continue;
    const around = one.getBoundingClientRect();
    if (["auto", "scroll"].includes(style.overflowX) || ["auto", "scroll"].includes(style.overflowY)) {
      box = clip(box, around);
    } else if (node && (box.left < around.left - 1.5 || box.right > around.right + 1.5
      || box.top < around.top - 1.5 || box.bottom > around.bottom + 1.5)) {
      say("cut off", node);
    }
  }
  return box;
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.data.trim() || !element.checkVisibility() || element.closest("script, style, .skip, option")) continue;
  let pinned = false, isForEars = false;
  for (let one = element; one; one = one.parentElement) {
    pinned ||= ["fixed", "sticky"].includes(getComputedStyle(one).position);
    isForEars ||= getComputedStyle(one).clipPath !== "none"; // for screen readers alone
  }
  if (isForEars) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  for (const rect of range.getClientRects()) {
    const room = 0.16 * rect.height; // between the letters and the edges of their line
    const whole = { left: rect.left, right: rect.right, top: rect.top + room, bottom: rect.bottom - room };
    const box = seen(element, whole, node);
    if (box.right - box.left < 1 || box.bottom - box.top < 1) continue;
    if (box.left < -1 || box.right > window.innerWidth + 1) say("outside the page", node);
    if (!pinned) texts.push([box, node]);
  }
}
for (const photo of document.querySelectorAll("svg.photo")) {
  const box = photo.checkVisibility() ? seen(photo, photo.getBoundingClientRect(), null) : null;
  if (box && box.right > window.innerWidth + 1) say("outside the page", photo);
  if (box && box.right > box.left && box.bottom > box.top) photos.push([box, photo]);
}
texts.sort(([one], [other]) => one.top - other.top);
texts.forEach(([box, node], place) => {
  for (let next = place + 1; next < texts.length && texts[next][0].top < box.bottom; next += 1) {
    if (texts[next][1] !== node && overlap(box, texts[next][0])) say("overlap", node, texts[next][1]);
  }
  for (const [around, photo] of photos) if (overlap(box, around)) say("overlap", node, photo);
});
if (document.documentElement.scrollWidth > window.innerWidth) faults.push("the page scrolls sideways");
return [...new Set(faults)];
"""


@pytest.fixture(scope="module")
def page_of(
    tmp_path_factory: pytest.TempPathFactory, make_report: Callable[..., Report], shaped: Callable
) -> Callable[[str], str]:
    """From the name of a collection to the address of its page, which is made once."""
    folder = tmp_path_factory.mktemp("pages")

    def address(name: str) -> str:
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_bytes(render_report(make_report(**COLLECTIONS[name], image=shaped)))
        return path.as_uri()

    return address


@contextmanager
def looking(browser: Any, look: str) -> Iterator[None]:
    """As wide, as dark or as printed as `LOOKS` says."""
    width, is_phone, media = LOOKS[look]
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": is_phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    yield
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def num_sheets(browser: Any, paper: str) -> int:
    width, height = PAPERS[paper]
    settings = {"paperWidth": width, "paperHeight": height, "printBackground": True}
    data = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", settings)["data"])
    return len(re.findall(rb"/Type /Page\b", data))


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", COLLECTIONS)
def test_no_text_overlaps_another_or_is_cut_off(browser: Any, page_of: Callable, name: str, look: str) -> None:
    with looking(browser, look):
        browser.get(page_of(name))
        faults = browser.execute_script(FAULTS)
    assert faults == []


@pytest.mark.parametrize("look", ["desk", "dark"])
@pytest.mark.parametrize("name", ["20 long names", "a coin"])
def test_every_text_stands_out(browser: Any, page_of: Callable, poor_contrasts: Callable, name: str, look: str) -> None:
    with looking(browser, look):
        browser.get(page_of(name))
        poor = poor_contrasts()
    assert poor == []


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("name", COLLECTIONS)
def test_the_printed_summary_fits_one_sheet(browser: Any, page_of: Callable, name: str, paper: str) -> None:
    browser.get(page_of(name))
    browser.execute_script(
        "document.querySelectorAll('main, footer, .more-steps').forEach((part) => part.remove());"
        "document.querySelector('.sheet table').style.breakAfter = 'auto'"
    )
    assert num_sheets(browser, paper) == 1


@pytest.mark.parametrize("name", COLLECTIONS)
def test_the_printed_summary_has_three_photos_a_class(browser: Any, page_of: Callable, name: str) -> None:
    with looking(browser, "print"):
        browser.get(page_of(name))
        rows = browser.execute_script(
            "const isShown = (photo) => photo.getBoundingClientRect().height > 20;"
            "return [...document.querySelectorAll('.sheet tbody tr')]"
            ".map((row) => [...row.querySelectorAll('svg.photo')].filter(isShown).length)"
        )
    counts = COLLECTIONS[name].get("counts", [3] * min(20, len(COLLECTIONS[name]["names"])))
    assert rows == [min(3, count) for count in counts]


def test_the_appendix_begins_on_a_sheet_of_its_own(browser: Any, page_of: Callable) -> None:
    browser.get(page_of("30 to 1"))
    whole = num_sheets(browser, "A4")
    browser.execute_script("document.querySelectorAll('header, .sheet').forEach((part) => part.remove())")
    assert num_sheets(browser, "A4") == whole - 1


def test_the_summary_is_for_paper_alone(browser: Any, page_of: Callable) -> None:
    browser.get(page_of("a coin"))
    parts = "[...document.querySelectorAll('.sheet, .more-steps')]"
    assert browser.execute_script(f"return {parts}.map((part) => part.checkVisibility())") == [False, False]
