from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import keras
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tellapart.networks.backend import Backend
from tellapart.networks.residual import build_residual_network
from tellapart.training.step import SharedStep, WholeStep, measure_photos_per_second, open_step

CPU = Backend("torch", "2", "cpu", "channels_first")


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Two threads that compute on one core each."""
    before = torch.get_num_threads()
    with ThreadPoolExecutor(2, "step", torch.set_num_threads, (1,)) as threads:
        yield threads
    torch.set_num_threads(before)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tellapart.training.step.num_cores", lambda: 2)


def compiled(model: keras.Model, learning_rate: float = 0.05) -> keras.Model:
    optimizer = keras.optimizers.SGD(learning_rate, 0.9, nesterov=True, weight_decay=0.01)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    return model


def plain_network() -> keras.Model:
    """One convolution and a classifier of three classes, the same at every call; nothing depends on the batch."""
    image = keras.Input((12, 12, 3))
    x = keras.layers.Permute((3, 1, 2))(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image))
    x = keras.layers.Conv2D(4, 3, activation="relu", data_format="channels_first")(x)
    output = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x))
    model = keras.Model(image, output)
    generator = np.random.default_rng(4)
    model.set_weights([generator.normal(0, 0.1, weight.shape) for weight in model.get_weights()])
    return compiled(model)


def residual_network() -> keras.Model:
    keras.utils.set_random_seed(5)
    return compiled(build_residual_network((32, 32, 3), 3, "channels_first", width=8), learning_rate=0.02)


def batch(num_images: int, side: int = 12) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Noise of another brightness for each of three classes, and smoothed targets."""
    generator = np.random.default_rng(num_images)
    labels = np.arange(num_images) % 3
    images = generator.integers(0, 100, (num_images, side, side, 3)) + labels.reshape(-1, 1, 1, 1) * 70
    return images.astype(np.uint8), (np.eye(3, dtype=np.float32)[labels] * 0.9 + 0.1 / 3).astype(np.float32)


@pytest.mark.parametrize("num_images", [16, 17, 5], ids=["even", "odd", "one share"])
def test_a_shared_step_reports_what_a_whole_step_does(pool: ThreadPoolExecutor, num_images: int) -> None:
    images, targets = batch(num_images)

    whole = WholeStep(plain_network()).learn(images, targets)
    shared = SharedStep(plain_network(), pool, 2).learn(images, targets)

    assert shared == pytest.approx({key: float(value) for key, value in whole.items()}, rel=1e-5)


@pytest.mark.parametrize("num_images", [16, 17, 5], ids=["even", "odd", "one share"])
def test_shared_steps_end_with_the_weights_of_whole_steps(pool: ThreadPoolExecutor, num_images: int) -> None:
    images, targets = batch(num_images)
    one, other = plain_network(), plain_network()
    before = one.get_weights()

    for _ in range(3):
        WholeStep(one).learn(images, targets)
        SharedStep(other, pool, 2).learn(images, targets)

    for whole, shared, start in zip(one.get_weights(), other.get_weights(), before, strict=True):
        np.testing.assert_allclose(shared, whole, atol=1e-5)
        assert np.abs(whole - start).max() > 1e-3


@pytest.mark.parametrize(
    "make_step",
    [lambda model, pool: WholeStep(model), lambda model, pool: SharedStep(model, pool, 2)],
    ids=["whole", "shared"],
)
def test_each_step_reports_its_own_batch_only(pool: ThreadPoolExecutor, make_step: Callable[..., WholeStep]) -> None:
    model = plain_network()
    step = make_step(model, pool)
    model.optimizer.learning_rate = 0.0
    images, targets = batch(16)

    first, other, again = (step.learn(images, wanted) for wanted in (targets, targets[::-1], targets))

    assert first["loss"] == pytest.approx(again["loss"])
    assert first["loss"] != pytest.approx(other["loss"], rel=1e-3)


def test_a_network_with_batch_normalisation_learns_in_shares(pool: ThreadPoolExecutor) -> None:
    model = residual_network()
    step, (images, targets) = SharedStep(model, pool, 2), batch(24, side=32)

    losses = [step.learn(images, targets)["loss"] for _ in range(6)]

    assert losses[-1] < 0.8 * losses[0]


def test_the_moving_averages_are_those_of_the_first_share(pool: ThreadPoolExecutor) -> None:
    images, targets = batch(16, side=32)
    shared, first_alone = residual_network(), residual_network()

    SharedStep(shared, pool, 2).learn(images, targets)
    SharedStep(first_alone, pool, 1).learn(images[:8], targets[:8])

    name = "stem_norm"
    for ours, theirs in zip(
        shared.get_layer(name).non_trainable_variables, first_alone.get_layer(name).non_trainable_variables, strict=True
    ):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_the_same_batches_in_shares_give_the_same_weights_bit_for_bit(pool: ThreadPoolExecutor) -> None:
    images, targets = batch(17, side=32)
    models = [residual_network(), residual_network()]

    for model in models:
        SharedStep(model, pool, 2).learn(images, targets)

    for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("num_images", "sizes"),
    [(32, [16, 16]), (17, [8, 9]), (16, [8, 8]), (15, [15]), (3, [3]), (1, [1])],
    ids=str,
)
def test_a_small_batch_is_cut_into_fewer_shares(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, num_images: int, sizes: list[int]
) -> None:
    step, shares = SharedStep(plain_network(), pool, 2), []
    differentiate = step._differentiate

    def record(images: NDArray[np.uint8], *rest: object) -> object:
        shares.append(len(images))
        return differentiate(images, *rest)

    monkeypatch.setattr(step, "_differentiate", record)
    step.learn(*batch(num_images))

    assert sorted(shares) == sizes


@pytest.mark.usefixtures("two_cores")
def test_pytorch_on_the_cores_of_a_cpu_shares_its_steps() -> None:
    with open_step(plain_network(), CPU) as step:
        assert isinstance(step, SharedStep)
        assert np.isfinite(step.learn(*batch(16))["loss"])


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(
    "backend",
    [Backend("torch", "2", "gpu", "channels_first"), Backend("jax", "0.5", "cpu", "channels_last")],
    ids=["gpu", "jax"],
)
def test_other_devices_and_backends_take_whole_steps(backend: Backend) -> None:
    with open_step(plain_network(), backend) as step:
        assert isinstance(step, WholeStep)


def test_a_single_core_learns_from_the_whole_batch_as_keras_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tellapart.training.step.num_cores", lambda: 1)
    images, targets = batch(16, side=32)
    one, other = residual_network(), residual_network()

    WholeStep(one).learn(images, targets)
    with open_step(other, CPU) as step:
        step.learn(images, targets)

    for whole, shared in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(shared, whole, atol=1e-4)


def test_photos_move_the_moving_averages_alone_and_alike(pool: ThreadPoolExecutor) -> None:
    images, _ = batch(16, side=32)
    one, other = residual_network(), residual_network()
    before = [np.array(weight) for weight in one.get_weights()]

    WholeStep(one).update_moving_averages(images)
    SharedStep(other, pool, 2).update_moving_averages(images)

    names = [variable.path for variable in one.weights]
    for name, whole, shared, start in zip(names, one.get_weights(), other.get_weights(), before, strict=True):
        np.testing.assert_allclose(shared, whole, atol=1e-5)
        assert (np.abs(whole - start).max() > 0) == ("moving_" in name)


@pytest.fixture
def three_threads() -> Iterator[None]:
    """PyTorch computes with three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_cores", "three_threads")
def test_pytorch_has_its_number_of_threads_again_afterwards() -> None:
    with open_step(plain_network(), CPU) as step:
        step.learn(*batch(16))

    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("two_cores", "three_threads")
def test_pytorch_has_its_number_of_threads_again_after_an_error() -> None:
    images, targets = batch(16)

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), open_step(plain_network(), CPU) as step:
        step.learn(images[:, 1:], targets)

    assert torch.get_num_threads() == 3


class Recorder:
    """A step that takes as long on a made-up clock as it is the how-manieth; it learns nothing.

    Attributes:
        sizes: shapes of the images it was given.
        seconds: what the clock shows.
    """

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self.seconds = 0.0

    def learn(self, images: NDArray[np.uint8], targets: NDArray[np.float32]) -> None:
        self.sizes.append(images.shape)
        self.seconds += {1: 90.0, 2: 80.0, 3: 70.0, 7: 60.0}.get(len(self.sizes), 0.5)


def test_the_speed_is_that_of_most_steps_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Recorder()
    monkeypatch.setattr("tellapart.training.step.open_step", lambda *given: nullcontext(step))
    speed = measure_photos_per_second(plain_network(), CPU, 16, (12, 20), clock=lambda: step.seconds)
    assert speed == 32
    assert set(step.sizes) == {(16, 12, 20, 3)}
