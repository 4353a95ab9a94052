import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.images.depth import DEPTHS, SampleDepths
from tellapart.images.gate import decode_image
from tellapart.images.preprocess import PreprocessSpec, load_image, resize_image

REAL_PHOTOS = Path(__file__).parents[2] / "../shared/data/cats-dogs/train"

SIDES = st.integers(1, 60)
SIZES = st.tuples(SIDES, SIDES)
DEPTHS_KNOWN = st.builds(
    SampleDepths,
    **{kind: st.none() | st.sampled_from(depths) for kind, depths in DEPTHS.items()},
)
SPECS = st.builds(PreprocessSpec, SIZES, st.sampled_from([1, 3]), st.sampled_from([2, 3]), DEPTHS_KNOWN)


def noise(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


def scene(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth colours with a sharp-edged disc, as a photo might have."""
    rows, columns = np.mgrid[: size[0], : size[1]] / np.array(size)[:, None, None]
    disc = (rows - 0.4) ** 2 + (columns - 0.6) ** 2 < 0.05
    planes = [120 + 100 * np.sin(5 * rows), 120 + 100 * np.cos(4 * columns), np.where(disc, 230, 40)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def encode(image: NDArray[np.uint8], form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, form, **options)
    return file.getvalue()


@given(spec=SPECS)
def test_a_spec_survives_json(spec: PreprocessSpec) -> None:
    assert PreprocessSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": [150]},
        {"image_size": [150, 150, 3]},
        {"image_size": [150, 0]},
        {"image_size": ["x", 150]},
        {"image_size": None},
        {"channels": 4},
        {"interpolation": "nearest"},
        {"decoder": 1},
        {"decoder": 4},
        {"depths": {"int16": 9}},
        {"depths": {"int8": 8}},
        {"depths": {"real": True}},
    ],
    ids=lambda change: str(next(iter(change.items()))),
)
def test_json_of_another_making_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        PreprocessSpec.from_json({**PreprocessSpec((150, 150)).to_json(), **change})


@pytest.mark.parametrize("name", ["image_size", "channels", "interpolation"])
def test_json_that_lacks_a_part_is_refused(name: str) -> None:
    value = PreprocessSpec((150, 150)).to_json()
    del value[name]

    with pytest.raises(KeyError, match=name):
        PreprocessSpec.from_json(value)


@settings(deadline=None, max_examples=60)
@given(size=st.tuples(st.integers(1, 150), st.integers(1, 150)), spec=SPECS)
def test_any_image_gets_the_shape_of_the_spec(size: tuple[int, int], spec: PreprocessSpec) -> None:
    resized = resize_image(noise(size), spec)

    assert resized.shape == spec.shape == (*spec.image_size, spec.channels)
    assert resized.dtype == np.uint8


@settings(deadline=None, max_examples=40)
@given(size=SIZES, image_size=SIZES, colour=st.tuples(*[st.integers(0, 255)] * 3))
def test_one_colour_stays_that_colour(
    size: tuple[int, int], image_size: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    resized = resize_image(np.full((*size, 3), colour, np.uint8), PreprocessSpec(image_size))

    np.testing.assert_array_equal(resized, np.full((*image_size, 3), colour, np.uint8))


@settings(deadline=None, max_examples=40)
@given(size=SIZES, spec=SPECS)
def test_the_image_is_not_modified(size: tuple[int, int], spec: PreprocessSpec) -> None:
    image = noise(size)
    image.setflags(write=False)

    resize_image(image, spec)

    np.testing.assert_array_equal(image, noise(size))


@settings(deadline=None, max_examples=40)
@given(image_size=SIZES, extra=st.tuples(st.integers(0, 300), st.integers(0, 300)))
def test_an_image_less_than_twice_as_large_is_resized_bicubic(
    image_size: tuple[int, int], extra: tuple[int, int]
) -> None:
    height, width = image_size
    image = noise((height + extra[0] % height, width + extra[1] % width))

    resized = resize_image(image, PreprocessSpec(image_size))

    np.testing.assert_array_equal(resized, cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC))


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_an_image_a_whole_number_of_times_larger_becomes_the_mean_of_its_blocks(factor: int) -> None:
    image = noise((11 * factor, 13 * factor))

    resized = resize_image(image, PreprocessSpec((11, 13)))

    means = image.reshape(11, factor, 13, factor, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resized, means, rtol=0, atol=1)


def test_a_large_image_is_reduced_by_blocks_and_then_bicubic() -> None:
    image = noise((100, 170))

    resized = resize_image(image, PreprocessSpec((30, 40)))

    blocks = cv2.resize(image, (42, 33), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(resized, cv2.resize(blocks, (40, 30), interpolation=cv2.INTER_CUBIC))


@pytest.mark.parametrize("size", [(640, 40), (40, 640), (1600, 60), (30, 900)], ids=str)
def test_each_direction_is_averaged_by_its_own_factor(size: tuple[int, int]) -> None:
    rows, columns = max(1, size[0] // 20), max(1, size[1] // 20)
    image = np.random.default_rng(3).normal(128, 30, (*size, 3)).clip(0, 255).astype(np.uint8)

    resized = resize_image(image, PreprocessSpec((20, 20)))

    assert resized.std() == pytest.approx(image.std() / np.sqrt(rows * columns), rel=0.3)


def test_a_direction_that_grows_leaves_the_averaging_of_the_other_alone() -> None:
    image = np.repeat(np.tile(np.array([0, 255], np.uint8), 400)[np.newaxis, :, np.newaxis], 3, axis=2)

    resized = resize_image(np.repeat(image, 5, axis=0), PreprocessSpec((10, 20)))

    np.testing.assert_allclose(resized, 127.5, atol=1)


@pytest.mark.parametrize("size", [(100, 170), (640, 40), (90, 90)], ids=str)
def test_decoder_2_takes_the_smaller_factor_for_both_directions(size: tuple[int, int]) -> None:
    image, factor = noise(size), min(size) // 30

    resized = resize_image(image, PreprocessSpec((30, 30), decoder=2))

    small = (max(1, size[1] // factor), max(1, size[0] // factor))
    blocks = cv2.resize(image, small, interpolation=cv2.INTER_AREA) if factor > 1 else image
    np.testing.assert_array_equal(resized, cv2.resize(blocks, (30, 30), interpolation=cv2.INTER_CUBIC))


@settings(deadline=None, max_examples=30)
@given(side=st.integers(1, 60), factor=st.integers(1, 9), extra=st.integers(0, 59))
def test_a_square_is_shrunk_as_it_was_by_decoder_2(side: int, factor: int, extra: int) -> None:
    image = noise((side * factor + extra % side,) * 2)

    resized = resize_image(image, PreprocessSpec((side, side)))

    np.testing.assert_array_equal(resized, resize_image(image, PreprocessSpec((side, side), decoder=2)))


def test_fine_texture_becomes_its_mean_colour() -> None:
    checks = (np.indices((600, 800)).sum(axis=0) % 2 * 255).astype(np.uint8)

    resized = resize_image(np.repeat(checks[:, :, None], 3, axis=2), PreprocessSpec((150, 150)))

    np.testing.assert_allclose(resized, 127.5, atol=2)


def test_height_comes_first() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[20:] = 255

    resized = resize_image(image, PreprocessSpec((10, 30)))

    assert resized.shape == (10, 30, 3)
    assert resized[:4].max() < 10
    assert resized[6:].min() > 245


@settings(deadline=None, max_examples=30)
@given(size=SIZES, image_size=SIZES)
def test_grey_is_the_luma_of_the_resized_colours(size: tuple[int, int], image_size: tuple[int, int]) -> None:
    grey = resize_image(noise(size), PreprocessSpec(image_size, 1))

    luma = resize_image(noise(size), PreprocessSpec(image_size)) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(grey[:, :, 0], luma, rtol=0, atol=1)


@pytest.mark.parametrize(
    "view",
    [lambda image: image[::-1], lambda image: image[:, ::-1], lambda image: image.transpose(1, 0, 2)],
    ids=["upside down", "mirrored", "transposed"],
)
def test_views_are_resized_like_copies(view: Any) -> None:
    image = view(noise((50, 70)))

    resized = resize_image(image, PreprocessSpec((20, 30)))

    np.testing.assert_array_equal(resized, resize_image(image.copy(), PreprocessSpec((20, 30))))


def test_an_image_of_the_right_size_is_left_as_it_is() -> None:
    np.testing.assert_array_equal(resize_image(noise((20, 30)), PreprocessSpec((20, 30))), noise((20, 30)))


def test_the_result_does_not_depend_on_the_number_of_threads() -> None:
    image, spec, num_threads = noise((900, 1300)), PreprocessSpec((150, 150)), cv2.getNumThreads()

    threaded = resize_image(image, spec)
    cv2.setNumThreads(1)
    try:
        single = resize_image(image, spec)
    finally:
        cv2.setNumThreads(num_threads)

    np.testing.assert_array_equal(threaded, single)


def test_a_png_is_loaded_as_its_pixels_resized() -> None:
    image = noise((50, 70))

    loaded = load_image(encode(image, "PNG"), PreprocessSpec((20, 30)), ImageLimits())

    np.testing.assert_array_equal(loaded, resize_image(image, PreprocessSpec((20, 30))))


@pytest.mark.parametrize("size", [(640, 960), (1201, 1603), (2400, 1800)], ids=["6x", "odd sides", "high"])
def test_a_large_jpeg_decoded_at_a_reduced_scale_looks_like_the_whole_one(size: tuple[int, int]) -> None:
    data, spec = encode(scene(size), "JPEG", quality=90), PreprocessSpec((150, 150))

    loaded = load_image(data, spec, ImageLimits())

    whole = resize_image(decode_image(data), spec)
    difference = np.abs(loaded.astype(int) - whole)
    assert decode_image(data, at_least=spec.image_size).shape < decode_image(data).shape
    assert difference.mean() < 1.5
    assert np.quantile(difference, 0.99) < 25


def test_a_photo_on_its_side_is_loaded_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = scene((300, 400))

    loaded = load_image(encode(image, "JPEG", quality=95, exif=exif), PreprocessSpec((40, 30)), ImageLimits())

    upright = resize_image(np.ascontiguousarray(np.rot90(image, -1)), PreprocessSpec((40, 30)))
    assert np.abs(loaded.astype(int) - upright).mean() < 3


@pytest.mark.parametrize(
    ("data", "limits", "words"),
    [
        (b"", ImageLimits(), "is empty"),
        (b"hello", ImageLimits(), "is text, not a photo"),
        (encode(noise((50, 70)), "PNG"), ImageLimits(max_pixels=3000), "70 x 50 pixels, and at most 3,000"),
        (encode(noise((50, 70)), "PNG")[:3000], ImageLimits(), "is cut off"),
    ],
    ids=["empty", "text", "too large", "cut"],
)
def test_what_cannot_be_used_is_refused_with_the_reason(data: bytes, limits: ImageLimits, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        load_image(data, PreprocessSpec((20, 30)), limits)


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_PHOTOS.is_dir(), reason="the photos in ../shared/data are not here")
def test_real_photos_decoded_at_a_reduced_scale_look_like_the_whole_ones() -> None:
    spec = PreprocessSpec((64, 64))
    photos = [path.read_bytes() for path in sorted(REAL_PHOTOS.rglob("*.jpg"))[:40]]

    loaded = np.stack([load_image(data, spec, ImageLimits()) for data in photos]).astype(int)

    whole = np.stack([resize_image(decode_image(data), spec) for data in photos])
    assert np.abs(loaded - whole).mean() < 5
