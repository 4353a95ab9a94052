"""The structure of image files, walked without decoding them: size, orientation, and whether all of it is there.

- JPEG: ITU-T T.81, annex B.
- TIFF 6.0, section 8. libtiff writes about files that lack a part to stderr, past whoever shows our own line; the
  checks keep such files from it.
- What frames the pixels of the other formats.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from tellapart.errors import ImageError
from tellapart.images.exif import read_orientation

EOI = b"\xff\xd9"

_SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SOS = 0xDA
_APP1, _APP2 = 0xE1, 0xE2
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_HEADER_CUT = "is cut off: the JPEG data ends inside its header"
_EXIF = b"Exif\x00\x00"
_ICC = b"ICC_PROFILE\x00"
# Those with a segment behind them, so neither restart markers nor SOI; stray bytes are passed over, as libjpeg does.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
# Inside a scan, 0xFF is followed by 0 (a stuffed byte) or is a restart marker; anything else ends the scan.
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")

BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262

_SUBFILE_TYPE = 254
_COMPRESSION = 259
_DNG_VERSION = 50706
# What decoding cannot do without: bits, colour map, where strips and tiles are, JPEG tables, sample format.
_NEEDED = frozenset({258, 273, 279, 320, 324, 325, 339, 347})
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_OFFSETS_AND_SIZES = ((273, 279), (324, 325))  # of strips, of tiles
_TIFF_CUT = "is cut off: the TIFF data ends before the picture does"


class JpegHeader(NamedTuple):
    """What stands before the first scan; `height` and `width` as stored, before the orientation is applied.

    Attributes:
        frame_marker: the SOF marker: 0xC0 and 0xC1 sequential, 0xC2 progressive, others rare.
        bits: per sample, 8 in all but rare files.
        orientation: EXIF's number, 1 to 8.
        scan_start: offset of the first scan's marker.
        exif: the first block of EXIF, which begins with `Exif`; empty where there is none.
        icc: its ICC profile, put together; empty where there is none, or a part of it is missing.
    """

    height: int
    width: int
    num_components: int
    frame_marker: int
    bits: int
    orientation: int
    scan_start: int
    exif: bytes = b""
    icc: bytes = b""


def read_jpeg_header(data: bytes) -> JpegHeader:
    """What a JPEG file says before its first scan.

    Args:
        data: begins with the SOI marker.

    Raises:
        ImageError: the file ends before its first scan, or what stands there is not a JPEG header.
    """
    frame = b""
    frame_marker = 0
    exif = xmp = b""
    profile_parts: dict[bytes, bytes] = {}
    position = 2
    while True:
        found = _MARKER.search(data, position)
        if found is None:
            raise ImageError(_HEADER_CUT)
        marker, position = data[found.start() + 1], found.end()
        size = int.from_bytes(data[position : position + 2], "big")
        if position + max(size, 2) > len(data):
            raise ImageError(_HEADER_CUT)
        if marker == _SOS:
            break
        if marker == 0xD9 or size < 2:
            raise ImageError("is damaged: the JPEG header holds no picture")
        if marker in _SOF:
            frame_marker, frame = marker, data[position + 2 : position + size]
        elif marker == _APP1:
            segment = data[position + 2 : position + size]
            if segment.startswith(_EXIF):
                exif = exif or segment
            else:
                xmp = xmp or segment
        elif marker == _APP2 and data.startswith(_ICC, position + 2):
            start = position + 2 + len(_ICC)
            profile_parts[data[start : start + 2]] = data[start + 2 : position + size]
        position += size
    if len(frame) < 6:
        raise ImageError("is damaged: the JPEG header states no size")
    return JpegHeader(
        height=int.from_bytes(frame[1:3], "big"),
        width=int.from_bytes(frame[3:5], "big"),
        num_components=frame[5],
        frame_marker=frame_marker,
        bits=frame[0],
        orientation=read_orientation(exif, xmp),
        scan_start=position - 2,
        exif=exif,
        icc=_join_profile(profile_parts) if profile_parts else b"",
    )


def _join_profile(parts: dict[bytes, bytes]) -> bytes:
    """The profile whose parts have their number and how many there are for a key; empty where one is missing.

    Layout: ICC.1:2022, annex B.4.
    """
    keys = sorted(parts)
    is_whole = all(key == bytes((number, len(keys))) for number, key in enumerate(keys, start=1))
    return b"".join(parts[key] for key in keys) if is_whole else b""


def find_end(data: bytes, scan_start: int) -> int:
    """Offset of the EOI marker that ends the picture whose first scan is at `scan_start`; -1 where there is none.

    Thumbnails stand before the first scan and further pictures (MPO, motion photos) after that marker, so neither is
    mistaken for it.
    """
    position = scan_start
    while found := _SCAN_END.search(data, position):
        marker = data[found.start() + 1]
        if marker == 0xD9:
            return found.start()
        position = found.end()
        if marker not in _STANDALONE:
            position += int.from_bytes(data[position : position + 2], "big")
    return -1


def check_tiff_directory(data: bytes) -> None:
    """Nothing, if the directory of the first picture lies within the file; that of a BigTIFF is left to the decoder.

    Raises:
        ImageError: the file ends before its directory does, or before the values that it refers to.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], order)

    if number(2, 2) != 42:
        return
    first = number(4, 4) + 2
    end = first + 12 * number(first - 2, 2)
    if len(data) < 8 or end > len(data):
        raise ImageError(_TIFF_CUT)
    for entry in range(first, end, 12):
        size = _TYPE_SIZES.get(number(entry + 2, 2), 0) * number(entry + 4, 4)
        if number(entry, 2) in _NEEDED and size > 4 and number(entry + 8, 4) + size > len(data):
            raise ImageError(_TIFF_CUT)


def check_first_tiff(tags: Mapping[int, Any], num_bytes: int) -> None:
    """Nothing, if the first picture of a TIFF is the photo itself and ends within the file.

    Args:
        tags: of the first picture, by number.
        num_bytes: of the file.

    Raises:
        ImageError: it is a thumbnail, as in camera raw files, or the file ends before it does.
    """
    if _DNG_VERSION in tags or tags.get(_SUBFILE_TYPE, 0) & 1:
        raise ImageError("is a camera raw file, whose first picture is a thumbnail. Save it as JPEG or PNG")
    if tags.get(_COMPRESSION, 1) == 1:
        return  # sizes are often misstated there, and the decoder itself finds where the pixels end
    for offsets, sizes in _OFFSETS_AND_SIZES:
        pieces = zip(tags.get(offsets, ()), tags.get(sizes, ()), strict=False)
        if any(offset + size > num_bytes for offset, size in pieces):
            raise ImageError(_TIFF_CUT)


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
    if found not in ("HEIC", "AVIF"):
        return False
    start = 0
    while start + 8 <= len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        if size == 1:
            size = int.from_bytes(data[start + 8 : start + 16], "big")
        if size < 8:  # 0: to the end of the file; others are damage, which the decoder finds
            return False
        start += size
    return start > len(data)


def webp_size(data: bytes) -> tuple[int, int] | None:
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
