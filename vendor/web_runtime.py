"""Takes onnxruntime-web from its npm package into the package, or compares what lies there with it.

`src/tellapart/browser/runtime/` holds the smallest build that runs with one thread and without a server: the script,
the WebAssembly (gzipped), the licence and the notices of others, and `manifest.json` with the SHA-256 of each file. The
npm package has no licence file, so both texts are those of the `onnxruntime` wheel, built from the same sources.

Run by `make web-runtime`, which renews the files; `--check` changes nothing and ends with 1 where one differs.
"""

import gzip
import json
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

from npm_packages import sha256, unpack

RUNTIME_DIR = Path(__file__).resolve().parents[1] / "src/tellapart/browser/runtime"
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
NOTICES = ("LICENSE", "ThirdPartyNotices.txt")


def published_files() -> dict[str, bytes]:
    """Name to content of all files that are taken, as they were published."""
    with tempfile.TemporaryDirectory() as folder:
        dist = unpack(PACKAGE, VERSION, Path(folder)) / "dist"
        files = {name: (dist / name).read_bytes() for name in (SCRIPT, WASM)}
    wheel = distribution("onnxruntime")
    return files | {name: Path(str(wheel.locate_file(f"onnxruntime/{name}"))).read_bytes() for name in NOTICES}


def manifest_of(files: dict[str, bytes]) -> bytes:
    """The manifest that goes with the files; sizes and checksums are of the files before they are gzipped."""
    listed = {name: {"sha256": sha256(data), "size_bytes": len(data)} for name, data in files.items()}
    value = {"package": PACKAGE, "version": VERSION, "license": "MIT", "files": listed}
    return (json.dumps(value, indent=2) + "\n").encode()


def content_of(path: Path) -> bytes:
    """What a file of the package holds, unpacked."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def main(arguments: list[str]) -> int:
    """The exit code, after doing what the module says."""
    files = published_files()
    manifest = manifest_of(files)
    if arguments == ["--check"]:
        paths = {path.name.removesuffix(".gz"): path for path in RUNTIME_DIR.iterdir()}
        found = {name: content_of(path) for name, path in paths.items()}
        differing = [name for name in files if found.get(name) != files[name]]
        differing += ["manifest.json"] * ((RUNTIME_DIR / "manifest.json").read_bytes() != manifest)
        for name in differing:
            print(f"{name} is not the one of {PACKAGE} {VERSION}. Run `make web-runtime`.")
        return 1 if differing else 0
    RUNTIME_DIR.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        is_packed = name == WASM
        path = RUNTIME_DIR / (f"{name}.gz" if is_packed else name)
        path.write_bytes(gzip.compress(data, 9, mtime=0) if is_packed else data)
    (RUNTIME_DIR / "manifest.json").write_bytes(manifest)
    size = sum(path.stat().st_size for path in RUNTIME_DIR.iterdir())
    print(f"{PACKAGE} {VERSION}: {size:,} bytes in {RUNTIME_DIR.name}/")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
