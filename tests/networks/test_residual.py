import cv2
import keras
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from tellapart.networks.keras_export import to_onnx
from tellapart.networks.residual import (
    WHITEN_NAME,
    WHITEN_SIZE,
    build_residual_network,
    merge_first_layers,
    whitening_filters,
)
from tellapart.training.step import WholeStep

SIZES = [(32, 32), (33, 47), (48, 34), (1, 1)]


def random_images(num_images: int, height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (num_images, height, width, channels), dtype=np.uint8)


def randomise(model: keras.Model) -> keras.Model:
    """The model with weights under which every layer matters, and positive variances."""
    generator = np.random.default_rng(5)
    for weight in model.weights:
        is_kernel = weight.path.endswith("kernel")
        spread = np.sqrt(2 / np.prod(weight.shape[:-1])) if is_kernel else 0.2
        centre = 0.0 if is_kernel or weight.path.endswith(("beta", "mean", "bias")) else 1.0
        weight.assign(np.clip(generator.normal(centre, spread, weight.shape), -3, 3))
    return model


def predict(model: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(images)))


def build(
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    num_classes: int = 2,
    data_format: str = "channels_first",
) -> keras.Model:
    return build_residual_network(input_shape, num_classes, data_format, width=8)


def num_parameters(weights: list[keras.Variable]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_the_network_has_the_documented_number_of_parameters(data_format: str) -> None:
    model = build_residual_network((96, 96, 3), 2, data_format)

    assert f"{num_parameters(model.trainable_variables):,}" in (build_residual_network.__doc__ or "")


@pytest.fixture(scope="module", params=[(3, 2), (1, 37)], ids=["colour", "grey, many classes"])
def twins(request: pytest.FixtureRequest) -> tuple[keras.Model, keras.Model]:
    """The network with the same weights in both data formats, for images of any size."""
    channels, num_classes = request.param
    first, last = (build((None, None, channels), num_classes, name) for name in ("channels_first", "channels_last"))
    last.set_weights(randomise(first).get_weights())
    return first, last


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_same_weights_answer_the_same_in_both_data_formats(
    twins: tuple[keras.Model, keras.Model], size: tuple[int, int]
) -> None:
    images = random_images(3, *size, twins[0].input_shape[-1])

    answers = [predict(model, images) for model in twins]

    np.testing.assert_allclose(*answers, atol=2e-5)
    assert np.ptp(answers[0], axis=1).min() > 1e-3


def test_weights_of_any_image_size_fit_any_other() -> None:
    free, fixed = randomise(build()), build((40, 56, 3))
    fixed.set_weights(free.get_weights())
    images = random_images(2, 40, 56)

    np.testing.assert_allclose(predict(fixed, images), predict(free, images), atol=1e-6)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_at_the_start_every_class_is_as_likely_as_another(num_classes: int) -> None:
    answers = predict(build(num_classes=num_classes), random_images(3, 32, 40))

    np.testing.assert_allclose(answers, np.full((3, num_classes), 1 / num_classes), rtol=1e-6)


def test_at_the_start_a_block_gives_what_comes_in() -> None:
    model = build()
    ends = keras.Model(
        model.input,
        [model.get_layer(name).output for name in ("stem_pool", "stage1_block1_relu2", "stage1_block2_relu2")],
    )

    pooled, first, second = (np.asarray(value) for value in ends.predict_on_batch(random_images(2, 32, 32)))

    np.testing.assert_allclose(first, pooled, atol=1e-6)
    np.testing.assert_allclose(second, pooled, atol=1e-6)


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
def test_there_are_as_many_first_filters_as_numbers_in_their_patch(channels: int) -> None:
    (kernel,) = build((None, None, channels)).get_layer(WHITEN_NAME).get_weights()

    assert kernel.shape == (WHITEN_SIZE, WHITEN_SIZE, channels, WHITEN_SIZE**2 * channels)


def test_the_first_filters_are_not_trained_and_everything_else_is() -> None:
    model = randomise(build((32, 32, 3)))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="categorical_crossentropy", metrics=["accuracy"])
    before = {weight.path: np.array(weight.numpy()) for weight in model.weights}

    WholeStep(model).learn(random_images(4, 32, 32), np.eye(2, dtype=np.float32)[[0, 1, 0, 1]])

    unchanged = [weight.path for weight in model.weights if (before[weight.path] == weight.numpy()).all()]
    assert unchanged == [f"{WHITEN_NAME}/kernel"]


def test_pixels_from_0_to_255_come_in_as_minus_one_to_one() -> None:
    model = build((32, 32, 3))
    scaled = keras.Model(model.input, model.get_layer("rescale").output)
    images = np.zeros((1, 32, 32, 3), np.uint8)
    images[0, 0, 0] = 255

    values = np.asarray(scaled.predict_on_batch(images))

    assert (values[0, 0, 0, 0], values[0, 1, 1, 1]) == (pytest.approx(1), -1)


@pytest.mark.parametrize(
    ("size", "channels", "num_classes"), [((32, 32), 3, 2), ((35, 46), 1, 5)], ids=["even, colour", "odd, grey"]
)
def test_the_onnx_file_looks_at_both_views_as_mean_logits_do(
    size: tuple[int, int], channels: int, num_classes: int
) -> None:
    model = randomise(build((*size, channels), num_classes))
    images = random_images(3, *size, channels)

    logits = np.mean([np.log(predict(model, view)) for view in (images, images[:, :, ::-1])], axis=0)
    session = onnxruntime.InferenceSession(to_onnx(model, mirrored=True), providers=["CPUExecutionProvider"])
    found = session.run(["probabilities"], {"image": images})[0]

    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("num_images", [1, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_onnx_file_answers_as_keras_does(mirrored: bool, num_images: int) -> None:
    model = randomise(build((35, 46, 3), 3))
    images = random_images(num_images, 35, 46)

    views = [images, images[:, :, ::-1]] if mirrored else [images]
    logits = np.mean([np.log(predict(model, view)) for view in views], axis=0)
    session = onnxruntime.InferenceSession(to_onnx(model, mirrored), providers=["CPUExecutionProvider"])
    found = session.run(["probabilities"], {"image": images})[0]

    np.testing.assert_allclose(found, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
@pytest.mark.parametrize("size", [(32, 32), (35, 46)], ids=["even", "odd"])
def test_the_first_layers_as_one_answer_the_same(size: tuple[int, int], channels: int, data_format: str) -> None:
    model = randomise(build((*size, channels), 3, data_format))
    images = random_images(3, *size, channels)

    merged = merge_first_layers(model)

    np.testing.assert_allclose(predict(merged, images), predict(model, images), atol=1e-5)
    assert merged.count_params() < model.count_params()


def test_in_half_precision_the_probabilities_are_whole(restored_policy: None) -> None:
    keras.config.set_dtype_policy("mixed_float16")

    model = build((32, 32, 3))

    assert model.get_layer("stage1_block1_conv1").compute_dtype == "float16"
    assert model.output.dtype == "float32"


@pytest.fixture
def restored_policy() -> object:
    """What numbers layers compute with is as before when the test is over."""
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def photo_like(num_images: int, channels: int, side: int = 40) -> NDArray[np.uint8]:
    """Smooth images whose channels and neighbours are alike, with some noise, as in photos."""
    generator = np.random.default_rng(3)
    images = np.empty((num_images, side, side, channels), np.uint8)
    for image in images:
        grey = cv2.resize(generator.normal(120, 50, (8, 8)), (side, side), interpolation=cv2.INTER_CUBIC)
        noise = generator.normal(0, 12, (side, side, channels))
        image[...] = np.clip(grey[..., np.newaxis] + cv2.blur(noise, (2, 2)).reshape(noise.shape), 0, 255)
    return images


def answers(images: NDArray[np.uint8], filters: NDArray[np.float32]) -> NDArray[np.float64]:
    """What each filter gives at every place, shape `(places, filters)`."""
    size = filters.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(images / 127.5 - 1, (size, size), axis=(1, 2))
    return np.einsum("nyxcij,ijcf->nyxf", windows, filters, optimize=True).reshape(-1, filters.shape[-1])


def make_filters(images: NDArray[np.uint8], size: int = 3, seed: int = 0) -> NDArray[np.float32]:
    return whitening_filters(images, size, np.random.default_rng(seed))


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
def test_answers_to_photos_are_uncorrelated(channels: int) -> None:
    images = photo_like(60, channels)

    correlations = np.corrcoef(answers(images, make_filters(images)), rowvar=False)

    assert np.abs(correlations - np.eye(9 * channels)).max() < 0.15


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
def test_answers_to_photos_have_about_unit_variance_where_there_is_more_than_noise(channels: int) -> None:
    images = photo_like(60, channels)

    variances = answers(images, make_filters(images)).var(axis=0)

    np.testing.assert_allclose(variances[:3], np.ones(3), atol=0.2)
    assert variances.max() < 1.2


def test_pixels_of_photos_themselves_are_correlated() -> None:
    pixels = answers(photo_like(60, 3), np.eye(27, dtype=np.float32).reshape(3, 3, 3, 27))

    assert np.abs(np.corrcoef(pixels, rowvar=False)).min() > 0.5


def test_the_strongest_direction_comes_first() -> None:
    filters = make_filters(photo_like(60, 3)).reshape(27, 27)

    # A filter is divided by the root of its direction's variance.
    assert (np.diff(np.linalg.norm(filters, axis=0)) >= 0).all()


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_there_are_as_many_filters_as_numbers_in_a_patch(size: int, channels: int) -> None:
    filters = make_filters(photo_like(3, channels), size)

    assert filters.shape == (size, size, channels, size * size * channels)
    assert filters.dtype == np.float32


def test_the_largest_number_of_every_filter_is_positive() -> None:
    filters = make_filters(photo_like(10, 3)).reshape(27, 27)

    assert (filters[np.abs(filters).argmax(axis=0), np.arange(27)] > 0).all()


def test_the_same_generator_gives_the_same_filters_and_another_does_not() -> None:
    images = photo_like(10, 3)
    first, same, other = (make_filters(images, seed=seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0


@pytest.mark.parametrize("value", [0, 128, 255])
def test_photos_of_one_colour_give_finite_filters(value: int) -> None:
    filters = make_filters(np.full((4, 8, 8, 3), value, np.uint8))

    assert np.isfinite(filters).all()
    assert np.abs(filters).max() < 50


def test_photos_as_small_as_a_filter_are_enough() -> None:
    assert np.isfinite(make_filters(photo_like(1, 3, side=3))).all()


def test_the_photos_are_not_modified() -> None:
    images = photo_like(4, 3)
    images.setflags(write=False)
    before = images.copy()

    make_filters(images)

    np.testing.assert_array_equal(images, before)
