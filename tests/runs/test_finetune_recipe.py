"""A training that may fine-tune, on drawn photos at 64 pixels and with a handful of steps."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import tellapart
from tellapart.config import FinetuneConfig, SourceConfig
from tellapart.demo.drawing import write_demo_folder
from tellapart.errors import ConfigError, DependencyError
from tellapart.records import StepRecord
from tellapart.runs import fine_tuning_choice, finetune_recipe
from tellapart.runs.job import Run
from tellapart.runs.run_folder import read_run_file
from tellapart.runs.train import train
from tellapart.training import fine_tuning
from tellapart.watcher import Watcher

CONFIG = FinetuneConfig(backbone="efficientnet-lite0@64", steps=4, folds=3)
KEPT, NOT_KEPT = -100.0, 100.0
TrainHere = Callable[..., Run]


@pytest.fixture(scope="module")
def photos_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class with 30 drawn photos each."""
    return write_demo_folder(tmp_path_factory.mktemp("tuned") / "photos", 30, seed=5)


@pytest.fixture(scope="module")
def train_here(
    tmp_path_factory: pytest.TempPathFactory, photos_dir: Path, source_config: SourceConfig
) -> Callable[..., Run]:
    """A function that trains on few photos; fine-tuning is kept from so many standard errors on."""

    def run(
        errors: float = KEPT, out: Path | None = None, fewest: int = 40, fewest_wrong: int = 0, **settings: Any
    ) -> Run:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fine_tuning_choice, "_STANDARD_ERRORS", errors)
            patch.setattr(fine_tuning_choice, "_FEWEST_ERRORS", fewest_wrong)
            patch.setattr(finetune_recipe, "_FEWEST", fewest)
            patch.setattr(fine_tuning, "_STEPS_A_CHECKPOINT", 2)
            folder = out or tmp_path_factory.mktemp("runs") / "animals"
            return train(photos_dir, folder, **({"config": CONFIG, "source": source_config} | settings))

    return run


@pytest.fixture(scope="module")
def tuned(train_here: TrainHere) -> Run:
    """A run whose network is fine-tuned; not to be changed."""
    return train_here()


@pytest.fixture(scope="module")
def frozen(train_here: TrainHere) -> Run:
    """A run whose network stays as pretrained; not to be changed."""
    return train_here(NOT_KEPT)


def metrics_of(run: Run) -> dict[str, Any]:
    return dict(json.loads((run.run_dir / "metrics.json").read_bytes()))


def stop_at(number: int, step: int) -> Watcher:
    """Ctrl-C at that step of that training."""

    def on_step(record: StepRecord) -> None:
        if (record.epoch, record.step) == (number, step):
            raise KeyboardInterrupt

    return Watcher(on_step=on_step)


def test_the_fine_tuned_network_is_another_one(tuned: Run, frozen: Run) -> None:
    decided = metrics_of(tuned)["fine_tuning"]

    assert decided["is_kept"]
    assert decided["share"] in fine_tuning_choice.SHARES
    assert decided["num_steps"] == [4, 4, 4]
    assert (tuned.run_dir / "model.onnx").read_bytes() != (frozen.run_dir / "model.onnx").read_bytes()


def test_the_model_answers_as_what_was_trained_does(tuned: Run) -> None:
    assert metrics_of(tuned)["onnx_largest_difference"] < 1e-3


@pytest.mark.parametrize("fraction", [None, 0.3])
def test_what_is_not_better_is_answered_as_by_the_recipe_transfer(
    train_here: TrainHere, fraction: float | None
) -> None:
    frozen = train_here(NOT_KEPT, config=replace(CONFIG, validation_fraction=fraction))
    config = tellapart.TransferConfig(backbone=CONFIG.backbone, folds=3, validation_fraction=fraction)
    transferred = train_here(config=config)
    files = ("model.onnx", "split.csv", "fingerprints.bin", "predictions.csv")

    assert not metrics_of(frozen)["fine_tuning"]["is_kept"]
    assert frozen.is_cross_validated == transferred.is_cross_validated == (fraction is None)
    assert frozen.validation == transferred.validation
    assert metrics_of(frozen)["num_train"] == metrics_of(transferred)["num_train"]
    assert [(frozen.run_dir / name).read_bytes() for name in files] == [
        (transferred.run_dir / name).read_bytes() for name in files
    ]


@pytest.mark.parametrize("name", ["tuned", "frozen"])
def test_report_and_metrics_say_what_was_decided(name: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(name)
    sentence = metrics_of(run)["fine_tuning"]["sentence"]

    assert "log loss" in sentence
    assert sentence in (run.run_dir / "report.html").read_text(encoding="utf-8")


def test_the_figures_come_from_photos_that_no_decision_has_seen(tuned: Run) -> None:
    metrics = metrics_of(tuned)

    assert not tuned.is_cross_validated
    assert (metrics["num_train"], metrics["num_validation"]) == (48, 12)
    assert metrics["fine_tuning"]["num_photos"] <= 48
    assert set(tuned.validation_paths).isdisjoint(
        line.split(",")[0] for line in (tuned.run_dir / "split.csv").read_text().splitlines() if ",train," in line
    )


def test_the_figures_are_those_of_the_model(tuned: Run, photos_dir: Path) -> None:
    answers = tellapart.load(tuned.run_dir).predict([photos_dir / path for path in tuned.validation_paths])
    right = [Path(answer.path).parent.name == answer.class_name for answer in answers]

    assert tuple(right) == tuned.is_right


def test_a_fine_tuned_model_has_heat_maps_and_tells_what_is_unlike_its_photos(tuned: Run) -> None:
    model = tellapart.load(tuned.run_dir)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)

    assert model.activation_maps(images).shape == (3, 2, 2, 2)
    assert len(model.usual_distances) == 201
    maps, probabilities = model.activation_maps(images).mean((2, 3)), model.predict_proba(images)
    np.testing.assert_allclose(np.diff(maps), np.diff(np.log(probabilities)), atol=1e-3)


@pytest.mark.parametrize(
    ("number", "step"),
    [
        pytest.param(1, 3, id="first", marks=pytest.mark.soak),
        pytest.param(2, 4, id="second"),
        pytest.param(3, 3, id="last", marks=pytest.mark.soak),
    ],
)
def test_ctrl_c_leaves_the_pretrained_network_and_resume_ends_as_if_it_had_not_been(
    train_here: TrainHere, tuned: Run, frozen: Run, tmp_path: Path, number: int, step: int
) -> None:
    stopped = train_here(out=tmp_path / "run", watcher=stop_at(number, step))
    model = (stopped.run_dir / "model.onnx").read_bytes()
    resumed = train_here(out=tmp_path / "run", config=None, resume=True)

    assert stopped.is_stopped
    assert model == (frozen.run_dir / "model.onnx").read_bytes()
    assert not resumed.is_stopped
    assert (resumed.run_dir / "model.onnx").read_bytes() == (tuned.run_dir / "model.onnx").read_bytes()


def test_few_photos_are_trained_on_as_by_the_recipe_transfer(train_here: TrainHere) -> None:
    run = train_here(fewest=100)
    decided = metrics_of(run)["fine_tuning"]

    assert run.is_cross_validated
    assert decided["sentence"] == "Fine-tuning was not tried. It needs 100 different photos, and 2 of each class."
    assert not (run.run_dir / "checkpoints").exists()


def test_photos_that_are_nearly_all_right_are_answered_with_the_pretrained_network(
    train_here: TrainHere, frozen: Run
) -> None:
    run = train_here(fewest_wrong=1_000)

    said = metrics_of(run)["fine_tuning"]["sentence"]
    assert said.startswith("Fine-tuning was not tried. The pretrained network gets ")
    assert said.endswith(" photos wrong, and 1000 are needed to tell whether it helps.")
    assert (run.run_dir / "model.onnx").read_bytes() == (frozen.run_dir / "model.onnx").read_bytes()
    assert not (run.run_dir / "checkpoints").exists()


def test_minutes_that_leave_no_time_are_answered_with_the_pretrained_network(train_here: TrainHere) -> None:
    run = train_here(config=replace(CONFIG, steps=None, minutes=0.1))

    assert "`minutes` leaves no time" in metrics_of(run)["fine_tuning"]["sentence"]


def test_a_network_with_a_mirrored_view_is_fine_tuned_too(train_here: TrainHere) -> None:
    run = train_here(config=replace(CONFIG, backbone="efficientnet-lite0@64+mirrored", steps=1))
    model = tellapart.load(run.run_dir)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)

    assert metrics_of(run)["fine_tuning"]["is_kept"]
    np.testing.assert_allclose(
        model.predict_proba(images), model.predict_proba(np.ascontiguousarray(images[:, :, ::-1])), atol=1e-4
    )


def test_uneven_classes_are_fine_tuned_to_count_the_same(
    train_here: TrainHere, photos_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    shutil.copytree(photos_dir, tmp_path / "photos")
    for path in sorted((tmp_path / "photos/dog").iterdir())[8:]:
        path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fine_tuning_choice, "_STANDARD_ERRORS", KEPT)
        patch.setattr(fine_tuning_choice, "_FEWEST_ERRORS", 0)
        patch.setattr(finetune_recipe, "_FEWEST", 30)
        run = train(tmp_path / "photos", tmp_path / "run", config=replace(CONFIG, steps=1), source=source_config)

    assert metrics_of(run)["head"]["class_weights"] is not None
    assert metrics_of(run)["fine_tuning"]["is_kept"]


def test_what_is_fast_enough_trains_the_whole_network(
    train_here: TrainHere, tuned: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune_recipe, "choose_device", lambda: (torch.device("cpu"), True))
    run = train_here()
    kernels = [
        next(value for value in onnx.load(one.run_dir / "model.onnx").graph.initializer if "_conv_stem" in value.name)
        for one in (tuned, run)
    ]

    assert metrics_of(run)["fine_tuning"]["is_kept"]
    assert metrics_of(run)["onnx_largest_difference"] < 1e-3
    assert np.abs(np.subtract(*map(onnx.numpy_helper.to_array, kernels))).max() > 0


def test_a_run_remembers_its_recipe(tuned: Run) -> None:
    assert read_run_file(tuned.run_dir).config == CONFIG


def test_another_network_than_a_built_in_one_is_refused(
    tiny_backbone: Path, photos_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="needs a built-in network, and `backbone` .* is another one"):
        train(photos_dir, tmp_path / "run", config=FinetuneConfig(backbone=str(tiny_backbone)), source=source_config)


def test_features_of_an_earlier_training_are_used_again(
    train_here: TrainHere, tuned: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        finetune_recipe.FrozenPart, "features", lambda self, images: np.zeros((1, 2, 2, 192), np.float16)
    )
    again = train_here()

    assert (again.run_dir / "model.onnx").read_bytes() == (tuned.run_dir / "model.onnx").read_bytes()


def test_a_package_that_fine_tuning_lacks_is_named(
    photos_dir: Path, source_config: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "tellapart.runs.finetune_recipe")
    monkeypatch.delitem(sys.modules, "tellapart.training.trained_part")
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(DependencyError, match="training needs torch, which is not installed. Install it with"):
        train(photos_dir, tmp_path / "run", config=CONFIG, source=source_config)
