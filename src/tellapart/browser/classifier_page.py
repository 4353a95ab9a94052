"""A whole classifier as a page for any browser: network, runtime and script in one HTML file, or beside it on a server.

The page answers as `predict` does: photos are decoded by the browser, turned, reduced and resized as here, and the
rules of "not sure", "none of these" and the dial are those of the bundle. When it opens it tests itself on two drawn
photos. A Content-Security-Policy lets it load nothing from elsewhere and send nothing.
"""

import base64
import gzip
import hashlib
import json
import re
import struct
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.onnx_wire import output_names
from tellapart.browser.web_runtime import LICENSE_FILE, WebRuntime, read_web_runtime
from tellapart.config import AnswerConfig, ImageLimits
from tellapart.errors import ConfigError, ExportError
from tellapart.measure.number_words import count_photos, round_percent
from tellapart.page_templates import make_environment
from tellapart.predict.answers import NONE_OF_THESE, NOT_SURE, AnswerRule, name_doubts
from tellapart.predict.bundle import Bundle
from tellapart.predict.dial import describe_dial
from tellapart.predict.model import Model
from tellapart.report.wording import shorten, title_of
from tellapart.translation import current_language, script_texts
from tellapart.translation import gettext as _

# Files of the page on a server.
INDEX_FILE, NETWORK_FILE, WASM_FILE = "index.html", "network.onnx.gz", "runtime.wasm.gz"
# What a page in one file holds, and what lies beside it on a server.
SITE_PARTS = {"network": NETWORK_FILE, "runtime": WASM_FILE}
_SCRIPTS = ("photo_input.js", "photo.js", "answer.js", "page.js")
# Shares that can be chosen for "not sure" and "none of these", and the one that is chosen at first.
_RATES, _USUAL_RATE = (0.01, 0.02, 0.05, 0.1), 0.05
_LONGEST_NAME = 60
# Side of the drawn PNG whose pixels must come through, and size of the drawn JPEG, which is stored lying on its side.
_GOLDEN_SIDE, _GOLDEN_SIZE, _TURNED = 16, (96, 128), 6
# Between browsers' decoders of JPEG; of a network in int8 also between processors.
_TOLERANCE, _INT8_TOLERANCE = 0.02, 0.1
# Of what are modules elsewhere, and one script here.
_EXPORT = re.compile(r"^export (?=class|function)", re.MULTILINE)


@dataclass(frozen=True)
class PageFiles:
    """The page in both forms.

    Attributes:
        one_file: the HTML file that holds everything.
        site: file name to content, for a folder on any server.
        licences: file name to content of what goes along with both.
        runtime: name and version of what runs the network.
    """

    one_file: bytes
    site: dict[str, bytes]
    licences: dict[str, bytes]
    runtime: str


@dataclass(frozen=True)
class PageContent:
    """What an HTML file of a classifier holds.

    Attributes:
        data: what the script knows of the model.
        script: all of it.
        parts: the network and the runtime, gzipped, as far as they are in the file.
    """

    data: dict[str, Any]
    script: str
    parts: dict[str, bytes]


_DATA = re.compile(rb'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
_SCRIPT = re.compile(rb'<script type="module">(.*?)</script>', re.DOTALL)
_PART = re.compile(rb'<script type="text/plain" id="part-(\w+)">(.*?)</script>', re.DOTALL)


def read_page(page: bytes) -> PageContent:
    """The content of a page that `make_page` has made.

    Raises:
        ExportError: it is none.
    """
    data, script = _DATA.search(page), _SCRIPT.search(page)
    try:
        if data is None or script is None:
            raise ValueError("neither data nor a script")
        parts = {name.decode(): base64.b64decode(text) for name, text in _PART.findall(page)}
        return PageContent(json.loads(data[1]), script[1].decode(), parts)
    except ValueError as exc:
        raise ExportError(_("the page has no classifier in it.")) from exc


def make_page(bundle: Bundle, network: bytes, preprocessing: str, *, is_int8: bool = False) -> PageFiles:
    """The page of a model, in the language of this process.

    Args:
        bundle: the model.
        network: ONNX bytes that answer as the bundle does, with its temperature inside, and maybe fewer outputs.
        preprocessing: JavaScript that exports `preprocess(pixels, height, width)`, for the size of the bundle.
        is_int8: whether the network computes in 8 bits.
    """
    runtime = read_web_runtime()
    packed = gzip.compress(network, 9, mtime=0)
    inside = {"network": packed, "runtime": runtime.packed_wasm}
    answering = replace(bundle, model=network, temperature=1.0)
    tolerance = _INT8_TOLERANCE if is_int8 else _TOLERANCE
    data = _page_data(answering, output_names(network)) | {"golden": _golden(answering, tolerance), "parts": SITE_PARTS}
    one_file = _render(data, runtime, preprocessing, bundle, inside)
    index = _render(data, runtime, preprocessing, bundle, {})
    site = {INDEX_FILE: index, NETWORK_FILE: packed, WASM_FILE: runtime.packed_wasm}
    return PageFiles(one_file, site, runtime.licences, f"onnxruntime-web {runtime.version}")


def _page_data(bundle: Bundle, outputs: list[str]) -> dict[str, Any]:
    """What the script needs to know of the model; texts are in the language of the page."""
    (height, width), limits = bundle.preprocess.image_size, ImageLimits()
    has_distance = "distance" in outputs
    bundle = bundle if has_distance else replace(bundle, usual_distances=())
    shown_doubts = {NOT_SURE: _("not sure"), NONE_OF_THESE: _("none of these")}
    return {
        "classes": list(bundle.class_names),
        "shown": [shorten(name, _LONGEST_NAME) for name in bundle.class_names],
        "doubts": {
            doubt: {"name": name, "shown": shown_doubts[doubt] if name == doubt else name}
            for doubt, name in name_doubts(bundle.class_names).items()
        },
        "height": height,
        "width": width,
        "isGrey": bundle.preprocess.channels == 1,
        "isManaged": bundle.preprocess.is_managed,
        "hasDistance": has_distance,
        "notSure": _not_sure_choices(bundle),
        "noneOfThese": _none_of_these_choices(bundle),
        "dial": bundle.dial
        and {"place": bundle.class_names.index(bundle.dial.class_name), "threshold": bundle.dial.threshold},
        "limits": {"max_bytes": limits.max_bytes, "max_pixels": limits.max_pixels},
    }


def _not_sure_choices(bundle: Bundle) -> list[dict[str, Any]]:
    """For each share of wrong answers the least probability of an answer; `None` where it cannot be promised."""
    if not bundle.selective or bundle.dial is not None:
        return []
    choices = []
    for rate in _RATES:
        rule = AnswerRule(AnswerConfig(not_sure=rate), bundle)
        least = rule.least_probability if np.isfinite(rule.least_probability) else None
        is_default = rate == _USUAL_RATE and least is not None
        choices.append(
            {
                "rate": round_percent(rate),
                "threshold": least,
                "note": _not_sure_note(bundle, least),
                "isDefault": is_default,
            }
        )
    return choices


def _not_sure_note(bundle: Bundle, least: float | None) -> str:
    """How many of the photos that were measured are answered from this probability on, and how many of them wrongly."""
    point = next((one for one in bundle.selective if one.threshold == least), None)
    if point is None:
        return ""
    answered, measured = f"{point.num_answered:,}", count_photos(bundle.selective[0].num_answered)
    return _("Of {photos} that it had not seen, the model answers {answered}, {wrong} of them wrongly.").format(
        photos=measured, answered=answered, wrong=f"{point.num_wrong:,}"
    )


def _none_of_these_choices(bundle: Bundle) -> list[dict[str, Any]]:
    """For each share of false alarms the largest distance of an answer, where the photos of the training tell it."""
    choices = []
    for rate in _RATES if bundle.usual_distances else ():
        try:
            rule = AnswerRule(AnswerConfig(none_of_these=rate), replace(bundle, dial=None))
        except ConfigError:  # too few photos for so few false alarms
            continue
        largest = {"largest": rule.largest_distance, "threshold": rule.largest_distance}
        choices.append({"rate": round_percent(rate), **largest, "note": "", "isDefault": rate == _USUAL_RATE})
    return choices


def _golden(bundle: Bundle, tolerance: float) -> dict[str, Any]:
    """The drawn photos that the page tests itself on, and what the network says of the second."""
    photo = _turned_jpeg(_draw(_GOLDEN_SIZE))
    (prediction,) = Model(bundle, num_threads=1).predict(photo)
    return {
        "pixels": _base64(_encode(".png", _draw_pattern(_GOLDEN_SIDE))),
        "side": _GOLDEN_SIDE,
        "photo": _base64(photo),
        "probabilities": list(prediction.probabilities),
        "tolerance": tolerance,
    }


def _draw_pattern(side: int) -> NDArray[np.uint8]:
    """Pixels that the script knows by the same formula."""
    y, x = np.mgrid[:side, :side]
    return (np.stack([37 * x + 11 * y, 91 * x + 3 * y + 50, 7 * x * y], axis=2) % 256).astype(np.uint8)


def _draw(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Slopes of colour with a disc and a square; uint8 RGB, shape `(*size, 3)`."""
    y, x = np.mgrid[: size[0], : size[1]] / np.array([size[0], size[1]]).reshape(2, 1, 1)
    image = np.stack([230 * y, 60 + 120 * x, 200 - 150 * y * x], axis=2)
    image[(y - 0.35) ** 2 + (x - 0.3) ** 2 < 0.04] = (240, 180, 40)
    image[(abs(y - 0.7) < 0.15) & (abs(x - 0.75) < 0.12)] = (20, 60, 140)
    return image.astype(np.uint8)


def _turned_jpeg(image: NDArray[np.uint8]) -> bytes:
    """A JPEG whose EXIF says that it is to be turned."""
    jpeg = _encode(".jpg", image)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, _TURNED, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def _encode(suffix: str, image: NDArray[np.uint8]) -> bytes:
    is_encoded, data = cv2.imencode(suffix, image[:, :, ::-1])
    assert is_encoded
    return data.tobytes()


def _render(
    data: dict[str, Any], runtime: WebRuntime, preprocessing: str, bundle: Bundle, parts: dict[str, bytes]
) -> bytes:
    """The HTML with these parts inside."""
    from markupsafe import Markup

    environment = make_environment("tellapart.browser")
    sources = {name: environment.loader.get_source(environment, name)[0] for name in (*_SCRIPTS, "style.css")}  # type: ignore[union-attr]
    own = _EXPORT.sub("", "\n".join(sources[name] for name in _SCRIPTS))
    script = "\n".join([runtime.script, _EXPORT.sub("", preprocessing), own])
    assert "</script" not in script.lower()
    texts = json.dumps({**data, "texts": script_texts(own)}, ensure_ascii=False, allow_nan=False)
    page = environment.get_template("page.html").render(
        language=current_language(),
        title=title_of(bundle.class_names, is_checkup=False),
        names=_(", ").join(data["shown"]),
        has_maps="activation_map" in output_names(bundle.model),
        dial_note="" if bundle.dial is None else describe_dial(bundle.dial, bundle.operating),
        is_one_file=bool(parts),
        day=date.today().isoformat(),
        version=version("tellapart"),
        runtime=runtime.version,
        license=runtime.licences[LICENSE_FILE].decode(),
        style=Markup(sources["style.css"]),
        script=Markup(script),
        policy=_policy(sources["style.css"], script, is_one_file=bool(parts)),
        data=Markup(texts.replace("&", r"\u0026").replace("<", r"\u003c")),
        parts={name: _base64(part) for name, part in parts.items()},
    )
    return page.encode("utf-8", "surrogatepass")


def _policy(style: str, script: str, *, is_one_file: bool) -> str:
    """What the page may load and run: this style, this script, WebAssembly, and on a server its own files."""
    connect = "'none'" if is_one_file else "'self'"
    hashes = [_base64(hashlib.sha256(text.encode()).digest()) for text in (style, script)]
    return (
        f"default-src 'none'; img-src data: blob:; media-src blob:; style-src 'sha256-{hashes[0]}'; "
        f"script-src 'sha256-{hashes[1]}' 'wasm-unsafe-eval'; connect-src {connect}; "
        "base-uri 'none'; form-action 'none'"
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
