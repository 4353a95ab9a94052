"""The structure of image files, walked without decoding them: size, orientation, and whether all of it is there.

JPEG: ITU-T T.81, annex B. Of the other formats what frames their pixels; TIFF is `tiff_header.py`'s.
"""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.images.exif import read_orientation

EOI = b"\xff\xd9"

_JP2 = b"\x00\x00\x00\x0cjP  "
_ADVICE = "Save it again as JPEG or PNG"
# What is refused before it is decoded, for a photo from a stranger may be made to cost minutes and gigabytes. Cameras
# and programs write far less: at most 64 scans, some 200 segments (an ICC profile and XMP in pieces), 8 kB a chunk.
_MAX_SIDE = 65_535
_MAX_MEMORY = 900_000_000
_MAX_SEGMENTS, _MAX_SCANS, _MAX_CHUNKS, _MAX_BLOCKS = 2_000, 100, 100_000, 20_000
_MAX_RLE_BYTES = 8_000_000
_MAX_WAVELET_TILES = 10_000
_MAX_WAVELET_CHANNELS = 5
_MAX_GRID_PIXELS = 400_000_000
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
            raise ImageError(f"is a JPEG of more than {_MAX_SEGMENTS:,} segments. {_ADVICE}")
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
        num_coefficients=_count_coefficients(frame),
        exif=exif,
        icc=_join_profile(profile_parts) if profile_parts else b"",
    )


def _count_coefficients(frame: bytes) -> float:
    """Coefficients a pixel of the components in a frame header, by their sampling factors."""
    factors = [(byte >> 4, byte & 15) for byte in frame[7 : 6 + 3 * frame[5] : 3]]
    largest = max((across for across, _ in factors), default=1) * max((down for _, down in factors), default=1)
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
                raise ImageError(f"is a JPEG of more than {_MAX_SCANS} scans or {_MAX_SEGMENTS:,} segments. {_ADVICE}")
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
        raise ImageError(f"is damaged: its header states {width} x {height} pixels")
    if height * width > limits.max_pixels:
        raise ImageError(f"is too large: {width} x {height} pixels, and at most {limits.max_pixels:,} are read")
    if max(height, width) > _MAX_SIDE:
        raise ImageError(f"is too long: {width} x {height} pixels, and at most {_MAX_SIDE:,} a side are read")
    memory = height * width * bytes_a_pixel + num_bytes
    if memory > _MAX_MEMORY:
        raise ImageError(
            f"is too large: {width} x {height} pixels of this kind take {memory / 1e6:,.0f} MB to decode, and at most"
            f" {_MAX_MEMORY / 1e6:,.0f} are used. Save it smaller, or as JPEG"
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
        _check_count(data, "PNG", "chunks", _png_chunks(data), _MAX_CHUNKS)
    elif found == "GIF":
        _check_count(data, "GIF", "blocks before its picture", _gif_blocks(data), _MAX_BLOCKS)
    elif found == "BMP" and data[14] >= 40 and data[30] in (1, 2) and len(data) > _MAX_RLE_BYTES:
        raise ImageError(f"is a packed BMP of {len(data):,} bytes, and at most {_MAX_RLE_BYTES:,} are read. {_ADVICE}")
    elif found == "JPEG 2000":
        _check_wavelets(codestream_of(data))
    elif found in ("HEIC", "AVIF") and (num_pixels := _grid_pixels(data)) > _MAX_GRID_PIXELS:
        raise ImageError(
            f"is a {found} whose tiles have {num_pixels:,} pixels, and at most {_MAX_GRID_PIXELS:,} are read. {_ADVICE}"
        )


def _check_count(data: bytes, found: str, what: str, pieces: Iterator[int], most: int) -> None:
    if next(itertools.islice(pieces, most, None), None) is not None:
        raise ImageError(f"is a {found} of more than {most:,} {what}. {_ADVICE}")


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
        raise ImageError(f"is a JPEG 2000 of {num_channels:,} channels, a kind that is not read. {_ADVICE}")
    num_tiles = -(-max(0, width - tile_left) // tile_width) * -(-max(0, height - tile_top) // tile_height)
    if num_tiles > _MAX_WAVELET_TILES:
        raise ImageError(
            f"is a JPEG 2000 of {num_tiles:,} tiles, and at most {_MAX_WAVELET_TILES:,} are read. {_ADVICE}"
        )


def wavelet_size(data: bytes) -> tuple[int, int]:
    """`(height, width)` that the coded picture in a JPEG 2000 file states, whatever its frame says."""
    width, height, left, top = (int.from_bytes(codestream_of(data)[at : at + 4], "big") for at in (8, 12, 16, 20))
    return height - top, width - left


def _grid_pixels(data: bytes) -> int:
    """Pixels of all tiles that the pictures in a HEIC or AVIF are put together of; 0 where none is.

    Boxes `ispe`, `ipma` and `iref`: ISO/IEC 23008-12, sections 6.5.3, 9.3.1 and ISO/IEC 14496-12, section 8.11.12.
    """
    meta = next(((begin + 4, end) for kind, begin, end in boxes_of(data) if kind == b"meta"), None)
    if meta is None:
        return 0
    inner = {kind: (begin, end) for kind, begin, end in boxes_of(data, *meta)}
    if b"iprp" not in inner or b"iref" not in inner:
        return 0
    areas = _item_areas(data, *inner[b"iprp"])
    start, end = inner[b"iref"]
    size = 4 if data[start] else 2
    num_pixels = 0
    for kind, begin, stop in boxes_of(data, start + 4, end):
        if kind == b"dimg":
            places = range(begin + size + 2, min(stop, len(data)) - size + 1, size)
            num_pixels += sum(areas.get(int.from_bytes(data[at : at + size], "big"), 0) for at in places)
    return num_pixels


def _item_areas(data: bytes, start: int, end: int) -> dict[int, int]:
    """Pixels of each item that states its size."""
    boxes = list(boxes_of(data, start, end))
    properties = [box for kind, begin, stop in boxes if kind == b"ipco" for box in boxes_of(data, begin, stop)]
    areas: dict[int, int] = {}
    for begin in (begin for kind, begin, _ in boxes if kind == b"ipma"):
        id_size, index_size = 4 if data[begin] else 2, 2 if data[begin + 3] & 1 else 1
        at, num_items = begin + 8, int.from_bytes(data[begin + 4 : begin + 8], "big")
        for _ in range(min(num_items, len(data) // 3)):
            item, num_indices = int.from_bytes(data[at : at + id_size], "big"), data[at + id_size : at + id_size + 1]
            at += id_size + 1
            for _ in range(num_indices[0] if num_indices else 0):
                index = int.from_bytes(data[at : at + index_size], "big") & (0x7FFF if index_size == 2 else 0x7F)
                at += index_size
                kind, place, _ = properties[index - 1] if 0 < index <= len(properties) else (b"", 0, 0)
                if kind == b"ispe":
                    width, height = (int.from_bytes(data[place + by : place + by + 4], "big") for by in (4, 8))
                    areas[item] = width * height
    return areas
