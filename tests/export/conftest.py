"""Runs to export, and exports in this process, which costs a tenth of the time of one that starts others."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tellapart
from tellapart.browser.chromium import find_browser
from tellapart.export import child_process, converter_process, export_model
from tellapart.export.converter_process import EXPORT_DIR
from tellapart.export.target import TARGETS, Target
from tellapart.store import sha256_hex

if TYPE_CHECKING:
    from tellapart.runs.job import Run

Tamper = Callable[[Path], None]


def leave(export_dir: Path) -> None:
    """Nothing; the export stays as it is."""


def run_in_this_process(tamper: Tamper = leave) -> Callable[[str, Target, Path, Path], None]:
    """What takes the place of `run_apart`: an export made in this process, changed between conversion and run."""

    def run_here(step: str, target: Target, work_dir: Path, shown: Path) -> None:
        log_path = work_dir / child_process.LOG_NAME
        try:
            code = converter_process.main(step, target.name, str(work_dir))
        except Exception as exc:  # as a process leaves it
            log_path.write_text(f"{type(exc).__name__}: {exc}")
            code = 1
        if code:
            raise child_process.explain(target, work_dir, shown, code)
        if step == "convert":
            tamper(work_dir / EXPORT_DIR)

    return run_here


@pytest.fixture
def converted_here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function after which exports are made in this process, each changed by what it is given before it is run."""
    monkeypatch.setenv("LANGUAGE", "en")

    def replace(tamper: Tamper = leave) -> None:
        monkeypatch.setattr(export_model, "run_apart", run_in_this_process(tamper))
        monkeypatch.setattr(export_model, "run_example", lambda *_: None)

    return replace


@pytest.fixture(scope="session")
def transfer_run(
    tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, tiny_backbone: Path, cache_dir: str
) -> "Run":
    """A finished run of the recipe `transfer` that held no photos out; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "transfer"
    return tellapart.train(animals_dir, out, backbone=str(tiny_backbone), cache_dir=cache_dir)


@dataclass(frozen=True)
class Made:
    """An export, and the files of the run before and after."""

    export: "tellapart.Export"
    before: dict[str, str]
    after: dict[str, str]


def digests_of(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below the folder."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): sha256_hex(path.read_bytes()) for path in paths}


@pytest.fixture(scope="session")
def made(transfer_run: "Run", tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """A function from a target to an export of the run without photos held out, made once; not to be changed."""
    found: dict[str, Made] = {}

    def make(target: str) -> Made:
        if target not in found:
            out, before = tmp_path_factory.mktemp("made") / "out", digests_of(transfer_run.run_dir)
            with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the libraries, which users see in no process of theirs
                patch.setenv("LANGUAGE", "en")
                patch.setattr(export_model, "run_apart", run_in_this_process())
                patch.setattr(export_model, "run_example", lambda *_: None)
                export = tellapart.export_model(transfer_run.run_dir, target, out, accept_difference=True)
            found[target] = Made(export, before, digests_of(transfer_run.run_dir))
        return found[target]

    return make


@pytest.fixture
def installed(target: str) -> str:
    """The target of a test that is repeated for several; skipped where what it needs is missing."""
    missing = [module for module in TARGETS[target].needs if find_spec(module) is None]
    if missing or (TARGETS[target].takes_files and find_browser() is None):
        pytest.skip(f"{missing or 'a browser'} is not installed")
    return target
