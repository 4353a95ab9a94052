"""The structure of a JPEG file, walked without decoding it: its size, its orientation, and whether it is all there.

Markers: ITU-T T.81, annex B.
"""

import re
from typing import Literal, NamedTuple

from tellapart.errors import ImageError

EOI = b"\xff\xd9"

_SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SOS = 0xDA
_APP1 = 0xE1
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_HEADER_CUT = "is cut off: the JPEG data ends inside its header"
_EXIF = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])[\"'<]")
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
    """

    height: int
    width: int
    num_components: int
    frame_marker: int
    bits: int
    orientation: int
    scan_start: int
    exif: bytes = b""


def read_exif_orientation(exif: bytes) -> int | None:
    """EXIF's orientation, 1 to 8, from a block that may begin with `Exif`; `None` where it has none or is damaged."""
    tiff = exif[len(_EXIF) :] if exif.startswith(_EXIF) else exif
    if tiff[:2] not in (b"II", b"MM"):
        return None
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], order)

    first = number(4, 4)
    for start in range(first + 2, min(first + 2 + 12 * number(first, 2), len(tiff) - 11), 12):
        if number(start, 2) == _ORIENTATION_TAG:
            value = number(start + 8, 4 if number(start + 2, 2) == 4 else 2)
            return value if 1 <= value <= 8 else 1
    return None


def read_xmp_orientation(xmp: bytes) -> int | None:
    """EXIF's orientation, 1 to 8, as written in an XMP packet; `None` where it has none."""
    found = _XMP_ORIENTATION.search(xmp)
    return int(found.group(1)) if found else None


def read_jpeg_header(data: bytes) -> JpegHeader:
    """What a JPEG file says before its first scan.

    Args:
        data: begins with the SOI marker.

    Raises:
        ImageError: the file ends before its first scan, or what stands there is not a JPEG header.
    """
    frame = b""
    frame_marker = 0
    exif = b""
    orientations: list[int] = []
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
            _note_orientation(segment, orientations)
            exif = exif or (segment if segment.startswith(_EXIF) else b"")
        position += size
    if len(frame) < 6:
        raise ImageError("is damaged: the JPEG header states no size")
    return JpegHeader(
        height=int.from_bytes(frame[1:3], "big"),
        width=int.from_bytes(frame[3:5], "big"),
        num_components=frame[5],
        frame_marker=frame_marker,
        bits=frame[0],
        orientation=orientations[0] if orientations else 1,
        scan_start=position - 2,
        exif=exif,
    )


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


def _note_orientation(segment: bytes, orientations: list[int]) -> None:
    """Add to `orientations` what an APP1 segment says: EXIF in front, XMP behind, for where EXIF is silent."""
    if segment.startswith(_EXIF):
        orientation = read_exif_orientation(segment)
        orientations[:0] = [] if orientation is None else [orientation]
    else:
        orientation = read_xmp_orientation(segment)
        orientations += [] if orientation is None else [orientation]
