"""The recipe `scratch` from photos to a run folder, on drawn photos of 32x32 pixels."""

import csv
import itertools
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

import tellapart
from tellapart.config import ScratchConfig, SourceConfig
from tellapart.errors import ConfigError
from tellapart.networks.backend import keras
from tellapart.records import EpochRecord, StepRecord
from tellapart.runs import network_recipe, scratch_plan
from tellapart.runs.job import Run
from tellapart.runs.run_folder import read_run_file
from tellapart.runs.train import train
from tellapart.training.scratch import CourseSettings
from tellapart.watcher import Watcher

TINY = ScratchConfig(image_size=(32, 48), epochs=2)


@pytest.fixture(scope="module")
def scratch_run(tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, source_config: SourceConfig) -> Run:
    """A finished run of two epochs; not to be changed."""
    return train(animals_dir, tmp_path_factory.mktemp("scratch") / "run", config=TINY, source=source_config)


@pytest.fixture(scope="module")
def letters_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 drawn letters of each of b and d, which are mirror images of one another."""
    folder = tmp_path_factory.mktemp("letters")
    generator = np.random.default_rng(0)
    for letter in "bd":
        (folder / letter).mkdir()
        for number in range(40):
            image = np.full((64, 64, 3), 235, np.uint8)
            place = tuple(int(value) for value in generator.integers((12, 40), (24, 56)))
            cv2.putText(image, letter, place, cv2.FONT_HERSHEY_SIMPLEX, generator.uniform(1.2, 1.8), (20, 20, 20), 3)
            noisy = np.clip(image + generator.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / letter / f"{number}.png"), noisy)
    return folder


def weights_of(run_dir: Path) -> list[np.ndarray]:
    return keras.models.load_model(run_dir / "model.keras").get_weights()


def notes_of(photos: Path, out: Path, config: ScratchConfig, source: SourceConfig) -> list[str]:
    notes: list[str] = []
    train(photos, out, config=config, source=source, watcher=Watcher(on_note=notes.append))
    return notes


def test_the_run_says_what_it_is(scratch_run: Run) -> None:
    metrics = json.loads((scratch_run.run_dir / "metrics.json").read_bytes())
    assert metrics["recipe"] == "scratch"
    assert metrics["num_epochs"] == len(scratch_run.history) == 2
    assert metrics["onnx_largest_difference"] < 1e-4
    assert scratch_run.history[-1].progress == 1
    plan = metrics["plan"]
    assert sum(phase["epochs"] for phase in plan["phases"]) == pytest.approx(2)
    assert plan["image_size"] == [32, 48]
    assert plan["width"] == 16
    page = (scratch_run.run_dir / "report.html").read_text(encoding="utf-8")
    assert "48x32" in page
    assert f"{metrics['num_parameters']:,}" in page


def test_what_was_decided_stands_in_the_run_file(scratch_run: Run) -> None:
    config = read_run_file(scratch_run.run_dir).config
    assert config == TINY


def test_the_history_has_a_row_an_epoch(scratch_run: Run) -> None:
    with (scratch_run.run_dir / "history.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["validation_accuracy"]) == scratch_run.history[-1].validation_accuracy


def test_the_bundle_answers_for_a_photo_as_for_its_mirror_image(scratch_run: Run) -> None:
    model = tellapart.load(scratch_run.run_dir)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), np.uint8)
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    np.testing.assert_allclose(model.predict_proba(images), model.predict_proba(mirrored), atol=1e-5)


def test_the_keras_files_and_the_onnx_file_compute_the_same(scratch_run: Run) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), np.uint8)
    session = onnxruntime.InferenceSession(scratch_run.run_dir / "model.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(["probabilities"], {"image": images})[0]
    for name in ("model.keras", "model.h5"):
        found = keras.models.load_model(scratch_run.run_dir / name).predict_on_batch(images)
        np.testing.assert_allclose(np.asarray(found), expected, atol=1e-4)


def test_the_bundle_says_where_it_looked(scratch_run: Run) -> None:
    model = tellapart.load(scratch_run.run_dir)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)
    logits = model.activation_maps(images).mean(axis=(2, 3))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), model.predict_proba(images), atol=1e-5)


def test_the_bundle_is_as_sure_as_its_validation_photos_allow(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def calibrate(probabilities: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> tuple[float, np.ndarray]:
        powers = probabilities ** (1 / 0.5)
        return 0.5, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    monkeypatch.setattr(network_recipe, "calibrate", calibrate)
    run = train(animals_dir, tmp_path / "run", config=TINY, source=source_config)
    assert json.loads((run.run_dir / "metrics.json").read_bytes())["temperature"] == 0.5
    assert "(temperature 0.50)" in (run.run_dir / "report.html").read_text(encoding="utf-8")
    model = tellapart.load(run.run_dir)
    with (run.run_dir / "predictions.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = {str(animals_dir.parent / row["path"]): row for row in csv.DictReader(file)}
    for answer in model.predict(list(rows)):
        assert float(rows[answer.path]["probability"]) == pytest.approx(max(answer.probabilities), abs=1e-4)


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(
    scratch_run: Run, animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    def stop_in_second_epoch(record: StepRecord) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    watcher = Watcher(on_step=stop_in_second_epoch)
    stopped = train(animals_dir, tmp_path / "run", config=TINY, source=source_config, watcher=watcher)
    assert stopped.is_stopped
    tellapart.load(stopped.run_dir)
    run = train(animals_dir, tmp_path / "run", config=TINY, source=source_config, resume=True)
    assert [record.epoch for record in run.history] == [1, 2]
    for one, other in zip(weights_of(scratch_run.run_dir), weights_of(run.run_dir), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_finished_run_takes_no_further_epochs(
    scratch_run: Run, animals_dir: Path, source_config: SourceConfig
) -> None:
    config = replace(TINY, epochs=3)
    with pytest.raises(ConfigError, match=r"these differ: `epochs` 3 \(the run has 2\)"):
        train(animals_dir, scratch_run.run_dir, config=config, source=source_config, resume=True)


def test_letters_that_are_not_mirrored_have_answers_of_their_own(
    letters_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    config = ScratchConfig(image_size=(32, 32), epochs=1, flip=False)
    train(letters_dir, tmp_path / "run", config=config, source=source_config)
    model = tellapart.load(tmp_path / "run")
    images, _ = tellapart.open_photos(letters_dir).arrays((32, 32))
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    assert np.abs(model.predict_proba(images) - model.predict_proba(mirrored)).max() > 1e-3


@pytest.mark.parametrize("flip", [True, False])
def test_whoever_has_photos_mirrored_is_told(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path, flip: bool
) -> None:
    (note,) = notes_of(animals_dir, tmp_path / "run", replace(TINY, epochs=1, flip=flip), source_config)
    assert ("Mirrored photos count as the same class" in note and "give `flip=False`" in note) == flip


def test_the_plan_is_told_before_the_first_epoch(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    (note,) = notes_of(animals_dir, tmp_path / "run", TINY, source_config)
    assert note.startswith("the plan: 2 epochs at ")
    assert "predicts at 48x32 pixels." in note


@pytest.mark.parametrize(("side", "is_said"), [(32, True), (96, False)])
def test_what_a_small_image_size_hides_is_told(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path, side: int, is_said: bool
) -> None:
    config = ScratchConfig(image_size=(side, side), epochs=1)
    (note,) = notes_of(animals_dir, tmp_path / "run", config, source_config)
    assert ("Photos are shrunk 5 times." in note) == is_said


@pytest.fixture
def made_up_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes but in the steps, where each look at the clock shows half a second more; steps have known rates.

    100 photos of 96x96 pixels a second, and 400 of any other size.
    """
    stopped = SimpleNamespace(perf_counter=lambda: 0.0)
    monkeypatch.setattr("tellapart.runs.train.time", stopped)
    monkeypatch.setattr(scratch_plan, "time", stopped)
    settings = partial(CourseSettings, clock=partial(next, itertools.count(0, 0.5)))
    monkeypatch.setattr("tellapart.training.recipes.CourseSettings", settings)

    def photos_per_second(model: Any, backend: Any, batch_size: int, image_size: tuple[int, int]) -> float:
        return 100.0 if image_size == (96, 96) else 400.0

    monkeypatch.setattr(scratch_plan, "measure_photos_per_second", photos_per_second)
    monkeypatch.setattr(scratch_plan, "_SECONDS_AT_END", 1.0)


@pytest.mark.usefixtures("made_up_time")
def test_a_training_by_the_clock_ends_with_the_clock(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    config = ScratchConfig(image_size=(32, 32), minutes=0.2)
    steps: list[StepRecord] = []
    run = train(
        animals_dir, tmp_path / "run", config=config, source=source_config, watcher=Watcher(on_step=steps.append)
    )
    seconds = json.loads((tmp_path / "run/metrics.json").read_bytes())["plan"]["seconds"]
    assert 6 < seconds < 11
    assert run.history[-1].progress == 1
    # The clock is looked at before each step and for each batch that is prepared ahead.
    assert seconds / 2 < len(steps) <= 2 * seconds


@pytest.mark.usefixtures("made_up_time")
def test_the_epochs_that_are_told_are_those_of_the_measured_rate(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    config = ScratchConfig(image_size=(32, 32), minutes=0.2)
    note = notes_of(animals_dir, tmp_path / "run", config, source_config)[-1]
    metrics = json.loads((tmp_path / "run/metrics.json").read_bytes())
    expected = metrics["plan"]["seconds"] * 0.85 * 400 / metrics["num_train"]
    told = sum(float(num) for num in re.findall(r"([\d.]+) epoch", note))
    assert told == pytest.approx(expected, rel=0.01)


@pytest.mark.usefixtures("made_up_time")
def test_a_training_by_the_clock_goes_on_the_way_it_was_begun(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ScratchConfig(image_size=(64, 64), minutes=0.3)

    def stop(record: EpochRecord) -> None:
        raise KeyboardInterrupt

    begun: list[str] = []
    watcher = Watcher(on_epoch=stop, on_note=begun.append)
    train(animals_dir, tmp_path / "run", config=config, source=source_config, watcher=watcher)
    monkeypatch.setattr(scratch_plan, "measure_photos_per_second", lambda *settings: 1000.0)
    resumed: list[str] = []
    watcher = Watcher(on_note=resumed.append)
    run = train(animals_dir, tmp_path / "run", config=config, source=source_config, resume=True, watcher=watcher)
    sizes = [re.findall(r"\d+x\d+", note) for notes in (begun, resumed) for note in notes]
    assert sizes == [["32x32", "48x48", "64x64"]] * 2
    assert run.history[-1].progress == 1


@pytest.mark.usefixtures("made_up_time")
def test_too_short_a_time_is_refused_with_one_that_is_not(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch_plan, "_SECONDS_AT_END", 6.0)
    config = ScratchConfig(image_size=(32, 32), minutes=0.1)
    with pytest.raises(ConfigError, match=r"`minutes` 0.1 is too short. .* Give at least `minutes=0.3`"):
        train(animals_dir, tmp_path / "run", config=config, source=source_config)
    assert not (tmp_path / "run").exists()


def test_grey_photos_turned_any_way_can_be_learnt(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    config = ScratchConfig(image_size=(32, 32), epochs=1, channels=1, rotations=True, flip=False)
    run = train(animals_dir, tmp_path / "run", config=config, source=source_config)
    assert tellapart.load(run.run_dir).preprocess.shape == (32, 32, 1)


def test_the_image_size_follows_the_photos_and_the_time(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    train(animals_dir, tmp_path / "run", config=ScratchConfig(epochs=1), source=source_config)
    height, width = read_run_file(tmp_path / "run").config.image_size
    assert height == width
    assert 64 <= height <= 96


@pytest.mark.usefixtures("made_up_time")
def test_too_short_a_time_is_refused_before_the_photos_are_read(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*arguments: object) -> None:
        raise AssertionError("the photos were read")

    monkeypatch.setattr("tellapart.runs.network_recipe.prepare_photos", read)
    monkeypatch.setattr(scratch_plan, "_SECONDS_AT_END", 60.0)
    config = ScratchConfig(image_size=(32, 32), minutes=1)
    with pytest.raises(ConfigError, match=r"`minutes` 1 is too short"):
        train(animals_dir, tmp_path / "run", config=config, source=source_config)
