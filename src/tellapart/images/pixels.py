"""The numbers in a photo to upright pixels of 8 bits, arrays in, arrays out; decoding a file is `gate.py`'s."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.images.depth import Levels, SampleDepths, count_levels, find_depth, scale_to_8_bits

_PIXELS = NDArray[np.uint8]

# Rows composited at once, so that a photo of 100 megapixels needs no second copy of itself in 16 bits.
_ROWS_AT_ONCE = 256
# Below this nothing shows on black.
_NEARLY_BLACK = 8
# Above this no channel shows on white; a drawing may have this share of other pixels and still be white.
_NEARLY_WHITE, _MOST_DARK = 224, 0.01


@dataclass(frozen=True)
class Samples:
    """The numbers of a photo as its file stores them, and what they mean.

    Attributes:
        colours: integers or floats, shape `(height, width, channels)`: 1 grey, 3 RGB, 4 CMYK where the largest number
            is all ink.
        alpha: opacity in the same units, shape `(height, width)`; `None` where there is none.
        stated_bits: how many bits white fills, where the file says so; `None` for deep photos that do not.
        orientation: EXIF's number, 1 to 8, not yet applied.
        profile: the ICC profile; empty for sRGB.
        is_premultiplied: whether the colours are already multiplied by the opacity.
        is_white_zero: whether 0 is white.
    """

    colours: NDArray[Any]
    alpha: NDArray[Any] | None = None
    stated_bits: int | None = 8
    orientation: int = 1
    profile: bytes = b""
    is_premultiplied: bool = False
    is_white_zero: bool = False

    def levels(self) -> Levels | None:
        """How bright it is, for its collection to tell how many bits white fills; `None` where the file says that."""
        return count_levels(self.colours) if self.stated_bits is None else None


def develop(samples: Samples, depths: SampleDepths) -> _PIXELS:
    """The photo as uint8, shape `(height, width, channels)`, not yet turned, on a ground where it is transparent.

    Args:
        samples: not modified.
        depths: of the collection that it belongs to.

    Raises:
        ImageError: nobody can say which numbers are black and white.
    """
    levels = samples.levels()
    num_bits = samples.stated_bits if levels is None else find_depth(levels, depths)
    assert num_bits is not None
    colours = scale_to_8_bits(samples.colours, num_bits)
    if samples.is_white_zero:
        colours = np.bitwise_not(colours)
    if samples.alpha is None or colours.shape[2] == 4:
        return colours
    return put_on_ground(colours, scale_to_8_bits(samples.alpha, num_bits), samples.is_premultiplied)


def put_on_ground(colours: _PIXELS, alpha: _PIXELS, is_premultiplied: bool = False) -> _PIXELS:
    """The image that results from laying colours over white, or over black where nothing but white could be seen.

    An opacity of 0 everywhere hides all there is, so programs that write it beside colours mean none.

    Args:
        colours: uint8, shape `(height, width, channels)`; not modified.
        alpha: opacity, uint8, shape `(height, width)`.
        is_premultiplied: whether the colours are already multiplied by the opacity.
    """
    if alpha.min() == 255 or (not alpha.any() and colours.max(initial=0) >= _NEARLY_BLACK):
        return colours
    if is_premultiplied:
        most = np.maximum(alpha, 1).astype(np.uint16)[:, :, np.newaxis]
        colours = np.minimum((colours * np.uint16(255) + most // 2) // most, 255).astype(np.uint8)
    ground = 0 if _is_white(colours, alpha) else 255
    image = np.empty_like(colours)
    for start in range(0, len(colours), _ROWS_AT_ONCE):
        rows = colours[start : start + _ROWS_AT_ONCE].astype(np.uint16)
        share = alpha[start : start + _ROWS_AT_ONCE, :, np.newaxis].astype(np.uint16)
        image[start : start + _ROWS_AT_ONCE] = (rows * share + ground * (255 - share) + 127) // 255
    return image


def _is_white(colours: _PIXELS, alpha: _PIXELS) -> bool:
    """Whether hardly anything that can be seen is darker than nearly white."""
    seen = dark = 0
    for start in range(0, len(colours), _ROWS_AT_ONCE):
        share = alpha[start : start + _ROWS_AT_ONCE]
        is_dark = colours[start : start + _ROWS_AT_ONCE].min(axis=2) < _NEARLY_WHITE
        seen += int(share.sum(dtype=np.int64))
        dark += int(share[is_dark].sum(dtype=np.int64))
    return seen > 0 and dark <= _MOST_DARK * seen


def turn_upright(image: _PIXELS, orientation: int) -> _PIXELS:
    """The image as EXIF's `orientation`, 1 to 8, says it is to be seen; other numbers leave it as it is.

    The numbers are those of the EXIF 2.32 standard, tag 0x0112: 2 and 4 mirror, 3 turns by 180 degrees, 6 and 8 by 90
    degrees clockwise and counterclockwise, 5 and 7 mirror along a diagonal.
    """
    match orientation:
        case 2:
            turned = cv2.flip(image, 1)
        case 3:
            turned = cv2.rotate(image, cv2.ROTATE_180)
        case 4:
            turned = cv2.flip(image, 0)
        case 5:
            turned = cv2.transpose(image)
        case 6:
            turned = cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.flip(cv2.transpose(image), -1)
        case 8:
            turned = cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return image
    return turned.astype(np.uint8, copy=False)
