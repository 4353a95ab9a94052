"""Colours of any profile come out as littlecms has them, and those of sRGB untouched."""

import io
import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tellapart.config import ImageLimits
from tellapart.formats.icc import is_srgb, make_rgb_profile, profile_space
from tellapart.images.colour import has_other_colours, to_srgb
from tellapart.images.gate import convert_image, decode_for_each, decode_image, decode_photo

HEIGHT, WIDTH = 48, 96
# Large fields, so that lossy formats keep their middles.
FIELDS = [(200, 60, 40), (40, 170, 60), (50, 70, 190), (225, 225, 225), (128, 120, 60), (20, 20, 20)]
RGB = np.repeat(np.repeat(np.array(FIELDS, np.uint8).reshape(2, 3, 3), 24, axis=0), 32, axis=1)
D65 = (0.3127, 0.329)
ADOBE = make_rgb_profile((*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 2.19921875)
DISPLAY_P3 = make_rgb_profile((*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), None)
PROPHOTO = make_rgb_profile((0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001 + 0.001), 1.8)
PROFILES = {"Adobe RGB": ADOBE, "Display P3": DISPLAY_P3, "ProPhoto": PROPHOTO}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profile_bytes(space: bytes, tags: dict[bytes, bytes], version: int = 0x02400000) -> bytes:
    """A profile of a device with these tags."""
    table, body = struct.pack(">I", len(tags)), b""
    start = 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value.ljust(-(-len(value) // 4) * 4, b"\0")
    white = struct.pack(">3i", 63190, 65536, 54061)
    head = struct.pack(">I4xI4s4s4s12x4s28x", start + len(body), version, b"prtr", space, b"XYZ ", b"acsp") + white
    return head.ljust(128, b"\0") + table + body


def text(words: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(words) + 1) + words + bytes(1 + 12 + 67)


def grey_profile(gamma: float) -> bytes:
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    return profile_bytes(b"GRAY", {b"desc": text(b"grey"), b"wtpt": white, b"kTRC": curve})


def press_profile() -> bytes:
    """CMYK whose inks are weaker and warmer than those of a screen, as a table of 2x2x2x2 colours (`lut16Type`)."""
    corners = np.indices((2, 2, 2, 2)).reshape(4, -1).T.astype(float)
    light = np.prod(
        1 - corners[:, :, None] * np.array([[0.8, 0.3, 0.1], [0.1, 0.8, 0.4], [0.0, 0.1, 0.8], [0.9] * 3]), 1
    )
    srgb_to_xyz = np.array([[0.436, 0.385, 0.143], [0.222, 0.717, 0.061], [0.014, 0.097, 0.714]])
    table = np.round(np.clip(light @ srgb_to_xyz.T, 0, 1) * 32768).astype(">u2").tobytes()
    ramp = struct.pack(">2H", 0, 65535)
    lut = b"mft2\0\0\0\0" + struct.pack(">4B9i2H", 4, 3, 2, 0, 65536, 0, 0, 0, 65536, 0, 0, 0, 65536, 2, 2)
    lut += ramp * 4 + table + ramp * 3
    return profile_bytes(b"CMYK", {b"desc": text(b"press"), b"A2B0": lut, b"A2B1": lut})


PRESS = press_profile()


def by_littlecms(pixels: NDArray[np.uint8], profile: bytes, mode: str) -> NDArray[np.uint8]:
    image = Image.fromarray(pixels, mode) if mode == "CMYK" else Image.fromarray(pixels)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    seen = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), intent, "RGB")
    assert seen is not None
    return np.asarray(seen)


def fields(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The colour in the middle of each field."""
    height, width = image.shape[:2]
    rows, columns = (height * np.array([1, 3]) // 4), (width * np.array([1, 3, 5]) // 6)
    return image[np.ix_(rows, columns)].reshape(-1, image.shape[2]).astype(np.int64)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


ENCODERS: dict[str, Callable[[Image.Image, bytes], bytes]] = {
    "JPEG": lambda image, icc: encode(image, "JPEG", quality=100, subsampling=0, icc_profile=icc),
    "PNG": lambda image, icc: encode(image, "PNG", icc_profile=icc),
    "WebP": lambda image, icc: encode(image, "WEBP", lossless=True, icc_profile=icc),
    "TIFF": lambda image, icc: encode(image, "TIFF", compression="tiff_lzw", icc_profile=icc),
    "TIFF JPEG": lambda image, icc: encode(image, "TIFF", compression="jpeg", quality=100, icc_profile=icc),
    "AVIF": lambda image, icc: encode(image, "AVIF", quality=100, subsampling="4:4:4", icc_profile=icc),
}


@pytest.fixture
def transforms(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The sizes of what littlecms is asked to transform."""
    sizes: list[tuple[int, int]] = []
    apply = ImageCms.applyTransform

    def count(image: Image.Image, *arguments: Any, **options: Any) -> Image.Image | None:
        sizes.append(image.size)
        return apply(image, *arguments, **options)

    monkeypatch.setattr(ImageCms, "applyTransform", count)
    return sizes


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("name", PROFILES)
def test_colours_of_a_profile_are_those_of_littlecms(name: str, kind: str) -> None:
    # What an encoder changes itself, and more so in a profile of many colours.
    tolerance = {"AVIF": 8, "JPEG": 5}.get(kind, 3)
    data = ENCODERS[kind](Image.fromarray(RGB), PROFILES[name])
    expected = fields(by_littlecms(RGB, PROFILES[name], "RGB"))
    assert np.abs(fields(decode_image(data)) - expected).max() <= tolerance
    assert np.abs(fields(decode_image(data, at_least=(20, 20))) - expected).max() <= tolerance


def test_colours_of_a_heic_photo(tmp_path: Any) -> None:
    pillow_heif.register_heif_opener()
    data = encode(Image.fromarray(RGB), "HEIF", quality=-1, chroma=444, icc_profile=DISPLAY_P3)
    assert np.abs(fields(decode_image(data)) - fields(by_littlecms(RGB, DISPLAY_P3, "RGB"))).max() <= 3


def coded(kind: str, primaries: int, transfer: int) -> bytes:
    """A HEIC or AVIF of the fields whose colours are stated in the numbers of ITU-T H.273, without a profile."""
    stream = io.BytesIO()
    if kind == "HEIC":
        codes = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 6}
        pillow_heif.from_pillow(Image.fromarray(RGB)).save(stream, quality=100, chroma=444, full_range_flag=1, **codes)
        return stream.getvalue()
    Image.fromarray(RGB).save(stream, "AVIF", quality=100, subsampling="4:4:4")
    data, codes_of_srgb = stream.getvalue(), b"nclx\0\x01\0\x0d"
    assert data.count(codes_of_srgb) == 1
    return data.replace(codes_of_srgb, b"nclx" + struct.pack(">2H", primaries, transfer))


CODED = {
    (12, 13): DISPLAY_P3,
    (12, 4): make_rgb_profile((*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), 2.2),
    (9, 14): make_rgb_profile((*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046), None),
    (9, 8): make_rgb_profile((*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046), 1.0),
    (11, 13): make_rgb_profile((0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), None),
}


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize("codes", CODED, ids=str)
def test_colours_stated_in_numbers_are_those_of_littlecms(codes: tuple[int, int], kind: str) -> None:
    data = coded(kind, *codes)
    stored = decode_photo(data, is_managed=False).image
    assert np.abs(fields(stored) - fields(RGB)).max() <= 8
    expected = by_littlecms(stored, CODED[codes], "RGB")
    assert np.abs(fields(expected) - fields(stored)).max() > 3
    np.testing.assert_allclose(fields(decode_image(data)), fields(expected), atol=3)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize("codes", [(1, 13), (1, 1), (2, 2), (1, 6), (9, 16), (12, 18)], ids=str)
def test_numbers_that_say_srgb_or_nothing_change_nothing(
    codes: tuple[int, int], kind: str, transforms: list[tuple[int, int]]
) -> None:
    decode_image(coded(kind, *codes))
    assert transforms == []


def test_a_pillow_image_has_the_colours_that_its_heic_states() -> None:
    with Image.open(io.BytesIO(coded("HEIC", 12, 13)), formats=["HEIF"]) as image:
        image.load()
        np.testing.assert_allclose(convert_image(image), decode_image(coded("HEIC", 12, 13)), atol=1)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "TIFF JPEG"])
def test_ink_of_a_press_is_what_littlecms_makes_of_it(kind: str) -> None:
    ink = np.dstack([255 - RGB, np.full_like(RGB[:, :, 0], 10)])
    data = ENCODERS[kind](Image.fromarray(ink, "CMYK"), PRESS)
    expected = fields(by_littlecms(ink, PRESS, "CMYK"))
    assert np.abs(fields(decode_image(data)) - expected).max() <= 3
    assert np.abs(fields(decode_image(data)) - fields(255 - ink[:, :, :3])).max() > 20


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "TIFF JPEG"])
@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_grey_with_a_profile(gamma: float, kind: str) -> None:
    grey, profile = RGB[:, :, 1], grey_profile(gamma)
    data = ENCODERS[kind](Image.fromarray(grey), profile)
    assert np.abs(fields(decode_image(data)) - fields(by_littlecms(grey, profile, "L"))).max() <= 3


@pytest.mark.parametrize("kind", ENCODERS)
def test_srgb_is_left_alone(kind: str, transforms: list[tuple[int, int]]) -> None:
    plain = ENCODERS[kind](Image.fromarray(RGB), b"")
    named = ENCODERS[kind](Image.fromarray(RGB), SRGB)
    np.testing.assert_array_equal(decode_image(named), decode_image(plain))
    assert transforms == []


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WebP", "JPEG"])
def test_a_photo_is_reduced_before_it_is_transformed(kind: str, transforms: list[tuple[int, int]]) -> None:
    photo = Image.fromarray(RGB).resize((1920, 960), Image.Resampling.NEAREST)
    decode_for_each(ENCODERS[kind](photo, DISPLAY_P3), ImageLimits(), [(60, 60), (224, 224)])
    assert sum(width * height for width, height in transforms) <= 2 * (4 * 224) * (2 * 224)
    assert max(transforms) < (1000, 500)


def test_a_turned_photo_is_reduced_by_its_upright_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(RGB).resize((960, 480)), "PNG", icc_profile=DISPLAY_P3, exif=exif)
    assert decode_image(data, at_least=(960, 240)).shape == (960, 480, 3)
    assert decode_image(data, at_least=(480, 240)).shape == (480, 240, 3)


def test_the_full_size_is_told_of_a_reduced_photo() -> None:
    decoded = decode_photo(ENCODERS["PNG"](Image.fromarray(RGB), DISPLAY_P3), at_least=(20, 20))
    assert (decoded.info.height, decoded.info.width) == (HEIGHT, WIDTH)
    assert decoded.image.shape[:2] == (HEIGHT // 2, WIDTH // 2)


def test_a_pillow_image_has_the_colours_of_its_file() -> None:
    data = ENCODERS["PNG"](Image.fromarray(RGB), ADOBE)
    np.testing.assert_array_equal(convert_image(Image.open(io.BytesIO(data))), decode_image(data))


@pytest.mark.parametrize(
    "profile",
    [b"", b"junk" * 50, ADOBE[:200], grey_profile(1.8), PRESS, ADOBE.replace(b"mntr", b"link")],
    ids="none junk cut grey press link".split(),
)
def test_a_profile_that_is_none_for_these_colours_is_ignored(profile: bytes) -> None:
    data = ENCODERS["TIFF"](Image.fromarray(RGB), profile)
    np.testing.assert_array_equal(decode_image(data), RGB)


def test_a_profile_of_several_megabytes_in_a_png_is_read() -> None:
    profile = ADOBE + np.random.default_rng(0).integers(0, 256, 2 << 20).astype(np.uint8).tobytes()
    data = ENCODERS["PNG"](Image.fromarray(RGB), profile)
    assert np.abs(fields(decode_image(data)) - fields(by_littlecms(RGB, ADOBE, "RGB"))).max() <= 3


def test_a_jpeg_that_lacks_a_part_of_its_profile_is_read_without() -> None:
    profile = ADOBE + bytes(100_000)
    data = ENCODERS["JPEG"](Image.fromarray(RGB), profile)
    whole, part = decode_image(data), data.replace(b"ICC_PROFILE\0\x02\x02", b"ICC_PROFILE\0\x03\x02")
    assert np.abs(fields(whole) - fields(by_littlecms(RGB, ADOBE, "RGB"))).max() <= 3
    assert np.abs(fields(decode_image(part)) - fields(RGB)).max() <= 2


def test_transparent_photos_have_their_colours() -> None:
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[:, :4] = 0
    data = ENCODERS["PNG"](Image.fromarray(np.concatenate([RGB, alpha], axis=2)), ADOBE)
    image = decode_image(data)
    assert np.abs(fields(image) - fields(by_littlecms(RGB, ADOBE, "RGB"))).max() <= 3
    assert image[:, :4].min() >= 254


# Profiles


@pytest.mark.parametrize(
    "profile",
    [
        SRGB,
        make_rgb_profile((*D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), None),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()[:-4] + bytes(4),
    ],
    ids=["littlecms", "by its numbers", "padded"],
)
def test_srgb_is_known_by_what_is_in_it(profile: bytes) -> None:
    assert is_srgb(profile)


def test_srgb_as_a_table_of_1024_steps_is_srgb() -> None:
    steps = np.linspace(0, 1, 1024)
    light = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
    curve = b"curv\0\0\0\0" + struct.pack(">I", 1024) + np.round(light * 65535).astype(">u2").tobytes()
    columns = [(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141)]
    tags = {
        name + b"XYZ": b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in column))
        for name, column in zip((b"r", b"g", b"b"), columns, strict=True)
    }
    assert is_srgb(profile_bytes(b"RGB ", tags | {name + b"TRC": curve for name in (b"r", b"g", b"b")}))


@pytest.mark.parametrize("name", PROFILES)
def test_other_colours_are_not_srgb(name: str) -> None:
    assert not is_srgb(PROFILES[name])


def test_a_profile_of_numbers_is_what_its_formula_says() -> None:
    """Adobe RGB (1998), section 4.3: a power of 2.19921875 and these primaries, adapted by littlecms."""
    colours = np.random.default_rng(0).integers(0, 256, (1, 500, 3)).astype(np.uint8)
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    from_xyz = np.array([[3.24045, -1.53714, -0.49853], [-0.96927, 1.87601, 0.04156], [0.05564, -0.20403, 1.05723]])
    light = np.clip((colours / 255) ** 2.19921875 @ to_xyz.T @ from_xyz.T, 0, 1)
    expected = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(to_srgb(colours, ADOBE) - expected).max() <= 2


@pytest.mark.parametrize("profile", [b"", b"x" * 300, SRGB[:130]], ids=["empty", "junk", "cut"])
def test_damage_is_no_other_colours(profile: bytes) -> None:
    assert not has_other_colours(profile, 3)


def test_spaces_are_told() -> None:
    assert [profile_space(one) for one in (ADOBE, grey_profile(2.2), PRESS, b"")] == ["rgb", "grey", "cmyk", None]


@pytest.mark.parametrize(
    "primaries", [(0.0,) * 8, (0.3, 0.3) * 4, (0.3127, 0.329, 0.64, 0.0, 0.3, 0.6, 0.15, 0.06)], ids=str
)
def test_primaries_that_no_light_has_are_refused(primaries: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="primaries"):
        make_rgb_profile(primaries, 2.2)


# PNG chunks


def png(pixels: NDArray[Any], **chunks: bytes) -> bytes:
    info, file = PngInfo(), io.BytesIO()
    for name, value in chunks.items():
        info.add(name.encode(), value)
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def gamma(number: float) -> bytes:
    return struct.pack(">I", round(number * 100_000))


def primaries(*numbers: float) -> bytes:
    return struct.pack(">8I", *(round(number * 100_000) for number in numbers))


SRGB_PRIMARIES = primaries(*D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
ADOBE_PRIMARIES = primaries(*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


@pytest.mark.parametrize("number", [1.0, 0.55556, 0.35])
@pytest.mark.parametrize("pixels", [RGB, RGB[:, :, 0]], ids=["rgb", "grey"])
def test_a_gamma_is_applied(pixels: NDArray[np.uint8], number: float) -> None:
    light = (pixels / 255) ** (1 / number)
    expected = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    image = decode_image(png(pixels, gAMA=gamma(number)))
    assert np.abs(image - expected.reshape(HEIGHT, WIDTH, -1)).max() <= 3


def test_primaries_are_applied_with_their_gamma() -> None:
    image = decode_image(png(RGB, gAMA=gamma(1 / 2.19921875), cHRM=ADOBE_PRIMARIES))
    assert np.abs(image.astype(int) - by_littlecms(RGB, ADOBE, "RGB")).max() <= 3


@pytest.mark.parametrize(
    "chunks",
    [
        {"gAMA": gamma(0.45455)},
        {"gAMA": gamma(0.45455), "cHRM": SRGB_PRIMARIES},
        {"cHRM": SRGB_PRIMARIES},
        {"sRGB": b"\0", "gAMA": gamma(1.0)},
        {"cICP": b"\x01\x0d\0\x01", "gAMA": gamma(1.0)},
        {"gAMA": gamma(0)},
        {"gAMA": b"\0\1"},
        {"gAMA": gamma(1000)},
        {"cHRM": primaries(*(0.0,) * 8)},
    ],
    ids=str,
)
def test_what_says_srgb_or_nothing_changes_nothing(chunks: dict[str, bytes], transforms: list[tuple[int, int]]) -> None:
    np.testing.assert_array_equal(decode_image(png(RGB, **chunks)), RGB)
    assert transforms == []


def test_coded_primaries_come_before_other_words() -> None:
    image = decode_image(png(RGB, cICP=b"\x0c\x0d\0\x01", sRGB=b"\0"))
    assert np.abs(image.astype(int) - by_littlecms(RGB, DISPLAY_P3, "RGB")).max() <= 3


def test_a_pillow_image_has_the_gamma_of_its_file() -> None:
    data = png(RGB, gAMA=gamma(1.0))
    np.testing.assert_array_equal(convert_image(Image.open(io.BytesIO(data))), decode_image(data))


def test_unmanaged_colours_are_those_that_are_stored() -> None:
    data = ENCODERS["PNG"](Image.fromarray(RGB), ADOBE)
    np.testing.assert_array_equal(decode_photo(data, is_managed=False).image, RGB)


def test_opencv_itself_applies_no_profile() -> None:
    """If it came to do so, a JPEG would be transformed twice."""
    data = ENCODERS["JPEG"](Image.fromarray(RGB), ADOBE)
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert stored is not None
    assert np.abs(fields(np.asarray(stored, np.uint8)) - fields(RGB)).max() <= 2
