import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from tellapart.config import AugmentConfig
from tellapart.training.augment import draw_warps, warp_images

NOTHING = AugmentConfig(0, 0, 0, 0, 0, horizontal_flip=False)
IDENTITY = [[1, 0, 0], [0, 1, 0]]


def smooth_images(num_images: int, image_size: tuple[int, int], channels: int = 3) -> NDArray[np.uint8]:
    """Random images without sharp edges, uint8, shape `(num_images, height, width, channels)`."""
    generator = np.random.default_rng(7)
    height, width = image_size
    coarse = generator.integers(0, 256, (num_images, 4, 5, channels)).astype(np.uint8)
    large = [cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR) for image in coarse]
    return np.stack(large).reshape(num_images, height, width, channels)


def draw_parameters(config: AugmentConfig, num_images: int, seed: int) -> list[dict[str, float]]:
    """What `draw_warps` draws from a generator of this seed, in its order: a change of order changes every training."""
    generator = np.random.default_rng(seed)
    names = ("rotation_degrees", "shear_degrees", "height_shift", "width_shift", "zoom", "zoom")
    keys = ("rotation", "shear", "shift_rows", "shift_columns", "zoom_rows", "zoom_columns")
    columns = {
        key: generator.uniform(-getattr(config, name), getattr(config, name), num_images)
        for key, name in zip(keys, names, strict=True)
    }
    columns["mirror"] = (generator.random(num_images) < 0.5) & config.horizontal_flip
    return [{key: float(values[row]) for key, values in columns.items()} for row in range(num_images)]


def look_up(image: NDArray[np.uint8], drawn: dict[str, float]) -> NDArray[np.float64]:
    """The warped image, computed step by step: each output pixel's place is zoomed, sheared, shifted and turned."""
    height, width, channels = image.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    columns = columns * (1 - drawn["mirror"]) + (width - 1 - columns) * drawn["mirror"]
    rows, columns = rows - (height - 1) / 2, columns - (width - 1) / 2
    rows, columns = rows * (1 + drawn["zoom_rows"]), columns * (1 + drawn["zoom_columns"])
    shear = np.deg2rad(drawn["shear"])
    rows, columns = rows - np.sin(shear) * columns, np.cos(shear) * columns
    rows, columns = rows + drawn["shift_rows"] * height, columns + drawn["shift_columns"] * width
    angle = np.deg2rad(drawn["rotation"])
    rows, columns = (
        np.cos(angle) * rows - np.sin(angle) * columns + (height - 1) / 2,
        np.sin(angle) * rows + np.cos(angle) * columns + (width - 1) / 2,
    )
    planes = [
        ndimage.map_coordinates(image[..., channel].astype(float), [rows, columns], order=1, mode="nearest")
        for channel in range(channels)
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
@pytest.mark.parametrize("image_size", [(40, 40), (40, 61), (53, 32)], ids=["square", "wide", "high"])
def test_warped_images_agree_with_a_pixel_by_pixel_reference(image_size: tuple[int, int], channels: int) -> None:
    config, num_images = AugmentConfig(shear_degrees=20), 12
    images = smooth_images(num_images, image_size, channels)

    warped = warp_images(images, draw_warps(config, num_images, image_size, np.random.default_rng(3)))

    reference = [
        look_up(image, drawn) for image, drawn in zip(images, draw_parameters(config, num_images, 3), strict=True)
    ]
    np.testing.assert_allclose(warped, np.stack(reference), rtol=0, atol=1)


def test_the_reference_images_are_really_warped() -> None:
    images = smooth_images(12, (40, 61))

    warped = warp_images(images, draw_warps(AugmentConfig(), 12, (40, 61), np.random.default_rng(3)))

    assert np.abs(warped.astype(int) - images).mean(axis=(1, 2, 3)).min() > 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*scipy.ndimage.interpolation.*:DeprecationWarning")
def test_square_images_are_warped_as_keras_composes_the_steps() -> None:
    pytest.importorskip(
        "tellapart.networks.backend", exc_type=ImportError
    )  # chooses Keras' backend before Keras is imported
    keras_images = pytest.importorskip("keras.src.legacy.preprocessing.image", exc_type=ImportError)
    config, image_size = AugmentConfig(shear_degrees=20), (48, 48)
    images = smooth_images(8, image_size)

    warped = warp_images(images, draw_warps(config, 8, image_size, np.random.default_rng(5)))

    for image, drawn, ours in zip(images, draw_parameters(config, 8, 5), warped, strict=True):
        # Named this way round, Keras leaves its matrix on (row, column), where it composed it.
        theirs = keras_images.apply_affine_transform(
            image.astype(float),
            theta=drawn["rotation"],
            tx=drawn["shift_rows"] * 48,
            ty=drawn["shift_columns"] * 48,
            shear=drawn["shear"],
            zx=1 + drawn["zoom_rows"],
            zy=1 + drawn["zoom_columns"],
            row_axis=1,
            col_axis=0,
            channel_axis=2,
        )
        step = 1 - 2 * int(drawn["mirror"])
        np.testing.assert_allclose(ours, theirs[:, ::step], rtol=0, atol=1)


@settings(max_examples=30, deadline=None)
@given(
    num_images=st.integers(0, 4),
    image_size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    seed=st.integers(0, 2**32 - 1),
)
def test_ranges_of_zero_change_nothing(num_images: int, image_size: tuple[int, int], seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (num_images, *image_size, 3)).astype(np.uint8)

    warps = draw_warps(NOTHING, num_images, image_size, np.random.default_rng(seed))

    np.testing.assert_allclose(warps, np.broadcast_to(IDENTITY, (num_images, 2, 3)), atol=1e-12)
    np.testing.assert_array_equal(warp_images(images, warps), images)


@settings(max_examples=30, deadline=None)
@given(value=st.integers(0, 255), seed=st.integers(0, 2**32 - 1))
def test_an_image_of_one_colour_stays_that_colour_up_to_its_edges(value: int, seed: int) -> None:
    images = np.full((3, 20, 31, 3), value, np.uint8)

    warps = draw_warps(AugmentConfig(180, 1, 1, 80, 0.9), 3, (20, 31), np.random.default_rng(seed))

    np.testing.assert_array_equal(warp_images(images, warps), images)


@pytest.mark.parametrize("image_size", [(24, 37), (25, 32)], ids=["odd width", "even width"])
def test_the_flip_alone_mirrors_left_and_right_about_every_second_image(image_size: tuple[int, int]) -> None:
    config = AugmentConfig(0, 0, 0, 0, 0, horizontal_flip=True)
    images = np.random.default_rng(0).integers(0, 256, (400, *image_size, 3)).astype(np.uint8)

    warps = draw_warps(config, 400, image_size, np.random.default_rng(1))

    is_mirrored = warps[:, 0, 0] < 0
    expected = np.where(is_mirrored[:, None, None, None], images[:, :, ::-1], images)
    np.testing.assert_array_equal(warp_images(images, warps), expected)
    assert 150 < is_mirrored.sum() < 250


@pytest.mark.parametrize(
    ("config", "read", "limit"),
    [
        (
            AugmentConfig(40, 0, 0, 0, 0, False),
            lambda warps: np.rad2deg(np.arctan2(warps[:, 0, 1], warps[:, 0, 0])),
            40,
        ),
        (AugmentConfig(0, 0.3, 0, 0, 0, False), lambda warps: warps[:, 0, 2], 0.3 * 80),
        (AugmentConfig(0, 0, 0.1, 0, 0, False), lambda warps: warps[:, 1, 2], 0.1 * 50),
        (AugmentConfig(0, 0, 0, 15, 0, False), lambda warps: np.rad2deg(np.arcsin(-warps[:, 1, 0])), 15),
        (AugmentConfig(0, 0, 0, 0, 0.2, False), lambda warps: warps[:, 0, 0] - 1, 0.2),
        (AugmentConfig(0, 0, 0, 0, 0.2, False), lambda warps: warps[:, 1, 1] - 1, 0.2),
    ],
    ids=["rotation", "width shift", "height shift", "shear", "zoom of columns", "zoom of rows"],
)
def test_drawn_values_fill_their_range_and_stay_inside(config: AugmentConfig, read: object, limit: float) -> None:
    values = read(draw_warps(config, 2000, (50, 80), np.random.default_rng(2)))

    assert -limit <= values.min() < -0.95 * limit
    assert 0.95 * limit < values.max() <= limit


def test_a_width_shift_moves_no_rows_and_a_height_shift_no_columns() -> None:
    wide = draw_warps(AugmentConfig(0, 0.3, 0, 0, 0, False), 50, (50, 80), np.random.default_rng(2))
    high = draw_warps(AugmentConfig(0, 0, 0.3, 0, 0, False), 50, (50, 80), np.random.default_rng(2))

    np.testing.assert_allclose(wide[:, 1], np.broadcast_to([0, 1, 0], (50, 3)), atol=1e-12)
    np.testing.assert_allclose(high[:, 0], np.broadcast_to([1, 0, 0], (50, 3)), atol=1e-12)


def test_both_axes_are_zoomed_apart() -> None:
    warps = draw_warps(AugmentConfig(0, 0, 0, 0, 0.2, False), 50, (50, 80), np.random.default_rng(2))

    assert np.abs(warps[:, 0, 0] - warps[:, 1, 1]).min() > 0


def test_the_same_generator_draws_the_same_warps_and_another_does_not() -> None:
    drawn = [draw_warps(AugmentConfig(), 5, (20, 30), np.random.default_rng(seed)) for seed in (1, 1, 2)]

    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2])


def test_one_generator_draws_new_warps_each_time() -> None:
    generator = np.random.default_rng(1)

    first, second = (draw_warps(AugmentConfig(), 5, (20, 30), generator) for _ in range(2))

    assert not np.allclose(first, second)


def test_images_are_warped_alike_in_any_batch_size() -> None:
    images = smooth_images(7, (20, 30))
    warps = draw_warps(AugmentConfig(), 7, (20, 30), np.random.default_rng(4))

    parts = [warp_images(images[part], warps[part]) for part in (slice(0, 3), slice(3, 4), slice(4, 7))]

    np.testing.assert_array_equal(np.concatenate(parts), warp_images(images, warps))


def test_the_input_is_not_modified() -> None:
    images = smooth_images(3, (20, 30))
    images.setflags(write=False)
    before = images.copy()

    warped = warp_images(images, draw_warps(AugmentConfig(), 3, (20, 30), np.random.default_rng(4)))

    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(images, warped)


def test_no_images_give_no_warps_and_no_images() -> None:
    warps = draw_warps(AugmentConfig(), 0, (20, 30), np.random.default_rng(0))

    assert warps.shape == (0, 2, 3)
    assert warp_images(np.empty((0, 20, 30, 3), np.uint8), warps).shape == (0, 20, 30, 3)


def test_a_warp_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        warp_images(np.zeros((2, 4, 4, 3), np.uint8), np.array([IDENTITY], np.float64))
