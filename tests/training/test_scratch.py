"""The recipe `scratch`: what is shown when, how the clock ends it, and how it goes on after a stop."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.config import CropConfig, ScratchConfig
from tellapart.errors import ConfigError
from tellapart.networks.backend import Backend, find_backend, reproducible
from tellapart.networks.residual import WHITEN_NAME, build_residual_network
from tellapart.records import EpochRecord
from tellapart.training import hyperparameters, recipes
from tellapart.training.checkpoints import TrainingState, capture_state, load_checkpoint, restore_state, save_checkpoint
from tellapart.training.fit import Batch, FitData, fit_epochs, predict_probabilities
from tellapart.training.plan import Phase, Plan
from tellapart.training.random_crops import Views, draw_views
from tellapart.training.scratch import CourseSettings, ScratchCourse
from tellapart.training.step import SharedStep, WholeStep

SIZE = (46, 48)
CONFIG = ScratchConfig(image_size=SIZE, flip=True)
WHOLE = CropConfig(least_area=1, aspect=1, rotation_degrees=0, colour=0, erase=0)
GPU = Backend("torch", "2", "gpu", "channels_first")
# A quarter of the widest network's channels.
NARROW = 8


def plan_of(
    epochs: float, image_size: tuple[int, int] = SIZE, crops: CropConfig = WHOLE, seconds: float | None = None
) -> Plan:
    return Plan((Phase(image_size, epochs, 1.0, crops),), SIZE, seconds, width=NARROW)


def growing_plan(seconds: float | None = None) -> Plan:
    """Two epochs of small views, which are 3/10 of the computing, and one of larger ones."""
    return Plan((Phase((32, 34), 2, 0.3, WHOLE), Phase((40, 44), 1, 1.0, WHOLE)), SIZE, seconds)


@dataclass
class Recorder:
    """A step that learns nothing and remembers what it was given, and at which learning rate.

    Attributes:
        model: whose learning rate is looked at.
        seconds: what a step takes on `clock`.
        clock: the time of a made-up clock, in seconds.
    """

    model: keras.Model
    seconds: float = 0.0
    clock: float = 1000.0
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    targets: list[NDArray[np.float32]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def learn(self, images: NDArray[np.uint8], targets: NDArray[np.float32]) -> dict[str, float]:
        self.clock += self.seconds
        self.images.append(images)
        self.targets.append(targets)
        self.rates.append(float(self.model.optimizer.learning_rate))
        return {"loss": 0.5, "accuracy": 0.75}

    def update_moving_averages(self, images: NDArray[np.uint8]) -> None:
        self.model(images, training=True)


@pytest.fixture(scope="module")
def small_model() -> keras.Model:
    """The mean colour and a dense layer, compiled."""
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling2D()(image)))
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    return model


def make_course(
    model: keras.Model, data: FitData, plan: Plan, batch_size: int = 8, step_seconds: float = 0.0
) -> tuple[ScratchCourse, Recorder]:
    step = Recorder(model, step_seconds)
    settings = CourseSettings(plan, batch_size, seed=0, clock=lambda: step.clock)
    return ScratchCourse(model, step, data, settings), step


def run_epochs(course: ScratchCourse, data: FitData) -> list[EpochRecord]:
    return list(fit_epochs(data, course))


def batches_of(course: ScratchCourse, num_epochs: int) -> list[list[Batch]]:
    """The batches of each of these epochs, none of which is the last."""
    return [list(course.batches(epoch, 0.0)) for epoch in range(1, num_epochs + 1)]


def test_the_learning_rate_rises_once_and_falls_to_nothing(
    small_model: keras.Model, tiny_data: FitData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hyperparameters, "LEARNING_RATE", 0.5)
    course, step = make_course(small_model, tiny_data, plan_of(20), batch_size=hyperparameters.BATCH_SIZE)

    run_epochs(course, tiny_data)

    top = int(np.argmax(step.rates))
    assert 0 < top < 0.2 * len(step.rates)
    assert (np.diff(step.rates[: top + 1]) > 0).all()
    assert (np.diff(step.rates[top:]) < 0).all()
    assert step.rates[top] == pytest.approx(0.5, rel=0.05)
    assert step.rates[-1] == pytest.approx(0, abs=1e-6)


def test_a_larger_batch_has_a_larger_learning_rate(small_model: keras.Model, tiny_data: FitData) -> None:
    tops = []
    for batch_size in (10, 19):  # two steps an epoch and one
        course, step = make_course(small_model, tiny_data, plan_of(200), batch_size=batch_size)
        course.learn(Batch(np.zeros((1, 32, 32, 3), np.uint8), np.ones((1, 2), np.float32), 0.08))
        tops.append(step.rates[0] / batch_size)

    assert tops[0] == pytest.approx(tops[1])


def test_a_plan_may_ask_for_a_share_of_the_learning_rate(small_model: keras.Model, tiny_data: FitData) -> None:
    tops = []
    for rate in (1.0, 0.5):
        course, step = make_course(small_model, tiny_data, replace(plan_of(200), rate=rate))
        course.learn(Batch(np.zeros((1, 32, 32, 3), np.uint8), np.ones((1, 2), np.float32), 0.08))
        tops.append(step.rates[0])

    assert tops[1] == pytest.approx(tops[0] / 2)


def seen(data: FitData, batches: list[Batch]) -> dict[int, bool]:
    """Whether each photo that the batches show, by its row, is mirrored in them; none is shown twice."""
    names = {}
    for row in range(len(data.labels)):
        (image,) = data.images.gather(np.array([row]))
        names |= {image.tobytes(): (row, False), image[:, ::-1].tobytes(): (row, True)}
    found = [names[image.tobytes()] for batch in batches for image in batch.images]
    assert len({row for row, _ in found}) == len(found)
    return dict(found)


def test_every_epoch_shows_every_training_photo_once(small_model: keras.Model, tiny_data: FitData) -> None:
    course, _ = make_course(small_model, tiny_data, plan_of(50))

    for batches in batches_of(course, 3):
        assert sorted(seen(tiny_data, batches)) == sorted(tiny_data.split.train)


def test_a_photo_is_mirrored_in_every_other_epoch(small_model: keras.Model, tiny_data: FitData) -> None:
    course, _ = make_course(small_model, tiny_data, plan_of(50))

    first, second, third, fourth = (seen(tiny_data, batches) for batches in batches_of(course, 4))

    assert set(first.values()) == {False, True}
    assert second == {row: not is_mirrored for row, is_mirrored in first.items()}
    assert (third, fourth) == (first, second)


def test_no_photo_is_mirrored_where_that_would_change_its_class(small_model: keras.Model, tiny_data: FitData) -> None:
    course, _ = make_course(small_model, tiny_data, plan_of(50, crops=replace(WHOLE, flip=False)))

    assert {mirrored for batches in batches_of(course, 2) for mirrored in seen(tiny_data, batches).values()} == {False}


def test_photos_come_in_another_order_in_each_epoch(small_model: keras.Model, tiny_data: FitData) -> None:
    course, _ = make_course(small_model, tiny_data, plan_of(50))

    first, second = (list(seen(tiny_data, batches)) for batches in batches_of(course, 2))

    assert first != second


def test_the_last_tenth_has_neither_colours_nor_patches(small_model: keras.Model, tiny_data: FitData) -> None:
    course, step = make_course(small_model, tiny_data, plan_of(10, crops=replace(WHOLE, colour=0.5, erase=1)))

    run_epochs(course, tiny_data)

    last = [Batch(images, targets, 1.0) for images, targets in zip(step.images[-2:], step.targets[-2:], strict=True)]
    assert sorted(seen(tiny_data, last)) == sorted(tiny_data.split.train)
    np.testing.assert_allclose(np.unique(np.concatenate(step.targets[-2:])), [0.05, 0.95], rtol=1e-6)


def test_before_that_every_photo_is_shown_in_another_light(small_model: keras.Model, tiny_data: FitData) -> None:
    course, step = make_course(small_model, tiny_data, plan_of(10, crops=replace(WHOLE, colour=0.5, erase=1)))
    photos = {image.tobytes() for image in tiny_data.images.gather(tiny_data.split.train)}

    run_epochs(course, tiny_data)

    assert not photos & {image.tobytes() for images in step.images[:-2] for image in images}


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_targets_are_smoothed(
    small_model: keras.Model, tiny_data: FitData, smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hyperparameters, "LABEL_SMOOTHING", smoothing)
    course, _ = make_course(small_model, tiny_data, plan_of(50))

    ((batch, *_),) = batches_of(course, 1)

    np.testing.assert_allclose(np.unique(batch.targets), [smoothing / 2, 1 - smoothing / 2], rtol=1e-6)


def test_targets_name_the_class_of_their_photo(small_model: keras.Model, tiny_data: FitData) -> None:
    course, _ = make_course(small_model, tiny_data, plan_of(50))

    (batches,) = batches_of(course, 1)

    told = np.concatenate([batch.targets for batch in batches]).argmax(axis=1)
    np.testing.assert_array_equal(told, tiny_data.labels[list(seen(tiny_data, batches))])


def test_views_have_the_sizes_of_the_plan(small_model: keras.Model, tiny_data: FitData) -> None:
    course, step = make_course(small_model, tiny_data, growing_plan())

    run_epochs(course, tiny_data)

    assert [images.shape[1:3] for images in step.images] == [(32, 34)] * 4 + [(40, 44)] * 2


def test_progress_is_that_of_the_plan(small_model: keras.Model, tiny_data: FitData) -> None:
    course, _ = make_course(small_model, tiny_data, growing_plan())

    records = run_epochs(course, tiny_data)

    assert [record.progress for record in records] == pytest.approx([0.15, 0.3, 1.0])


@pytest.mark.parametrize(("epochs", "num_steps"), [(1.0, 2), (1.5, 3), (2.4, 5)])
def test_a_plan_may_end_inside_an_epoch(
    small_model: keras.Model, tiny_data: FitData, epochs: float, num_steps: int
) -> None:
    course, step = make_course(small_model, tiny_data, plan_of(epochs))

    records = run_epochs(course, tiny_data)

    assert len(step.images) == num_steps
    assert records[-1].progress == 1
    assert len(records) == course.num_epochs()


def test_validation_photos_are_looked_at_eight_times_and_at_the_end(
    small_model: keras.Model, tiny_data: FitData
) -> None:
    course, _ = make_course(small_model, tiny_data, plan_of(24, (32, 32)))

    looked = [record.epoch for record in run_epochs(course, tiny_data) if record.validation_accuracy is not None]

    assert looked == [3, 6, 9, 12, 15, 18, 21, 24]


def test_a_short_training_ends_with_a_look(small_model: keras.Model, tiny_data: FitData) -> None:
    course, _ = make_course(small_model, tiny_data, plan_of(0.4))

    (record,) = run_epochs(course, tiny_data)

    assert record.validation_loss is not None


@pytest.mark.parametrize("planned", [1, 7, 300], ids=["slower than planned", "as planned", "faster than planned"])
def test_a_plan_with_seconds_ends_by_the_clock(small_model: keras.Model, tiny_data: FitData, planned: int) -> None:
    course, step = make_course(small_model, tiny_data, plan_of(planned, (32, 32), seconds=14.0), step_seconds=1.0)

    records = run_epochs(course, tiny_data)

    # Progress is read before a step, so the one that begins when the time is over is the last.
    assert len(step.images) == 15
    assert records[-1].progress == 1
    assert records[-1].validation_accuracy is not None
    assert step.rates[-1] == pytest.approx(0, abs=1e-6)


def test_sizes_change_by_the_clock(small_model: keras.Model, tiny_data: FitData) -> None:
    course, step = make_course(small_model, tiny_data, growing_plan(seconds=20.0), step_seconds=1.0)

    run_epochs(course, tiny_data)

    sides = [images.shape[1] for images in step.images]
    # Views are made up to three steps ahead.
    assert sides[:6] == [32] * 6
    assert sides[10:] == [40] * len(sides[10:])


def test_a_resumed_training_has_the_time_that_was_left(small_model: keras.Model, tiny_data: FitData) -> None:
    course, step = make_course(small_model, tiny_data, plan_of(50, (32, 32), seconds=20.0), step_seconds=1.0)
    history = [EpochRecord(1, 0.5, 0.5, None, None, 15.0, 20.0, progress=0.75)]

    records = list(fit_epochs(tiny_data, course, history))

    assert len(step.images) == 6
    assert records[0].epoch == 2


def test_a_training_that_was_over_is_not_gone_on_with(small_model: keras.Model, tiny_data: FitData) -> None:
    course, step = make_course(small_model, tiny_data, plan_of(2))

    assert not list(fit_epochs(tiny_data, course, [EpochRecord(2, 0.5, 0.5, 0.5, 0.5, 1.0, 20.0)]))
    assert not step.images


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many cores share a step."""
    monkeypatch.setattr("tellapart.training.step.num_cores", lambda: request.param)
    return int(request.param)


def make_learner(data: FitData, seed: int = 0) -> tuple[keras.Model, Backend]:
    backend = find_backend()
    with reproducible(seed):
        return recipes.make_learner(CONFIG, data, backend, plan_of(1)), backend


def assert_same_arrays(ours: object, theirs: object) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("cores")
def test_a_resumed_training_ends_as_an_unbroken_one_bit_for_bit(tiny_data: FitData, tmp_path: Path) -> None:
    plan = Plan((Phase((32, 32), 2, 0.4, CropConfig()), Phase((32, 40), 1, 1.0, CropConfig())), SIZE)
    unbroken, backend = make_learner(tiny_data)
    with recipes.open_course(unbroken, tiny_data, CONFIG, backend, plan) as course:
        epochs = fit_epochs(tiny_data, course)
        history = (next(epochs),)
        save_checkpoint(tmp_path, capture_state(unbroken, history))
        list(epochs)
        expected = capture_state(unbroken, history)

    state = load_checkpoint(tmp_path)
    resumed, backend = make_learner(tiny_data, seed=7)  # other fresh weights, all to be replaced
    restore_state(resumed, state)
    with recipes.open_course(resumed, tiny_data, CONFIG, backend, plan) as course:
        assert [record.epoch for record in fit_epochs(tiny_data, course, state.history)] == [2, 3]
        found: TrainingState = capture_state(resumed, history)

    assert_same_arrays(found.variables, expected.variables)
    assert_same_arrays(found.optimizer_variables, expected.optimizer_variables)


def test_it_learns_the_photos_it_is_shown(tiny_data: FitData) -> None:
    model, backend = make_learner(tiny_data)

    with recipes.open_course(model, tiny_data, CONFIG, backend, plan_of(60)) as course:
        list(fit_epochs(tiny_data, course))

    probabilities = predict_probabilities(model, tiny_data.images, tiny_data.split.train)
    hits = probabilities.argmax(axis=1) == tiny_data.labels[tiny_data.split.train]
    assert hits.mean() > 0.8


def test_the_last_look_is_at_the_model_that_is_used(tiny_data: FitData) -> None:
    model, backend = make_learner(tiny_data)
    rows = tiny_data.split.validation

    with recipes.open_course(model, tiny_data, CONFIG, backend, plan_of(2)) as course:
        *_, last = fit_epochs(tiny_data, course)

    probabilities = predict_probabilities(model, tiny_data.images, rows)
    own_loss = -np.log(probabilities[np.arange(len(rows)), tiny_data.labels[rows]]).mean()
    assert last.validation_loss == pytest.approx(own_loss, rel=1e-4)


def test_the_normalisation_ends_with_the_means_of_whole_photos(tiny_data: FitData) -> None:
    crops = replace(WHOLE, least_area=0.1, colour=0.9)
    model, backend = make_learner(tiny_data)
    before_last: list[NDArray[np.float32]] = []

    with recipes.open_course(model, tiny_data, CONFIG, backend, plan_of(1, (32, 32), crops)) as course:
        list(fit_epochs(tiny_data, course, on_step=lambda step: before_last.append(moving_mean(model))))

    whole = tiny_data.images.gather(tiny_data.split.train)
    views = np.concatenate([whole, whole[:, :, ::-1]])
    stem = keras.Model(model.inputs[0], model.get_layer("stem_conv").output)
    expected = keras.ops.convert_to_numpy(stem(views)).mean(axis=(0, 2, 3))
    distances = [np.abs(means - expected).mean() for means in (moving_mean(model), before_last[-1])]
    assert distances[0] < 0.2 * distances[1]


def moving_mean(model: keras.Model) -> NDArray[np.float32]:
    return np.array(model.get_layer("stem_norm").moving_mean.numpy())


def test_first_filters_are_read_off_the_photos(tiny_data: FitData) -> None:
    kernels = []
    for seed in (0, 7):
        model, _ = make_learner(tiny_data, seed)  # the photos are drawn by the seed of the configuration
        kernels.append(model.get_layer(WHITEN_NAME).get_weights()[0].reshape(27, 27))

    np.testing.assert_array_equal(*kernels)
    products = kernels[0].T @ kernels[0]
    lengths = np.sqrt(products.diagonal())
    np.testing.assert_allclose(products / np.outer(lengths, lengths), np.eye(27), atol=1e-3)


def test_first_filters_can_be_learnt_like_all_others(tiny_data: FitData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperparameters, "IS_WHITENED", False)
    model = recipes.make_learner(CONFIG, tiny_data, find_backend(), plan_of(1))

    assert f"{WHITEN_NAME}/kernel" in [weight.path for weight in model.trainable_variables]


@pytest.mark.parametrize(("rotations", "degrees"), [(False, 7.0), (True, 180.0)])
@pytest.mark.parametrize("flip", [False, True])
def test_views_are_turned_and_mirrored_as_the_photos_allow(
    small_model: keras.Model,
    tiny_data: FitData,
    monkeypatch: pytest.MonkeyPatch,
    rotations: bool,
    degrees: float,
    flip: bool,
) -> None:
    drawn = []

    def record(crops: CropConfig, *rest: Any) -> Views:
        drawn.append((crops.rotation_degrees, crops.flip))
        return draw_views(crops, *rest)

    monkeypatch.setattr("tellapart.training.scratch.draw_views", record)
    config, plan = replace(CONFIG, rotations=rotations, flip=flip), plan_of(1, crops=replace(WHOLE, rotation_degrees=7))

    with recipes.open_course(small_model, tiny_data, config, find_backend(), plan) as course:
        list(course.batches(1, 0.0))

    assert set(drawn) == {(degrees, flip)}


@pytest.mark.parametrize("width", [8, 24])
def test_width_is_that_of_the_plan(tiny_data: FitData, width: int) -> None:
    plan = replace(plan_of(1), width=width)

    learner = recipes.make_learner(CONFIG, tiny_data, find_backend(), plan)
    portable = recipes.build_network(CONFIG, 2, "channels_last", plan)

    assert learner.get_layer("stem_conv").filters == portable.get_layer("stem_conv").filters == width


@pytest.fixture
def half_precision_network() -> keras.Model:
    """The network as it is trained on a GPU, a quarter as wide."""
    before = keras.config.dtype_policy()
    model = recipes.make_scratch_network(CONFIG, 2, GPU, NARROW)
    assert keras.config.dtype_policy() is before
    recipes.compile_network(model, CONFIG)
    return model


@pytest.mark.parametrize(
    ("num_train", "on_gpu"), [(40, 32), (1599, 32), (1600, 64), (3200, 128), (6400, 256), (100_000, 256)]
)
def test_batches_are_larger_on_a_gpu_where_an_epoch_still_has_steps(num_train: int, on_gpu: int) -> None:
    cpu = replace(GPU, device="cpu")

    assert (recipes.batch_size(cpu, num_train), recipes.batch_size(GPU, num_train)) == (32, on_gpu)


def test_a_gpu_computes_in_half_precision_over_whole_weights(half_precision_network: keras.Model) -> None:
    assert half_precision_network.get_layer("stem_conv").compute_dtype == "float16"
    assert {str(weight.dtype) for weight in half_precision_network.weights} == {"float32"}


def test_a_cpu_computes_in_whole_precision() -> None:
    model = recipes.make_scratch_network(CONFIG, 2, replace(GPU, device="cpu"), NARROW)

    assert model.get_layer("stem_conv").compute_dtype == "float32"


def test_precision_is_as_before_even_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        assert keras.config.dtype_policy().name == "mixed_float16"
        raise MemoryError("no memory left on the GPU")

    monkeypatch.setattr(recipes, "build_residual_network", fail)
    with pytest.raises(MemoryError):
        recipes.make_scratch_network(CONFIG, 2, GPU)

    assert keras.config.dtype_policy().name == "float32"


def test_a_gpu_takes_whole_steps_with_the_scaled_rate(
    monkeypatch: pytest.MonkeyPatch, half_precision_network: keras.Model, tiny_data: FitData
) -> None:
    monkeypatch.setattr(recipes, "batch_size", lambda *settings: 8 * hyperparameters.BATCH_SIZE)
    model = half_precision_network
    before = model.get_weights()

    with recipes.open_course(model, tiny_data, CONFIG, GPU, plan_of(2, (32, 32))) as course:
        assert isinstance(course._step, WholeStep)
        batch = next(course.batches(1, 0.0))
        logs = course.learn(replace(batch, images=batch.images[:4], targets=batch.targets[:4], progress=0.08))

    assert float(model.optimizer.learning_rate) == pytest.approx(8 * hyperparameters.LEARNING_RATE)
    assert logs["loss"] == pytest.approx(np.log(2), rel=1e-3)
    assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.usefixtures("cores")
def test_the_cores_of_a_cpu_share_a_step(tiny_data: FitData, cores: int) -> None:
    model, backend = make_learner(tiny_data)

    with recipes.open_course(model, tiny_data, CONFIG, backend, plan_of(1)) as course:
        assert isinstance(course._step, SharedStep)
        assert course._step._num_shares == cores


def test_an_image_size_below_what_the_network_takes_names_the_flag() -> None:
    with pytest.raises(ConfigError, match=r"`image_size` 24 is too small for the recipe 'scratch'.*at least 32"):
        recipes.make_scratch_network(replace(CONFIG, image_size=(24, 64)), 2, GPU)


def test_only_kernels_are_decayed(tiny_data: FitData) -> None:
    model = build_residual_network((32, 32, 3), 2, "channels_first", width=8)
    recipes.compile_network(model, CONFIG)

    decayed = {
        weight.path.split("/")[-1] for weight in model.trainable_variables if model.optimizer._use_weight_decay(weight)
    }
    assert decayed == {"kernel"}
