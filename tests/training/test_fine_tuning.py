from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tellapart.backbones.frozen_part import FrozenPart
from tellapart.backbones.pretrained import find_packaged
from tellapart.errors import BundleError
from tellapart.records import StepRecord
from tellapart.training import fine_tuning
from tellapart.training.fine_tuning import FineTuningPlan, ViewData, embed_views, fine_tune, mix_arrays
from tellapart.training.trained_part import TrainedPart

NUM_PHOTOS, NUM_VIEWS = 70, 3


@pytest.fixture(scope="module")
def frozen() -> FrozenPart:
    packaged = find_packaged("efficientnet-lite0@64")
    assert packaged is not None
    return FrozenPart(packaged)


@pytest.fixture(scope="module")
def data(frozen: FrozenPart) -> ViewData:
    """Photos of two classes: stripes along and across."""
    generator, labels = np.random.default_rng(0), np.arange(NUM_PHOTOS) % 2
    stripes = 120 * np.sin(np.arange(64) / 3)[:, np.newaxis, np.newaxis] + np.zeros((64, 64, 3))
    images = np.stack([stripes if label else stripes.transpose(1, 0, 2) for label in np.repeat(labels, NUM_VIEWS)])
    noisy = np.clip(images + generator.normal(128, 60, images.shape), 0, 255).astype(np.uint8)
    store = frozen.features(noisy).reshape(NUM_PHOTOS, NUM_VIEWS, *frozen.shape)
    return ViewData(store, np.arange(NUM_PHOTOS), labels.astype(np.int64), None, True)


@pytest.fixture
def make_network(frozen: FrozenPart) -> Callable[[], TrainedPart]:
    def make() -> TrainedPart:
        return TrainedPart(frozen.tensors, np.zeros((1280, 2), np.float32), np.zeros(2, np.float32))

    return make


class StoppedError(Exception):
    """What a test stops a training with."""


def stop_at(step: int) -> Callable[[StepRecord], None]:
    def on_step(record: StepRecord) -> None:
        if record.step == step:
            raise StoppedError

    return on_step


def same(first: dict[str, NDArray[np.float32]], second: dict[str, NDArray[np.float32]]) -> bool:
    return all(np.array_equal(value, second[name]) for name, value in first.items())


def test_the_loss_falls(make_network: Callable[[], TrainedPart], data: ViewData, tmp_path: Path) -> None:
    losses: list[float] = []
    plan = FineTuningPlan(0, 1, 1, num_steps=12)

    assert fine_tune(make_network(), data, plan, tmp_path / "x", lambda record: losses.append(record.train_loss)) == 12
    assert losses[0] == pytest.approx(np.log(2), abs=1e-3)
    assert losses[-1] < 0.95 * losses[0]


def test_a_gpu_rounds_to_no_fewer_digits_while_it_trains(
    make_network: Callable[[], TrainedPart], data: ViewData, tmp_path: Path
) -> None:
    before, meanwhile = torch.backends.cudnn.allow_tf32, list[bool]()
    plan = FineTuningPlan(0, 1, 1, num_steps=1)
    fine_tune(
        make_network(), data, plan, tmp_path / "x", lambda record: meanwhile.append(torch.backends.cudnn.allow_tf32)
    )

    assert meanwhile == [False]
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize("stopped_at", [1, 5], ids="step {}".format)
def test_a_stopped_training_ends_with_the_weights_of_one_that_was_left_alone(
    make_network: Callable[[], TrainedPart],
    data: ViewData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped_at: int,
) -> None:
    monkeypatch.setattr(fine_tuning, "_STEPS_A_CHECKPOINT", 2)
    plan = FineTuningPlan(0, 1, 1, num_steps=9)
    alone, stopped, resumed = make_network(), make_network(), make_network()
    fine_tune(alone, data, plan, tmp_path / "alone")

    with pytest.raises(StoppedError):
        fine_tune(stopped, data, plan, tmp_path / "stopped", stop_at(stopped_at))
    fine_tune(resumed, data, plan, tmp_path / "stopped")

    assert same(resumed.to_arrays(), alone.to_arrays())


def test_a_finished_training_is_not_made_again(
    make_network: Callable[[], TrainedPart], data: ViewData, tmp_path: Path
) -> None:
    plan, first, second = FineTuningPlan(0, 1, 1, num_steps=3), make_network(), make_network()
    fine_tune(first, data, plan, tmp_path / "x")

    assert fine_tune(second, data, plan, tmp_path / "x", stop_at(4)) == 3
    assert same(first.to_arrays(), second.to_arrays())
    assert (tmp_path / "x/manifest.json").exists()


def test_a_training_by_the_clock_ends_with_its_time(
    make_network: Callable[[], TrainedPart], data: ViewData, tmp_path: Path
) -> None:
    moments = iter(range(1000))
    plan = FineTuningPlan(0, 1, 1, seconds=7.0, clock=lambda: float(next(moments)))

    assert 1 <= fine_tune(make_network(), data, plan, tmp_path / "x") <= 7


def test_the_checkpoint_of_another_network_is_refused(
    make_network: Callable[[], TrainedPart], frozen: FrozenPart, data: ViewData, tmp_path: Path
) -> None:
    fine_tune(make_network(), data, FineTuningPlan(0, 1, 1, num_steps=1), tmp_path / "x")
    other = TrainedPart(frozen.tensors, np.zeros((1280, 3), np.float32), np.zeros(3, np.float32))

    with pytest.raises(BundleError, match="of another network"):
        fine_tune(other, data, FineTuningPlan(0, 1, 1, num_steps=2), tmp_path / "x")


@pytest.mark.parametrize("flip", [True, False])
def test_each_round_has_every_photo_once_in_a_view_that_may_be_used(data: ViewData, flip: bool) -> None:
    flipped = ViewData(data.store, data.places, data.labels, None, flip)
    drawn = [flipped.draw(0, 1, step) for step in range(8)]
    views = np.concatenate([views for _rows, views in drawn])

    for start in (0, 4):  # 70 photos are four steps
        assert sorted(np.concatenate([rows for rows, _views in drawn[start : start + 4]])) == list(range(NUM_PHOTOS))
    assert set(views.tolist()) == ({0, 1, 2} if flip else {0, 2})


def test_frequent_classes_do_not_win_where_all_are_to_count_the_same(
    make_network: Callable[[], TrainedPart], data: ViewData, tmp_path: Path
) -> None:
    rows = np.concatenate([np.flatnonzero(data.labels == 0), np.flatnonzero(data.labels == 1)[:4]])
    labels = np.random.default_rng(1).permutation(data.labels[rows])  # nothing but the frequencies can be learned
    share = np.log(np.bincount(labels) / len(labels)).astype(np.float32)
    network = make_network()
    fine_tune(
        network, ViewData(data.store, rows, labels, share, True), FineTuningPlan(0, 1, 1, num_steps=6), tmp_path / "x"
    )

    assert abs(float(np.diff(network.to_arrays()["bias"])[0])) < 0.02


def test_a_mixture_lies_between_both_ends() -> None:
    before, after = {"x": np.array([0.0, 2.0], np.float32)}, {"x": np.array([4.0, 2.0], np.float32)}

    np.testing.assert_array_equal(mix_arrays(before, after, 0.25)["x"], [1.0, 2.0])


def test_two_views_are_averaged(make_network: Callable[[], TrainedPart], data: ViewData) -> None:
    network = make_network()
    mirrored = ViewData(data.store[:, ::-1], data.places, data.labels, None, True)
    reversed_views = ViewData(mirrored.store[:, 1:], data.places, data.labels, None, True)
    one, other = (embed_views(network, part, mirrored=False) for part in (data, reversed_views))

    np.testing.assert_allclose(embed_views(network, data, mirrored=True), (one + other) / 2, atol=1e-4)
