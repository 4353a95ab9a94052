"""What the directory of a TIFF says before its pixels are decoded: whether all is there, and is the photo.

libtiff writes about files that lack a part to stderr, past whoever shows our own line; these checks keep such files
from it. Tags: TIFF 6.0, section 8.
"""

from collections.abc import Mapping
from typing import Any, Literal

from tellapart.errors import ImageError

BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262

_SUBFILE_TYPE = 254
_COMPRESSION = 259
_DNG_VERSION = 50706
# What decoding cannot do without: bits, colour map, where strips and tiles are, JPEG tables, sample format.
_NEEDED = frozenset({258, 273, 279, 320, 324, 325, 339, 347})
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_OFFSETS_AND_SIZES = ((273, 279), (324, 325))  # of strips, of tiles
_CUT = "is cut off: the TIFF data ends before the picture does"


def check_directory(data: bytes) -> None:
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
        raise ImageError(_CUT)
    for entry in range(first, end, 12):
        size = _TYPE_SIZES.get(number(entry + 2, 2), 0) * number(entry + 4, 4)
        if number(entry, 2) in _NEEDED and size > 4 and number(entry + 8, 4) + size > len(data):
            raise ImageError(_CUT)


def check_first_picture(tags: Mapping[int, Any], num_bytes: int) -> None:
    """Nothing, if the first picture of a TIFF is the photo itself and ends within the file.

    Args:
        tags: of the first picture, by number.
        num_bytes: of the file.

    Raises:
        ImageError: it is a thumbnail, as in camera raw files, or the file ends before it does.
    """
    if _DNG_VERSION in tags or tags.get(_SUBFILE_TYPE, 0) & 1:
        raise ImageError("is a camera raw file, whose first picture is a thumbnail; save it as JPEG or PNG")
    if tags.get(_COMPRESSION, 1) == 1:
        return  # sizes are often misstated there, and the decoder itself finds where the pixels end
    for offsets, sizes in _OFFSETS_AND_SIZES:
        pieces = zip(tags.get(offsets, ()), tags.get(sizes, ()), strict=False)
        if any(offset + size > num_bytes for offset, size in pieces):
            raise ImageError(_CUT)
