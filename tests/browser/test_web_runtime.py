"""The runtime for browsers that the package carries."""

import shutil
from pathlib import Path

import pytest

from tellapart.browser import web_runtime
from tellapart.errors import ExportError


@pytest.fixture
def own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files, which is read in their place."""
    folder = tmp_path / "runtime"
    shutil.copytree(web_runtime._RUNTIME_DIR, folder)
    monkeypatch.setattr(web_runtime, "_RUNTIME_DIR", folder)
    return folder


def test_the_script_makes_the_object_ort() -> None:
    script = web_runtime.read_web_runtime().script
    assert script.startswith("const ort = (() => {")
    assert "InferenceSession: " in script[-400:]


def test_the_licences_go_along() -> None:
    licences = web_runtime.read_web_runtime().licences
    assert {name: b"MIT" in text or b"License" in text for name, text in licences.items()} == {
        "LICENSE": True,
        "ThirdPartyNotices.txt": True,
    }


@pytest.mark.parametrize(
    "name",
    ["LICENSE", "ThirdPartyNotices.txt", "manifest.json", "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm.gz"],
)
@pytest.mark.parametrize("harm", ["cut", "changed", "missing"])
def test_a_damaged_file_is_found(own_copy: Path, name: str, harm: str) -> None:
    path = own_copy / name
    data = path.read_bytes()
    changed = bytearray(data)
    changed[len(data) // 2] ^= 255
    path.unlink()
    {"cut": lambda: path.write_bytes(data[:-7]), "changed": lambda: path.write_bytes(changed), "missing": lambda: None}[
        harm
    ]()
    with pytest.raises(ExportError, match="Install tellapart again"):
        web_runtime.read_web_runtime()
