"""What the directory of a TIFF says before its pixels are decoded: whether all is there, and is the photo.

libtiff writes about files that lack a part to stderr, past whoever shows our own line; these checks keep such files from it.
Tags: TIFF 6.0, section 8.
"""

from collections.abc import Mapping
from typing import Any, Literal

from tellapart.errors import ImageError

BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262

_SUBFILE_TYPE = 254
_COMPRESSION = 259
_DNG_VERSION = 50706
_OFFSETS_AND_SIZES = ((273, 279), (324, 325))  # of strips, of tiles
_CUT = "is cut off: the TIFF data ends before the picture does"


def check_directory(data: bytes) -> None:
    """Nothing, if the directory of the first picture lies within the file; that of a BigTIFF is left to the decoder.

    Raises:
        ImageError: the file ends before its directory does.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    if int.from_bytes(data[2:4], order) != 42:
        return
    start = int.from_bytes(data[4:8], order)
    end = start + 2 + 12 * int.from_bytes(data[start : start + 2], order)
    if len(data) < 8 or end > len(data):
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
