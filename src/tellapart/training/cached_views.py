"""The views of each photo that fine-tuning learns from: drawn once, by the content of the photo, and kept as features.

The first view is the whole photo, the second its mirror image. The others are crops, every other one mirrored. What the
frozen part of the network makes of them is kept in the cache by network, size and number of views.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.frozen_part import FrozenPart
from tellapart.cache.decoded_cache import StoredForm
from tellapart.config import CropConfig
from tellapart.randomness import named_generator
from tellapart.training.random_crops import draw_views, make_views

# Milder than in a training from scratch, for the network knows how things look from near and in any light.
_CROPS = CropConfig(least_area=0.5, rotation_degrees=10.0, colour=0.2, erase=0.0)
# A photo is seen again in the same view after so many times as it has views; more views cost time before the training.
_FEWEST, _MOST = 2, 8
_VIEWS_IN_ALL, _VIEWS_A_MINUTE = 16_000, 2_000
# Raised when views are drawn in another way, so that kept features are not used.
_VERSION = 1


def choose_num_views(num_photos: int, minutes: float | None) -> int:
    """Views of each photo: the more, the fewer photos there are and the more time.

    Args:
        num_photos: at least 1.
        minutes: of the whole training; `None` where it has no limit.
    """
    in_all = _VIEWS_IN_ALL if minutes is None else min(_VIEWS_IN_ALL, _VIEWS_A_MINUTE * minutes)
    return int(np.clip(in_all // num_photos, _FEWEST, _MOST))


def draw_photo_views(digest: str, image: NDArray[np.uint8], num_views: int, flip: bool) -> NDArray[np.uint8]:
    """The views of one photo, uint8, shape `(num_views, *image.shape)`.

    Args:
        digest: content of the photo, hexadecimal; decides the crops.
        image: uint8, shape `(height, width, 3)`; not modified.
        num_views: at least 2.
        flip: whether every other crop is mirrored left to right, as the second view always is.
    """
    whole = np.stack([image, image[:, ::-1]])
    number = num_views - len(whole)
    if number == 0:
        return whole
    is_mirrored = flip & (np.arange(number) % 2 == 1)
    generator = named_generator(0, "views of a photo", int(digest[:16], 16))
    size = (image.shape[0], image.shape[1])
    views = draw_views(_CROPS, is_mirrored, (size, size), generator)
    return np.concatenate([whole, make_views(np.stack([image] * number), views, size, in_colour=True)])


def views_form(frozen: FrozenPart, num_views: int, flip: bool) -> StoredForm:
    """What is kept of a photo: features of its views, `frozen.dtype`, shape `(num_views, *frozen.shape)`."""

    def make(digest: str, image: NDArray[np.uint8]) -> NDArray[Any]:
        return frozen.features(draw_photo_views(digest, image, num_views, flip))

    name = f"views {_VERSION}, {num_views}, {flip}, {sorted(asdict(_CROPS).items())}, {frozen.key}"
    return StoredForm(name, (num_views, *frozen.shape), frozen.dtype, make)
