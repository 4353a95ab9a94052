"""A small web server stands in for the Hugging Face Hub; nothing else is contacted."""

import builtins
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import pytest
from tellapart.learn import hub, onnx_preprocessing

from tellapart.backbones.hub import fetch_backbone
from tellapart.errors import BundleError, ConfigError, DependencyError, OutputError

NAME = "someone/net"
MODEL, SETTINGS = os.urandom(200_000), json.dumps({"size": 224}).encode()
COMMIT, NEXT_COMMIT = "a" * 40, "b" * 40
_REQUEST = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


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
        match = _REQUEST.fullmatch(self.path)
        status, code = self.server.refusal or self._missing(match)
        if status != 200:
            return self._send(status, {"X-Error-Code": code, "X-Repo-Commit": self.server.commit}, b"")
        content = self.server.files[match["path"]]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": self.server.commit}
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
        if start:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self._send(status, headers, content[start:], has_content=has_content)

    def _missing(self, match: re.Match[str] | None) -> tuple[int, str]:
        if match is None or match["name"] != NAME:
            return 404, "RepoNotFound"
        if match["revision"] not in ("main", "v1", self.server.commit):
            return 404, "RevisionNotFound"
        return (200, "") if match["path"] in self.server.files else (404, "EntryNotFound")

    def _send(self, status: int, headers: dict[str, str], content: bytes, *, has_content: bool = False) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content)), "Connection": "close"}.items():
            self.send_header(key, value)
        self.end_headers()
        if has_content:
            is_cut = self.server.cuts > 0 and len(content) > 1000
            self.server.cuts -= is_cut
            self.wfile.write(content[: len(content) // 2] if is_cut else content)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The stand-in, running; `huggingface_hub` takes no proxy and no login from the machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    with StandIn() as standing:
        thread = threading.Thread(target=standing.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield standing
        standing.shutdown()
        thread.join()
    huggingface_hub.close_session()


@pytest.fixture
def gone(server: StandIn) -> str:
    """An address of this machine that nobody listens at."""
    with StandIn() as other:
        return other.endpoint


def test_the_model_and_its_preprocessing_are_fetched(server: StandIn, tmp_path: Path) -> None:
    fetched = fetch_backbone(NAME, tmp_path / "new" / "hub", server.endpoint)
    assert (fetched.model, fetched.preprocessing, fetched.notes) == (MODEL, SETTINGS, ())


def test_what_was_fetched_once_needs_no_network(server: StandIn, gone: str, tmp_path: Path) -> None:
    fetch_backbone(NAME, tmp_path, server.endpoint)
    num_requests = len(server.requests)
    assert fetch_backbone(NAME, tmp_path, gone).model == MODEL
    assert fetch_backbone(NAME, tmp_path, server.endpoint).model == MODEL
    assert len(server.requests) == num_requests


def test_without_an_address_it_is_the_one_huggingface_hub_is_set_to(server: StandIn, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tellapart.backbones.hub import fetch_backbone\n"
        f"print(len(fetch_backbone({NAME!r}, Path(sys.argv[1])).model))"
    )
    environment = {**os.environ, "HF_ENDPOINT": server.endpoint, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
    command = [sys.executable, "-c", code, tmp_path]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(len(MODEL))


def test_a_model_outside_of_the_onnx_folder_is_found_too(server: StandIn, gone: str, tmp_path: Path) -> None:
    server.files["model.onnx"] = server.files.pop("onnx/model.onnx")
    assert fetch_backbone(NAME, tmp_path, server.endpoint).model == MODEL
    assert fetch_backbone(NAME, tmp_path, gone).model == MODEL


def test_a_revision_is_asked_for(server: StandIn, tmp_path: Path) -> None:
    fetch_backbone(f"{NAME}@v1", tmp_path, server.endpoint)
    assert server.requests[0][1] == f"/{NAME}/resolve/v1/onnx/model.onnx"


def test_both_files_are_of_the_same_state_of_the_repository(server: StandIn, tmp_path: Path) -> None:
    fetch_backbone(NAME, tmp_path, server.endpoint)
    settings_requests = [path for _, path, _ in server.requests if path.endswith("preprocessor_config.json")]
    assert set(settings_requests) == {f"/{NAME}/resolve/{COMMIT}/preprocessor_config.json"}


def test_a_repository_that_has_changed_is_used_as_it_was_fetched(server: StandIn, tmp_path: Path) -> None:
    fetch_backbone(NAME, tmp_path, server.endpoint)
    server.commit, server.files["onnx/model.onnx"] = NEXT_COMMIT, b"another"
    assert fetch_backbone(NAME, tmp_path, server.endpoint).model == MODEL


def test_without_network_and_nothing_fetched_the_message_says_what_to_do(gone: str, tmp_path: Path) -> None:
    with pytest.raises(
        BundleError, match=r"'hf:someone/net' .*cannot be reached.*needed once.*works offline.*an ONNX file"
    ):
        fetch_backbone(NAME, tmp_path, gone)


def test_offline_mode_of_huggingface_hub_is_kept(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BundleError, match="cannot be reached to download it. The network is needed once"):
        fetch_backbone(NAME, tmp_path, server.endpoint)
    assert server.requests == []


def test_a_server_that_does_not_answer_in_time_counts_as_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: StandIn
) -> None:
    monkeypatch.setattr(hub, "_TIMEOUT_SECONDS", 0.2)
    hanging = threading.Event()
    monkeypatch.setattr(Answer, "do_HEAD", lambda self: hanging.wait(5))
    with pytest.raises(BundleError, match="cannot be reached to download it"):
        fetch_backbone(NAME, tmp_path, server.endpoint)
    hanging.set()


def test_a_repository_without_onnx_says_what_was_looked_for(server: StandIn, tmp_path: Path) -> None:
    del server.files["onnx/model.onnx"]
    with pytest.raises(BundleError, match=r"has no onnx/model\.onnx and model\.onnx.* at 'main'.*as ONNX"):
        fetch_backbone(NAME, tmp_path, server.endpoint)


def test_a_repository_without_preprocessing_says_how_to_use_it_all_the_same(server: StandIn, tmp_path: Path) -> None:
    del server.files["preprocessor_config.json"]
    with pytest.raises(BundleError, match=r"has no preprocessor_config\.json.*Download .*write FILE\.json beside it"):
        fetch_backbone(NAME, tmp_path, server.endpoint)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((404, "RepoNotFound"), "was not found: there is no public model at .*/someone/net.*Check the spelling"),
        ((401, ""), "was not found: there is no public model at .*hf auth login"),
        ((403, "GatedRepo"), "is gated: .*Ask for access at .*/someone/net, log in with `hf auth login`"),
        ((404, "RevisionNotFound"), "has no revision 'main'; accepted is a branch, tag or commit"),
        ((500, ""), "answered with HTTP status 500. Try again later"),
    ],
    ids=["no repository", "not logged in", "gated", "no revision", "server error"],
)
def test_a_refusal_is_explained(server: StandIn, tmp_path: Path, refusal: tuple[int, str], words: str) -> None:
    server.refusal = refusal
    with pytest.raises(BundleError, match=f"^--backbone 'hf:someone/net' .*{words}") as caught:
        fetch_backbone(NAME, tmp_path, server.endpoint)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_no_hub_is_named(server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answer, "_answer", lambda self, has_content: self._send(200, {}, b"Welcome to the hotel"))
    with pytest.raises(BundleError, match="no Hugging Face Hub. Check HF_ENDPOINT"):
        fetch_backbone(NAME, tmp_path, server.endpoint)


def test_a_download_that_breaks_off_is_resumed(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", len(MODEL) // 10)
    server.cuts = 1
    assert fetch_backbone(NAME, tmp_path, server.endpoint).model == MODEL
    assert [part for _, path, part in server.requests if part] == [f"bytes={len(MODEL) // 2}-"]


def test_a_killed_download_leaves_nothing_that_is_taken_for_the_file(server: StandIn, tmp_path: Path) -> None:
    fetch_backbone(NAME, tmp_path, server.endpoint)
    pointer = next(tmp_path.rglob("model.onnx"))
    blob = pointer.resolve()
    blob.rename(blob.with_suffix(".incomplete")).write_bytes(MODEL[:1000])
    assert fetch_backbone(NAME, tmp_path, server.endpoint).model == MODEL


def test_a_damaged_download_is_fetched_again_and_said(server: StandIn, tmp_path: Path) -> None:
    fetch_backbone(NAME, tmp_path, server.endpoint)
    next(tmp_path.rglob("model.onnx")).resolve().write_bytes(MODEL[::-1])
    fetched = fetch_backbone(NAME, tmp_path, server.endpoint)
    assert fetched.model == MODEL
    assert "onnx/model.onnx of --backbone 'hf:someone/net' was damaged" in fetched.notes[0]
    assert fetch_backbone(NAME, tmp_path, server.endpoint).notes == ()


def test_a_damaged_download_without_network_is_never_used(server: StandIn, gone: str, tmp_path: Path) -> None:
    fetch_backbone(NAME, tmp_path, server.endpoint)
    next(tmp_path.rglob("model.onnx")).resolve().write_bytes(MODEL[::-1])
    with pytest.raises(BundleError, match="not, or no longer, whole on this machine"):
        fetch_backbone(NAME, tmp_path, gone)


def test_a_model_too_large_for_onnx_is_not_downloaded(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_preprocessing, "_MAX_ONNX_BYTES", 1000)
    with pytest.raises(BundleError, match="onnx/model.onnx of --backbone 'hf:someone/net' has .*less than 2 GB"):
        fetch_backbone(NAME, tmp_path, server.endpoint)
    assert [method for method, _, _ in server.requests] == ["HEAD"]


def test_a_folder_that_cannot_be_written_is_named(server: StandIn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be downloaded to '.*file/hub'.*another --cache-dir"):
        fetch_backbone(NAME, tmp_path / "file" / "hub", server.endpoint)


@pytest.mark.parametrize(
    "name",
    ["", "net", "a/b/c", "some one/net", "someone/net@", "someone/net@../x", "someone/net@a@b", "../net", "a--b/c"],
)
def test_what_is_no_name_of_a_repository_is_refused(server: StandIn, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is not the name of a repository; accepted: hf:OWNER/NAME or hf:OWNER/NAME@"):
        fetch_backbone(name, tmp_path, server.endpoint)
    assert server.requests == []


def test_without_huggingface_hub_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *arguments: Any, **more: Any) -> Any:
        assert name != "huggingface_hub.constants"
        missing = {"huggingface_hub": ImportError("No module named 'huggingface_hub'")}
        raise_if = missing.get(name)
        return _raise(raise_if) if raise_if else real_import(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DependencyError, match=r"pip install 'tellapart\[hub\]', or pass the path of an ONNX file"):
        fetch_backbone(NAME, tmp_path)


def _raise(error: Exception) -> None:
    raise error
