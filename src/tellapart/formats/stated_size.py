"""The size that the first bytes of a photo state, for formats other than JPEG; nothing is decoded.

An upload is refused by it before all of it has arrived. JPEG has `jpeg_header.py`.
"""

from collections.abc import Callable, Mapping

from tellapart.formats.iso_boxes import primary_size, wavelet_size
from tellapart.formats.tiff_directory import Tiff

# `(height, width)`.
Size = tuple[int, int]
_TIFF_HEIGHT, _TIFF_WIDTH = 257, 256
_SMALL_BMP_HEADER = 12
# Reading stays cheap, whatever stands there; the boxes of a phone's HEIC take some 5 kB.
_MOST_BYTES = 16_384


def stated_size(head: bytes, found: str) -> Size | None:
    """`(height, width)` as stored, which decoding would give at least; `None` where it lies behind `head`.

    Args:
        head: the beginning of the file.
        found: what `sniff_format` says of it.

    Raises:
        ImageError: it is a TIFF of more tags than any program writes.
    """
    reader = _READERS.get(found)
    size = None if reader is None else reader(head[:_MOST_BYTES])
    return None if size is None or min(size) < 1 else size


def webp_size(data: bytes) -> Size | None:
    """`(height, width)` from the header of a WebP file, before any canvas is made; `None`: no such header.

    Layout: https://developers.google.com/speed/webp/docs/riff_container
    """
    kind = data[12:16]
    if len(data) < 30:
        return None
    if kind == b"VP8X":
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(data[28:30], "little") & 0x3FFF, int.from_bytes(data[26:28], "little") & 0x3FFF
    return None


def _png_size(head: bytes) -> Size | None:
    """Of the chunk `IHDR`, which is the first one."""
    if head[12:16] != b"IHDR" or len(head) < 24:
        return None
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def _gif_size(head: bytes) -> Size | None:
    """Of the screen; the first picture may make it larger."""
    return (int.from_bytes(head[8:10], "little"), int.from_bytes(head[6:8], "little")) if len(head) >= 10 else None


def _bmp_size(head: bytes) -> Size | None:
    """A negative height states that the first row is the upper one."""
    if len(head) < 26:
        return None
    if int.from_bytes(head[14:18], "little") == _SMALL_BMP_HEADER:
        return int.from_bytes(head[20:22], "little"), int.from_bytes(head[18:20], "little")
    height, width = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (22, 18))
    return abs(height), width


def _tiff_size(head: bytes) -> Size | None:
    """Of the first page; many programs write its directory behind the pixels."""
    tiff = Tiff(head)
    entries = tiff.entries(tiff.first_directory)
    if entries is None:
        return None
    return tiff.value(entries.get(_TIFF_HEIGHT), 0), tiff.value(entries.get(_TIFF_WIDTH), 0)


_READERS: Mapping[str, Callable[[bytes], Size | None]] = {
    "AVIF": primary_size,
    "BMP": _bmp_size,
    "GIF": _gif_size,
    "HEIC": primary_size,
    "JPEG 2000": wavelet_size,
    "PNG": _png_size,
    "TIFF": _tiff_size,
    "WEBP": webp_size,
}
