"""A small web server stands in for the Hugging Face Hub; nothing else is contacted."""

import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import huggingface_hub.file_download
import huggingface_hub.hf_api
import pytest

from tellapart.backbones.backbone import open_backbone
from tellapart.backbones.backbone_pack import read_pack
from tellapart.backbones.hub import fetch_backbone, fetch_license
from tellapart.commands.backbone import pack_backbone
from tellapart.errors import BundleError, ConfigError, DependencyError, OutputError

NAME = "someone/net"
MODEL, SETTINGS = os.urandom(200_000), json.dumps({"size": 224}).encode()
COMMIT, NEXT_COMMIT = "a" * 40, "b" * 40
_FILE = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_API = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)(/(?P<kind>revision|tree)/(?P<revision>[^/?]+))?(\?.*)?")


class StandIn(ThreadingHTTPServer):
    """Serves one repository the way the Hub does.

    Attributes:
        files: path in the repository to content.
        commit: what `main` points to.
        refusal: status and `X-Error-Code` that every request is answered with, instead of files.
        cuts: number of answers that break off in the middle of the content.
        requests: method, path and `Range` of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = {"onnx/model.onnx": MODEL, "preprocessor_config.json": SETTINGS}
        self.commit = COMMIT
        self.refusal: tuple[int, str] | None = None
        self.cuts = 0
        self.requests: list[tuple[str, str, str | None]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: StandIn

    def do_HEAD(self) -> None:
        self._answer(has_content=False)

    def do_GET(self) -> None:
        self._answer(has_content=True)

    def log_message(self, *arguments: Any) -> None:
        pass

    def _answer(self, *, has_content: bool) -> None:
        self.server.requests.append((self.command, self.path, self.headers["Range"]))
        match = _FILE.fullmatch(self.path) or _API.fullmatch(self.path)
        status, code = self.server.refusal or self._missing(match)
        headers = {"X-Repo-Commit": self.server.commit}
        if status != 200 or match is None:
            return self._send(status, {"X-Error-Code": code, **headers}, b"", has_content=False)
        if match.re is _API:
            return self._send(200, headers, self._describe(match), has_content=has_content)
        content = self.server.files[match["path"]]
        headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
        if start:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self._send(status, headers, content[start:], has_content=has_content)

    def _describe(self, match: re.Match[str]) -> bytes:
        if match["kind"] != "tree":
            return json.dumps({"id": NAME, "modelId": NAME, "sha": self.server.commit, "siblings": []}).encode()
        files = [
            {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for path, content in self.server.files.items()
        ]
        return json.dumps(files).encode()

    def _missing(self, match: re.Match[str] | None) -> tuple[int, str]:
        if match is None or match["name"] != NAME:
            return 404, "RepoNotFound"
        if match["revision"] not in (None, "main", "v1", self.server.commit):
            return 404, "RevisionNotFound"
        is_there = match.re is _API or match["path"] in self.server.files
        return (200, "") if is_there else (404, "EntryNotFound")

    def _send(self, status: int, headers: dict[str, str], content: bytes, *, has_content: bool = False) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content)), "Connection": "close"}.items():
            self.send_header(key, value)
        self.end_headers()
        if has_content:
            is_cut = self.server.cuts > 0 and len(content) > 1000
            self.server.cuts -= is_cut
            self.wfile.write(content[: len(content) // 2] if is_cut else content)


def use_endpoint(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """What HF_ENDPOINT does before `huggingface_hub` is imported."""
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (huggingface_hub.constants, huggingface_hub.hf_api, huggingface_hub.file_download):
        for name, value in (("ENDPOINT", endpoint), ("HUGGINGFACE_CO_URL_TEMPLATE", template)):
            monkeypatch.setattr(module, name, value, raising=False)
    monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", endpoint)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The stand-in, running; `huggingface_hub` takes no proxy and no login from the machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    with StandIn() as standing:
        thread = threading.Thread(target=standing.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        use_endpoint(monkeypatch, standing.endpoint)
        yield standing
        standing.shutdown()
        thread.join()
    huggingface_hub.close_session()


@pytest.fixture
def gone() -> str:
    """An address of this machine that nobody listens at."""
    with StandIn() as other:
        return other.endpoint


def contents(name: str, cache_dir: Path) -> tuple[bytes, bytes]:
    """What was fetched: the ONNX file, and the JSON beside it in the repository."""
    path, folder = fetch_backbone(name, cache_dir)
    return path.read_bytes(), (folder / "preprocessor_config.json").read_bytes()


def test_the_model_and_its_preprocessing_are_fetched(server: StandIn, tmp_path: Path) -> None:
    server.files["pytorch_model.bin"] = b"of no use here"
    assert contents(NAME, tmp_path / "new" / "hub") == (MODEL, SETTINGS)
    assert not any("pytorch_model" in path for _, path, _ in server.requests)


def test_what_was_fetched_once_is_never_asked_for_again(
    server: StandIn, gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents(NAME, tmp_path)
    num_requests = len(server.requests)
    server.commit, server.files["onnx/model.onnx"] = NEXT_COMMIT, b"another"
    assert contents(NAME, tmp_path) == (MODEL, SETTINGS)
    assert len(server.requests) == num_requests
    use_endpoint(monkeypatch, gone)
    assert contents(NAME, tmp_path) == (MODEL, SETTINGS)


def test_a_model_outside_of_the_onnx_folder_is_found_too(server: StandIn, tmp_path: Path) -> None:
    server.files["model.onnx"] = server.files.pop("onnx/model.onnx")
    assert contents(NAME, tmp_path)[0] == MODEL
    assert contents(NAME, tmp_path)[0] == MODEL


def test_a_revision_is_another_state_of_the_repository(server: StandIn, tmp_path: Path) -> None:
    contents(NAME, tmp_path)
    server.commit, server.files["onnx/model.onnx"] = NEXT_COMMIT, b"another"
    assert contents(f"{NAME}@v1", tmp_path)[0] == b"another"
    assert contents(NAME, tmp_path)[0] == MODEL


def test_a_download_that_was_cut_short_is_completed(server: StandIn, tmp_path: Path) -> None:
    contents(NAME, tmp_path)
    next(tmp_path.rglob("model.onnx")).unlink()
    assert contents(NAME, tmp_path) == (MODEL, SETTINGS)


def test_without_network_and_nothing_fetched_the_message_says_what_to_do(
    server: StandIn, gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_endpoint(monkeypatch, gone)
    with pytest.raises(BundleError, match=r"^`backbone` 'hf:someone/net' .*cannot be reached.*needs the internet"):
        fetch_backbone(NAME, tmp_path)


def test_offline_mode_of_huggingface_hub_is_kept(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BundleError, match="cannot be reached. The first use needs the internet"):
        fetch_backbone(NAME, tmp_path)
    assert server.requests == []


def test_a_repository_without_onnx_says_what_was_looked_for(server: StandIn, tmp_path: Path) -> None:
    del server.files["onnx/model.onnx"]
    with pytest.raises(BundleError, match=r"has none of the files onnx.model.onnx, model\.onnx.*as ONNX"):
        fetch_backbone(NAME, tmp_path)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((404, "RepoNotFound"), "was not found. Check the spelling of 'someone/net'"),
        ((401, ""), "was not found. .*hf auth login"),
        ((403, "GatedRepo"), "is gated. .*log in with `hf auth login`"),
        ((404, "RevisionNotFound"), "has no revision .*Give a branch, tag or commit"),
    ],
    ids=["no repository", "not logged in", "gated", "no revision"],
)
def test_a_refusal_is_explained(server: StandIn, tmp_path: Path, refusal: tuple[int, str], words: str) -> None:
    server.refusal = refusal
    with pytest.raises(BundleError, match=f"^`backbone` 'hf:someone/net' .*{words}") as caught:
        fetch_backbone(NAME, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(server: StandIn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be downloaded to '.*file/hub'.*another `cache_dir`"):
        fetch_backbone(NAME, tmp_path / "file" / "hub")


@pytest.mark.parametrize(
    "name",
    ["", "net", "a/b/c", "some one/net", "someone/net@", "someone/net@../x", "../net", "a--b/c"],
)
def test_what_is_no_name_of_a_repository_is_refused(server: StandIn, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is not the name of a repository. Give hf:OWNER/NAME or hf:OWNER/NAME@"):
        fetch_backbone(name, tmp_path)
    assert server.requests == []


def test_without_huggingface_hub_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DependencyError, match=r"pip install 'tellapart\[hub\]', or give the path of an ONNX file"):
        fetch_backbone(NAME, tmp_path)


@pytest.mark.parametrize(("given", "found"), [({}, "1"), ({"HF_HUB_DISABLE_TELEMETRY": "0"}, "0")])
def test_huggingface_hub_is_told_to_send_no_usage_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], found: str
) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError):
        fetch_backbone("net", tmp_path)
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == found


CARD = "---\nlanguage: en\n{lines}\ntags:\n- vision\n---\n# A network\n\nlicense: not this one\n"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"README.md": CARD.format(lines="license: apache-2.0")}, ("apache-2.0", "")),
        ({"README.md": CARD.format(lines="license: 'cc-by-nc-4.0'").replace("\n", "\r\n")}, ("cc-by-nc-4.0", "")),
        ({"README.md": CARD.format(lines="license: other\nlicense_name: their-own")}, ("their-own", "")),
        ({"README.md": CARD.format(lines="license: mit"), "LICENSE": "as you like"}, ("mit", "as you like")),
        ({"README.md": "# A network\nlicense: mit", "LICENCE.txt": "ask us"}, ("", "ask us")),
        ({"README.md": CARD.format(lines="license: " + "a" * 100)}, ("", "")),
        ({}, ("", "")),
    ],
    ids=["card", "quotes", "other", "text", "text alone", "no name", "nothing"],
)
def test_the_licence_is_what_the_card_and_the_file_say(
    server: StandIn, tmp_path: Path, files: dict[str, str], found: tuple[str, str]
) -> None:
    server.files |= {name: text.encode() for name, text in files.items()}
    _path, folder = fetch_backbone(NAME, tmp_path)
    assert fetch_license(NAME, folder) == found


def test_the_licence_is_that_of_the_state_that_was_fetched(server: StandIn, tmp_path: Path) -> None:
    _path, folder = fetch_backbone(NAME, tmp_path)
    server.commit = NEXT_COMMIT
    assert fetch_license(NAME, folder) == ("", "")
    assert {path.split("/")[4] for _, path, _ in server.requests if "resolve" in path} <= {"main", COMMIT}


def test_without_network_the_licence_of_an_earlier_download_counts(
    server: StandIn, gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["README.md"] = CARD.format(lines="license: mit").encode()
    _path, folder = fetch_backbone(NAME, tmp_path)
    fetch_license(NAME, folder)
    use_endpoint(monkeypatch, gone)
    assert fetch_license(NAME, folder) == ("mit", "")


def test_a_packed_network_of_the_hub_is_the_same_network_without_the_hub(
    server: StandIn, gone: str, tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files = {
        "onnx/model.onnx": tiny_backbone.read_bytes(),
        "preprocessor_config.json": b'{"size": 32, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2]}',
        "README.md": CARD.format(lines="license: apache-2.0").encode(),
        "LICENSE": b"The words of it.",
    }
    out = tmp_path / "carried" / "net.onnx"
    out.parent.mkdir()
    done = pack_backbone(f"hf:{NAME}", out, cache_dir=str(tmp_path / "cache"))
    opened = open_backbone(f"hf:{NAME}", tmp_path / "cache" / "backbones")
    use_endpoint(monkeypatch, gone)

    carried = open_backbone(str(out), tmp_path / "elsewhere")

    assert (carried.model, carried.image_size) == (opened.model, opened.image_size)
    assert (done.name, done.license) == (f"hf:{NAME}@{COMMIT}", "apache-2.0")
    assert done.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    pack = read_pack(out.read_bytes(), "it", "net.onnx")
    assert pack is not None
    assert (pack.name, pack.license, pack.license_text) == (done.name, "apache-2.0", "The words of it.")
