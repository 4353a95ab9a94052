import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.training.whitening import whitening_filters


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
