"""PNGs of 16 bits, images of Pillow's, and grounds behind what is transparent."""

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tellapart.errors import ImageError
from tellapart.images.depth import SampleDepths
from tellapart.images.gate import convert_image, decode_image, decode_photo, read_info
from tellapart.records import ImageInfo

HEIGHT, WIDTH = 40, 61
RGB = np.random.default_rng(4).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
GREY = RGB[:, :, 0]
OPAQUE = np.full((HEIGHT, WIDTH, 1), 65535, np.uint16)
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def deep_png(pixels: NDArray[np.uint16], **chunks: bytes) -> bytes:
    """A PNG of 16 bits, `pixels` of 1 to 4 channels, every row with another filter."""
    height, width, num_channels = pixels.shape
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    step = 2 * num_channels
    raw = b""
    for number, row in enumerate(rows):
        above = rows[number - 1] if number else np.zeros_like(row)
        left = np.concatenate([np.zeros(step, np.uint8), row[:-step]])
        kind = number % 4
        guess = [np.zeros_like(row), left, above, ((left.astype(int) + above) // 2).astype(np.uint8)][kind]
        raw += bytes([kind]) + (row - guess).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[num_channels], 0, 0, 0)
    more = b"".join(chunk(name.encode(), body) for name, body in chunks.items())
    body = chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + body + chunk(b"IEND", b"")


def with_alpha(colours: NDArray[np.uint8], alpha: NDArray[np.uint16] = OPAQUE) -> NDArray[np.uint16]:
    return np.concatenate([colours.reshape(HEIGHT, WIDTH, -1).astype(np.uint16) * 257, alpha], axis=2)


def repeat(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (GREY[:, :, np.newaxis].astype(np.uint16) * 257, repeat(GREY)),
        (with_alpha(GREY), repeat(GREY)),
        (RGB.astype(np.uint16) * 257, RGB),
        (with_alpha(RGB), RGB),
    ],
    ids=["grey", "grey and alpha", "rgb", "rgb and alpha"],
)
def test_every_kind_of_16_bits(pixels: NDArray[np.uint16], expected: NDArray[np.uint8]) -> None:
    data = deep_png(pixels)
    np.testing.assert_array_equal(decode_image(data), expected)
    assert read_info(data) == ImageInfo("PNG", HEIGHT, WIDTH)


@pytest.mark.parametrize("num_channels", [1, 3, 4])
def test_all_16_bits_are_those_that_opencv_reads(num_channels: int) -> None:
    pixels = np.random.default_rng(num_channels).integers(0, 4096, (HEIGHT, WIDTH, num_channels)).astype(np.uint16)
    pixels[:, :, 3:] = 4095
    data = deep_png(pixels)
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    expected = (np.asarray(stored).reshape(HEIGHT, WIDTH, -1)[:, :, 2::-1] >> 4).astype(np.uint8)
    np.testing.assert_array_equal(decode_image(data), np.broadcast_to(expected, (HEIGHT, WIDTH, 3)))


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
def test_sbit_states_the_depth_of_dark_photos(num_channels: int, bits: int) -> None:
    num_colours = 1 if num_channels < 3 else 3
    dark = np.full((HEIGHT, WIDTH, num_channels), 255, np.uint16)
    dark[:, :, :num_colours] = np.random.default_rng(0).integers(0, 20, (HEIGHT, WIDTH, num_colours))
    data = deep_png(dark << (bits - 8), sBIT=bytes([bits] * num_channels))
    expected = np.broadcast_to(dark[:, :, :num_colours], (HEIGHT, WIDTH, 3))
    np.testing.assert_array_equal(decode_image(data), expected)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_sbit_of_samples_that_fill_the_upper_bits(bits: int) -> None:
    """As the PNG specification has it, section 11.3.2.5: samples are scaled up, and `sBIT` tells what they were."""
    pixels = (RGB.astype(np.uint16) * 257) >> (16 - bits) << (16 - bits)
    np.testing.assert_array_equal(decode_image(deep_png(pixels, sBIT=bytes([bits] * 3))), RGB)


def test_a_transparent_colour_of_16_bits() -> None:
    pixels = RGB.astype(np.uint16) * 257
    pixels[:8] = (1000, 2000, 3000)
    image = decode_image(deep_png(pixels, tRNS=struct.pack(">3H", 1000, 2000, 3000)))
    np.testing.assert_array_equal(image[8:], RGB[8:])
    assert image[:8].min() == 255


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
def test_a_deep_png_that_was_cut_is_refused(num_channels: int, share: float, capfd: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, num_channels)).astype(np.uint16)
    data = deep_png(pixels)
    with pytest.raises(ImageError, match="is cut off: the PNG data ends before the picture does"):
        decode_image(data[: int(len(data) * share)])
    assert capfd.readouterr() == ("", "")


# Grounds


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def drawing(colour: tuple[int, int, int], ground: tuple[int, int, int] = (0, 0, 0)) -> Image.Image:
    image = Image.new("RGBA", (60, 40), (*ground, 0))
    ImageDraw.Draw(image).ellipse((10, 5, 50, 35), outline=(*colour, 255), width=3)
    return image


KINDS = {
    "PNG": lambda image: encode(image),
    "WebP": lambda image: encode(image, "WEBP", lossless=True),
    "TIFF": lambda image: encode(image, "TIFF"),
    "TIFF LZW": lambda image: encode(image, "TIFF", compression="tiff_lzw"),
    "PNG 16": lambda image: deep_png(np.asarray(image).astype(np.uint16) * 257),
    "PNG grey": lambda image: encode(image.convert("LA")),
    "PNG palette": lambda image: encode(image.quantize(16)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("light", [255, 250, 235])
def test_a_white_drawing_is_laid_on_black(light: int, kind: str) -> None:
    image = decode_image(KINDS[kind](drawing((light,) * 3)))
    assert image[20, 30].tolist() == [0, 0, 0]
    assert image.max() >= light - 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colour", [(0, 0, 0), (200, 200, 200), (250, 200, 0), (255, 0, 0)], ids=str)
def test_other_drawings_are_laid_on_white(colour: tuple[int, int, int], kind: str) -> None:
    image = decode_image(KINDS[kind](drawing(colour)))
    assert image[20, 30].tolist() == [255, 255, 255]
    assert image.min() < 250


def test_a_white_drawing_with_a_dark_outline_is_laid_on_white() -> None:
    image = drawing((20, 20, 20))
    ImageDraw.floodfill(image, (30, 20), (255, 255, 255, 255))
    assert decode_image(encode(image))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["PNG", "WebP", "TIFF", "TIFF LZW", "PNG 16"])
def test_alpha_that_is_0_everywhere_hides_nothing(kind: str) -> None:
    pixels = np.dstack([RGB, np.zeros_like(GREY)])
    options = {"WebP": lambda image: encode(image, "WEBP", lossless=True, exact=True)}
    data = options.get(kind, KINDS[kind])(Image.fromarray(pixels))
    np.testing.assert_array_equal(decode_image(data), RGB)


@pytest.mark.parametrize("kind", ["PNG", "WebP", "TIFF", "PNG 16"])
def test_nothing_at_all_is_white(kind: str) -> None:
    assert decode_image(KINDS[kind](Image.new("RGBA", (20, 20), (0, 0, 0, 0)))).min() == 255


def test_a_bitmap_of_32_bits_without_alpha_keeps_its_colours() -> None:
    pixels = np.dstack([RGB[:, :, ::-1], np.zeros_like(GREY)])
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, WIDTH, -HEIGHT, 1, 32, 3, pixels.size, 0, 0, 0, 0) + masks + bytes(52)
    data = b"BM" + struct.pack("<IHHI", 14 + 108 + pixels.size, 0, 0, 14 + 108) + header + pixels.tobytes()
    np.testing.assert_array_equal(decode_image(data), RGB)


# Images of Pillow's


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "La", "RGBa", "RGBX"])
def test_a_pillow_image_of_any_mode(mode: str) -> None:
    source = Image.fromarray(RGB)
    image = source.convert(mode) if mode not in ("La", "RGBa") else source.convert(mode.upper()).convert(mode)
    expected = image.convert(mode.upper()) if mode in ("La", "RGBa") else image
    np.testing.assert_array_equal(convert_image(image), np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_a_deep_pillow_image_takes_the_depth_of_the_collection(mode: str) -> None:
    dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    image = Image.fromarray(GREY.astype(dtype) * dtype(16))
    assert image.mode == mode
    known = convert_image(image, SampleDepths(int16=14, int32=14, real=14))
    assert np.abs(known.astype(int) - repeat(GREY) // 4).max() <= 1
    assert np.abs(convert_image(image).astype(int) - repeat(GREY)).max() <= 1


def test_a_pillow_image_of_a_file_is_as_the_file() -> None:
    data = encode(Image.fromarray(GREY.astype(np.uint16) * 64), "TIFF")
    np.testing.assert_array_equal(convert_image(Image.open(io.BytesIO(data))), decode_photo(data).image)


def test_cielab_of_pillow_is_refused() -> None:
    with pytest.raises(ImageError, match="is a picture of a kind that is not read: CIELAB"):
        convert_image(Image.new("LAB", (4, 4)))
