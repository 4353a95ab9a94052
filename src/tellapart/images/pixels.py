"""Decoded pixels of any depth to upright uint8 RGB, arrays in, arrays out; decoding a file is `gate.py`'s."""

import cv2
import numpy as np
from numpy.typing import NDArray

_PIXELS = NDArray[np.uint8]

# Rows composited at once, so that a photo of 100 megapixels needs no second copy of itself in 16 bits.
_ROWS_AT_ONCE = 256


def scale_to_8_bits(pixels: NDArray[np.generic], num_bits: int | None = None) -> _PIXELS:
    """Grey pixels of any depth in 8 bits, of the same shape.

    Args:
        pixels: integers or floats, shape `(height, width)`; not modified.
        num_bits: how many bits the file stores; the range of the first of 8, 12 and `num_bits` bits that holds all
            values becomes 0 to 255, for cameras and scanners store 12 bits as 16. `None`, for floats and for integers
            that may be negative: the first of `[0, 1]` (floats only), `[0, 255]`, `[0, 4095]` and `[0, 65535]` that
            holds all values, or else the range from the smallest to the largest value. What is not a finite number
            counts as 0.
    """
    if num_bits is not None:
        largest = int(pixels.max(initial=0))
        shift = next((bits for bits in (8, 12) if largest < 1 << bits), max(num_bits, 8)) - 8
        return np.minimum(np.right_shift(pixels.astype(np.uint32), shift), 255).astype(np.uint8)
    values = np.nan_to_num(pixels.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    whites = (1.0, 255.0, 4095.0, 65535.0)[0 if np.issubdtype(pixels.dtype, np.floating) else 1 :]
    fitting = [white for white in whites if low >= 0 and high <= white]
    if fitting:
        low, high = 0.0, fitting[0]
    # Multiplied before it is shifted, no value overflows, however far apart the two ends are.
    factor = 255.0 / (high - low) if high > low else 0.0
    scaled = np.rint(values * np.float32(factor) - np.float32(low * factor))
    return np.asarray(np.clip(scaled, 0, 255), np.uint8)


def repeat_grey(grey: _PIXELS) -> _PIXELS:
    """An RGB image, shape `(height, width, 3)`, from a grey one of shape `(height, width)`."""
    return np.asarray(np.repeat(grey[:, :, np.newaxis], 3, axis=2), np.uint8)


def put_on_white(rgba: _PIXELS) -> _PIXELS:
    """The RGB image that results from laying `rgba` over white.

    Args:
        rgba: uint8, shape `(height, width, 4)`, alpha not multiplied in; not modified.
    """
    image = np.empty((*rgba.shape[:2], 3), np.uint8)
    for start in range(0, rgba.shape[0], _ROWS_AT_ONCE):
        rows = rgba[start : start + _ROWS_AT_ONCE].astype(np.uint16)
        alpha = rows[:, :, 3:]
        image[start : start + _ROWS_AT_ONCE] = (rows[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return image


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
