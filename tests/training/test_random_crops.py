import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from tellapart.config import CropConfig
from tellapart.training.random_crops import Views, draw_views, make_views

WHOLE = CropConfig(least_area=1, aspect=1, rotation_degrees=0, colour=0, erase=0)
LUMA = [0.299, 0.587, 0.114]
sides = st.integers(2, 30)


def smooth_images(num_images: int, image_size: tuple[int, int], channels: int = 3) -> NDArray[np.uint8]:
    """Random images without sharp edges, uint8, shape `(num_images, height, width, channels)`."""
    generator = np.random.default_rng(7)
    height, width = image_size
    coarse = generator.integers(0, 256, (num_images, 4, 5, channels)).astype(np.uint8)
    large = [cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR) for image in coarse]
    return np.stack(large).reshape(num_images, height, width, channels)


def draw(
    config: CropConfig,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    num_views: int = 40,
    seed: int = 3,
    is_mirrored: bool = False,
) -> Views:
    return draw_views(config, np.full(num_views, is_mirrored), sizes, np.random.default_rng(seed))


def make_view(image: NDArray[np.uint8], **drawn: list[float]) -> NDArray[np.uint8]:
    """The whole photo in colour, with what is named in place of what changes nothing."""
    changes = {"colours": [1, 1, 1], "patches": [0, 0, 0, 0], "paints": [0, 0, 0], **drawn}
    views = Views(
        np.array([[[1, 0, 0], [0, 1, 0]]], np.float64),
        np.array([changes["colours"]], np.float64),
        np.array([changes["patches"]], np.float64),
        np.array([changes["paints"]], np.uint8),
    )
    return make_views(image[np.newaxis], views, image.shape[:2], in_colour=True)[0]


def draw_crops(config: CropConfig, num_views: int, seed: int) -> list[dict[str, float]]:
    """What `draw_views` draws for crops, in its order: a change of order changes every training."""
    generator = np.random.default_rng(seed)
    columns = {
        "area": generator.uniform(config.least_area, 1, num_views),
        "stretch": np.exp(generator.uniform(-math.log(config.aspect), math.log(config.aspect), num_views)),
        "place_x": generator.random(num_views),
        "place_y": generator.random(num_views),
        "angle": np.deg2rad(generator.uniform(-config.rotation_degrees, config.rotation_degrees, num_views)),
    }
    return [{key: float(values[row]) for key, values in columns.items()} for row in range(num_views)]


def look_up(
    image: NDArray[np.uint8], drawn: dict[str, float], image_size: tuple[int, int], is_mirrored: bool
) -> object:
    """The view, computed step by step: each pixel's place in the view is sized, turned and put on the photo."""
    (height, width, channels), (out_height, out_width) = image.shape, image_size
    crop_width = min(1.0, math.sqrt(drawn["area"] * drawn["stretch"])) * width
    crop_height = min(1.0, math.sqrt(drawn["area"] / drawn["stretch"])) * height
    rows, columns = np.mgrid[:out_height, :out_width] + 0.5
    rows, columns = (rows / out_height - 0.5) * crop_height, (columns / out_width - 0.5) * crop_width
    columns = columns * (-1) ** is_mirrored
    sine, cosine = math.sin(drawn["angle"]), math.cos(drawn["angle"])
    rows, columns = sine * columns + cosine * rows, cosine * columns - sine * rows
    rows = rows + crop_height / 2 + drawn["place_y"] * (height - crop_height) - 0.5
    columns = columns + crop_width / 2 + drawn["place_x"] * (width - crop_width) - 0.5
    planes = [
        ndimage.map_coordinates(image[..., channel].astype(float), [rows, columns], order=1, mode="mirror")
        for channel in range(channels)
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("is_mirrored", [False, True], ids=["as it is", "mirrored"])
@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
@pytest.mark.parametrize(
    ("photo_size", "image_size"),
    [((40, 40), (40, 40)), ((40, 61), (32, 48)), ((53, 32), (53, 40)), ((40, 61), (48, 48))],
    ids=["square", "wide", "high", "wide to square"],
)
def test_views_agree_with_a_pixel_by_pixel_reference(
    photo_size: tuple[int, int], image_size: tuple[int, int], channels: int, is_mirrored: bool
) -> None:
    config, num_views = CropConfig(rotation_degrees=40), 12
    images = smooth_images(num_views, photo_size, channels)

    made = make_views(
        images, draw(config, (photo_size, image_size), num_views, 5, is_mirrored), image_size, in_colour=False
    )

    reference = [
        look_up(image, drawn, image_size, is_mirrored)
        for image, drawn in zip(images, draw_crops(config, num_views, 5), strict=True)
    ]
    np.testing.assert_allclose(made, np.stack(reference), rtol=0, atol=1)


def test_the_reference_views_are_really_other_images() -> None:
    images = smooth_images(12, (40, 61))

    made = make_views(images, draw(CropConfig(), ((40, 61), (40, 61)), 12), (40, 61), in_colour=False)

    assert np.abs(made.astype(int) - images).mean(axis=(1, 2, 3)).min() > 5


@settings(max_examples=30, deadline=None)
@given(num_views=st.integers(0, 4), size=st.tuples(sides, sides), channels=st.sampled_from([1, 3]), seed=st.integers(0))
def test_ranges_that_allow_nothing_change_nothing(
    num_views: int, size: tuple[int, int], channels: int, seed: int
) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (num_views, *size, channels)).astype(np.uint8)

    views = draw(WHOLE, (size, size), num_views, seed)

    np.testing.assert_array_equal(make_views(images, views, size, in_colour=True), images)


@pytest.mark.parametrize("size", [(24, 37), (25, 32)], ids=["odd width", "even width"])
def test_the_photos_that_are_named_are_mirrored_left_to_right(size: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, *size, 3)).astype(np.uint8)

    views = draw_views(WHOLE, np.array([True, False, False, True]), (size, size), np.random.default_rng(0))

    expected = np.stack([images[0, :, ::-1], images[1], images[2], images[3, :, ::-1]])
    np.testing.assert_array_equal(make_views(images, views, size, in_colour=True), expected)


@settings(max_examples=40, deadline=None)
@given(
    config=st.builds(CropConfig, least_area=st.floats(0.01, 1), aspect=st.floats(1, 10), rotation_degrees=st.just(0.0)),
    photo_size=st.tuples(sides, sides),
    image_size=st.tuples(sides, sides),
    is_mirrored=st.booleans(),
)
def test_a_crop_that_is_not_turned_lies_inside_the_photo(
    config: CropConfig, photo_size: tuple[int, int], image_size: tuple[int, int], is_mirrored: bool
) -> None:
    warps = draw(config, (photo_size, image_size), is_mirrored=is_mirrored).warps

    corners = np.array([[-0.5, -0.5, 1], [image_size[1] - 0.5, image_size[0] - 0.5, 1]])
    places = warps @ corners.T
    assert places.min() >= -0.5 - 1e-9
    assert (places.max(axis=(0, 2)) <= np.array(photo_size[::-1]) - 0.5 + 1e-9).all()


def test_crops_cover_every_share_of_the_photo_down_to_the_least() -> None:
    warps = draw(CropConfig(least_area=0.4), ((50, 80), (32, 48)), 2000).warps

    shares = np.abs(np.linalg.det(warps[:, :, :2])) * (32 * 48) / (50 * 80)
    assert 0.4 <= shares.min() < 0.42
    assert 0.95 < shares.max() <= 1


def test_crops_are_up_to_so_much_wider_or_higher_than_the_photo() -> None:
    warps = draw(CropConfig(least_area=0.3, aspect=1.5, rotation_degrees=0), ((50, 80), (50, 80)), 2000).warps

    stretches = warps[:, 0, 0] / warps[:, 1, 1]
    assert 1 / 1.5 <= stretches.min() < 0.7
    assert 1.45 < stretches.max() <= 1.5


def test_angles_fill_their_range() -> None:
    warps = draw(CropConfig(rotation_degrees=25), ((50, 80), (50, 80)), 2000).warps

    angles = np.rad2deg(np.arctan2(warps[:, 1, 0], warps[:, 0, 0]))
    assert -25 <= angles.min() < -24
    assert 24 < angles.max() <= 25


@settings(max_examples=30, deadline=None)
@given(photo_size=st.tuples(sides, sides), image_size=st.tuples(sides, sides), is_mirrored=st.booleans())
def test_a_turned_crop_of_a_photo_of_any_shape_keeps_its_right_angles(
    photo_size: tuple[int, int], image_size: tuple[int, int], is_mirrored: bool
) -> None:
    warps = draw(CropConfig(rotation_degrees=180), (photo_size, image_size), is_mirrored=is_mirrored).warps

    along, down = warps[:, :, 0], warps[:, :, 1]
    lengths = np.linalg.norm(along, axis=1) * np.linalg.norm(down, axis=1)
    np.testing.assert_allclose((along * down).sum(axis=1) / lengths, np.zeros(len(warps)), atol=1e-9)


def test_a_photo_of_one_pixel_stripes_is_shrunk_to_their_mean() -> None:
    images = np.zeros((6, 96, 96, 3), np.uint8)
    images[:, :, ::2] = 200

    made = make_views(images, draw(WHOLE, ((96, 96), (16, 16)), 6), (16, 16), in_colour=False)

    np.testing.assert_allclose(made, np.full(made.shape, 100), atol=1)


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
@pytest.mark.parametrize("photo_size", [(96, 120), (97, 131)], ids=["even", "odd"])
def test_a_photo_that_is_shrunk_stays_in_its_place(photo_size: tuple[int, int], channels: int) -> None:
    images = smooth_images(4, photo_size, channels)

    made = make_views(images, draw(WHOLE, (photo_size, (24, 30)), 4), (24, 30), in_colour=False)

    expected = np.stack([cv2.resize(image, (30, 24), interpolation=cv2.INTER_AREA) for image in images])
    np.testing.assert_allclose(made, expected.reshape(made.shape), atol=3)


def test_a_photo_of_few_pixels_in_one_direction_can_be_shrunk() -> None:
    images = np.full((1, 2, 90, 3), 77, np.uint8)

    made = make_views(images, draw(WHOLE, ((2, 90), (2, 8)), 1), (2, 8), in_colour=False)

    np.testing.assert_array_equal(made, np.full((1, 2, 8, 3), 77))


@settings(max_examples=30, deadline=None)
@given(value=st.integers(0, 255), seed=st.integers(0, 2**32 - 1), side=st.sampled_from([8, 20, 40]))
def test_a_photo_of_one_colour_stays_that_colour_up_to_its_edges(value: int, seed: int, side: int) -> None:
    images = np.full((3, 20, 31, 3), value, np.uint8)

    views = draw(CropConfig(rotation_degrees=180), ((20, 31), (side, side)), 3, seed)

    made = make_views(images, views, (side, side), in_colour=False)
    np.testing.assert_array_equal(made, np.full((3, side, side, 3), value))


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
@pytest.mark.parametrize("colours", [(1.3, 1, 1), (1, 0.6, 1), (1, 1, 1.4), (0.7, 1.4, 0.5)], ids=str)
def test_light_changes_as_computed_step_by_step(colours: tuple[float, float, float], channels: int) -> None:
    coarse = np.random.default_rng(2).integers(0, 256, (4, 5, channels)).astype(np.uint8)
    image = coarse.repeat(8, axis=0).repeat(8, axis=1)
    brightness, contrast, saturation = colours

    changed = make_view(image, colours=list(colours))

    grey = image @ np.array(LUMA if channels == 3 else [1.0])
    saturated = saturation * image.astype(float) + (1 - saturation) * grey[..., np.newaxis]
    contrasted = image.mean() + contrast * (saturated - image.mean())
    np.testing.assert_allclose(changed, np.clip(contrasted * brightness, 0, 255), atol=1)


@pytest.mark.parametrize(("brightness", "expected"), [(3.0, [0, 255, 255]), (0.0, [0, 0, 0])], ids=["bright", "dark"])
def test_what_is_too_bright_becomes_white_and_does_not_turn_over(brightness: float, expected: list[int]) -> None:
    image = np.broadcast_to(np.array([0, 120, 255], np.uint8)[:, np.newaxis], (6, 3, 3)).copy()

    np.testing.assert_array_equal(make_view(image, colours=[brightness, 1, 1])[0, :, 0], np.array(expected, np.uint8))


def test_strong_contrast_ends_at_black_and_white() -> None:
    image = np.repeat(np.array([[[90], [160]]], np.uint8), 8, axis=0).repeat(8, axis=1)

    assert np.unique(make_view(image, colours=[1, 9, 1])).tolist() == [0, 255]


def test_no_saturation_leaves_grey() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 7, 3)).astype(np.uint8)

    changed = make_view(image, colours=[1, 1, 0])

    np.testing.assert_array_equal(changed, np.repeat(changed[..., :1], 3, axis=2))


def test_colour_factors_fill_their_ranges_and_are_never_negative() -> None:
    colours = draw(CropConfig(colour=0.3), ((20, 20), (20, 20)), 3000).colours
    strong = draw(CropConfig(colour=1), ((20, 20), (20, 20)), 3000).colours

    np.testing.assert_allclose(colours.min(axis=0), [0.7, 0.7, 0.6], atol=0.01)
    np.testing.assert_allclose(colours.max(axis=0), [1.3, 1.3, 1.4], atol=0.01)
    assert strong.min() == 0


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
def test_a_patch_is_painted_where_it_was_drawn_and_nowhere_else(channels: int) -> None:
    image = np.full((20, 40, channels), 9, np.uint8)

    changed = make_view(image, patches=[0.25, 0.5, 0.5, 0.25], paints=[200, 100, 50])

    expected = image.copy()
    expected[5:15, 20:30] = [200, 100, 50][:channels]
    np.testing.assert_array_equal(changed, expected)


def test_patches_lie_inside_the_view_and_cover_a_fiftieth_to_a_fifth_of_it() -> None:
    patches = draw(CropConfig(erase=1), ((20, 20), (20, 20)), 3000).patches

    areas = patches[:, 2] * patches[:, 3]
    assert 0.02 <= areas.min() < areas.max() <= 0.2 + 1e-9
    assert (patches[:, :2] + patches[:, 2:]).max() <= 1 + 1e-9
    assert patches.min() >= 0


@pytest.mark.parametrize("erase", [0.0, 0.25, 1.0])
def test_as_many_views_are_painted_over_as_asked_for(erase: float) -> None:
    patches = draw(CropConfig(erase=erase), ((20, 20), (20, 20)), 3000).patches

    assert (patches[:, 2] > 0).mean() == pytest.approx(erase, abs=0.03)


def test_without_colours_only_the_geometry_changes() -> None:
    images = smooth_images(5, (20, 30))
    config = CropConfig(least_area=1, aspect=1, rotation_degrees=0, colour=1, erase=1)

    views = draw(config, ((20, 30), (20, 30)), 5)

    np.testing.assert_array_equal(make_views(images, views, (20, 30), in_colour=False), images)
    assert (make_views(images, views, (20, 30), in_colour=True) != images).any(axis=(1, 2, 3)).all()


def test_the_same_generator_draws_the_same_views_and_another_does_not() -> None:
    images = smooth_images(5, (20, 30))
    first, same, other = (
        make_views(images, draw(CropConfig(), ((20, 30), (16, 16)), 5, seed), (16, 16), in_colour=True)
        for seed in (1, 1, 2)
    )

    np.testing.assert_array_equal(first, same)
    assert (first != other).any(axis=(1, 2, 3)).all()


def test_views_are_made_alike_in_any_batch_size() -> None:
    images = smooth_images(7, (20, 30))
    views = draw(CropConfig(erase=1), ((20, 30), (16, 24)), 7)

    parts = [
        make_views(images[part], views.take(part), (16, 24), in_colour=True)
        for part in (slice(0, 3), slice(3, 4), slice(4, 7))
    ]

    np.testing.assert_array_equal(np.concatenate(parts), make_views(images, views, (16, 24), in_colour=True))


@pytest.mark.parametrize("size", [(20, 30), (64, 64)], ids=["same size", "shrunk"])
def test_the_photos_are_not_modified(size: tuple[int, int]) -> None:
    images = smooth_images(3, size)
    images.setflags(write=False)
    before = images.copy()

    made = make_views(images, draw(CropConfig(erase=1), (size, (20, 30)), 3), (20, 30), in_colour=True)

    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(images, made)


def test_no_photos_give_no_views() -> None:
    views = draw(CropConfig(), ((20, 30), (16, 24)), 0)

    assert make_views(np.empty((0, 20, 30, 3), np.uint8), views, (16, 24), in_colour=True).shape == (0, 16, 24, 3)


def test_a_view_too_few_is_refused() -> None:
    with pytest.raises((ValueError, IndexError)):
        make_views(np.zeros((2, 4, 4, 3), np.uint8), draw(WHOLE, ((4, 4), (4, 4)), 1), (4, 4), in_colour=True)


def drawn_state(draw_something: Callable[[np.random.Generator], object]) -> object:
    generator = np.random.default_rng(4)
    draw_something(generator)
    return generator.bit_generator.state


def test_what_comes_out_does_not_change_how_much_is_drawn_for_views() -> None:
    sizes, is_mirrored = ((20, 30), (16, 16)), np.zeros(5, bool)
    states = [
        drawn_state(lambda generator, erase=erase: draw_views(CropConfig(erase=erase), is_mirrored, sizes, generator))
        for erase in (0, 1)
    ]
    states.append(drawn_state(lambda generator: draw_views(CropConfig(), ~is_mirrored, sizes, generator)))

    assert states[0] == states[1] == states[2]
