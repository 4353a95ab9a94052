"""The structure of image files, walked without decoding them: size, orientation, and whether all of it is there.

JPEG: ITU-T T.81, annex B. Of the other formats what frames their pixels; TIFF is `tiff_header.py`'s.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tellapart.errors import ImageError
from tellapart.images.exif import read_orientation

EOI = b"\xff\xd9"

_JP2 = b"\x00\x00\x00\x0cjP  "
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
    return any(end > len(data) for _, _, end in boxes_of(data))


def boxes_of(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and where the content begins and ends, of each box of an ISO media or JPEG 2000 file.

    The last may end behind the file, which was cut then; damage ends the boxes.

    Args:
        data: the whole file.
        start, end: what to read of it, as of a box that holds boxes.
    """
    end = len(data) if end is None else min(end, len(data))
    while start + 8 <= end:
        size, begin = int.from_bytes(data[start : start + 4], "big"), start + 8
        if size == 1:
            size, begin = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        if size == 0:  # to the end
            size = end - start
        if start + size < begin:
            return
        yield data[start + 4 : start + 8], begin, start + size
        start += size


def codestream_of(data: bytes) -> bytes:
    """The coded picture in a JPEG 2000 file, without zeros behind it; empty where there is none.

    ITU-T T.800, annexes A and I.
    """
    if not data.startswith(_JP2):
        return data.rstrip(b"\x00")
    found = ((begin, end) for kind, begin, end in boxes_of(data) if kind == b"jp2c")
    begin, end = next(found, (0, 0))
    return data[begin:end].rstrip(b"\x00") if end <= len(data) else b""


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
