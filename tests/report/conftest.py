"""A builder of reports as a training would make them, for the tests of the page; photos are drawn."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.demo.drawing import DEMO_CLASSES, draw_photo
from tellapart.measure.measurement import Measurement, Method, measure
from tellapart.measure.next_steps import rank_steps
from tellapart.measure.scores import CurvePoint, LearningCurve
from tellapart.measure.verdict import judge
from tellapart.records import Finding, LabelSuspect, Skipped
from tellapart.report.model_section import answer_rows
from tellapart.report.page import Report
from tellapart.report.pictures import ReportPhoto

Image = NDArray[np.uint8]


def plain_image(row: int, size: tuple[int, int] = (30, 40)) -> Image:
    """One colour with a lighter band, another for every row."""
    image = np.full((*size, 3), np.random.default_rng(row).integers(30, 200, 3), np.uint8)
    image[size[0] // 3 : size[0] // 2] += np.uint8(40)
    return image


def drawn_image(row: int) -> Image:
    return draw_photo(DEMO_CLASSES[row % 2], np.random.default_rng(row % 40))


def shaped_image(row: int) -> Image:
    """As `plain_image`, now wide, now tall, now a strip."""
    return plain_image(row, ((30, 40), (40, 30), (12, 90), (90, 12))[row % 4])


def hump(size: int = 7) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:size, :size]
    return np.exp(-((rows - 3) ** 2 + (columns - 2) ** 2) / 4).astype(np.float32)


def make_curve() -> LearningCurve:
    sizes = np.array([80, 160, 280, 480, 800])
    errors = 0.9 * sizes**-0.55 + 0.004
    fitted = [
        CurvePoint(int(n), 0.9 * n**-0.55 + 0.004, 0.8 * n**-0.58, 1.05 * n**-0.52 + 0.006)
        for n in np.geomspace(80, 3200, 24).round()
    ]
    measured = tuple((int(n), float(error)) for n, error in zip(sizes, errors, strict=True))
    return LearningCurve(
        measured, tuple(fitted), (0.4, 0.7), 880, "Twice as many photos would spare a third of mistakes."
    )


def labels_of(num_classes: int, num_photos: int, counts: Sequence[int] | None) -> NDArray[np.int64]:
    """As many of each class as `counts` says; without it as even as can be."""
    return np.arange(num_photos) % num_classes if counts is None else np.repeat(np.arange(num_classes), counts)


def simulate(labels: NDArray[np.int64], num_classes: int, error: float) -> NDArray[np.float64]:
    """Probabilities of a model that is wrong so often, and mostly knows it."""
    generator = np.random.default_rng(num_classes)
    num_photos = len(labels)
    logits = generator.normal(0, 1, (num_photos, num_classes))
    logits[np.arange(num_photos), labels] += 3 + np.log(num_classes)
    wrong = np.flatnonzero(generator.random(num_photos) < error)
    logits[wrong, (labels[wrong] + generator.integers(1, num_classes, len(wrong))) % num_classes] += 5.5
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


def make_measurement(names: Sequence[str], labels: NDArray[np.int64], method: str, error: float) -> Measurement:
    shares = simulate(labels, len(names), error)
    how = Method(method, 1 if method == "hold-out" else 3, make_curve(), leak_accuracy=0.991)
    return measure(np.arange(len(labels)), labels, shares.astype(np.float32), names, how)


def make_findings(num_photos: int) -> tuple[Finding, ...]:
    def rows(*numbers: int) -> tuple[int, ...]:
        return tuple(number % num_photos for number in numbers)

    return (
        Finding("copies", "44 files with the same content as another", "They stay on one side of the split.", 44,
                (rows(10, 12), rows(14, 16, 18)), ("cat", "3 x dog"), is_problem=False),
        Finding("cross_class", "2 photos in more than one class", "One of the labels is wrong.", 4,
                (rows(20, 21), rows(22, 23)), ("cat, dog", "cat, dog"), is_problem=True),
        Finding("label_suspects", "6 labels that may be wrong", "Look at each.", 6,
                tuple((row,) for row in rows(1, 2, 3)), ("", "", ""), is_problem=True),
        Finding("too_dark", "5 very dark photos", "What cannot be made out cannot be learnt.", 5,
                tuple((row,) for row in rows(30, 31, 32, 33, 34)), ("", "cat", "dog", "", ""), is_problem=False),
        Finding("shapes", "from 120 x 90 to 4000 x 3000 pixels; 400 JPEG", "120 photos upright.", 400, (), (),
                is_problem=False),
    )  # fmt: skip


@pytest.fixture(scope="session")
def shaped() -> Callable[[int], Image]:
    """A function from a row to a photo, whose shapes differ."""
    return shaped_image


@pytest.fixture(scope="session")
def make_report() -> Callable[..., Report]:
    """A function from class names, and what else should differ, to a report with everything in it."""
    return build_report


def build_report(
    names: Sequence[str] = ("cat", "dog"),
    num_photos: int = 400,
    method: str = "hold-out",
    error: float = 0.05,
    image: Callable[[int], Image] = plain_image,
    path: str = "{name}/{row}.jpg",
    counts: Sequence[int] | None = None,
    **fields: object,
) -> Report:
    num_classes, num_photos = len(names), num_photos if counts is None else sum(counts)
    labels = labels_of(num_classes, num_photos, counts)
    suspects = tuple(
        LabelSuspect(row, int(labels[row]), (int(labels[row]) + 1) % num_classes, 0.01 + row / 1000, 0.97 - row / 100)
        for row in range(min(6, num_photos))
    )
    photos = {
        row: ReportPhoto(
            path.format(name=names[labels[row]], row=row),
            f"{row:040x}",
            names[labels[row]],
            image(row),
            np.repeat(np.repeat(image(row), 12, axis=0), 12, axis=1) if row < 2 else None,
            np.repeat(np.repeat(image(row), 10, axis=0), 10, axis=1) if row < 2 else None,
        )
        for row in range(num_photos)
    }
    values: dict[str, Any] = {
        "source": "my photos",
        "made_on": "2026-11-24",
        "class_counts": dict(zip(names, np.bincount(labels, minlength=num_classes).tolist(), strict=True)),
        "num_photos": num_photos,
        "skipped": (Skipped("notes.txt", "not a photo"), Skipped("cut.jpg", "the file ends too early")),
        "findings": make_findings(num_photos),
        "suspects": suspects,
        "photos": photos,
        "facts": (("recipe", "transfer"), ("photos it learnt from", "1,600")),
        "clear": ("No photo is out of focus.", "No class can be told by its borders alone."),
    }
    if "measurement" not in fields:
        measurement = make_measurement(names, labels, method, error)
        values["measurement"] = measurement
        values["maps"] = {row: hump() for row in answer_rows(measurement)}
    values |= fields
    measured, findings = values["measurement"], values["findings"]
    if measured is not None and "verdict" not in fields:
        verdict = judge(measured.evaluation, findings, num_photos)
        steps = rank_steps(verdict, measured.evaluation, findings, num_photos, measured.method, 2)
        values |= {"verdict": verdict, "steps": steps}
    return Report(**values)


@pytest.fixture(scope="session")
def download_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browser saves."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def browser(download_dir: Path, open_chromium: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    """A real Chromium, one for all tests."""
    with open_chromium(**{"download.default_directory": str(download_dir)}) as driver:
        yield driver


CONTRASTS = r"""
const parse = (text) => {
  const numbers = text.match(/[\d.]+/g).map(Number);
  return numbers.length < 4 ? [...numbers, 1] : numbers;
};
const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
const over = (under, [red, green, blue, share]) =>
  [red, green, blue].map((value, index) => value * share + under[index] * (1 - share));
const behind = (element) => {
  const layers = [];
  for (let one = element; one; one = one.parentElement) layers.push(parse(getComputedStyle(one).backgroundColor));
  return layers.reverse().reduce(over, [255, 255, 255]);
};
const poor = [];
for (const element of document.querySelectorAll("body *:not(svg *)")) {
  const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
  if (!text || !element.checkVisibility()) continue;
  const lights = [light(behind(element)), light(parse(getComputedStyle(element).color))].sort((a, b) => b - a);
  const ratio = (lights[0] + 0.05) / (lights[1] + 0.05);
  if (ratio < 4.5) poor.push(`${element.tagName} ${element.className} ${ratio.toFixed(2)}: ${text.slice(0, 40)}`);
}
return poor;
"""


@pytest.fixture(scope="session")
def poor_contrasts(browser: Any) -> Callable[[], list[str]]:
    """A function that names the texts of the open page that hardly stand out from what is behind them."""
    return lambda: list(browser.execute_script(CONTRASTS))
