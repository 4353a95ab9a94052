"""Brings the modules of others that Studio's page and its tests use, from their npm packages.

`vendor/packages.json` names packages, versions and files. `page` are the modules that the package ships: they are
copied with their licence into `src/tellapart/studio/static/vendor/`, their import specifiers become paths, and
`manifest.json` there holds the SHA-256 of each before and after. `tests` and `types` are for development alone and go
to `.npm/`, which git ignores.

Run by `make vendor`, `make axe` and `make check-page`; needs npm.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
STATIC = REPOSITORY / "src/tellapart/studio/static"
VENDOR = STATIC / "vendor"
DEVELOPMENT = REPOSITORY / ".npm"
MANIFEST = "manifest.json"
# What a module imports by the name of a package, and the file that has it here.
SPECIFIERS = {
    "preact": "./preact.js",
    "preact/hooks": "./hooks.js",
    "@preact/signals-core": "./signals-core.js",
}
_IMPORT = re.compile(r'\b(from|import)\s*"([^"./][^"]*)"')
_SOURCE_MAP = re.compile(r"\n?//# sourceMappingURL=\S*\s*$")


def sha256(data: bytes) -> str:
    """The digest as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def rewrite(module: str) -> str:
    """The module with paths instead of names of packages, and without the name of a source map that is not shipped.

    Raises:
        KeyError: the module imports a package that is not shipped.
    """
    return _IMPORT.sub(lambda found: f'{found[1]}"{SPECIFIERS[found[2]]}"', _SOURCE_MAP.sub("\n", module))


def unpack(package: str, version: str, folder: Path) -> Path:
    """The unpacked npm package, below `folder`."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not installed. Install it, e.g. `apt-get install npm`.")
    done = subprocess.run(
        [npm, "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True, capture_output=True, text=True
    )
    to = folder / package.replace("/", "-")
    with tarfile.open(folder / done.stdout.strip().splitlines()[-1]) as archive:
        archive.extractall(to, filter="data")
    return to / "package"


def vendor(packages: list[dict[str, Any]]) -> None:
    """Replaces what the page ships of others."""
    shutil.rmtree(VENDOR, ignore_errors=True)
    VENDOR.mkdir(parents=True)
    manifest = []
    with tempfile.TemporaryDirectory() as name:
        for one in packages:
            source = unpack(one["package"], one["version"], Path(name))
            licence = f"LICENSE-{one['package'].replace('/', '-').lstrip('@')}"
            shutil.copyfile(source / "LICENSE", VENDOR / licence)
            for to, path in one["files"].items():
                before = (source / path).read_bytes()
                after = rewrite(before.decode()).encode()
                (VENDOR / to).write_bytes(after)
                manifest.append(
                    {
                        "file": to, "package": one["package"], "version": one["version"], "source": path,
                        "license": json.loads((source / "package.json").read_bytes())["license"],
                        "license_file": licence, "sha256_before": sha256(before), "sha256_after": sha256(after),
                    }
                )  # fmt: skip
    (VENDOR / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def fetch_files(packages: list[dict[str, Any]]) -> None:
    """Brings files that only the tests use; each must have the SHA-256 that the list states.

    Raises:
        SystemExit: a file is another one.
    """
    DEVELOPMENT.mkdir(exist_ok=True)
    for one in packages:
        if all((DEVELOPMENT / to).exists() for to in one["files"]):
            continue
        with tempfile.TemporaryDirectory() as name:
            source = unpack(one["package"], one["version"], Path(name))
            for to, path in one["files"].items():
                data = (source / path).read_bytes()
                if sha256(data) != one["sha256"][to]:
                    sys.exit(f"{path} of {one['package']} {one['version']} is not the file it was.")
                (DEVELOPMENT / to).write_bytes(data)


def check_types(page: list[dict[str, Any]], types: list[dict[str, Any]]) -> int:
    """The exit code of `tsc --checkJs` over the modules of the page, with the types of the packages they use."""
    node = shutil.which("node")
    if node is None:
        print("make check-page: skipped, because node is not installed")
        return 0
    folder = DEVELOPMENT / "types"
    modules = folder / "node_modules"
    for one in [*page, *types]:
        to = modules / one["package"]
        if not to.exists():
            with tempfile.TemporaryDirectory() as name:
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(unpack(one["package"], one["version"], Path(name)), to)
    static = folder / "static"
    shutil.rmtree(static, ignore_errors=True)
    shutil.copytree(STATIC, static, ignore=shutil.ignore_patterns("vendor", "*.css"))
    (static / "vendor").mkdir()
    for name, package in {
        "preact": "preact", "hooks": "preact/hooks", "signals": "@preact/signals", "htm": "htm",
    }.items():  # fmt: skip
        default = 'export { default } from "htm";\n' if name == "htm" else ""
        (static / "vendor" / f"{name}.d.ts").write_text(f'{default}export * from "{package}";\n')
    settings = {
        "compilerOptions": {
            "allowJs": True, "checkJs": True, "noEmit": True, "strict": True, "target": "es2022", "module": "es2022",
            "moduleResolution": "bundler", "lib": ["es2023", "dom", "dom.iterable"], "skipLibCheck": True,
        },
        "include": ["static"],
    }  # fmt: skip
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    return subprocess.run([node, str(modules / "typescript/bin/tsc"), "-p", str(folder)], check=False).returncode


def main(arguments: list[str]) -> int:
    """The exit code, after doing what `make` asks for: `page`, `tests` or `types`."""
    packages = json.loads((REPOSITORY / "vendor/packages.json").read_bytes())
    if arguments == ["page"]:
        vendor(packages["page"])
    elif arguments == ["tests"]:
        fetch_files(packages["tests"])
    elif arguments == ["types"]:
        return check_types(packages["page"], packages["types"])
    else:
        sys.exit("Give page, tests or types.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
