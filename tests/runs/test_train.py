import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tellapart
from tellapart.config import ClassicConfig, SourceConfig
from tellapart.demo.drawing import write_demo_folder
from tellapart.errors import BundleError, ConfigError, DatasetError, OutputError
from tellapart.networks.backend import keras
from tellapart.records import EpochRecord, PreparedRecord, Skipped, StepRecord
from tellapart.runs.job import Run
from tellapart.runs.train import train
from tellapart.watcher import Watcher

PROMISED_FILES = (
    *("model.keras", "model.h5", "model.weights.h5", "bundle.json", "model.onnx", "history.csv", "curves.png"),
    *("metrics.json", "split.csv", "skipped.csv", "run.json"),
)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def weights_of(run_dir: Path) -> list[np.ndarray]:
    return keras.models.load_model(run_dir / "model.keras").get_weights()


def assert_same_weights(one: Path, other: Path) -> None:
    for left, right in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(left, right)


def stop_in_epoch(number: int) -> Watcher:
    def raise_there(record: StepRecord) -> None:
        if record.epoch == number:
            raise KeyboardInterrupt

    return Watcher(on_step=raise_there)


@pytest.fixture
def settings(trained: Run) -> ClassicConfig:
    """The settings of the shared run."""
    return ClassicConfig(image_size=(46, 48), epochs=2, batch_size=8, learning_rate=1e-3)


@pytest.mark.parametrize("name", PROMISED_FILES)
def test_a_run_leaves_every_promised_file(trained: Run, name: str) -> None:
    assert (trained.run_dir / name).stat().st_size > 0


def test_metrics_hold_what_is_promised(trained: Run) -> None:
    metrics = json.loads((trained.run_dir / "metrics.json").read_bytes())
    assert metrics["num_train"] == 20
    assert metrics["num_validation"] == 4
    assert metrics["class_names"] == ["cat", "dog"]
    assert metrics["validation_accuracy"] == trained.validation.accuracy
    assert metrics["validation_interval_95"] == list(trained.validation.interval_95)
    assert 0 <= metrics["onnx_largest_difference"] < 1e-4
    assert metrics["train_seconds"] > 0
    assert metrics["images_per_second"] > 0
    assert {"tellapart", "python", "keras", "torch"} <= set(metrics["versions"])


def test_the_split_names_every_photo_once_and_keeps_the_share_of_each_class(trained: Run, animals_dir: Path) -> None:
    rows = read_csv(trained.run_dir / "split.csv")
    assert len({row["path"] for row in rows}) == 24
    validation = [row["class"] for row in rows if row["split"] == "validation"]
    assert sorted(validation) == ["cat", "cat", "dog", "dog"]


def test_the_history_has_a_row_an_epoch(trained: Run) -> None:
    rows = read_csv(trained.run_dir / "history.csv")
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert float(rows[1]["validation_accuracy"]) == trained.history[1].validation_accuracy


def test_the_loaded_model_answers_as_the_keras_file_does(trained: Run, animals_dir: Path) -> None:
    images, _ = tellapart.open_photos(animals_dir).arrays((46, 48))
    expected = np.asarray(keras.models.load_model(trained.run_dir / "model.keras").predict_on_batch(images))[:, 0]
    result = tellapart.load(trained.run_dir).predict_proba(images)
    np.testing.assert_allclose(result[:, 1], expected, atol=1e-5)


def test_a_finished_run_goes_on_to_more_epochs_as_if_it_had_never_stopped(
    trained: Run, settings: ClassicConfig, animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    longer = replace(settings, epochs=4)
    train(animals_dir, tmp_path / "unbroken", config=longer, source=source_config)
    shutil.copytree(trained.run_dir, tmp_path / "resumed")
    run = train(animals_dir, tmp_path / "resumed", config=longer, source=source_config, resume=True)
    assert len(run.history) == 4
    assert_same_weights(tmp_path / "unbroken", tmp_path / "resumed")


def test_a_stop_leaves_a_usable_model_of_the_last_finished_epoch_that_can_be_resumed(
    trained: Run, settings: ClassicConfig, animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    longer = replace(settings, epochs=5)
    run = train(animals_dir, out, config=longer, source=source_config, watcher=stop_in_epoch(3))
    assert run.is_stopped
    assert_same_weights(out, trained.run_dir)
    assert json.loads((out / "metrics.json").read_bytes())["is_stopped"]
    assert not train(animals_dir, out, config=replace(settings, epochs=3), source=source_config, resume=True).is_stopped


def test_a_stop_in_the_first_epoch_leaves_a_run_that_can_be_resumed(
    trained: Run, settings: ClassicConfig, animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    out = tmp_path / "early"
    with pytest.raises(KeyboardInterrupt):
        train(animals_dir, out, config=settings, source=source_config, watcher=stop_in_epoch(1))
    with pytest.raises(BundleError, match="has not finished.*`resume=True`"):
        tellapart.load(out)
    train(animals_dir, out, source=source_config, resume=True)
    assert_same_weights(out, trained.run_dir)


def test_resume_refuses_other_settings_by_name(trained: Run, settings: ClassicConfig, animals_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"`resume` uses the settings of the run.*`batch_size` 4 \(the run has 8\)"):
        train(animals_dir, trained.run_dir, config=replace(settings, batch_size=4), resume=True)


def test_resume_refuses_other_photos(
    trained: Run, animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    shutil.copytree(animals_dir, tmp_path / "photos")
    next((tmp_path / "photos" / "cat").iterdir()).unlink()
    with pytest.raises(DatasetError, match="are not those that .* was trained on"):
        train(tmp_path / "photos", trained.run_dir, source=source_config, resume=True)


def test_resume_without_a_run_says_so(animals_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no run .* Give a folder made by `tellapart train`"):
        train(animals_dir, tmp_path / "nothing", resume=True)


def test_a_run_is_never_overwritten_by_another(trained: Run, animals_dir: Path) -> None:
    with pytest.raises(OutputError, match="already. Give `resume=True` to continue it"):
        train(animals_dir, trained.run_dir)


def test_a_folder_that_is_not_ours_is_left_alone(animals_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"'thesis.txt'.*folder as `out`"):
        train(animals_dir, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_unusable_photo_is_skipped_and_training_goes_on(
    animals_dir: Path, settings: ClassicConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(animals_dir, photos)
    victim = sorted((photos / "cat").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:300])
    run = train(photos, tmp_path / "run", config=replace(settings, epochs=1), source=source_config)
    assert [Path(item.path).name for item in run.skipped] == [victim.name]
    written = read_csv(tmp_path / "run" / "skipped.csv")[0]["path"]
    assert written == f"photos/{victim.relative_to(photos).as_posix()}"
    assert len(read_csv(tmp_path / "run" / "split.csv")) == 23


def test_a_class_left_with_one_photo_is_an_error_that_names_it_and_leaves_no_folder(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(animals_dir, photos)
    for path in sorted((photos / "dog").iterdir())[1:]:
        path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DatasetError, match=r"class 'dog' .* 1 photo"):
        train(photos, tmp_path / "run", config=ClassicConfig(), source=source_config)
    assert not (tmp_path / "run").exists()


def test_per_class_takes_that_many_and_replaces_an_unusable_one(
    animals_dir: Path, settings: ClassicConfig, cache_dir: str, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(animals_dir, photos)
    for path in sorted((photos / "cat").iterdir())[:6]:
        path.write_bytes(b"\xff\xd8\xff")
    source = SourceConfig(per_class=6, cache_dir=cache_dir)
    train(photos, tmp_path / "run", config=replace(settings, epochs=1), source=source)
    classes = [row["class"] for row in read_csv(tmp_path / "run" / "split.csv")]
    assert [classes.count(name) for name in ("cat", "dog")] == [6, 6]


def test_the_users_own_split_is_kept_and_its_test_folder_is_not_trained_on(
    settings: ClassicConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    for number, name in enumerate(("train", "validation", "test")):
        write_demo_folder(tmp_path / "photos" / name, 4, seed=number)
    run = train(tmp_path / "photos", tmp_path / "run", config=replace(settings, epochs=1), source=source_config)
    rows = read_csv(tmp_path / "run" / "split.csv")
    assert {Path(row["path"]).parts[-3] == row["split"] for row in rows} == {True}
    assert len(rows) == 16
    assert {type(item) for item in run.skipped} == {Skipped}
    assert len(run.skipped) == 8


def test_more_than_two_classes_train_with_a_softmax(
    settings: ClassicConfig, source_config: SourceConfig, animals_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(animals_dir, tmp_path / "photos")
    shutil.copytree(write_demo_folder(tmp_path / "more", 6, seed=9) / "cat", tmp_path / "photos" / "lynx")
    run = train(tmp_path / "photos", tmp_path / "run", config=replace(settings, epochs=1), source=source_config)
    images = np.zeros((3, 46, 48, 3), np.uint8)
    assert tellapart.load(run.run_dir).predict_proba(images).shape == (3, 3)


def test_grey_photos_train_and_predict_with_one_channel(
    settings: ClassicConfig, source_config: SourceConfig, animals_dir: Path, tmp_path: Path
) -> None:
    config = replace(settings, epochs=1, channels=1, augment=None)
    run = train(animals_dir, tmp_path / "run", config=config, source=source_config)
    model = tellapart.load(run.run_dir)
    assert model.preprocess.channels == 1
    assert len(list(model.predict([str(animals_dir)]))) == 24


def test_the_users_files_are_not_touched(trained: Run, animals_dir: Path, tmp_path: Path) -> None:
    fresh = write_demo_folder(tmp_path / "fresh", 12, seed=0)
    for path in sorted(fresh.rglob("*.jpg")):
        assert (animals_dir / path.relative_to(fresh)).read_bytes() == path.read_bytes()
    assert len(list(animals_dir.rglob("*"))) == len(list(fresh.rglob("*")))


def test_the_watcher_hears_of_the_photos_once_and_of_every_epoch(
    animals_dir: Path, settings: ClassicConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    prepared: list[PreparedRecord] = []
    epochs: list[EpochRecord] = []
    run = train(
        animals_dir,
        tmp_path / "run",
        config=settings,
        source=source_config,
        watcher=Watcher(on_prepared=prepared.append, on_epoch=epochs.append),
    )
    assert prepared == [PreparedRecord({"cat": 12, "dog": 12}, 0, 20, 4)]
    assert tuple(epochs) == run.history


def test_a_run_folder_inside_the_photos_is_refused(animals_dir: Path) -> None:
    with pytest.raises(OutputError, match=r"is inside the photos.*Give a folder outside"):
        train(animals_dir, animals_dir / "run")
    assert not (animals_dir / "run").exists()


def test_a_class_of_copies_of_one_photo_is_named(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    shutil.copytree(animals_dir, tmp_path / "photos")
    first, *others = sorted((tmp_path / "photos" / "dog").iterdir())
    for path in others:
        path.write_bytes(first.read_bytes())
    with pytest.raises(DatasetError, match=r"class 'dog' .* has 1 different photo.*Every class needs at least 2"):
        train(tmp_path / "photos", tmp_path / "run", config=ClassicConfig(), source=source_config)


def test_byte_identical_photos_stay_on_one_side_of_the_split(
    animals_dir: Path, settings: ClassicConfig, source_config: SourceConfig, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(animals_dir, photos)
    for path in sorted(photos.rglob("*.jpg")):
        shutil.copy(path, path.with_name(f"again-{path.name}"))
    train(photos, tmp_path / "run", config=replace(settings, epochs=1), source=source_config)
    sides = {Path(row["path"]).name: row["split"] for row in read_csv(tmp_path / "run" / "split.csv")}
    originals = [path.name for path in animals_dir.rglob("*.jpg")]
    assert [sides[name] for name in originals] == [sides[f"again-{name}"] for name in originals]
    assert set(sides.values()) == {"train", "validation"}
