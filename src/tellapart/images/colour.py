"""Pixels in the colours of any device to sRGB, by littlecms; arrays in, arrays out.

Who reads the pixels reduces them first: a photo of 12 megapixels costs a second to transform, a network looks at a
fiftieth of it. Profiles of sRGB itself cost nothing: they are told by what is in them, see `icc.py`.
"""

import io
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tellapart.formats.icc import Space, is_srgb, profile_space

_PIXELS = NDArray[np.uint8]
_MODES: dict[Space, str] = {"grey": "L", "rgb": "RGB", "cmyk": "CMYK"}
_CHANNELS: dict[int, Space] = {1: "grey", 3: "rgb", 4: "cmyk"}


def has_other_colours(profile: bytes, num_channels: int) -> bool:
    """Whether pixels of so many channels are to be transformed: the profile is for such pixels, and not one of sRGB.

    A grey photo may have a profile for colours.

    Args:
        profile: as the file holds it; empty where there is none.
        num_channels: 1 grey, 3 RGB, 4 CMYK.
    """
    if not profile:
        return False
    space, own = profile_space(profile), _CHANNELS[num_channels]
    fits = space == own or (space == "rgb" and own == "grey")
    return fits and space is not None and not is_srgb(profile) and _open_transform(profile, space) is not None


def to_srgb(pixels: _PIXELS, profile: bytes) -> _PIXELS:
    """The pixels as uint8 RGB of sRGB, relative colorimetric; as they are where `has_other_colours` says no.

    Args:
        pixels: uint8, shape `(height, width, channels)`: 1 grey, 3 RGB, 4 CMYK where 255 is all ink; not modified.
        profile: of the file they come from; empty: sRGB, and for CMYK an ink takes away its colour.
    """
    num_channels = pixels.shape[2]
    if has_other_colours(profile, num_channels):
        space = profile_space(profile)
        transform = _open_transform(profile, space) if space is not None else None
        assert space is not None and transform is not None
        stored = np.repeat(pixels, 3, axis=2) if space == "rgb" and num_channels == 1 else pixels
        return np.array(ImageCms.applyTransform(_as_image(stored, _MODES[space]), transform))
    if num_channels == 1:
        return np.asarray(np.repeat(pixels, 3, axis=2), np.uint8)
    if num_channels == 4:
        return np.array(_as_image(pixels, "CMYK").convert("RGB"))
    return pixels


def reduce_before(pixels: _PIXELS, at_least: tuple[int, int] | None) -> _PIXELS:
    """The pixels averaged by the whole factor that leaves `at_least` in both directions, the same for both.

    Args:
        pixels: uint8, shape `(height, width, channels)`; not modified.
        at_least: `(height, width)`; `None` leaves them as they are.
    """
    height, width, num_channels = pixels.shape
    factor = 1 if at_least is None else min(height // at_least[0], width // at_least[1])
    if factor < 2:
        return pixels
    reduced = cv2.resize(pixels, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.uint8).reshape(*reduced.shape[:2], num_channels)


def _as_image(pixels: _PIXELS, mode: str) -> Image.Image:
    """An image of Pillow's, for what it does to images."""
    height, width = pixels.shape[:2]
    return Image.frombytes(mode, (width, height), pixels.tobytes())


@lru_cache(maxsize=16)
def _open_transform(profile: bytes, space: Space) -> ImageCms.ImageCmsTransform | None:
    """Littlecms' transform to sRGB; `None` where it cannot read the profile, which browsers ignore as well."""
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            _MODES[space],
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
