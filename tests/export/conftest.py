"""Runs to export, and exports in this process, which costs a tenth of the time of one that starts others."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tellapart.export import converter_process, export_model
from tellapart.export.converter_process import EXPORT_DIR
from tellapart.export.target import Target

if TYPE_CHECKING:
    import tellapart
    from tellapart.runs.job import Run

Tamper = Callable[[Path], None]


def leave(export_dir: Path) -> None:
    """Nothing; the export stays as it is."""


@pytest.fixture
def converted_here(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tamper], None]:
    """A function after which exports are made in this process, each changed by what it is given before it is run."""

    def replace(tamper: Tamper = leave) -> None:
        def run_here(step: str, target: Target, work_dir: Path, shown: Path) -> None:
            if step == "convert":
                converter_process.convert(target.name, work_dir)
                tamper(work_dir / EXPORT_DIR)
            else:
                converter_process.run(target.name, work_dir)

        monkeypatch.setattr(export_model, "run_apart", run_here)
        monkeypatch.setattr(export_model, "run_example", lambda *_: None)

    return replace


@pytest.fixture(scope="session")
def transfer_run(
    tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, tiny_backbone: Path, cache_dir: str
) -> "Run":
    """A finished run of the recipe `transfer` that held no photos out; not to be changed."""
    import tellapart

    out = tmp_path_factory.mktemp("runs") / "transfer"
    return tellapart.train(animals_dir, out, backbone=str(tiny_backbone), cache_dir=cache_dir)


@pytest.fixture(scope="session")
def exported(trained: "Run", tmp_path_factory: pytest.TempPathFactory) -> "tellapart.Export":
    """An export made as users make it, by processes of its own; not to be changed."""
    import tellapart

    return tellapart.load(trained.run_dir).export("onnx-int8", tmp_path_factory.mktemp("exports") / "int8")
