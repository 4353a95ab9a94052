"""The files of Studio's page: complete, as their packages published them, and with every sentence in both languages."""

import hashlib
import json
import re
from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi", reason="tellapart[serve] is not installed")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from tellapart.studio.page_shell import VIEWS, make_shell_routes, page_texts, render_shell, static_files
from tellapart.translation import SCRIPT_MESSAGE, use_language

MANIFEST = json.loads(static_files()["vendor/manifest.json"])
MODULES = sorted(name for name in static_files() if name.endswith(".js"))
OWN_MODULES = [name for name in MODULES if not name.startswith("vendor/")]
IMPORT = re.compile(r'\b(?:from|import)\s*"([^"]+)"')
# Something that is looked up, and how it begins where it can be found.
LOOKED_UP = re.compile(r"(?<![\w.$])(?:_|ngettext)\((?!message|singular)")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(make_shell_routes())
    with TestClient(app) as opened:
        yield opened


@pytest.mark.parametrize("one", MANIFEST, ids=[one["file"] for one in MANIFEST])
def test_a_module_of_others_is_what_the_manifest_says(one: dict[str, str]) -> None:
    data = static_files()[f"vendor/{one['file']}"]
    assert hashlib.sha256(data).hexdigest() == one["sha256_after"]


def test_every_module_of_others_is_in_the_manifest() -> None:
    assert sorted(f"vendor/{one['file']}" for one in MANIFEST) == [name for name in MODULES if name not in OWN_MODULES]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_files_that_are_there(name: str) -> None:
    folder = name.rpartition("/")[0]
    imported = IMPORT.findall(static_files()[name].decode())
    paths = [f"{folder}/{path.removeprefix('./')}".lstrip("/") for path in imported]
    assert [path for path in paths if path not in static_files()] == []


@pytest.mark.parametrize("name", OWN_MODULES)
def test_what_a_module_looks_up_stands_in_it_as_text(name: str) -> None:
    script = static_files()[name].decode()
    assert len(LOOKED_UP.findall(script)) == len(SCRIPT_MESSAGE.findall(script))


def test_every_sentence_of_the_page_is_there_in_chinese() -> None:
    with use_language("zh"):
        texts = page_texts()
    assert len(texts) > 100
    assert [
        english for english, text in texts.items() if not CHINESE.search(text) and "{num} file" not in english
    ] == []


def test_an_english_page_brings_no_texts() -> None:
    assert page_texts() == {}


@pytest.mark.parametrize("path", ["/", *(f"/{view}" for view in VIEWS)])
def test_every_view_is_the_same_shell(path: str, client: TestClient) -> None:
    assert '<script type="module" src="/static/main.js">' in client.get(path).text


def test_a_phone_gets_a_shell_of_its_own(client: TestClient) -> None:
    assert '<script type="module" src="/static/phone.js">' in client.get("/phone").text


def test_a_shell_has_no_code_and_no_style_in_it() -> None:
    with use_language("zh"):
        shell = render_shell("main.js", ["api.js"])
    inline = re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*(?:src=|application/json))", shell)
    assert inline == []


def test_the_texts_of_a_shell_cannot_end_their_element() -> None:
    with use_language("zh"):
        shell = render_shell("main.js", [])
    texts = shell.partition('id="texts">')[2].partition("</script>")[0]
    assert json.loads(texts) == json.loads(texts.replace("<", ""))


@pytest.mark.parametrize(("name", "kind"), [("main.js", "text/javascript"), ("studio.css", "text/css")])
def test_a_static_file_has_its_kind(name: str, kind: str, client: TestClient) -> None:
    assert client.get(f"/static/{name}").headers["content-type"].startswith(kind)


@pytest.mark.parametrize("name", ["none.js", "../app.py", "vendor/../../app.py", "vendor/LICENSE-htm/..", ""])
def test_nothing_else_is_served(name: str, client: TestClient) -> None:
    assert client.get(f"/static/{name}").status_code == 404
