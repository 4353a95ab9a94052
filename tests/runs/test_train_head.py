import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tellapart
from tellapart.config import SourceConfig, TransferConfig
from tellapart.demo.drawing import write_demo_folder
from tellapart.errors import BundleError, ConfigError, DatasetError
from tellapart.records import EmbedRecord, Finding
from tellapart.runs.job import Run
from tellapart.runs.train import train
from tellapart.watcher import Watcher

PROMISED_FILES = (
    *("bundle.json", "model.onnx", "metrics.json", "split.csv", "skipped.csv", "run.json", "predictions.csv"),
)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def read_metrics(run: Run) -> dict[str, object]:
    return dict(json.loads((run.run_dir / "metrics.json").read_bytes()))


@pytest.fixture(scope="module")
def config(tiny_backbone: Path) -> TransferConfig:
    return TransferConfig(backbone=str(tiny_backbone), folds=3)


@pytest.fixture(scope="module")
def photos_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class with 20 drawn photos each."""
    return write_demo_folder(tmp_path_factory.mktemp("transfer") / "photos", 20, seed=5)


@pytest.fixture(scope="module")
def headed(
    tmp_path_factory: pytest.TempPathFactory, photos_dir: Path, config: TransferConfig, source_config: SourceConfig
) -> Run:
    """A finished run; not to be changed."""
    return train(photos_dir, tmp_path_factory.mktemp("runs") / "animals", config=config, source=source_config)


def labelled_photos(folder: Path, photos_dir: Path, num_per_class: dict[str, int]) -> Path:
    """A folder per class with that many of the drawn photos."""
    for name, number in num_per_class.items():
        (folder / name).mkdir(parents=True)
        for path in sorted((photos_dir / name).iterdir())[:number]:
            shutil.copy(path, folder / name)
    return folder


def speckled_photos(folder: Path, number: int, colour: tuple[int, int, int], generator: np.random.Generator) -> None:
    """A new folder with photos of one colour with noise, each different."""
    folder.mkdir(parents=True)
    for copy in range(number):
        pixels = np.clip(np.array(colour) + generator.normal(0, 12, (16, 16, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{copy}.png")


@pytest.mark.parametrize("name", PROMISED_FILES)
def test_a_transfer_run_leaves_every_promised_file(headed: Run, name: str) -> None:
    assert (headed.run_dir / name).stat().st_size > 0


def test_few_photos_are_measured_by_cross_validation_and_all_of_them_train(headed: Run) -> None:
    metrics = read_metrics(headed)
    assert headed.is_cross_validated
    assert metrics["validation_method"] == "cross-validation"
    assert (metrics["num_train"], metrics["num_validation"]) == (40, 40)
    assert headed.validation is not None
    assert headed.validation.num_photos == 40
    assert {row["split"] for row in read_csv(headed.run_dir / "split.csv")} == {"train"}


def test_the_model_differs_from_the_head_by_no_more_than_rounding(headed: Run) -> None:
    assert float(str(read_metrics(headed)["onnx_largest_difference"])) < 1e-4


@pytest.mark.slow
def test_the_default_backbone_tells_drawn_animals_apart(
    photos_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    run = train(photos_dir, tmp_path / "run", source=source_config)
    assert run.validation is not None
    assert run.validation.accuracy >= 0.9
    results = list(tellapart.load(run.run_dir).predict(photos_dir))
    assert np.mean([item.class_name == Path(item.path).parent.name for item in results]) >= 0.95


def test_what_was_tried_and_chosen_is_in_the_metrics(headed: Run) -> None:
    head = read_metrics(headed)["head"]
    assert isinstance(head, dict)
    assert head["chosen"]
    assert {"name", "log_loss", "standard_error"} <= set(head["tried"][0])
    assert head["temperature"] > 0


def test_validation_rows_agree_with_the_figures(headed: Run) -> None:
    rows = read_csv(headed.run_dir / "predictions.csv")
    right = [row["class"] == row["predicted_class"] for row in rows]
    assert headed.validation is not None
    assert np.mean(right) == pytest.approx(headed.validation.accuracy)
    assert tuple(right) == headed.is_right


def test_a_validation_share_holds_photos_out(
    photos_dir: Path, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    run = train(photos_dir, tmp_path / "run", config=replace(config, validation_fraction=0.25), source=source_config)
    assert not run.is_cross_validated
    assert len(run.validation_paths) == 10
    held_out = {row["path"] for row in read_csv(run.run_dir / "split.csv") if row["split"] == "validation"}
    assert {Path(path).name for path in held_out} == {Path(path).name for path in run.validation_paths}


def test_the_same_photos_give_the_same_head(
    photos_dir: Path, headed: Run, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    again = train(photos_dir, tmp_path / "run", config=config, source=source_config)
    assert (again.run_dir / "model.onnx").read_bytes() == (headed.run_dir / "model.onnx").read_bytes()
    assert again.num_found_in_cache == 40


def test_only_new_photos_are_embedded(photos_dir: Path, config: TransferConfig, tmp_path: Path) -> None:
    source = SourceConfig(cache_dir=str(tmp_path / "cache"))
    some = labelled_photos(tmp_path / "photos", photos_dir, {"cat": 10, "dog": 10})
    first = train(some, tmp_path / "first", config=config, source=source)
    shutil.rmtree(some)
    labelled_photos(some, photos_dir, {"cat": 12, "dog": 11})
    second = train(some, tmp_path / "second", config=config, source=source)
    assert read_metrics(first)["num_embedded"] == 20
    assert read_metrics(second)["num_embedded"] == 3


def test_embedding_reports_its_progress_to_the_end(photos_dir: Path, config: TransferConfig, tmp_path: Path) -> None:
    told: list[EmbedRecord] = []
    source = SourceConfig(cache_dir=str(tmp_path / "cache"))
    train(photos_dir, tmp_path / "run", config=config, source=source, watcher=Watcher(on_embedded=told.append))
    assert [record.num_done for record in told] == list(range(41))
    assert told[-1].seconds_left == 0


def test_a_single_photo_a_class_trains_and_says_that_its_accuracy_is_unknown(
    photos_dir: Path, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    notes: list[str] = []
    few = labelled_photos(tmp_path / "photos", photos_dir, {"cat": 1, "dog": 1})
    run = train(few, tmp_path / "run", config=config, source=source_config, watcher=Watcher(on_note=notes.append))
    assert run.validation is None
    assert read_metrics(run)["validation_accuracy"] is None
    assert any("there is a single photo of" in note and "'cat', 'dog'" in note for note in notes)
    assert tellapart.load(run.run_dir).class_names == ("cat", "dog")


def test_two_photos_a_class_are_cross_validated(
    photos_dir: Path, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    few = labelled_photos(tmp_path / "photos", photos_dir, {"cat": 2, "dog": 2})
    run = train(few, tmp_path / "run", config=config, source=source_config)
    assert run.validation is not None
    assert run.validation.num_photos == 4


def test_a_photo_in_two_classes_is_named(
    photos_dir: Path, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    found: list[Finding] = []
    torn = labelled_photos(tmp_path / "photos", photos_dir, {"cat": 8, "dog": 8})
    shutil.copy(sorted((torn / "cat").iterdir())[0], torn / "dog" / "again.jpg")
    train(torn, tmp_path / "run", config=config, source=source_config, watcher=Watcher(on_checked=found.extend))
    assert "1 photo in more than one class" in [finding.title for finding in found]


def test_photos_of_one_colour_are_told_apart_from_a_backbone_that_cannot(
    paint: object, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    for name in ("cat", "dog"):
        for number in range(4):
            paint(f"photos/{name}/{number}.png", "red", (24 + number, 24))  # type: ignore[operator]
    with pytest.raises(DatasetError, match=r"(same|constant).*`backbone`"):
        train(tmp_path / "photos", tmp_path / "run", config=config, source=source_config)


def test_an_imbalance_of_thirty_to_one_leaves_the_rare_class_findable(
    config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    for name, number, colour in (("whole", 90, (200, 180, 60)), ("torn", 3, (60, 90, 210))):
        speckled_photos(tmp_path / "photos" / name, number, colour, generator)
    run = train(tmp_path / "photos", tmp_path / "run", config=config, source=source_config)
    head = read_metrics(run)["head"]
    assert isinstance(head, dict)
    assert head["class_weights"][0] > 10 * head["class_weights"][1]
    assert run.validation is not None
    assert run.validation.per_class[0].recall == 1


def test_unreadable_photos_are_reported_and_not_fatal(
    photos_dir: Path, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    messy = labelled_photos(tmp_path / "photos", photos_dir, {"cat": 5, "dog": 5})
    (messy / "cat" / "cut.jpg").write_bytes((sorted((messy / "cat").iterdir())[0]).read_bytes()[:300])
    run = train(messy, tmp_path / "run", config=config, source=source_config)
    assert len(run.skipped) == 1
    assert "cut.jpg" in read_csv(run.run_dir / "skipped.csv")[0]["path"]


def test_resuming_a_transfer_run_with_other_photos_is_refused(
    photos_dir: Path, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    some = labelled_photos(tmp_path / "photos", photos_dir, {"cat": 5, "dog": 5})
    train(some, tmp_path / "run", config=config, source=source_config)
    sorted((some / "cat").iterdir())[0].unlink()
    with pytest.raises(DatasetError, match="not those that .* was trained on"):
        train(some, tmp_path / "run", config=config, source=source_config, resume=True)


def test_resuming_with_another_recipe_is_refused(headed: Run, photos_dir: Path, source_config: SourceConfig) -> None:
    with pytest.raises(ConfigError, match="`recipe` 'classic' .the run has 'transfer'."):
        train(photos_dir, headed.run_dir, config=tellapart.ClassicConfig(), source=source_config, resume=True)


def test_a_backbone_that_fails_is_named(
    photos_dir: Path, source_config: SourceConfig, tiny_backbone: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(tiny_backbone.read_bytes()[:-200])
    shutil.copy(tiny_backbone.with_suffix(".json"), tmp_path / "broken.json")
    with pytest.raises(BundleError, match=r"broken\.onnx"):
        train(photos_dir, tmp_path / "run", config=TransferConfig(backbone=str(broken)), source=source_config)


def test_what_was_embedded_before_a_kill_is_found_by_the_next_run(
    config: TransferConfig, tiny_backbone: Path, tmp_path: Path
) -> None:
    generator = np.random.default_rng(1)
    for name, colour in (("red", (200, 60, 60)), ("blue", (60, 60, 200))):
        speckled_photos(tmp_path / "photos" / name, 150, colour, generator)
    photos = tmp_path / "photos"
    code = (
        "import sys, time, tellapart\n"
        "import tellapart.backbones.photo_pass as photo_pass\n"
        "photo_pass._PHOTOS_A_COMMIT = 64\n"
        "from tellapart.watcher import Watcher\n"
        "source = tellapart.SourceConfig(cache_dir=sys.argv[3])\n"
        "def slow(record):\n"
        "    print(record.num_done, flush=True); time.sleep(0.002)\n"
        "tellapart.train(sys.argv[1], sys.argv[2], config=tellapart.TransferConfig(backbone=sys.argv[4], folds=3),"
        " source=source, watcher=Watcher(on_embedded=slow))\n"
    )
    command = [sys.executable, "-c", code, photos, tmp_path / "run", tmp_path / "cache", tiny_backbone]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    next(line for line in process.stdout if int(line) >= 200)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    source = SourceConfig(cache_dir=str(tmp_path / "cache"))
    run = train(photos, tmp_path / "again", config=config, source=source)
    assert 192 <= run.num_found_in_cache < 300


def test_training_again_loads_neither_keras_nor_pytorch(
    photos_dir: Path, config: TransferConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    code = (
        "import sys, tellapart\n"
        "tellapart.train(sys.argv[1], sys.argv[2], backbone=sys.argv[4], cache_dir=sys.argv[3])\n"
        "print([name for name in ('keras', 'torch') if name in sys.modules])\n"
    )
    arguments = [photos_dir, tmp_path / "run", source_config.cache_dir, config.backbone]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_thousand_classes_train(config: TransferConfig, source_config: SourceConfig, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(1000):
        colour = tuple(generator.integers(0, 256, 3).tolist())
        speckled_photos(tmp_path / f"photos/class-{number:04d}", 2, colour, generator)
    run = train(tmp_path / "photos", tmp_path / "run", config=config, source=source_config)
    assert run.validation is not None
    assert run.validation.accuracy > 0.01
