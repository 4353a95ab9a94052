"""What a command writes may be mailed or published: it says nothing of the folders of this machine."""

import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from tellapart.checkup.check_up import check, checkup_to_json
from tellapart.commands.compare import compare
from tellapart.commands.evaluate import evaluate, evaluation_to_json
from tellapart.commands.fix import fix
from tellapart.commands.predict import PredictOutputs, write_predictions
from tellapart.commands.show import show
from tellapart.config import SourceConfig, TransferConfig
from tellapart.demo.drawing import write_demo_folder
from tellapart.runs.job import Run
from tellapart.runs.run_report import make_page
from tellapart.runs.train import train
from tellapart.store import to_json_bytes, write_file

# Says where the photos of the run are, for `report` and `--resume`.
PRIVATE = frozenset({"run.json"})


def told(folder: Path, secrets: Iterable[str]) -> list[tuple[str, str]]:
    """Each file below the folder that holds one of the texts, zips and arrays unpacked, and the text."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name in PRIVATE:
            continue
        parts = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                parts += [archive.read(name) for name in archive.namelist()]
        for secret in secrets:
            forms = [secret.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-32-le")]
            if any(form in part for form in forms for part in parts):
                found.append((str(path.relative_to(folder)), secret))
    return found


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(tmp_path_factory.getbasetemp()), f"{Path.home()}/"]


@pytest.fixture(scope="module")
def headed(
    tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, tiny_backbone: Path, source_config: SourceConfig
) -> Run:
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    return train(animals_dir, tmp_path_factory.mktemp("runs") / "headed", config=config, source=source_config)


def test_a_training_by_epochs_tells_no_path(trained: Run, secrets: list[str]) -> None:
    assert told(trained.run_dir, secrets) == []


def test_a_training_with_a_backbone_tells_no_path(headed: Run, secrets: list[str]) -> None:
    assert told(headed.run_dir, secrets) == []


def test_a_check_tells_no_path(
    animals_dir: Path, tmp_path: Path, secrets: list[str], source_config: SourceConfig
) -> None:
    checkup = check(animals_dir, cache_dir=source_config.cache_dir)
    write_file(tmp_path / "check.json", to_json_bytes(checkup_to_json(checkup)))
    write_file(tmp_path / "check.html", make_page(checkup))

    assert told(tmp_path, secrets) == []


def test_a_show_and_a_cleaned_copy_tell_no_path(animals_dir: Path, tmp_path: Path, secrets: list[str]) -> None:
    show(animals_dir, tmp_path / "shown")
    fix(animals_dir, tmp_path / "fixed", drop_copies=True)

    assert told(tmp_path, secrets) == []


def test_an_evaluation_tells_no_path(headed: Run, tmp_path: Path, secrets: list[str]) -> None:
    (tmp_path / "out").mkdir()
    write_demo_folder(tmp_path / "others", 3, seed=5)
    numbers = evaluation_to_json(evaluate(headed.run_dir, tmp_path / "others"))
    write_file(tmp_path / "out" / "numbers.json", to_json_bytes(numbers))

    assert told(tmp_path / "out", secrets) == []


def test_answers_name_photos_as_they_were_typed(
    headed: Run, animals_dir: Path, tmp_path: Path, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(animals_dir.parent)
    outputs = PredictOutputs(tmp_path / "answers.csv", tmp_path / "grid.png", sort_into=tmp_path / "sorted")
    write_predictions(headed.run_dir, animals_dir.name, outputs=outputs)

    assert told(tmp_path, secrets) == []


def test_a_comparison_tells_no_path(
    animals_dir: Path, tmp_path: Path, secrets: list[str], source_config: SourceConfig, tiny_backbone: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def train_config(self: object, recipe: str) -> TransferConfig:
        config = TransferConfig(backbone=str(tiny_backbone), validation_fraction=0.3, folds=2)
        return replace(config, folds=3) if recipe == "classic" else config

    monkeypatch.setattr("tellapart.commands.compare.CompareConfig.train_config", train_config)
    compare(animals_dir, tmp_path / "out", recipes=("classic", "transfer"), cache_dir=source_config.cache_dir)

    assert told(tmp_path / "out", secrets) == []
