"""Pages of a small model that has everything: heat maps, distances, "not sure" and "none of these"."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tellapart.browser.classifier_page import PageFiles, make_page
from tellapart.heads.onnx_temperature import answering_onnx
from tellapart.images.preprocessing_folder import SCRIPT_FILE, preprocessing_source
from tellapart.measure.scores import SelectivePoint
from tellapart.predict.bundle import Bundle, read_bundle
from tellapart.predict.model import Model

OUTPUTS = ("probabilities", "activation_map", "distance")


@pytest.fixture(scope="session")
def whole_bundle(
    tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, tiny_backbone: Path, cache_dir: str
) -> Bundle:
    """A transfer model of drawn animals, with a temperature, and measured so that half of its answers are refused."""
    import tellapart

    out = tmp_path_factory.mktemp("runs") / "transfer"
    tellapart.train(animals_dir, out, backbone=str(tiny_backbone), cache_dir=cache_dir)
    points = (SelectivePoint(0.0, 400, 60, 400.0), SelectivePoint(0.9, 200, 0, 200.0))
    return replace(read_bundle(out), temperature=1.3, selective=points)


@pytest.fixture(scope="session")
def original(whole_bundle: Bundle) -> Model:
    """The model itself."""
    return Model(whole_bundle)


def page_of(bundle: Bundle, change: Callable[[str], str] = lambda script: script) -> PageFiles:
    """The page of a bundle, with its preprocessing changed."""
    network = answering_onnx(bundle.model, bundle.temperature, OUTPUTS)
    return make_page(bundle, network, change(preprocessing_source(SCRIPT_FILE, bundle.preprocess)))


@pytest.fixture(scope="session")
def make_files() -> Callable[..., PageFiles]:
    """A function from a bundle to its page."""
    return page_of


@pytest.fixture(scope="session")
def files(whole_bundle: Bundle) -> PageFiles:
    """The page of the whole bundle."""
    return page_of(whole_bundle)


@pytest.fixture(scope="session")
def page_path(files: PageFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page in one file."""
    path = tmp_path_factory.mktemp("page") / "classifier.html"
    path.write_bytes(files.one_file)
    return path


@pytest.fixture(scope="module")
def browser(open_chromium: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    """A Chromium with a made-up camera, which finds no host by name."""
    with open_chromium() as driver:
        yield driver


POOR_TEXTS = r"""
const parse = (text) => (text.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll("body *:not(option)")].filter((one) => {
  const text = [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
  if (!text || !one.checkVisibility() || one.closest("[aria-current]")) return false;
  const [high, low] = [light(behind(one)), light(parse(getComputedStyle(one).color))].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05) < 4.5;
}).map((one) => `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`);
"""


@pytest.fixture(scope="session")
def poor_texts() -> str:
    """A script that names the texts of the open page that hardly stand out from what is behind them."""
    return POOR_TEXTS
