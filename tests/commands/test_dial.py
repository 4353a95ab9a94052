"""`tellapart dial`, and the dial that a training sets: in the bundle, and nowhere else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tellapart.cli.app import run as run_command
from tellapart.commands.dial import set_dial
from tellapart.config import DialConfig, SourceConfig, TransferConfig
from tellapart.errors import BundleError, ConfigError, OutputError
from tellapart.measure.operating import point_without_misses
from tellapart.predict import bundle as bundle_module
from tellapart.predict.bundle import Bundle, read_bundle
from tellapart.predict.model import load
from tellapart.records import Dial
from tellapart.runs.job import Run
from tellapart.runs.run_folder import claimed, read_run_file
from tellapart.runs.train import train
from tellapart.watcher import Watcher

SCHEMA_2 = Path(__file__).parents[1] / "predict" / "schema2"


class Notes(Watcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def config(tiny_backbone: Path) -> TransferConfig:
    return TransferConfig(backbone=str(tiny_backbone), folds=3)


@pytest.fixture(scope="module")
def told() -> Notes:
    """What the training of `turned` said."""
    return Notes()


@pytest.fixture(scope="module")
def turned(
    tmp_path_factory: pytest.TempPathFactory,
    animals_dir: Path,
    config: TransferConfig,
    source_config: SourceConfig,
    told: Notes,
) -> Run:
    """A finished run whose model misses no cat; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "turned"
    return train(animals_dir, out, config=config, source=source_config, watcher=told, max_missed={"cat": 0.2})


@pytest.fixture
def copied(turned: Run, tmp_path: Path) -> Path:
    """The folder of a run with a dial, to be changed."""
    return Path(shutil.copytree(turned.run_dir, tmp_path / "run"))


def test_a_training_keeps_its_dial_in_the_bundle(turned: Run) -> None:
    bundle = read_bundle(turned.run_dir)
    assert bundle.dial == turned.dial
    assert turned.dial is not None
    assert (turned.dial.class_name, turned.dial.max_missed) == ("cat", 0.2)


def test_a_training_says_what_its_dial_does(told: Notes) -> None:
    (said,) = [note for note in told.notes if note.startswith("A photo is 'cat' from probability")]
    assert "it missed" in said


def test_a_bundle_brings_along_how_each_class_was_told_from_the_rest(turned: Run) -> None:
    curves = read_bundle(turned.run_dir).operating
    assert [(curve.class_name, curve.num_photos, curve.num_others) for curve in curves] == [
        ("cat", 12, 12),
        ("dog", 12, 12),
    ]


def test_the_metrics_have_the_table_of_each_class(turned: Run) -> None:
    tables = json.loads((turned.run_dir / "metrics.json").read_bytes())["operating_points"]
    assert list(tables) == ["cat", "dog"]
    missed = [row["missed_per_1000"] for row in tables["cat"]]
    assert missed == sorted(missed)


def test_an_unknown_class_is_refused_before_anything_is_written(
    animals_dir: Path, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="class of `threshold` 'cats' is not known. Did you mean 'cat'"):
        train(animals_dir, tmp_path / "run", config=config, source=source_config, threshold="cats=0.2")
    assert not (tmp_path / "run").exists()


def test_misses_of_a_class_that_cannot_be_measured_cost_no_training(
    animals_dir: Path, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        photo = next((animals_dir / name).iterdir())
        shutil.copy(photo, tmp_path / "photos" / name / photo.name)
    notes = Notes()
    run = train(
        tmp_path / "photos", tmp_path / "run", config=config, source=source_config, watcher=notes, max_missed="cat=0.2"
    )
    assert run.dial is None
    assert any("`max_missed` needs photos of 'cat'" in note for note in notes.notes)


def test_a_run_that_goes_on_keeps_the_dial_of_its_model(
    copied: Path, animals_dir: Path, source_config: SourceConfig
) -> None:
    set_dial(copied, threshold="dog=0.3")
    assert train(animals_dir, copied, source=source_config, resume=True).dial == Dial("dog", 0.3)


def test_a_run_that_was_killed_before_its_bundle_remembers_the_dial(copied: Path) -> None:
    assert read_run_file(copied).dial == DialConfig(max_missed={"cat": 0.2})


def test_setting_the_dial_changes_nothing_else(copied: Path) -> None:
    before, images = read_bundle(copied), np.zeros((1, *load(copied).preprocess.shape), np.uint8)
    probabilities = load(copied).predict_proba(images)
    summary = set_dial(copied, threshold={"dog": 0.3})
    after = read_bundle(copied)
    assert after.dial == summary.dial == Dial("dog", 0.3)
    assert (after.model, after.operating, after.selective) == (before.model, before.operating, before.selective)
    np.testing.assert_array_equal(load(copied).predict_proba(images), probabilities)


def test_off_takes_the_dial_away(copied: Path) -> None:
    assert set_dial(copied, threshold="off").dial is None
    assert read_bundle(copied).dial is None
    assert b'"schema": 3,' in (copied / "bundle.json").read_bytes()


def test_without_a_setting_nothing_is_written(copied: Path) -> None:
    before = (copied / "bundle.json").stat().st_mtime_ns
    assert set_dial(copied).dial == read_bundle(copied).dial
    assert (copied / "bundle.json").stat().st_mtime_ns == before


def test_too_small_a_share_finds_the_largest_threshold_without_misses(copied: Path) -> None:
    summary = set_dial(copied, max_missed="cat=0.001")
    assert summary.curve is not None
    assert summary.dial == Dial("cat", point_without_misses(summary.curve).threshold, 0.001)
    assert "Too few photos to promise at most 0.1% missed: that takes 999 independent photos" in summary.sentence


def test_a_copy_of_the_bundle_alone_has_a_dial_of_its_own(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("bundle.json", "model.onnx"):
        shutil.copy(copied / name, tmp_path / "model" / name)
    set_dial(tmp_path / "model", max_missed="dog=0.3")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"bundle.json", "model.onnx"}
    assert read_bundle(tmp_path / "model").dial != read_bundle(copied).dial


def test_a_run_that_is_being_trained_is_left_alone(copied: Path) -> None:
    before = (copied / "bundle.json").read_bytes()
    with claimed(copied), pytest.raises(OutputError, match="another training writes into"):
        set_dial(copied, threshold="dog=0.3")
    assert (copied / "bundle.json").read_bytes() == before


def test_a_crash_leaves_the_earlier_dial(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_bundle(copied)

    def fail(*arguments: object, **settings: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(bundle_module, "write_files", fail)
    with pytest.raises(OutputError):
        set_dial(copied, threshold="dog=0.3")
    assert read_bundle(copied) == before


def test_a_damaged_bundle_gets_no_dial(copied: Path) -> None:
    (copied / "model.onnx").write_bytes(b"cut")
    with pytest.raises(BundleError, match="is damaged"):
        set_dial(copied, threshold="dog=0.3")


def test_a_bundle_of_an_earlier_version_takes_a_threshold_and_answers_as_before(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SCHEMA_2, tmp_path / "model"))
    model = load(folder)
    name, images = model.class_names[0], np.zeros((1, *model.preprocess.shape), np.uint8)
    set_dial(folder, threshold={name: 0.3})
    assert load(folder).preprocess == model.preprocess
    assert load(folder).dial == Dial(name, 0.3)
    np.testing.assert_array_equal(load(folder).predict_proba(images), model.predict_proba(images))


@pytest.fixture
def dial(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """A function from the arguments to the exit code of `tellapart dial`."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr("sys.argv", ["tellapart", "dial", *map(str, arguments)])
        return run_command()

    return run


def test_the_command_prints_the_table_of_the_class(
    dial: Callable[..., int], copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dial(copied, "--threshold", "dog=0.3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("A photo is 'dog' from probability 0.3 on. Of 12 photos of 'dog'")
    assert "missed of 1,000 'dog'" in lines[2]
    assert [line.split()[0] for line in lines[3:]][:3] == ["0.001", "0.01", "0.05"]


def test_the_command_names_its_own_flags(
    dial: Callable[..., int], copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dial(copied, "--threshold", "dog=30") == 2
    assert "--threshold 'dog=30' must be above 0 and below 1" in capsys.readouterr().err


def test_a_model_that_was_not_measured_has_no_table(
    dial: Callable[..., int], model_dir: Path, capsys: pytest.CaptureFixture[str], make_bundle: Callable[..., Bundle]
) -> None:
    assert dial(model_dir) == 0
    assert capsys.readouterr().out == "The model answers with the most probable class.\n"
