"""What the page is made of, without a browser."""

import base64
import gzip
import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from tellapart.browser import classifier_page
from tellapart.browser.classifier_page import PageFiles
from tellapart.predict.bundle import Bundle
from tellapart.records import Dial
from tellapart.translation import use_language


def data_of(page: bytes) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page.decode(), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def test_the_network_lies_in_the_file_and_beside_it(files: PageFiles) -> None:
    found = re.search(r'id="part-network">([^<]+)<', files.one_file.decode())
    assert found
    assert base64.b64decode(found[1]) == files.site["network.onnx.gz"]
    assert b"part-network" not in files.site["index.html"].replace(b"`part-", b"")


def test_nothing_is_loaded_from_elsewhere(files: PageFiles) -> None:
    text, index = html.unescape(files.one_file.decode()), html.unescape(files.site["index.html"].decode())
    assert re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//""", text) == []
    assert "connect-src 'none'" in text
    assert "connect-src 'self'" in index


def test_the_same_model_gives_the_same_page_on_a_day(
    whole_bundle: Bundle, make_files: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = []
    for day in (date(2026, 1, 31), date(2026, 1, 31), date(2026, 2, 1)):
        monkeypatch.setattr(classifier_page, "date", SimpleNamespace(today=lambda day=day: day))
        pages.append(make_files(whole_bundle).one_file)

    assert pages[0] == pages[1]
    assert pages[0].replace(b"2026-01-31", b"2026-02-01") == pages[2]


def test_names_of_classes_are_text(make_bundle: Callable[..., Bundle], make_files: Callable) -> None:
    names = ("</script><script>alert(1)</script>", "<b>&amp;")
    bundle = make_bundle(class_names=("blue", "red"))
    page = make_files(replace(bundle, class_names=names)).one_file
    assert data_of(page)["classes"] == list(names)
    assert b"<script>alert" not in page


def test_the_page_speaks_the_language_of_the_process(whole_bundle: Bundle, make_files: Callable) -> None:
    with use_language("zh"):
        page = make_files(whole_bundle).one_file
    assert '<html lang="zh">' in page.decode()
    assert data_of(page)["texts"]["Loading the network …"] == "正在加载网络……"


def test_not_sure_has_the_thresholds_of_the_bundle(files: PageFiles) -> None:
    choices = {one["rate"]: one["threshold"] for one in data_of(files.one_file)["notSure"]}
    assert choices["5%"] == 0.9


def test_a_model_with_a_dial_has_no_not_sure(whole_bundle: Bundle, make_files: Callable) -> None:
    dial = Dial(whole_bundle.class_names[1], 0.2)
    data = data_of(make_files(replace(whole_bundle, dial=dial)).one_file)
    assert (data["notSure"], data["dial"]) == ([], {"place": 1, "threshold": 0.2})


def test_a_plain_model_has_neither_doubt(make_bundle: Callable[..., Bundle], make_files: Callable) -> None:
    data = data_of(make_files(make_bundle()).one_file)
    assert (data["notSure"], data["noneOfThese"], data["hasDistance"]) == ([], [], False)


@pytest.mark.parametrize("name", ["network.onnx.gz", "runtime.wasm.gz"])
def test_the_parts_of_the_site_are_gzipped(files: PageFiles, name: str) -> None:
    assert gzip.decompress(files.site[name])
