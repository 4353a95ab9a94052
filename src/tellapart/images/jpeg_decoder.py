"""JPEG to pixels: by OpenCV, at a reduced scale where that is enough; by Pillow where OpenCV is not to be trusted."""

import io
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.formats.jpeg_header import EOI, JpegHeader, find_end
from tellapart.formats.limits import check_size, cut_off
from tellapart.images.depth import SampleDepths
from tellapart.images.photo_samples import samples_of_pillow
from tellapart.images.pillow_decoder import MODE_MEMORY, pillow_errors
from tellapart.images.pixels import develop
from tellapart.native_stderr import NativeStderr
from tellapart.translation import gettext as _

_PIXELS = NDArray[np.uint8]

# Behind a cut, this is read as pixels unlike those that an EOI marker there gives, which libjpeg continues with zeros.
# Each restart marker is there twice, so that the one that a file is cut in front of comes up, whichever it is.
_FILL = b"\xaa\x55" * 64 + b"".join(bytes((0xFF, 0xD0 + number % 8)) + b"\xaa\x55" * 16 for number in range(16))
_ZERO_RUN = bytes(64)
_PROGRESSIVE_FRAME = 0xC2  # 0xC0 and 0xC1 are sequential, those above lossless or arithmetic
# Memory that decoding and what follows take at their highest, in bytes a pixel, measured with 12 megapixels of each
# (Pillow 13, OpenCV 5, 2026-11-28): Pillow holds colours in 4 bytes, hands out a copy, and a conversion is another.
_JPEG_MEMORY = 7.0


def check_reductions(data: bytes, header: JpegHeader, scales: Iterable[int], limits: ImageLimits) -> None:
    """Nothing, if a JPEG may be decoded at each of these scales; what is counted is what is decoded.

    Raises:
        ImageError: it has no pixels, or too many.
    """
    # Where a scan lacks components, or refines the one before, libjpeg holds all coefficients, of 2 bytes each.
    is_held = header.frame_marker >= _PROGRESSIVE_FRAME or data[header.scan_start + 4] < header.num_components
    held = 2 * header.num_coefficients if is_held else 0.0
    for scale in scales:
        height, width = -(-header.height // scale), -(-header.width // scale)
        check_size(height, width, limits, _JPEG_MEMORY + held * scale * scale, len(data))


def decode_jpeg(data: bytes, header: JpegHeader, at_least: tuple[int, int] | None, limits: ImageLimits) -> _PIXELS:
    """The pixels of a JPEG as stored, not yet turned: grey, RGB or CMYK.

    A file that was cut, or lost a part to zeros in a crash or a broken download, is found by decoding it twice, with
    two different continuations: what has all its pixels does not change. Only files without an end, or with a run of
    zeros among the pixels, pay for that. A progressive file holds its picture many times over, ever finer, so without
    an end it counts as cut.

    Raises:
        ImageError: the data ends before the picture does, or cannot be decoded.
    """
    end = find_end(data, header.scan_start)
    if end < 0 and header.frame_marker == _PROGRESSIVE_FRAME:
        raise ImageError(cut_off("JPEG"))
    is_whole = end >= 0 and data.find(_ZERO_RUN, header.scan_start, end) < 0
    if is_whole and (image := _decode_by_opencv(data, header, at_least)) is not None:
        return image
    kept = data[:end] if end >= 0 else data.rstrip(b"\x00")
    held = 2 * header.num_coefficients if header.frame_marker >= _PROGRESSIVE_FRAME else 0.0
    check_size(header.height, header.width, limits, MODE_MEMORY["CMYK"] + held, len(data))
    with pillow_errors("JPEG", data):
        image = _decode_by_pillow(kept + EOI)
        if not is_whole and not np.array_equal(image, _decode_by_pillow(kept + _FILL + EOI)):
            raise ImageError(cut_off("JPEG") if end < 0 else _("is damaged: zeros are in the place of JPEG data"))
    return image


def jpeg_channels(pixels: _PIXELS, header: JpegHeader, profile: bytes) -> _PIXELS:
    """One channel of a grey JPEG that has a profile; OpenCV gives three of them."""
    return pixels[:, :, :1] if profile and header.num_components == 1 else pixels


def reduction(header: JpegHeader, at_least: tuple[int, int] | None) -> tuple[int, int]:
    """OpenCV's flag for the smallest scale that leaves `at_least`, and the number it divides by, rounding up."""
    if at_least is not None:
        height, width = at_least if header.orientation < 5 else at_least[::-1]
        for scale, flag in (
            (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
            (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
            (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
        ):
            if -(-header.height // scale) >= height and -(-header.width // scale) >= width:
                return flag, scale
    return 0, 1


def _decode_by_opencv(data: bytes, header: JpegHeader, at_least: tuple[int, int] | None) -> _PIXELS | None:
    """The pixels of an ordinary JPEG, at a scale that leaves `at_least`; `None`: Pillow has the last word on it."""
    if header.num_components not in (1, 3) or header.bits != 8 or header.frame_marker > _PROGRESSIVE_FRAME:
        return None
    flag, scale = reduction(header, at_least)
    # The reduced flags for grey state the scale alone; IMREAD_COLOR_RGB beside them saves a pass over the pixels.
    flags = flag | cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        with NativeStderr():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # beyond OpenCV's own limits
        return None
    if image is None or image.shape != (-(-header.height // scale), -(-header.width // scale), 3):
        return None
    return image.astype(np.uint8, copy=False)


def _decode_by_pillow(jpeg: bytes) -> _PIXELS:
    """The pixels of any JPEG, at its full size, of 1, 3 or 4 channels."""
    with JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg)) as photo:
        photo.load()
        return develop(samples_of_pillow(photo), SampleDepths())
