"""The heat map: warm where the model looked, the photo everywhere else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from tellapart.report.pictures import cut_detail, cut_middle, judge_map, overlay_map


def make_image(height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def grey_image(level: int = 128) -> NDArray[np.uint8]:
    return np.full((70, 70, 3), level, np.uint8)


def peak(row: int, column: int, size: int = 7) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:size, :size]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 2).astype(np.float32)


def redness(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    return image[:, :, 0].astype(np.int64) - image[:, :, 2]


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 5), (3, 3), (6, 6)], ids=str)
def test_the_warmest_place_is_where_the_map_is_highest(row: int, column: int) -> None:
    warm = redness(overlay_map(grey_image(), peak(row, column)))
    found = np.unravel_index(warm.argmax(), warm.shape)
    np.testing.assert_allclose(np.array(found) // 10, (row, column))


def test_where_there_is_no_evidence_the_photo_is_only_quieter() -> None:
    drawn = overlay_map(grey_image(100), np.maximum(peak(1, 1) - 0.1, 0))
    np.testing.assert_array_equal(drawn[50:, 50:], 85)


def test_the_photo_can_be_seen_through_the_strongest_colour() -> None:
    image = grey_image(40)
    image[::2] = 220
    drawn = overlay_map(image, peak(3, 3))[30:40, 30:40].astype(int)
    assert np.abs(drawn[0] - drawn[1]).max() > 50


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (480, 480)], ids=str)
def test_a_photo_of_any_size_keeps_its_size(size: tuple[int, int]) -> None:
    drawn = overlay_map(make_image(*size), peak(2, 2))
    assert (drawn.shape, drawn.dtype) == ((*size, 3), np.uint8)


@pytest.mark.parametrize(
    "activation",
    [np.zeros((7, 7)), np.full((7, 7), 2.5), np.full((1, 1), 4.0), -peak(3, 3), np.full((2, 3), np.nan)],
    ids=["zero", "constant", "one cell", "all negative", "not a number"],
)
def test_a_map_that_points_at_nothing_gives_the_plain_photo(activation: NDArray[np.float64]) -> None:
    image = make_image()
    drawn = overlay_map(image, activation.astype(np.float32))
    np.testing.assert_array_equal(drawn, image)
    assert drawn is not image


def test_evidence_against_the_class_has_no_colour() -> None:
    activation = peak(1, 1)
    against = np.where(np.arange(7)[:, np.newaxis] >= 5, np.float32(-30), activation)
    assert (redness(overlay_map(grey_image(), against))[50:] == 0).all()


@pytest.mark.parametrize("factor", [1e-6, 0.5, 1e6])
def test_the_colour_is_relative_to_the_largest_value(factor: float) -> None:
    first, second = (overlay_map(make_image(), peak(2, 4) * np.float32(scale)) for scale in (1, factor))
    assert np.abs(first.astype(int) - second).max() <= 1


def test_neither_the_photo_nor_the_map_is_modified() -> None:
    image, activation = make_image(), peak(3, 3) - np.float32(0.2)
    overlay_map(image, activation)
    np.testing.assert_array_equal(image, make_image())
    np.testing.assert_array_equal(activation, peak(3, 3) - np.float32(0.2))


@settings(deadline=None, max_examples=40)
@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(width=32)))
def test_any_map_can_be_drawn_and_twice_gives_the_same(activation: NDArray[np.float32]) -> None:
    image = make_image(20, 30)
    np.testing.assert_array_equal(overlay_map(image, activation), overlay_map(image, activation))


@pytest.mark.parametrize(
    ("activation", "state"),
    [
        (peak(3, 3), "clear"),
        (peak(1, 2, size=3), "clear"),
        (peak(0, 1, size=2), "coarse"),
        (np.ones((2, 9)), "coarse"),
        (np.full((7, 7), 2.5), "flat"),
        (-peak(3, 3), "flat"),
        (np.full((4, 4), np.nan), "flat"),
    ],
    ids=["a peak", "3 x 3", "2 x 2", "2 x 9", "constant", "all negative", "not a number"],
)
def test_a_map_that_shows_nothing_is_told_from_one_that_does(activation: NDArray[np.float64], state: str) -> None:
    assert judge_map(activation.astype(np.float32)) == state


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    activation=arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(width=32)),
    side=st.integers(1, 200),
)
def test_a_detail_is_a_part_of_the_photo_pixel_by_pixel(
    size: tuple[int, int], activation: NDArray[np.float32], side: int
) -> None:
    image = np.zeros((*size, 3), np.uint8)
    image[:, :, 0], image[:, :, 1] = np.arange(size[0])[:, np.newaxis] % 256, np.arange(size[1]) % 256
    detail = cut_detail(image, activation, side)
    assert detail.shape == (min(side, size[0]), min(side, size[1]), 3)
    assert (np.diff(detail[:, 0, 0]) == 1).all()
    assert (np.diff(detail[0, :, 1]) == 1).all()


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 3), (2, 5), (6, 6)])
def test_a_detail_holds_the_place_where_the_map_is_highest(row: int, column: int) -> None:
    image = np.zeros((700, 1400, 3), np.uint8)
    image[row * 100 + 50, column * 200 + 100] = 255
    assert cut_detail(image, peak(row, column), 300).max() == 255


@pytest.mark.parametrize("size", [(50, 80), (10, 300), (200, 200)])
def test_a_narrower_detail_keeps_its_resolution_and_its_middle(size: tuple[int, int]) -> None:
    image = make_image(*size)
    narrow = cut_middle(image, 40)
    top, left = max(0, size[0] - 40) // 2, max(0, size[1] - 40) // 2
    np.testing.assert_array_equal(narrow, image[top : top + 40, left : left + 40])
