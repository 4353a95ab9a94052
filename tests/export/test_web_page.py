"""The export to a page for browsers, proved in a Chromium from file to answer, and where there is none."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tellapart
from tellapart.browser.chromium import BROWSER_VARIABLE, ask_page, browser_version, find_browser
from tellapart.errors import ExportError

if TYPE_CHECKING:
    from tellapart.runs.job import Run

LARGEST_DIFFERENCE = 1e-3
PAGE, INDEX = "classifier.html", "site/index.html"
CATS_DOGS = Path(__file__).parents[2] / "../shared/data/cats-dogs/train"

needs_browser = pytest.mark.skipif(find_browser() is None, reason="needs Chromium, Chrome or Edge")


def swap_channels(export_dir: Path) -> None:
    """The page feeds blue, green, red; a Content-Security-Policy would refuse a script that was changed."""
    path = export_dir / PAGE
    text = path.read_text(encoding="utf-8").replace("script-src 'sha256-", "script-src 'unsafe-inline' 'no-", 1)
    text = text.replace("script-src &#39;sha256-", "script-src &#39;unsafe-inline&#39; &#39;no-", 1)
    wrong = text.replace("const image = preprocess(pixels, height, width)", WRONG_IMAGE)
    assert wrong != text
    path.write_text(wrong, encoding="utf-8")


WRONG_IMAGE = "const image = preprocess(pixels, height, width).map((value, at, all) => all[at + 2 - 2 * (at % 3)])"


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BROWSER_VARIABLE, "/nonexistent/browser")


@needs_browser
def test_a_page_is_proved_in_a_browser(
    transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here()
    done = tellapart.export_model(transfer_run.run_dir, "web", tmp_path / "out")
    assert {PAGE, INDEX, "site/network.onnx.gz", "licenses/LICENSE", "preprocessing/preprocess.mjs"} <= set(done.files)
    assert done.proof.is_native
    assert "onnxruntime-web" in done.proof.runtime
    assert "Chrome" in done.proof.runtime
    assert done.proof.largest_difference <= LARGEST_DIFFERENCE


@needs_browser
def test_a_page_that_answers_differently_is_caught(
    transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here(swap_channels)
    with pytest.raises(ExportError, match="does not trust itself|answers differently"):
        tellapart.export_model(transfer_run.run_dir, "web", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_proof_without_a_browser_says_so(
    no_browser: None, transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here()
    done = tellapart.export_model(transfer_run.run_dir, "web", tmp_path / "out")
    assert not done.proof.is_native
    assert done.proof.runtime.endswith("(not run in a browser)")
    assert done.proof.num_photos > 0


@needs_browser
def test_a_browser_starts_where_the_folder_for_temporary_files_has_a_long_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    assert "Chrome" in str(browser_version(str(find_browser())))


def test_a_browser_that_is_not_there_is_none(no_browser: None) -> None:
    assert find_browser() is None


@pytest.mark.parametrize("program", ["/bin/false", "/bin/cat", "/nonexistent"])
def test_a_program_that_is_no_browser_is_told(program: str, tmp_path: Path) -> None:
    assert browser_version(program) is None
    with pytest.raises(ExportError, match="the browser"):
        ask_page(program, tmp_path / "page.html", [])


@needs_browser
@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.skipif(not CATS_DOGS.is_dir(), reason="needs the photos in ../shared/data")
def test_fifty_photos_of_cats_and_dogs_are_answered_as_predict_does(tmp_path: Path) -> None:
    for number in range(60):
        for name in ("cat", "dog"):
            place = tmp_path / "photos" / name / f"{number}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes((CATS_DOGS / f"{name}.{number + 1}.jpg").read_bytes())
    run = tellapart.train(tmp_path / "photos", tmp_path / "run", cache_dir=str(tmp_path / "cache"))
    done = tellapart.export_model(run.run_dir, "web", proof=[str(CATS_DOGS)])
    assert done.proof.num_photos == 50
    assert done.proof.largest_difference <= LARGEST_DIFFERENCE
    assert done.proof.num_changed == 0
