"""ONNX Runtime for browsers, which the package carries: the script, the WebAssembly and their licences.

The files in `runtime/` are those of the npm package, unchanged (`web-runtime/make_web_runtime.py` takes and compares
them); `manifest.json` has the SHA-256 of each.
"""

import gzip
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from tellapart.errors import ExportError
from tellapart.store import sha256_hex
from tellapart.translation import gettext as _

LICENSE_FILE, NOTICES_FILE = "LICENSE", "ThirdPartyNotices.txt"
_SCRIPT_FILE, _WASM_FILE = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
_RUNTIME_DIR = Path(__file__).with_name("runtime")
# The end of the module, `export{a as InferenceSession,b as Tensor};`, and a comment behind it.
_EXPORTS = re.compile(r"export\s*\{([^{}]*)\};?\s*(?://#[^\n]*\s*)?$")
_AS = re.compile(r"([\w$]+) as ([\w$]+)")


@dataclass(frozen=True)
class WebRuntime:
    """What a page needs to run a network.

    Attributes:
        version: such as `1.30.0`.
        script: a JavaScript statement that makes the object `ort`; for a module, and free of `</script`.
        packed_wasm: the WebAssembly, gzipped.
        licences: file name to content of what goes along with every copy.
    """

    version: str
    script: str
    packed_wasm: bytes
    licences: dict[str, bytes]


def read_web_runtime() -> WebRuntime:
    """The runtime, compared with its checksums.

    Raises:
        ExportError: a file is missing or is not the one that was published.
    """
    try:
        manifest = json.loads((_RUNTIME_DIR / "manifest.json").read_bytes())
        packed_wasm = (_RUNTIME_DIR / f"{_WASM_FILE}.gz").read_bytes()
        files = {name: (_RUNTIME_DIR / name).read_bytes() for name in (_SCRIPT_FILE, LICENSE_FILE, NOTICES_FILE)}
        files[_WASM_FILE] = gzip.decompress(packed_wasm)
        is_whole = all(sha256_hex(data) == manifest["files"][name]["sha256"] for name, data in files.items())
    except (OSError, EOFError, ValueError, KeyError, zlib.error) as exc:
        raise _damaged() from exc
    if not is_whole:
        raise _damaged()
    licences = {name: files[name] for name in (LICENSE_FILE, NOTICES_FILE)}
    return WebRuntime(manifest["version"], _as_statement(files[_SCRIPT_FILE].decode()), packed_wasm, licences)


def _as_statement(module: str) -> str:
    """The module with its exports as the object `ort`, so that a page can hold it beside its own script."""
    found = _EXPORTS.search(module)
    assert found is not None and "</script" not in module.lower()
    names = ", ".join(f"{name}: {local}" for local, name in _AS.findall(found[1]) if name != "default")
    return f"const ort = (() => {{{module[: found.start()]}\nreturn {{ {names} }};\n}})();"


def _damaged() -> ExportError:
    return ExportError(
        _("the runtime for browsers in this installation is damaged. Install tellapart again, then export again.")
    )
