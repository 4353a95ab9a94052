"""What is refused before it is decoded: what is too large, is made to cost endless work, or is cut off.

A photo from a stranger may be made to cost minutes and gigabytes.
"""

import itertools
from collections.abc import Iterator

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.formats.iso_boxes import boxes_of, codestream_of, grid_pixels
from tellapart.formats.jpeg_header import EOI, find_end
from tellapart.translation import gettext as _

_MAX_SIDE = 65_535
_MAX_MEMORY = 900_000_000
# Cameras and programs write far less: some 8 kB a chunk.
_MAX_CHUNKS, _MAX_BLOCKS = 100_000, 20_000
_MAX_RLE_BYTES = 8_000_000
_MAX_WAVELET_TILES = 10_000
_MAX_WAVELET_CHANNELS = 5
_MAX_GRID_PIXELS = 400_000_000


def check_size(height: int, width: int, limits: ImageLimits, bytes_a_pixel: float = 0.0, num_bytes: int = 0) -> None:
    """Nothing, if an image of this size may be decoded.

    Args:
        height, width: of what comes out of the decoder.
        limits: the largest photo that is decoded.
        bytes_a_pixel: memory that the decoder and what follows take, at their highest.
        num_bytes: memory that they take beside it, such as a copy of the file.

    Raises:
        ImageError: it has no pixels, too many, or takes too much memory.
    """
    if height < 1 or width < 1:
        raise ImageError(
            _("is damaged: its header states {width} x {height} pixels").format(width=width, height=height)
        )
    if height * width > limits.max_pixels:
        raise ImageError(
            _("is too large: {width} x {height} pixels, and at most {max_pixels:,} are read").format(
                width=width, height=height, max_pixels=limits.max_pixels
            )
        )
    if max(height, width) > _MAX_SIDE:
        raise ImageError(
            _("is too long: {width} x {height} pixels, and at most {most:,} a side are read").format(
                width=width, height=height, most=_MAX_SIDE
            )
        )
    memory = height * width * bytes_a_pixel + num_bytes
    if memory > _MAX_MEMORY:
        raise ImageError(
            _(
                "is too large: {width} x {height} pixels of this kind take {memory:,.0f} MB to decode, "
                "and at most {most:,.0f} MB are used. Save the photo smaller, or as an RGB JPEG"
            ).format(width=width, height=height, memory=memory / 1000000.0, most=_MAX_MEMORY / 1000000.0)
        )


def check_work(data: bytes, found: str) -> None:
    """Nothing, if what frames the pixels of a photo that is no JPEG and no TIFF promises no endless work.

    Args:
        data: the whole file.
        found: what `sniff_format` says of it.

    Raises:
        ImageError: it does.
    """
    if found == "PNG":
        if _has_more(_png_chunks(data), _MAX_CHUNKS):
            raise ImageError(
                _("is a PNG of more than {most:,} chunks. Save the photo again as JPEG or PNG").format(most=_MAX_CHUNKS)
            )
    elif found == "GIF":
        if _has_more(_gif_blocks(data), _MAX_BLOCKS):
            raise ImageError(
                _(
                    "is a GIF of more than {most:,} blocks before its picture. Save the photo again as JPEG or PNG"
                ).format(most=_MAX_BLOCKS)
            )
    elif found == "BMP" and data[14] >= 40 and data[30] in (1, 2) and len(data) > _MAX_RLE_BYTES:
        raise ImageError(
            _(
                "is a packed BMP of {num:,} bytes, and at most {most:,} are read. Save the photo again as JPEG or PNG"
            ).format(num=len(data), most=_MAX_RLE_BYTES)
        )
    elif found == "JPEG 2000":
        _check_wavelets(codestream_of(data))
    elif found in ("HEIC", "AVIF") and (num_pixels := grid_pixels(data)) > _MAX_GRID_PIXELS:
        raise ImageError(
            _(
                "is a {found} whose tiles have {num_pixels:,} pixels, and at most {most:,} "
                "are read. Save the photo again as JPEG or PNG"
            ).format(found=found, num_pixels=num_pixels, most=_MAX_GRID_PIXELS)
        )


def _has_more(pieces: Iterator[int], most: int) -> bool:
    return next(itertools.islice(pieces, most, None), None) is not None


def _png_chunks(data: bytes) -> Iterator[int]:
    """The offset of each chunk."""
    start = 8
    while start + 8 <= len(data):
        yield start
        start += 12 + int.from_bytes(data[start : start + 4], "big")


def _gif_blocks(data: bytes) -> Iterator[int]:
    """The offset of each block of the extensions before the first picture, whose parts Pillow joins one by one."""
    start = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    while data[start : start + 1] == b"!":
        start += 2
        while start < len(data) and data[start]:
            yield start
            start += 1 + data[start]
        start += 1


def _check_wavelets(codestream: bytes) -> None:
    """Nothing, if a JPEG 2000 picture has few channels and tiles: SIZ marker, ITU-T T.800, annex A.5.1."""

    def number(place: int) -> int:
        return int.from_bytes(codestream[8 + 4 * place : 12 + 4 * place], "big")

    width, height, tile_width, tile_height, tile_left, tile_top = (number(place) for place in (0, 1, 4, 5, 6, 7))
    num_channels = int.from_bytes(codestream[40:42], "big")
    if num_channels > _MAX_WAVELET_CHANNELS or min(tile_width, tile_height) < 1:
        raise ImageError(
            _(
                "is a JPEG 2000 of {num_channels:,} channels, a kind that is not read. Save "
                "the photo again as JPEG or PNG"
            ).format(num_channels=num_channels)
        )
    num_tiles = -(-max(0, width - tile_left) // tile_width) * -(-max(0, height - tile_top) // tile_height)
    if num_tiles > _MAX_WAVELET_TILES:
        raise ImageError(
            _(
                "is a JPEG 2000 of {num_tiles:,} tiles, and at most {most:,} are read. Save "
                "the photo again as JPEG or PNG"
            ).format(num_tiles=num_tiles, most=_MAX_WAVELET_TILES)
        )


def cut_off(found: str) -> str:
    """Why a photo that ends too early cannot be used.

    Args:
        found: its format.
    """
    return _("is cut off: the {format} data ends before the picture does").format(format=found)


def is_cut(data: bytes, found: str) -> bool:
    """Whether the frame around a file's pixels promises more bytes than there are; `False` where it promises none.

    Args:
        data: the whole file.
        found: what `sniff_format` says of it.
    """
    if found == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if found == "JPEG":
        return find_end(data, len(b"\xff\xd8")) < 0
    if found == "PNG":
        return b"IEND" not in data[-4096:]
    if found == "GIF":
        return not data.rstrip(b"\x00").endswith(b";")
    if found == "JPEG 2000":
        return not codestream_of(data).endswith(EOI)  # EOC has the same bytes
    if found not in ("HEIC", "AVIF"):
        return False
    return any(box[2] > len(data) for box in boxes_of(data))
