"""TIFFs of every depth, order, plane and page, written by tifffile, are read as what they are or refused."""

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tellapart.errors import ImageError
from tellapart.images.gate import decode_image, read_info
from tellapart.records import ImageInfo

HEIGHT, WIDTH = 50, 70
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
RGB[:6] = 255
GREY = RGB[:, :, 0]


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def repeat(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def assert_shows(data: bytes, expected: NDArray[np.uint8], tolerance: int = 0) -> None:
    image = decode_image(data)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= tolerance
    assert read_info(data) == ImageInfo("TIFF", *expected.shape[:2])


INTEGERS = {
    "u1": RGB,
    "u2": RGB.astype(np.uint16) * 257,
    "u2-12": RGB.astype(np.uint16) << 4,
    "u4": RGB.astype(np.uint32) * 16843009,
    "i2": RGB.astype(np.int16) << 4,
}
DEEP: dict[str, NDArray[Any]] = INTEGERS | {
    "f2": (RGB / 255).astype(np.float16),
    "f4": (RGB / 255).astype(np.float32),
    "f8": RGB.astype(np.float64) * 257,
}


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (32, 48)], ids=["strips", "tiles"])
@pytest.mark.parametrize(
    ("compression", "predictor"), [(None, False), ("zlib", False), ("zlib", True), ("lzma", False)]
)
@pytest.mark.parametrize("depth", DEEP)
def test_colour_of_any_depth_order_and_plane(
    depth: str, compression: str | None, predictor: bool, tile: tuple[int, int] | None, order: str, planes: str
) -> None:
    array = DEEP[depth] if planes == "contig" else np.ascontiguousarray(DEEP[depth].transpose(2, 0, 1))
    options = {} if tile is None else {"tile": tile}
    data = tiff(
        array,
        photometric="rgb",
        planarconfig=planes,
        compression=compression,
        predictor=predictor and depth in INTEGERS,
        byteorder=order,
        **options,
    )
    assert_shows(data, RGB, tolerance=1)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "raw"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "P", "LA"])
def test_what_pillow_writes(mode: str, compression: str) -> None:
    photo = Image.fromarray(RGB).convert(mode)
    file = io.BytesIO()
    photo.save(file, "TIFF", compression=compression)
    assert_shows(file.getvalue(), np.asarray(photo.convert("RGB")))


def packed_grey(values: NDArray[np.uint16], bits: int) -> bytes:
    """A grey TIFF of that many bits a sample, packed without gaps: written as bytes, then given another header."""
    spread = np.unpackbits(values.astype(">u2")[:, :, np.newaxis].view(np.uint8), axis=2)[:, :, 16 - bits :]
    data = bytearray(tiff(np.packbits(spread.reshape(HEIGHT, -1), axis=1), photometric="minisblack"))
    for entry, value in ((struct.pack("<HHI", 256, 4, 1), WIDTH), (struct.pack("<HHI", 258, 3, 1), bits)):
        at = data.index(entry) + len(entry)
        data[at : at + 2] = struct.pack("<H", value)
    return bytes(data)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
def test_packed_samples_fill_the_bits_that_the_header_states(bits: int) -> None:
    dark = GREY // 8  # so that the collection's rule would take it for a picture of fewer bits
    assert_shows(packed_grey(dark.astype(np.uint16) << (bits - 8), bits), repeat(dark))


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_of_grey(bits: int) -> None:
    step = 255 // (2**bits - 1)
    values = GREY // step
    assert_shows(packed_grey(values.astype(np.uint16), bits), repeat(values * step))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", ["f2", "f4", "f8"])
def test_differences_of_real_numbers_are_summed_up(depth: str, order: str) -> None:
    """Adobe Photoshop TIFF Technical Note 3: the bytes of a row by their weight, then the differences of neighbours."""
    split = DEEP[depth].astype(DEEP[depth].dtype.newbyteorder(">")).view(np.uint8).reshape(HEIGHT, WIDTH * 3, -1)
    rows = np.ascontiguousarray(split.transpose(0, 2, 1)).reshape(HEIGHT, -1, 3)
    rows[:, 1:] -= rows[:, :-1].copy()
    array = rows.reshape(HEIGHT, WIDTH, -1).view(DEEP[depth].dtype).reshape(RGB.shape)
    # tifffile swaps the bytes of what it writes in the other order, and these are in none.
    array = array.byteswap() if order == ">" else array
    data = bytearray(tiff(array, photometric="rgb", compression="zlib", byteorder=order, predictor=False, software="x"))
    entry = struct.pack(f"{order}HHI", 305, 2, 2)
    at = data.index(entry)
    data[at : at + 12] = struct.pack(f"{order}HHIHH", 317, 3, 1, 3, 0)
    assert_shows(bytes(data), RGB, tolerance=1)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_the_largest_value_states_the_depth_where_it_is_a_white(bits: int) -> None:
    dark = RGB // 8
    largest = [(281, 3, 3, (2**bits - 1,) * 3, True)]
    assert_shows(tiff(dark.astype(np.uint16) << (bits - 8), photometric="rgb", extratags=largest), dark)


def test_the_largest_value_of_one_picture_states_nothing() -> None:
    largest = [(281, 3, 1, 4080, True)]
    assert_shows(tiff(GREY.astype(np.uint16) * 257, extratags=largest), repeat(GREY))


def test_ome_states_the_depth() -> None:
    data = tiff((GREY // 8).astype(np.uint16) << 4, ome=True, metadata={"axes": "YX", "SignificantBits": 12})
    assert_shows(data, repeat(GREY // 8))


@pytest.mark.parametrize("factor", [1, 257], ids=["8 bits", "16 bits"])
def test_white_is_zero(factor: int) -> None:
    dtype = np.uint8 if factor == 1 else np.uint16
    assert_shows(tiff(GREY.astype(dtype) * dtype(factor), photometric="miniswhite"), 255 - repeat(GREY))


@pytest.mark.parametrize("shift", [0, 8], ids=["8-bit table", "16-bit table"])
def test_a_palette_keeps_its_colours(shift: int) -> None:
    table = np.random.default_rng(2).integers(0, 256, (3, 256)).astype(np.uint16)
    table[:, :2] = 255
    data = tiff(GREY, photometric="palette", colormap=table << shift)
    assert_shows(data, table.T[GREY].astype(np.uint8))


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", "unspecified"])
@pytest.mark.parametrize("factor", [1, 257], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_an_opaque_photo_has_its_colours(planes: str, factor: int, kind: str) -> None:
    dtype = np.uint8 if factor == 1 else np.uint16
    pixels = np.dstack([RGB, np.full_like(GREY, 255)]).astype(dtype) * dtype(factor)
    array = pixels if planes == "contig" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    assert_shows(tiff(array, photometric="rgb", extrasamples=[kind], planarconfig=planes), RGB)


@pytest.mark.parametrize("factor", [1, 257], ids=["8 bits", "16 bits"])
def test_alpha_that_is_multiplied_in_is_divided_out(factor: int) -> None:
    dtype = np.uint8 if factor == 1 else np.uint16
    colours = np.full((HEIGHT, WIDTH, 3), (100, 40, 20), np.uint8)
    pixels = np.dstack([colours, np.full_like(GREY, 128)]).astype(dtype) * dtype(factor)
    # Laid over white, what is multiplied in stays, and white comes through.
    expected = colours + np.uint8(127)
    assert_shows(tiff(pixels, photometric="rgb", extrasamples=["assocalpha"]), expected, tolerance=1)


def test_cmyk_of_16_bits() -> None:
    ink = np.dstack([255 - RGB, np.zeros_like(GREY)])
    assert_shows(tiff(ink.astype(np.uint16) * 257, photometric="separated"), RGB, tolerance=1)


@pytest.mark.parametrize("big", [False, True], ids=["classic", "BigTIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_upright(orientation: int, big: bool) -> None:
    turns = {
        1: lambda image: image,
        2: np.fliplr,
        3: lambda image: np.rot90(image, 2),
        4: np.flipud,
        5: lambda image: image.transpose(1, 0, 2),
        6: lambda image: np.rot90(image, -1),
        7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
        8: lambda image: np.rot90(image, 1),
    }
    data = tiff(DEEP["u2"], photometric="rgb", extratags=[(274, 3, 1, orientation, True)], bigtiff=big)
    assert_shows(data, turns[orientation](RGB))


# Pages and channels

CHANNELS = np.ascontiguousarray(DEEP["u2"].transpose(2, 0, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "CYX"}},
        {"ome": True, "metadata": {"axes": "CYX"}, "photometric": "minisblack"},
        {"ome": True, "metadata": {"axes": "CYX"}, "photometric": "minisblack", "compression": "zlib"},
        {"ome": True, "metadata": {"axes": "CYX"}, "photometric": "minisblack", "planarconfig": "separate"},
        {"photometric": "minisblack", "planarconfig": "separate"},
    ],
    ids=["ImageJ", "OME", "OME zlib", "OME planes", "planes"],
)
def test_three_channels_are_red_green_and_blue(options: dict[str, Any]) -> None:
    assert_shows(tiff(CHANNELS, **options), RGB)


def test_two_channels_are_red_and_green() -> None:
    expected = RGB * np.array([1, 1, 0], np.uint8)
    assert_shows(tiff(CHANNELS[:2], imagej=True, metadata={"axes": "CYX"}), expected)


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ({"imagej": True, "metadata": {"axes": "ZYX"}}, 3),
        ({"imagej": True, "metadata": {"axes": "TYX"}}, 3),
        ({"ome": True, "metadata": {"axes": "ZYX"}, "photometric": "minisblack"}, 3),
        ({"photometric": "minisblack"}, 3),
        ({"photometric": "minisblack", "compression": "zlib"}, 3),
    ],
    ids=["slices", "frames", "OME slices", "pages", "packed pages"],
)
@pytest.mark.parametrize("read", [decode_image, read_info])
def test_pages_are_named_with_their_number(read: Any, options: dict[str, Any], number: int) -> None:
    words = f"has {number} pages, and which of them is the photo is not known. Save the right page"
    with pytest.raises(ImageError, match=words):
        read(tiff(CHANNELS, **options))


def test_five_channels_are_refused_as_pages() -> None:
    with pytest.raises(ImageError, match="has 5 pages"):
        decode_image(tiff(np.concatenate([CHANNELS, CHANNELS[:2]]), imagej=True, metadata={"axes": "CYX"}))


def test_smaller_copies_behind_the_photo_are_no_pages() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(RGB, photometric="rgb")
        writer.write(RGB[::2, ::2], photometric="rgb")
        writer.write(RGB, photometric="rgb", subfiletype=1)
    assert_shows(file.getvalue(), RGB)


def test_a_page_shorter_than_the_first_is_a_page() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(RGB, photometric="rgb")
        writer.write(RGB[:20], photometric="rgb")
    with pytest.raises(ImageError, match="has 2 pages"):
        decode_image(file.getvalue())


def test_directories_in_a_circle_end() -> None:
    data = bytearray(tiff(RGB, photometric="rgb"))
    first = struct.unpack_from("<I", data, 4)[0]
    end = first + 2 + 12 * struct.unpack_from("<H", data, first)[0]
    data[end : end + 4] = struct.pack("<I", first)
    assert_shows(bytes(data), RGB)


# Refusals


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_deep_file_that_was_cut_is_refused(
    compression: str | None, planes: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    array = DEEP["u2"] if planes == "contig" else CHANNELS
    data = tiff(array, photometric="rgb", planarconfig=planes, compression=compression)
    with pytest.raises(ImageError, match="is cut off: the TIFF data ends before the picture does"):
        decode_image(data[: int(len(data) * share)])
    assert capfd.readouterr() == ("", "")


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(ImageError, match="is a TIFF with numbers of a kind that is not read. Save the photo again"):
        decode_image(tiff(GREY.astype(np.complex64), photometric="minisblack"))


def test_four_channels_without_a_meaning_are_refused() -> None:
    array = np.ascontiguousarray(np.stack([GREY] * 4))
    with pytest.raises(ImageError, match="has 4 channels, and which of them make the picture is not known"):
        decode_image(tiff(array, photometric="minisblack", planarconfig="separate"))
