"""The one way a photo becomes what a network sees; training, inference and tests all call it.

Decoding is `images/gate.py`'s; scaling to `[0, 1]` is inside the network, so that everyone feeds it the same uint8
pixels.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.config import MAX_SIDE, ImageLimits
from tellapart.errors import ImageError
from tellapart.images.depth import SampleDepths
from tellapart.images.gate import as_own, convert_image, decode_for_each, decode_image
from tellapart.images.pillow_decoder import PillowImage
from tellapart.translation import gettext as _
from tellapart.untrusted import short_repr, whole_of

_PIXELS = NDArray[np.uint8]
AnyImage = str | Path | bytes | PillowImage | _PIXELS

# Raised when decoding or resizing changes what comes out, so that what an earlier version left in a cache is not used.
# 2 did not apply colour profiles, and averaged both directions by the smaller of their factors.
DECODER_VERSION = 3
_DECODERS = (2, DECODER_VERSION)
# Longer side of the small images that pages show, in pixels, and their quality as JPEG: some 10 kB a photo.
THUMBNAIL_LONGEST_SIDE, _THUMBNAIL_QUALITY = 200, 88
# Changes with what a thumbnail is, so that what an earlier version left in a store is not used.
THUMBNAIL_KIND = f"thumbnail {THUMBNAIL_LONGEST_SIDE}, quality {_THUMBNAIL_QUALITY}, decoder {DECODER_VERSION}"


@dataclass(frozen=True)
class PreprocessSpec:
    """What a photo is turned into before the network; travels in the bundle.

    Attributes:
        image_size: `(height, width)` in pixels; the aspect ratio is not kept.
        channels: 3 for RGB, 1 for luma (ITU-R BT.601 weights).
        decoder: version of the decoder; bundles made with an earlier one go on to see photos as their training did.
        depths: how many bits deep photos fill, in the collection that was trained on.
    """

    image_size: tuple[int, int]
    channels: Literal[1, 3] = 3
    decoder: int = DECODER_VERSION
    depths: SampleDepths = SampleDepths()

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of the result."""
        return (*self.image_size, self.channels)

    @property
    def is_managed(self) -> bool:
        """Whether colour profiles are applied."""
        return self.decoder >= 3

    def load(self, photo: "AnyImage", limits: ImageLimits = ImageLimits()) -> _PIXELS:
        """One photo as the network takes it: uint8, shape `shape`.

        Args:
            photo: the path of a file, its bytes, a Pillow image, or pixels: uint8 RGB, shape `(height, width, 3)`.
            limits: the largest photo that is decoded.

        Raises:
            ImageError: it cannot be used; `path` names the file, if it is one.
        """
        if isinstance(photo, np.ndarray):
            if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
                raise ImageError(
                    _("is {dtype} of shape {shape}. Give uint8 of shape (height, width, 3), from 0 to 255").format(
                        dtype=photo.dtype, shape=photo.shape
                    )
                )
            return resize_image(photo, self)
        if isinstance(photo, bytes):
            return load_image(photo, self, limits)
        if isinstance(photo, PillowImage):
            return resize_image(convert_image(photo, self.depths, is_managed=self.is_managed), self)
        try:
            return load_image(Path(photo).read_bytes(), self, limits)
        except OSError as exc:
            raise ImageError(_("cannot be read: {strerror}").format(strerror=exc.strerror), path=photo) from exc
        except ImageError as exc:
            exc.path = str(photo)
            raise

    def to_json(self) -> dict[str, Any]:
        """A dict that `from_json` reads back."""
        return {
            "image_size": list(self.image_size),
            "channels": self.channels,
            "interpolation": "bicubic",
            "decoder": self.decoder,
            "depths": self.depths.to_json(),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "PreprocessSpec":
        """The spec that `to_json` wrote, in this version or in an earlier one, which stated no decoder.

        Raises:
            KeyError, TypeError, ValueError: the dict is not one that `to_json` wrote.
        """
        height, width = (whole_of(side, 1, MAX_SIDE) for side in value["image_size"])
        decoder = whole_of(value.get("decoder", 2))
        is_known = value["channels"] in (1, 3) and value["interpolation"] == "bicubic" and decoder in _DECODERS
        if not is_known:
            raise ValueError(f"unknown preprocessing {short_repr(value)}")
        depths = SampleDepths.from_json(value.get("depths", {}))
        return cls((height, width), 3 if value["channels"] == 3 else 1, decoder, depths)


def resize_image(image: _PIXELS, spec: PreprocessSpec) -> _PIXELS:
    """The image at the size and with the channels of `spec`, bicubic.

    OpenCV's bicubic kernel looks at 4x4 pixels whatever the reduction. So a photo that is at least twice as large is
    first reduced by averaging blocks of pixels, each direction by its own whole factor, which keeps fine texture from
    turning into noise. Decoder 2 took the smaller factor for both.

    Args:
        image: uint8 RGB, shape `(height, width, 3)`; not modified.

    Returns:
        uint8, shape `spec.shape`.
    """
    height, width = spec.image_size
    resized: cv2.typing.MatLike = image
    rows, columns = max(1, image.shape[0] // height), max(1, image.shape[1] // width)
    if spec.decoder < 3:
        rows = columns = min(rows, columns)
    if max(rows, columns) >= 2:
        reduced_size = (image.shape[1] // columns, image.shape[0] // rows)
        resized = cv2.resize(resized, reduced_size, interpolation=cv2.INTER_AREA)
    if resized.shape[:2] != spec.image_size:
        resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_CUBIC)
    if spec.channels == 1:
        resized = cv2.cvtColor(resized, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis]
    return as_own(resized.astype(np.uint8, copy=False))


def load_image(data: bytes, spec: PreprocessSpec, limits: ImageLimits) -> _PIXELS:
    """The photo in `data`, decoded and resized: uint8, shape `spec.shape`.

    Raises:
        ImageError: the bytes are not a photo that can be used.
    """
    (decoded,) = decode_for_each(data, limits, [spec.image_size], spec.depths, is_managed=spec.is_managed)
    return resize_image(decoded.image, spec)


def shrink_image(image: _PIXELS, longest_side: int) -> _PIXELS:
    """The image at its own shape with at most `longest_side` pixels a side, by averaging; a small one as it is.

    Args:
        image: uint8, shape `(height, width)` or `(height, width, channels)`; not modified.
        longest_side: in pixels.
    """
    factor = max(image.shape[:2]) / longest_side
    if factor <= 1:
        return image
    size = (max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def encode_thumbnail(image: _PIXELS) -> bytes:
    """A JPEG file of the image with at most `THUMBNAIL_LONGEST_SIDE` pixels a side.

    Args:
        image: uint8 RGB, shape `(height, width, 3)`; not modified.
    """
    small = cv2.cvtColor(shrink_image(image, THUMBNAIL_LONGEST_SIDE), cv2.COLOR_RGB2BGR)
    is_encoded, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY])
    assert is_encoded
    return data.tobytes()


def encode_webp(image: _PIXELS, longest_side: int, quality: int) -> bytes:
    """A WebP file of the image, for a browser.

    Args:
        image: uint8 RGB, shape `(height, width, 3)`; not modified.
        longest_side: in pixels, at most; a smaller image keeps its size.
        quality: from 1 to 100.
    """
    small = cv2.cvtColor(shrink_image(image, longest_side), cv2.COLOR_RGB2BGR)
    is_encoded, data = cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert is_encoded
    return data.tobytes()


def encode_png(image: _PIXELS) -> bytes:
    """A PNG file of the image, which loses nothing.

    Args:
        image: uint8 RGB, shape `(height, width, 3)`; not modified.
    """
    is_encoded, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert is_encoded
    return data.tobytes()


def decode_thumbnail(data: bytes) -> _PIXELS:
    """The image that `encode_thumbnail` made `data` of: uint8 RGB, shape `(height, width, 3)`."""
    return decode_image(data)


def format_size(image_size: tuple[int, int]) -> str:
    """A `(height, width)` in pixels as people read it, width first: `(480, 640)` is `640x480`."""
    return f"{image_size[1]}x{image_size[0]}"
