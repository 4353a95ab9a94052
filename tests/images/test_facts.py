"""Facts of a photo: right on photos whose facts are known, the same at any size, and the same after the cache."""

import io
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.images.facts import PhotoFacts, facts_of

REAL_DATA = Path(__file__).parents[2] / "../shared/data"
HEIGHT, WIDTH = 120, 200


def scene(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A picture of coloured discs, uint8 RGB."""
    generator = np.random.default_rng(seed)
    image = np.full((600, 1000, 3), generator.integers(60, 200, 3), np.uint8)
    for _ in range(40):
        centre = (int(generator.integers(1000)), int(generator.integers(600)))
        colour = [int(level) for level in generator.integers(0, 256, 3)]
        cv2.circle(image, centre, int(generator.integers(20, 120)), colour, -1)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def encode(image: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    Image.fromarray(image).save(target, kind, **options)
    return target.getvalue()


@cache
def scene_facts() -> PhotoFacts:
    return facts_of(encode(scene()))


def facts_like(**changes: object) -> PhotoFacts:
    return replace(scene_facts(), **changes)


def as_plain(facts: PhotoFacts) -> dict[str, object]:
    values = {field.name: getattr(facts, field.name) for field in fields(facts)}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def shot_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "EOS 5D"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "1970:01:02 00:00:01"
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_format_size_and_bytes_are_those_of_the_file(kind: str) -> None:
    data = encode(scene(), kind)

    facts = facts_of(data)

    assert (facts.format, facts.height, facts.width, facts.num_bytes) == (kind, HEIGHT, WIDTH, len(data))


def test_a_large_jpeg_has_its_full_size_though_it_is_decoded_smaller() -> None:
    facts = facts_of(encode(scene(height=1200, width=1600), "JPEG"))

    assert (facts.height, facts.width) == (1200, 1600)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_camera_time_and_rotation_come_from_exif(kind: str) -> None:
    facts = facts_of(encode(scene(), kind, exif=shot_exif(orientation=6)))

    assert (facts.camera, facts.captured_at, facts.has_exif_rotation) == ("Canon EOS 5D", 86_401.0, True)
    assert (facts.height, facts.width) == (WIDTH, HEIGHT)


def test_a_tiff_tells_its_camera() -> None:
    assert facts_of(encode(scene(), "TIFF", exif=shot_exif())).camera == "Canon EOS 5D"


def test_a_photo_without_exif_has_no_camera_and_no_time() -> None:
    facts = facts_of(encode(scene()))

    assert (facts.camera, facts.captured_at, facts.has_exif_rotation) == (None, None, False)


def test_a_turned_photo_has_the_thumbnail_of_the_upright_one() -> None:
    turned = Image.fromarray(scene()).transpose(Image.Transpose.ROTATE_90)

    facts = facts_of(encode(np.asarray(turned), exif=shot_exif(orientation=6)))

    np.testing.assert_array_equal(facts.thumbnail, facts_of(encode(scene())).thumbnail)


def test_black_and_white_halves_have_middle_brightness_and_full_contrast() -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, WIDTH // 2 :] = 255

    facts = facts_of(encode(image))

    assert facts.brightness == pytest.approx(0.5)
    assert facts.contrast == pytest.approx(0.5)


def test_a_blurred_photo_is_blurred_and_a_sharp_one_is_not() -> None:
    image = scene(height=400, width=600)
    blurred = cv2.GaussianBlur(image, (0, 0), 8)

    assert not facts_of(encode(image)).is_blurred
    assert facts_of(encode(blurred)).is_blurred


@pytest.mark.parametrize("factor", [0.25, 0.6])
def test_sharpness_does_not_depend_on_contrast(factor: float) -> None:
    image = scene(height=400, width=600)

    dull = facts_of(encode((image * factor).astype(np.uint8)))

    assert dull.sharpness == pytest.approx(facts_of(encode(image)).sharpness, abs=0.1)


@pytest.mark.parametrize("size", [(30, 20), (90, 150), (200, 333), (600, 1000)])
def test_thumbnail_and_border_are_nearly_the_same_at_any_size(size: tuple[int, int]) -> None:
    smooth = cv2.GaussianBlur(scene(height=360, width=600), (0, 0), 15)
    other = facts_of(encode(smooth))

    facts = facts_of(encode(cv2.resize(smooth, size[::-1], interpolation=cv2.INTER_AREA)))

    assert np.abs(facts.thumbnail.astype(int) - other.thumbnail).mean() < 3
    np.testing.assert_allclose(facts.border[:16], other.border[:16], atol=0.05)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2000), (3000, 5)])
def test_photos_of_any_shape_have_finite_facts(size: tuple[int, int]) -> None:
    facts = facts_of(encode(np.full((*size, 3), 90, np.uint8)))

    assert facts.thumbnail.shape == (48, 48)
    assert np.isfinite([facts.brightness, facts.contrast, facts.sharpness, *facts.border]).all()
    assert np.isfinite([facts.brightness, facts.contrast, facts.sharpness]).all()


def test_the_border_says_what_colour_each_side_is() -> None:
    image = np.zeros((480, 480, 3), np.uint8)
    image[:20], image[-20:] = (255, 0, 0), (0, 0, 255)

    border = facts_of(encode(image)).border.reshape(-1)

    np.testing.assert_allclose(border[:8], [1, 0, 0, 0, 0, 0, 1, 0], atol=1e-6)


def test_a_letterbox_reaches_in_from_above_and_below_only() -> None:
    image = np.zeros((480, 480, 3), np.uint8)
    image[120:-60] = np.random.default_rng(0).integers(0, 256, (300, 480, 3))

    reach = facts_of(encode(image)).border[16:]

    np.testing.assert_allclose(reach, [0.25, 0.125, 0, 0], atol=1e-6)


def test_what_cannot_be_decoded_is_refused_with_the_reason() -> None:
    with pytest.raises(ImageError, match="is a PDF document, not a photo"):
        facts_of(b"%PDF-1.4" + bytes(100))


def test_limits_hold() -> None:
    with pytest.raises(ImageError, match="at most 100 are read"):
        facts_of(encode(scene()), ImageLimits(max_pixels=100))


def test_facts_survive_being_written() -> None:
    facts = facts_of(encode(scene(), "JPEG", exif=shot_exif(orientation=8)))

    assert as_plain(PhotoFacts.from_bytes(facts.to_bytes())) == as_plain(facts)


@given(
    camera=st.none() | st.text(min_size=1, max_size=100),
    captured_at=st.none() | st.floats(-1e11, 1e12),
    num_bytes=st.integers(1, 2**40),
    side=st.integers(1, 2**31),
    light=st.floats(0, 1),
)
def test_any_facts_survive_being_written(
    camera: str | None, captured_at: float | None, num_bytes: int, side: int, light: float
) -> None:
    facts = facts_like(camera=camera, captured_at=captured_at, num_bytes=num_bytes, height=side, brightness=light)

    assert as_plain(PhotoFacts.from_bytes(facts.to_bytes())) == as_plain(facts)


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.exists(), reason="no shared photos")
def test_ordinary_photos_are_not_called_blurred() -> None:
    paths = sorted((REAL_DATA / "cats-dogs/train").glob("*.jpg"))[::20]

    blurred = [path.name for path in paths if facts_of(path.read_bytes()).is_blurred]

    assert len(blurred) <= len(paths) // 100
