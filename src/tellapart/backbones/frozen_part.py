"""The part of a built-in network that stays as it is when the rest is fine-tuned: images to features, once a view.

Its last block is the last that halves the places, so that what comes out is small: 7x7 places for 224 pixels. It has no
block at all where everything is trained. The rest of the network is `training/trained_part.py`'s.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.efficientnet_lite import (
    Tensors,
    add_mirrored_view,
    build_efficientnet_lite,
    build_first_blocks,
)
from tellapart.backbones.onnx_session import open_session
from tellapart.backbones.pretrained import PackagedBackbone, read_weights
from tellapart.networks.onnx_nodes import FEATURES_NAME, INPUT_NAME
from tellapart.store import sha256_hex


class FrozenPart:
    """The first blocks of a built-in network, ready to run; may be used from several threads.

    Args:
        packaged: the network.
        is_empty: there are no such blocks, and the features of an image are its pixels.

    Attributes:
        packaged: the network.
        tensors: its published weights, name to array; not to be changed.
        key: changes with what the features of an image of this size are.
        shape, dtype: of the features of an image; `(h, w, channels)`.

    Raises:
        DependencyError, BundleError: its weights cannot be had.
    """

    def __init__(self, packaged: PackagedBackbone, *, is_empty: bool = False) -> None:
        self.packaged = packaged
        self.tensors: Tensors = read_weights(packaged)
        self._session, self.key = None, "pixels"
        if not is_empty:
            model = build_first_blocks(self.tensors, packaged.image_size)
            self._session, self.key = open_session(model, 1), sha256_hex(model)
        of_one = self.features(np.zeros((1, *packaged.image_size, 3), np.uint8))
        self.shape: tuple[int, int, int] = of_one.shape[1:]
        self.dtype: np.dtype[Any] = of_one.dtype

    def features(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Features, float16 or those of pixels, shape `(n, *shape)`.

        Args:
            images: uint8, shape `(n, height, width, 3)`; not modified.
        """
        if self._session is None:
            return images
        (raw,) = self._session.run([FEATURES_NAME], {INPUT_NAME: images})
        return np.ascontiguousarray(np.asarray(raw).transpose(0, 2, 3, 1), np.float16)

    def build_with(self, trained: Tensors) -> bytes:
        """The whole network as `open_backbone` gives it, with these tensors in place of its own.

        Args:
            trained: name to array, of the shapes that the network has.
        """
        model = build_efficientnet_lite({**self.tensors, **trained}, self.packaged.image_size)
        return add_mirrored_view(model) if self.packaged.is_mirrored else model
