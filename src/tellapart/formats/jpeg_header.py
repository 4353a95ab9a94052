"""The header of a JPEG file, and where its picture ends, read without decoding it: ITU-T T.81, annex B."""

import itertools
import re
from typing import NamedTuple

from tellapart.errors import ImageError
from tellapart.formats.exif import read_orientation
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop

EOI = b"\xff\xd9"


# Cameras and programs write far less: at most 64 scans, some 200 segments (an ICC profile and XMP in pieces).
_MAX_SEGMENTS, _MAX_SCANS = 2_000, 100
_SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SOS = 0xDA
_APP1, _APP2 = 0xE1, 0xE2
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_HEADER_CUT = gettext_noop("is cut off: the JPEG data ends inside its header")
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
        num_coefficients: a pixel, of all components: 3 without subsampling, 1.5 with the usual one.
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
    num_coefficients: float
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
    for number in itertools.count():
        if number > _MAX_SEGMENTS:
            raise ImageError(
                _("is a JPEG of more than {max_segments:,} segments. Save the photo again as JPEG or PNG").format(
                    max_segments=_MAX_SEGMENTS
                )
            )
        found = _MARKER.search(data, position)
        if found is None:
            raise ImageError(_(_HEADER_CUT))
        marker, position = data[found.start() + 1], found.end()
        size = int.from_bytes(data[position : position + 2], "big")
        if position + max(size, 2) > len(data):
            raise ImageError(_(_HEADER_CUT))
        if marker == _SOS:
            break
        if marker == 0xD9 or size < 2:
            raise ImageError(_("is damaged: the JPEG header holds no picture"))
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
        raise ImageError(_("is damaged: the JPEG header states no size"))
    return JpegHeader(
        height=int.from_bytes(frame[1:3], "big"),
        width=int.from_bytes(frame[3:5], "big"),
        num_components=frame[5],
        frame_marker=frame_marker,
        bits=frame[0],
        orientation=read_orientation(exif, xmp),
        scan_start=position - 2,
        num_coefficients=_count_coefficients(frame),
        exif=exif,
        icc=_join_profile(profile_parts) if profile_parts else b"",
    )


def _count_coefficients(frame: bytes) -> float:
    """Coefficients a pixel of the components in a frame header, by their sampling factors."""
    factors = [(byte >> 4, byte & 15) for byte in frame[7 : 6 + 3 * frame[5] : 3]]
    largest = max((across for across, _unused in factors), default=1) * max(
        (down for _unused, down in factors), default=1
    )
    return sum(across * down for across, down in factors) / max(1, largest)


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

    Raises:
        ImageError: there are more scans or segments than any program writes.
    """
    position = scan_start
    num_scans = num_segments = 0
    while found := _SCAN_END.search(data, position):
        marker = data[found.start() + 1]
        if marker == 0xD9:
            return found.start()
        position = found.end()
        if marker not in _STANDALONE:
            position += int.from_bytes(data[position : position + 2], "big")
            num_scans += marker == _SOS
            num_segments += 1
            if num_scans > _MAX_SCANS or num_segments > _MAX_SEGMENTS:
                raise ImageError(
                    _(
                        "is a JPEG of more than {max_scans} scans or {max_segments:,} "
                        "segments. Save the photo again as JPEG or PNG"
                    ).format(max_scans=_MAX_SCANS, max_segments=_MAX_SEGMENTS)
                )
    return -1
