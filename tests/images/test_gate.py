"""Every kind of file that turns up among photos is decoded right or refused with a reason, and nothing else happens."""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.formats.photo_formats import PHOTO_SUFFIXES, sniff_format
from tellapart.images.gate import decode_image, read_info
from tellapart.records import ImageInfo

REAL_DATA = Path(__file__).parents[2] / "../shared/data"
HEIGHT, WIDTH = 40, 64
_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([_X * 255 // (WIDTH - 1), _Y * 255 // (HEIGHT - 1), (_X + _Y) * 2], -1).astype(np.uint8)
GREY = RGB[:, :, 0]
TURNS = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: lambda image: np.rot90(image, 1),
}


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def encode_heic(image: Image.Image, **options: object) -> bytes:
    pillow_heif.register_heif_opener()  # Pillow writes HEIC only after that; the gate reads it without
    return encode(image, "HEIF", **options)


def encode_by_opencv(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def repeat(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def difference(image: np.ndarray, expected: np.ndarray) -> float:
    assert (image.dtype, image.shape) == (np.uint8, expected.shape)
    return float(np.abs(image.astype(int) - expected).max())


def ihdr_png(width: int, height: int, idat: bytes, kind: int = 2, bits: int = 8) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", idat) + chunk(b"IEND", b"")


@cache
def samples() -> dict[str, bytes]:
    """One small file of every kind that is read, all of the same picture."""
    colour = Image.fromarray(RGB)
    smaller = Image.fromarray(RGB[::-1].copy())
    animated = {"save_all": True, "append_images": [smaller]}
    rgba = colour.convert("RGBA")
    return {
        "jpeg": encode(colour, "JPEG", quality=95, subsampling=0),
        "jpeg-progressive": encode(colour, "JPEG", quality=95, subsampling=0, progressive=True),
        "jpeg-rgb": encode(colour, "JPEG", quality=95, keep_rgb=True),
        "jpeg-restart": encode(colour, "JPEG", quality=95, subsampling=0, restart_marker_rows=1),
        "jpeg-cmyk": encode(colour.convert("CMYK"), "JPEG", quality=95),
        "mpo": encode(colour, "MPO", quality=95, subsampling=0, **animated),
        "png": encode(colour, "PNG"),
        "png-alpha": encode(rgba, "PNG"),
        "png-16": encode_by_opencv(".png", RGB[:, :, ::-1].astype(np.uint16) * 257),
        "apng": encode(colour, "PNG", **animated),
        "webp": encode(colour, "WEBP", lossless=True),
        "webp-lossy": encode(colour, "WEBP", quality=95),
        "webp-alpha": encode(rgba, "WEBP", lossless=True),
        "webp-animated": encode(colour, "WEBP", lossless=True, **animated),
        "gif": encode(colour.quantize(256), "GIF"),
        "gif-animated": encode(colour.quantize(256), "GIF", **animated),
        "tiff": encode(colour, "TIFF"),
        "tiff-lzw": encode(colour, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": encode(colour, "TIFF", compression="tiff_deflate"),
        "tiff-jpeg": encode(colour, "TIFF", compression="jpeg", quality=95),
        "tiff-cmyk": encode(colour.convert("CMYK"), "TIFF"),
        "tiff-16": encode_by_opencv(".tiff", RGB[:, :, ::-1].astype(np.uint16) * 257),
        "bmp": encode(colour, "BMP"),
        "jp2": encode(colour, "JPEG2000"),
        "j2k": encode(colour, "JPEG2000", no_jp2=True),
        "heic": encode_heic(colour, quality=-1, chroma=444),
        "avif": encode(colour, "AVIF", quality=95, subsampling="4:4:4"),
    }


FORMATS = {"j2k": "JPEG 2000", "jp2": "JPEG 2000", "jpeg": "JPEG", "mpo": "JPEG", "apng": "PNG", "gif": "GIF"}
KINDS = sorted(samples())


def format_of(kind: str) -> str:
    stem = kind.split("-")[0]
    return FORMATS.get(stem, stem.upper())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_decodes_to_its_picture(kind: str) -> None:
    assert difference(decode_image(samples()[kind]), RGB) <= 24


@pytest.mark.parametrize("kind", ["png", "png-alpha", "png-16", "apng", "webp", "webp-animated", "tiff-lzw", "bmp"])
def test_lossless_kinds_decode_exactly(kind: str) -> None:
    assert difference(decode_image(samples()[kind]), RGB) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_can_be_changed_and_is_contiguous(kind: str) -> None:
    flags = decode_image(samples()[kind]).flags
    assert (flags.writeable, flags.c_contiguous) == (True, True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_tells_format_and_size(kind: str) -> None:
    assert read_info(samples()[kind]) == ImageInfo(format_of(kind), HEIGHT, WIDTH)


@pytest.mark.parametrize("kind", KINDS)
def test_sixty_four_bytes_are_enough_to_tell_the_format(kind: str) -> None:
    assert sniff_format(samples()[kind][:64]) == format_of(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_ten_copies_decoded_by_threads_are_equal(kind: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(decode_image, [samples()[kind]] * 10))
    np.testing.assert_array_equal(np.stack(images), np.stack([decode_image(samples()[kind])] * 10))


def test_suffixes_are_lower_case_with_their_dot() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif", ".tif", ".tiff", ".gif", ".bmp"} <= PHOTO_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in PHOTO_SUFFIXES)


# Depths and colours


def test_grey_jpeg_becomes_three_equal_channels() -> None:
    image = decode_image(encode(Image.fromarray(GREY), "JPEG", quality=95))
    assert difference(image, repeat(GREY)) <= 6


@pytest.mark.parametrize(
    "data",
    [
        encode_by_opencv(".png", GREY.astype(np.uint16) * 257),
        encode_by_opencv(".tiff", GREY.astype(np.uint16) * 257),
        encode(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF", compression="tiff_lzw"),
        encode_by_opencv(".png", GREY.astype(np.uint16) * 16),
        encode_by_opencv(".tiff", GREY.astype(np.uint16) * 16 + 15),
        encode_by_opencv(".png", GREY.astype(np.uint16)),
        encode(Image.fromarray(GREY.astype(np.int32) * 257), "TIFF"),
        encode(Image.fromarray(GREY.astype(np.int32) * 16), "TIFF"),
        encode(Image.fromarray(GREY / np.float32(255)), "TIFF"),
        encode(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
    ],
    ids="png16 tiff16 lzw16 png12 tiff12 png8 tiff32 tiff32-12 unit floats".split(),
)
def test_deep_grey_keeps_its_shades(data: bytes) -> None:
    assert difference(decode_image(data), repeat(GREY)) <= 1


def test_float_that_is_not_a_number_becomes_black() -> None:
    values = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    image = decode_image(encode(Image.fromarray(values), "TIFF"))
    assert image[0, :4, 0].tolist() == [0, 0, 0, 128]


def test_16_bit_tiff_where_white_is_zero_is_inverted() -> None:
    data = bytearray(encode(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"))
    entry = data.index(struct.pack("<HHI", 262, 3, 1))
    data[entry + 8 : entry + 10] = struct.pack("<H", 0)
    assert difference(decode_image(bytes(data)), 255 - repeat(GREY)) == 0


def test_ycck_jpeg_with_adobe_marker_decodes_as_photoshop_means_it() -> None:
    # Pillow inverts on writing, so luma 200 and no colour are stored as such, and a key of 255 means no black.
    stored = Image.merge("CMYK", [Image.new("L", (16, 16), 255 - level) for level in (200, 128, 128, 255)])
    data = encode(stored, "JPEG", quality=100, subsampling=0)
    marker = data.index(b"Adobe") + len(b"Adobe") + 6
    image = decode_image(data[:marker] + b"\x02" + data[marker + 1 :])
    assert difference(image, np.full((16, 16, 3), 55, np.uint8)) <= 1


def test_palette_without_transparency_keeps_its_colours() -> None:
    photo = Image.fromarray(RGB).quantize(16)
    assert difference(decode_image(encode(photo, "PNG")), np.asarray(photo.convert("RGB"))) == 0


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_colour_becomes_white(kind: str) -> None:
    photo = Image.new("P", (8, 8), 1)
    photo.putpalette([10, 20, 30, 200, 100, 50])
    photo.putpixel((0, 0), 0)
    image = decode_image(encode(photo, kind, transparency=0))
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[1, 1].tolist() == [200, 100, 50]


def test_palette_with_a_transparency_per_colour_is_laid_over_white() -> None:
    photo = Image.new("P", (8, 8), 1)
    photo.putpalette([10, 20, 30, 200, 100, 0])
    assert decode_image(encode(photo, "PNG", transparency=b"\xff\x80"))[0, 0].tolist() == [227, 177, 127]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_alpha_is_laid_over_white(kind: str) -> None:
    photo = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    encoders: dict[str, Callable[[], bytes]] = {"HEIC": lambda: encode_heic(photo, quality=-1)}
    data = encoders.get(kind, lambda: encode(photo, kind))()
    assert difference(decode_image(data), np.full((16, 16, 3), 255, np.uint8)) <= 2


def test_half_transparent_grey_is_laid_over_white() -> None:
    assert decode_image(encode(Image.new("LA", (4, 4), (100, 51)), "PNG"))[0, 0].tolist() == [224, 224, 224]


def test_transparent_colour_of_an_rgb_png_becomes_white() -> None:
    photo = Image.new("RGB", (4, 4), (9, 8, 7))
    photo.putpixel((1, 0), (90, 80, 70))
    image = decode_image(encode(photo, "PNG", transparency=(9, 8, 7)))
    assert image[0, :3].tolist() == [[255, 255, 255], [90, 80, 70], [255, 255, 255]]


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {"compression": "group4"})])
def test_one_bit_becomes_black_and_white(kind: str, options: dict[str, str]) -> None:
    photo = Image.fromarray(GREY > 128)
    assert difference(decode_image(encode(photo, kind, **options)), repeat(np.where(GREY > 128, 255, 0))) == 0


def test_lab_tiff_is_refused_with_what_to_do() -> None:
    with pytest.raises(ImageError, match="TIFF of a kind that is not read. Save the photo again as JPEG or PNG"):
        decode_image(encode(Image.new("LAB", (8, 8)), "TIFF"))


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 12),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}, 12),
    ],
    ids="jpeg png webp tiff tiff-lzw avif".split(),
)
def test_exif_orientation_is_applied(kind: str, options: dict[str, object], tolerance: int, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(RGB), kind, exif=exif, **options)
    expected = TURNS[orientation](RGB)
    assert difference(decode_image(data), expected) <= tolerance
    assert read_info(data) == ImageInfo(kind, *expected.shape[:2])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_orientation_is_applied_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode_heic(Image.fromarray(RGB), quality=-1, chroma=444, exif=exif.tobytes())
    expected = TURNS[orientation](RGB)
    assert difference(decode_image(data), expected) <= 12
    assert read_info(data) == ImageInfo("HEIC", *expected.shape[:2])


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_in_both_byte_orders(order: str) -> None:
    tiff = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    data = encode(Image.fromarray(RGB), "JPEG", exif=b"Exif\x00\x00" + tiff)
    assert read_info(data) == ImageInfo("JPEG", WIDTH, HEIGHT)


def test_orientation_in_xmp_counts_where_exif_is_silent() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert decode_image(encode(Image.fromarray(RGB), "JPEG", xmp=xmp)).shape == (WIDTH, HEIGHT, 3)


def test_orientation_outside_one_to_eight_changes_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    assert decode_image(encode(Image.fromarray(RGB), "JPEG", exif=exif)).shape == RGB.shape


# Reduced decoding


@pytest.mark.parametrize(
    ("at_least", "expected"),
    [
        (None, (401, 603)),
        ((402, 604), (401, 603)),
        ((202, 301), (401, 603)),
        ((201, 302), (201, 302)),
        ((101, 151), (101, 151)),
        ((102, 100), (201, 302)),
        ((51, 76), (51, 76)),
        ((1, 1), (51, 76)),
    ],
)
def test_a_large_jpeg_is_reduced_but_never_below_what_is_needed(
    at_least: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    data = encode(Image.fromarray(RGB).resize((603, 401)), "JPEG")
    assert decode_image(data, at_least=at_least).shape == (*expected, 3)


def test_a_turned_jpeg_is_reduced_by_its_upright_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(RGB).resize((800, 400)), "JPEG", exif=exif)
    assert decode_image(data, at_least=(400, 200)).shape == (400, 200, 3)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_reduced_jpeg_shows_the_same_colours(mode: str) -> None:
    photo = Image.fromarray(RGB).resize((8 * WIDTH, 8 * HEIGHT), Image.Resampling.BICUBIC).convert(mode)
    expected = np.asarray(photo.reduce(8).convert("RGB"))
    assert difference(decode_image(encode(photo, "JPEG", quality=95), at_least=(HEIGHT, WIDTH)), expected) <= 8


def test_kinds_that_cannot_be_reduced_come_at_full_size() -> None:
    assert decode_image(samples()["png"], at_least=(1, 1)).shape == RGB.shape


# Refusals


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ImageError, match="is empty: the file has 0 bytes"):
        decode_image(b"")


def test_a_file_above_the_limit_of_bytes_is_refused() -> None:
    with pytest.raises(ImageError, match="is too large: 1,001 bytes, and at most 1,000 are read"):
        decode_image(bytes(1001), ImageLimits(max_bytes=1000))


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_above_the_limit_of_pixels_is_refused(kind: str) -> None:
    with pytest.raises(ImageError, match="is too large: 64 x 40 pixels, and at most 2,559 are read"):
        decode_image(samples()[kind], ImageLimits(max_pixels=HEIGHT * WIDTH - 1))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if format_of(kind) != "JPEG"])
def test_the_header_of_a_photo_above_the_limit_of_pixels_is_refused(kind: str) -> None:
    with pytest.raises(ImageError, match="is too large: 64 x 40 pixels, and at most 2,559 are read"):
        read_info(samples()[kind], ImageLimits(max_pixels=HEIGHT * WIDTH - 1))


@pytest.mark.parametrize("kind", ["jpeg", "jpeg-progressive"])
def test_the_limit_of_pixels_counts_what_is_decoded_of_a_jpeg(kind: str) -> None:
    limits = ImageLimits(max_pixels=HEIGHT * WIDTH // 64)
    assert decode_image(samples()[kind], limits, at_least=(5, 8)).shape == (5, 8, 3)
    assert read_info(samples()[kind], limits) == ImageInfo("JPEG", HEIGHT, WIDTH)
    with pytest.raises(ImageError, match="is too large: 32 x 20 pixels, and at most 40 are read"):
        decode_image(samples()[kind], limits, at_least=(20, 32))


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_at_the_limit_of_pixels_is_decoded(kind: str) -> None:
    assert decode_image(samples()[kind], ImageLimits(max_pixels=HEIGHT * WIDTH)).shape == RGB.shape


def test_a_small_png_of_huge_size_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = ihdr_png(60_000, 60_000, zlib.compress(bytes(20_000_000), 9))
    assert len(bomb) < 25_000
    monkeypatch.setattr("cv2.imdecode", lambda *arguments: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match="is too large: 60000 x 60000 pixels"):
        decode_image(bomb)


def test_a_webp_of_huge_size_is_refused_before_its_canvas_is_made() -> None:
    data = bytearray(samples()["webp-alpha"])
    at = data.index(b"VP8L") + 9
    data[at : at + 4] = (16382 | 16382 << 14 | 1 << 28).to_bytes(4, "little")
    with pytest.raises(ImageError, match="is too large: 16383 x 16383 pixels"):
        read_info(bytes(data))


def test_a_file_that_is_no_photo_is_refused_by_what_it_seems_to_be() -> None:
    with pytest.raises(ImageError, match="^is a PDF document, not a photo. Save its pages"):
        decode_image(b"%PDF-1.7\n")


def test_what_is_of_no_known_kind_is_refused_with_the_formats_that_are_read() -> None:
    with pytest.raises(ImageError, match="^is a file of no known kind, not a photo. Give JPEG, PNG, GIF, WEBP, HEIC"):
        decode_image(b"\x91\x92\x07" * 50)


def end_of_pixels(kind: str) -> int:
    """Offset behind which there are no pixels of the first picture any more."""
    data = samples()[kind]
    # Of a PNG, 13 bytes are the last check sums, a length, and the end of the deflated data.
    later = {
        "apng": lambda: data.index(b"fcTL", data.index(b"IDAT")) - 13,
        "gif-animated": lambda: data.rindex(b"\x2c\x00\x00\x00\x00"),
        "mpo": lambda: data.index(b"\xff\xd9\xff\xd8"),
        "png": lambda: data.index(b"IEND") - 13,
        "png-16": lambda: data.index(b"IEND") - 13,
        "png-alpha": lambda: data.index(b"IEND") - 13,
    }
    return later.get(kind, lambda: len(data))()


@pytest.mark.parametrize("share", [0.5, 0.8, 0.96])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_is_refused(kind: str, share: float) -> None:
    with pytest.raises(ImageError, match="is cut off: the [A-Z 02]+ data ends"):
        decode_image(samples()[kind][: int(end_of_pixels(kind) * share)])


@pytest.mark.parametrize("kind", ["jpeg", "jpeg-progressive", "jpeg-rgb", "jpeg-restart", "jpeg-cmyk"])
def test_a_jpeg_cut_anywhere_is_refused(kind: str) -> None:
    # Three missing bytes are the end marker and one more.
    for size in range(4, len(samples()[kind]) - 3, 7):
        with pytest.raises(ImageError, match="JPEG"):
            decode_image(samples()[kind][:size])


@pytest.mark.parametrize("missing", range(22))
def test_a_png_that_lacks_only_its_end_is_decoded_exactly(missing: int) -> None:
    data = samples()["png"]
    np.testing.assert_array_equal(decode_image(data[: len(data) - missing]), RGB)


@pytest.mark.parametrize("kind", ["jpeg", "jpeg-progressive"])
def test_a_jpeg_whose_end_is_zeros_is_refused(kind: str) -> None:
    data = samples()[kind]
    with pytest.raises(ImageError, match="is cut off: the JPEG data ends before the picture does"):
        decode_image(data[: len(data) * 3 // 4] + bytes(4096))


def test_a_jpeg_with_zeros_in_its_middle_is_refused() -> None:
    data = encode(Image.fromarray(RGB).resize((640, 400)).effect_spread(20), "JPEG", quality=90)
    middle = len(data) // 2
    with pytest.raises(ImageError, match="is damaged: zeros are in the place of JPEG data"):
        decode_image(data[:middle] + bytes(4096) + data[middle + 4096 :])


@pytest.mark.parametrize(
    "tail", [bytes(512), b"motion photo" * 400, b"\xff\xd8\xff" * 50], ids="zeros video junk".split()
)
@pytest.mark.parametrize("kind", ["jpeg", "jpeg-progressive", "jpeg-cmyk"])
def test_bytes_behind_a_jpeg_change_nothing(kind: str, tail: bytes) -> None:
    np.testing.assert_array_equal(decode_image(samples()[kind] + tail), decode_image(samples()[kind]))


def test_a_jpeg_that_lacks_only_its_end_marker_is_decoded() -> None:
    data = samples()["jpeg"]
    assert difference(decode_image(data[:-2]), decode_image(data)) <= 2


def test_an_mpo_cut_in_its_second_picture_is_decoded() -> None:
    np.testing.assert_array_equal(decode_image(samples()["mpo"][:-100]), decode_image(samples()["mpo"]))


def test_the_end_of_a_thumbnail_is_not_taken_for_the_end_of_the_photo() -> None:
    thumbnail = encode(Image.new("RGB", (16, 16)), "JPEG")
    data = encode(Image.fromarray(RGB), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00" + thumbnail)
    with pytest.raises(ImageError, match="is cut off"):
        decode_image(data[: data.index(thumbnail) + len(thumbnail)])


def test_a_legitimate_run_of_zeros_in_a_flat_jpeg_is_decoded() -> None:
    flat = encode(Image.new("L", (2000, 2000), 128), "JPEG", optimize=True)
    assert bytes(64) in flat
    assert decode_image(flat).shape == (2000, 2000, 3)


def test_the_reason_is_one_short_line() -> None:
    with pytest.raises(ImageError) as caught:
        decode_image(samples()["png"][:100])
    assert str(caught.value) == "is cut off: the PNG data ends before the picture does"


# Noise


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_reason_is_said_of_a_cut_file(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImageError):
        decode_image(samples()[kind][: len(samples()[kind]) // 3])
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_pillow_s_own_limit_refuses_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH - 1)
    assert decode_image(samples()[kind]).shape == RGB.shape


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_leaves_the_filters_of_warnings_and_the_log_level_alone(kind: str) -> None:
    before = warnings.filters, list(warnings.filters), cv2.utils.logging.getLogLevel()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode_image, [samples()[kind]] * 8))
    assert warnings.filters is before[0]
    assert (list(warnings.filters), cv2.utils.logging.getLogLevel()) == before[1:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_png_counts_behind_its_pixels_too(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    plain, early, data = io.BytesIO(), io.BytesIO(), exif.tobytes().removeprefix(b"Exif\x00\x00")
    Image.fromarray(RGB).save(plain, "PNG")
    Image.fromarray(RGB).save(early, "PNG", exif=exif)
    chunk = len(data).to_bytes(4, "big") + b"eXIf" + data + zlib.crc32(b"eXIf" + data).to_bytes(4, "big")
    late = plain.getvalue()[:-12] + chunk + plain.getvalue()[-12:]
    assert read_info(late) == read_info(early.getvalue())
    np.testing.assert_array_equal(decode_image(late), decode_image(early.getvalue()))


# Anything at all


def check_answer(data: bytes) -> None:
    for read in (decode_image, read_info):
        try:
            result = read(data, ImageLimits(max_pixels=1_000_000))
        except ImageError:
            continue
        assert isinstance(result, ImageInfo) or (result.dtype, result.shape[2:]) == (np.uint8, (3,))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), kind=st.sampled_from(KINDS), keep=st.integers(0, 64))
def test_random_bytes_behind_any_beginning_decode_or_are_refused(data: bytes, kind: str, keep: int) -> None:
    check_answer(samples()[kind][:keep] + data)


@settings(max_examples=600, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1), num_changes=st.integers(0, 12), cut=st.booleans())
def test_changed_files_decode_or_are_refused(kind: str, seed: int, num_changes: int, cut: bool) -> None:
    rng = np.random.default_rng(seed)
    data = np.frombuffer(samples()[kind], np.uint8).copy()
    # Headers are short and matter most, so half of the changes fall there.
    reach = rng.choice([200, len(data)], size=num_changes)
    data[(rng.random(num_changes) * np.minimum(reach, len(data))).astype(int)] = rng.integers(0, 256, num_changes)
    check_answer(data[: rng.integers(0, len(data) + 1) if cut else None].tobytes())


# Real photos


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the photos are not here")
@pytest.mark.parametrize("folder", ["cats-dogs-native", "weather"])
def test_real_photos_decode_as_pillow_decodes_them(folder: str) -> None:
    paths = sorted((REAL_DATA / folder).glob("*/*"))[::12]
    assert len(paths) > 20
    for path in paths:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as photo:
            upright = ImageOps.exif_transpose(photo).convert("RGBA")
        expected = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
        assert difference(decode_image(data), np.asarray(expected)) <= 3, path


def test_each_heic_is_decoded_by_its_own_thread_and_the_setting_of_the_process_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, found, open_heif = pillow_heif.options.DECODE_THREADS, [], pillow_heif.open_heif

    def watch(data: bytes) -> pillow_heif.HeifFile:
        found.append(pillow_heif.options.DECODE_THREADS)
        return open_heif(data)

    monkeypatch.setattr(pillow_heif, "open_heif", watch)
    data = encode_heic(Image.fromarray(RGB), quality=80)
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(decode_image, [data] * 40))
    assert found == [0] * 40
    assert before == pillow_heif.options.DECODE_THREADS
    np.testing.assert_array_equal(images, [images[0]] * 40)


@pytest.mark.parametrize("size", [(64, 48), (65, 48), (131, 67), (700, 520)], ids=str)
@pytest.mark.parametrize("tile_side", [0, 256], ids=["whole", "tiles"])
def test_the_pixels_of_a_heic_are_those_that_pillow_gives(size: tuple[int, int], tile_side: int) -> None:
    noise = np.random.default_rng(sum(size)).integers(0, 256, (*size[::-1], 3), np.uint8)
    data = encode_heic(Image.fromarray(noise), quality=80, tile_size=tile_side)
    with Image.open(io.BytesIO(data), formats=["HEIF"]) as photo:
        np.testing.assert_array_equal(decode_image(data), np.asarray(photo.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "HEIC", "JPEG"])
def test_a_decoded_image_is_the_caller_s_own(kind: str) -> None:
    photo = Image.fromarray(RGB)
    image = decode_image(encode_heic(photo) if kind == "HEIC" else encode(photo, kind))
    image += 1
