"""`web` and `web-int8`: the whole classifier as one HTML file, and as a folder for any server of static files.

Proved in a Chromium of this machine, from the files of photos on. Where there is none, the network in the export is run
by ONNX Runtime instead, and the proof says so.
"""

import gzip
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.onnx_session import open_session
from tellapart.browser.chromium import ask_page, browser_version, find_browser
from tellapart.browser.classifier_page import INDEX_FILE, NETWORK_FILE, SITE_PARTS, make_page, read_page
from tellapart.browser.web_runtime import read_web_runtime
from tellapart.errors import ExportError
from tellapart.export.target import PREPROCESSING_NAME, Conversion, Runner
from tellapart.heads.onnx_temperature import answering_onnx
from tellapart.images.preprocessing_folder import SCRIPT_FILE
from tellapart.networks.onnx_nodes import DISTANCE_NAME, INPUT_NAME, MAP_NAME, PROBABILITIES_NAME
from tellapart.store import write_file
from tellapart.translation import gettext as _

PAGE_NAME, SITE_NAME, LICENSES_NAME = "classifier.html", "site", "licenses"
_OUTPUTS = (PROBABILITIES_NAME, MAP_NAME, DISTANCE_NAME)


def convert(work: Conversion) -> None:
    """Writes the page in both forms and the licences of what is in it; in 8 bits where there is calibration."""
    is_int8 = len(work.calibration) > 0
    if is_int8:
        from tellapart.export.quantised_onnx import quantise

        network = quantise(work.bundle, work.calibration, work.folder.parent)
    else:
        network = answering_onnx(work.bundle.model, work.bundle.temperature, _OUTPUTS)
    script = (work.folder / PREPROCESSING_NAME / SCRIPT_FILE).read_text(encoding="utf-8")
    page = make_page(work.bundle, network, script, is_int8=is_int8)
    write_file(work.folder / PAGE_NAME, page.one_file)
    for folder, files in ((SITE_NAME, page.site), (LICENSES_NAME, page.licences)):
        (work.folder / folder).mkdir()
        for name, data in files.items():
            write_file(work.folder / folder / name, data)


def open_runner(folder: Path) -> Runner:
    """The page in a Chromium; without one the network in ONNX Runtime.

    Raises:
        ExportError: the page in `site/` is not the one in the file.
    """
    class_names = read_page((folder / PAGE_NAME).read_bytes()).data["classes"]
    network = gzip.decompress((folder / SITE_NAME / NETWORK_FILE).read_bytes())
    session = open_session(network, 1, _("the export"), _("Export the model again"))

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run([PROBABILITIES_NAME], {INPUT_NAME: image})[0], np.float32)

    browser = find_browser()
    product = None if browser is None else browser_version(browser)
    if browser is None or product is None:
        runtime = _("onnxruntime {version} (not run in a browser)").format(version=version("onnxruntime"))
        _check_site(folder)
        return Runner(runtime, predict, is_native=False, class_names=class_names)

    def answer_files(files: Sequence[Path]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        answers = _answer_files(browser, folder / PAGE_NAME, files, len(class_names))
        _check_site(folder)
        return answers

    runtime = f"onnxruntime-web {read_web_runtime().version} in {product}"
    return Runner(runtime, predict, answer_files=answer_files, class_names=class_names)


def _check_site(folder: Path) -> None:
    """Nothing, if the page in `site/` is the one in the file, which is the one that is proved.

    Raises:
        ExportError: it is another.
    """
    one_file = read_page((folder / PAGE_NAME).read_bytes())
    index = read_page((folder / SITE_NAME / INDEX_FILE).read_bytes())
    parts = {name: (folder / SITE_NAME / file).read_bytes() for name, file in SITE_PARTS.items()}
    if (one_file.data, one_file.script, one_file.parts) != (index.data, index.script, parts):
        raise ExportError(_("the page in site/ is another than classifier.html. Nothing was written."))


def _answer_files(
    browser: str, page: Path, files: Sequence[Path], num_classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """What the page says of the files, NaN where it could not read one, and the seconds of each.

    Raises:
        ExportError: the page does not work in the browser, or gives other numbers than one a class.
    """
    answers = ask_page(browser, page, files)
    found = np.full((len(files), num_classes), np.nan, np.float32)
    for row, probabilities in enumerate(answers.probabilities):
        if probabilities is not None:
            if len(probabilities) != num_classes:
                raise ExportError(_("the page gives another number of probabilities than there are classes."))
            found[row] = probabilities
    return found, np.array(answers.seconds, np.float64)
