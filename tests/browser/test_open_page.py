"""The page in a real Chromium, opened from a file, which finds no host by name."""

import base64
import csv
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

from tellapart.demo.drawing import DEMO_CLASSES, draw_photo  # noqa: E402
from tellapart.predict.model import Model  # noqa: E402

# Of a probability, from file to answer.
LARGEST_DIFFERENCE = 1e-3
ANSWERED = "return tellapart.rows.filter((row) => row.line).length"
ROWS = """return tellapart.rows.map(({ path, reason, result, answer }) => ({ path, reason: reason ?? null,
  probabilities: result?.probabilities ?? null, distance: result?.distance ?? null, doubt: answer?.doubt ?? null }))"""
DROP = """
const bytes = Uint8Array.from(atob(arguments[1]), (one) => one.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], "dropped.jpg"));
document.body.dispatchEvent(arguments[0] === "paste"
  ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
  : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
"""
# A browser that protects its user by noise.
NOISE = """
const read = CanvasRenderingContext2D.prototype.getImageData;
CanvasRenderingContext2D.prototype.getImageData = function (...where) {
  const image = read.apply(this, where);
  for (let at = 0; at < image.data.length; at += 7) image.data[at] ^= 1;
  return image;
};
"""
SIDEWAYS = "return document.documentElement.scrollWidth - window.innerWidth"
OTHER_NAMES = ("a long name of a class that hardly fits on a phone, number 2", "x" * 70)


def image_of(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    photo = draw_photo(DEMO_CLASSES[seed % len(DEMO_CLASSES)], np.random.default_rng(seed))
    return np.asarray(cv2.resize(photo, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def jpeg_of(image: NDArray[np.uint8], orientation: int = 0) -> bytes:
    data = cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes()
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif if orientation else b""
    return data[:2] + segment + data[2:]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Drawn photos of many kinds that a browser can read."""
    folder = tmp_path_factory.mktemp("photos")
    made = {f"turned{turn}.jpg": jpeg_of(image_of(turn, (180, 140)), turn) for turn in range(1, 9)}
    made |= {f"{seed}.jpg": jpeg_of(image_of(seed, (200, 200))) for seed in range(6)}
    made |= {"large.jpg": jpeg_of(image_of(3, (1500, 2000))), "small.jpg": jpeg_of(image_of(4, (20, 17)))}
    see_through = np.dstack([image_of(5, (90, 70))[:, :, ::-1], np.full((90, 70), 130, np.uint8)])
    kinds = {".png": image_of(6, (150, 90)), ".webp": image_of(7, (90, 150)), ".bmp": image_of(8, (64, 64))}
    made |= {f"kind{suffix}": cv2.imencode(suffix, image)[1].tobytes() for suffix, image in kinds.items()}
    made["see-through.png"] = cv2.imencode(".png", see_through)[1].tobytes()
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in made]


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files without an answer, by a word of the reason."""
    folder, jpeg = tmp_path_factory.mktemp("bad"), jpeg_of(image_of(1, (60, 60)))
    contents = {
        "empty": b"",
        "not a photo": b"a letter to nobody",
        "cut off": jpeg[: len(jpeg) // 2],
        "TIFF": cv2.imencode(".tiff", image_of(1, (60, 60)))[1].tobytes(),
        "HEIC": struct.pack(">I", 24) + b"ftypheic\0\0\0\0heicmif1" + bytes(100),
        "16 bits": cv2.imencode(".png", image_of(1, (60, 60)).astype(np.uint16) * 257)[1].tobytes(),
    }
    for number, data in enumerate(contents.values()):
        (folder / f"{number}.jpg").write_bytes(data)
    return {word: folder / f"{number}.jpg" for number, word in enumerate(contents)}


def open_page(browser: Any, path: Path) -> Any:
    browser.get(path.as_uri())
    WebDriverWait(browser, 300).until(lambda one: one.execute_script("return tellapart.state.test") != "running")
    return browser


@pytest.fixture(scope="module")
def page(browser: Any, page_path: Path) -> Any:
    """The page after its test of itself; the tests of this module share it."""
    return open_page(browser, page_path)


@pytest.fixture
def empty_page(page: Any) -> Iterator[Any]:
    """The page without photos."""
    page.execute_script("document.getElementById('clear').click()")
    return page


def give(page: Any, paths: list[Path], field: str = "files") -> list[dict[str, Any]]:
    page.find_element(By.ID, field).send_keys("\n".join(str(path) for path in paths))
    WebDriverWait(page, 300).until(lambda one: one.execute_script(ANSWERED) == len(paths))
    return list(page.execute_script(ROWS))


def test_the_page_trusts_itself(page: Any) -> None:
    assert page.execute_script("return [tellapart.state.test, tellapart.state.reason]") == ["passed", ""]
    assert page.execute_script("return tellapart.state.difference") < LARGEST_DIFFERENCE
    assert page.get_log("browser") == []


def test_each_photo_is_answered_as_predict_does(empty_page: Any, photos: list[Path], original: Model) -> None:
    rows = give(empty_page, photos)
    expected = list(original.predict([str(path) for path in photos]))
    differences = {
        path.name: np.abs(np.subtract(row["probabilities"], one.probabilities)).max()
        for path, row, one in zip(photos, rows, expected, strict=True)
    }
    assert {name: value for name, value in differences.items() if not value <= LARGEST_DIFFERENCE} == {}
    distances = [one.distance for one in expected]
    np.testing.assert_allclose([row["distance"] for row in rows], distances, rtol=0.05)


def test_a_file_without_an_answer_is_a_row_with_the_reason(empty_page: Any, bad_files: dict[str, Path]) -> None:
    rows = give(empty_page, list(bad_files.values()))
    reasons = {word: str(row["reason"]) for word, row in zip(bad_files, rows, strict=True)}
    wrong = {word: reason for word, reason in reasons.items() if word not in reason}
    assert wrong == {}
    assert "could not be read" in empty_page.find_element(By.ID, "status").text


def test_doubts_are_those_of_predict(empty_page: Any, photos: list[Path], original: Model) -> None:
    rows = give(empty_page, photos)
    for_not_sure = original.predict([str(path) for path in photos], not_sure=0.05, none_of_these=0.05)
    assert [row["doubt"] for row in rows] == [one.doubt for one in for_not_sure]
    for name in ("not-sure", "none-of-these"):
        Select(empty_page.find_element(By.ID, name)).select_by_index(0)
    assert {row["doubt"] for row in empty_page.execute_script(ROWS)} == {None}
    empty_page.refresh()
    open_page(empty_page, Path(empty_page.current_url.removeprefix("file://")))


def test_the_table_of_a_folder_is_csv_as_predict_writes_it(
    empty_page: Any, photos: list[Path], bad_files: dict[str, Path], original: Model
) -> None:
    empty_page.execute_script(
        "HTMLAnchorElement.prototype.click = () => {};"  # nothing is saved
        "window.blobs = []; const make = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { blobs.push(blob); return make(blob); };"
    )
    give(empty_page, [*photos[:3], bad_files["empty"]])
    empty_page.find_element(By.ID, "download").click()
    text = empty_page.execute_async_script(
        "blobs.at(-1).arrayBuffer().then((data) => arguments[0](btoa(String.fromCharCode(...new Uint8Array(data)))))"
    )
    lines = list(csv.DictReader(io.StringIO(base64.b64decode(text).decode("utf-8-sig"))))
    shares = [f"p_{name}" for name in original.class_names]
    columns = ["path", "predicted_class", "probability", *shares, "nearest_class", "distance", "answer", "reason"]
    assert list(lines[0]) == columns
    assert [line["path"] for line in lines] == [*(path.name for path in photos[:3]), bad_files["empty"].name]
    assert lines[-1]["reason"] == "The file is empty."


def test_a_folder_is_read_with_the_folders_in_it(empty_page: Any, photos: list[Path], tmp_path: Path) -> None:
    for name in ("mine/a/1.jpg", "mine/b/2.jpg", "mine/.hidden/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(photos[0].read_bytes())
    empty_page.find_element(By.ID, "folder").send_keys(str(tmp_path / "mine"))
    WebDriverWait(empty_page, 300).until(lambda one: one.execute_script(ANSWERED) == 2)
    assert sorted(row["path"] for row in empty_page.execute_script(ROWS)) == ["mine/a/1.jpg", "mine/b/2.jpg"]


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_photo_that_is_dropped_or_pasted_is_answered(empty_page: Any, photos: list[Path], kind: str) -> None:
    empty_page.execute_script(DROP, kind, base64.b64encode(photos[0].read_bytes()).decode())
    WebDriverWait(empty_page, 300).until(lambda one: one.execute_script(ANSWERED) == 1)
    assert empty_page.find_element(By.ID, "answer").text
    assert empty_page.find_element(By.ID, "photo").is_displayed()


def test_the_heat_map_covers_the_photo(empty_page: Any, photos: list[Path]) -> None:
    give(empty_page, photos[:1])
    sizes = [empty_page.find_element(By.ID, name).rect for name in ("heat", "photo")]
    assert [round(one["width"]) for one in sizes] == [round(sizes[1]["width"])] * 2
    assert [round(one["height"]) for one in sizes] == [round(sizes[1]["height"])] * 2


def test_the_camera_is_answered_until_it_is_stopped(empty_page: Any) -> None:
    empty_page.find_element(By.ID, "camera").click()
    WebDriverWait(empty_page, 300).until(lambda one: one.find_element(By.ID, "answer").text)
    assert empty_page.find_element(By.ID, "video").is_displayed()
    empty_page.find_element(By.ID, "camera").click()
    assert not empty_page.find_element(By.ID, "video").is_displayed()


def test_a_camera_that_stops_by_itself_is_said(empty_page: Any) -> None:
    empty_page.find_element(By.ID, "camera").click()
    WebDriverWait(empty_page, 300).until(lambda one: one.find_element(By.ID, "answer").text)
    ended = "document.querySelector('video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))"
    empty_page.execute_script(ended)
    assert "has stopped" in empty_page.find_element(By.ID, "status").text
    assert not empty_page.find_element(By.ID, "video").is_displayed()


def test_nothing_but_the_page_is_fetched(page: Any) -> None:
    names = page.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in names if not name.startswith(("blob:", "data:"))] == []
    assert page.get_log("browser") == []


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_and_its_texts_can_be_read(
    empty_page: Any, photos: list[Path], bad_files: dict[str, Path], poor_texts: str, width: int, is_dark: bool
) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    feature = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
    empty_page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    empty_page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    give(empty_page, [photos[0], bad_files["TIFF"]])
    found = (empty_page.execute_script(SIDEWAYS), empty_page.execute_script(poor_texts))
    empty_page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    empty_page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert found == (0, [])


def test_every_control_has_a_name(page: Any) -> None:
    unnamed = page.execute_script(
        "return [...document.querySelectorAll('button, select, input')]"
        ".filter((one) => !(one.labels?.length || one.textContent.trim() || one.ariaLabel)).map((one) => one.id)"
    )
    assert unnamed == []


def test_a_browser_that_changes_pixels_is_not_trusted(browser: Any, page_path: Path) -> None:
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NOISE})
    open_page(browser, page_path)
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    alert = browser.find_element(By.ID, "trust")
    assert alert.is_displayed()
    assert "changes the pixels" in alert.text
