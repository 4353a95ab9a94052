"""The part of a built-in network that stays as it is when the rest is fine-tuned: images to features, once a view.

Its last block is the last that halves the places, so that what comes out is small: 7x7 places for 224 pixels. The rest
of the network is `training/last_blocks.py`'s.
"""

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


class FirstBlocks:
    """The first blocks of a built-in network, ready to run; may be used from several threads.

    Args:
        packaged: the network.

    Attributes:
        packaged: the network.
        tensors: its published weights, name to array; not to be changed.
        key: 64 hexadecimal digits that change with the network and the size of its images.
        shape: `(h, w, channels)` of the features of an image.

    Raises:
        DependencyError, BundleError: its weights cannot be had.
    """

    def __init__(self, packaged: PackagedBackbone) -> None:
        self.packaged = packaged
        self.tensors: Tensors = read_weights(packaged)
        model = build_first_blocks(self.tensors, packaged.image_size)
        self.key = sha256_hex(model)
        self._session = open_session(model, 1)
        self.shape: tuple[int, int, int] = self.features(np.zeros((1, *packaged.image_size, 3), np.uint8)).shape[1:]

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Features, float16, shape `(n, *shape)`, of images, uint8, shape `(n, height, width, 3)`."""
        (raw,) = self._session.run([FEATURES_NAME], {INPUT_NAME: images})
        return np.ascontiguousarray(np.asarray(raw).transpose(0, 2, 3, 1), np.float16)

    def build_with(self, trained: Tensors) -> bytes:
        """The whole network as `open_backbone` gives it, with these tensors in place of its own.

        Args:
            trained: name to array, of the shapes that the network has.
        """
        model = build_efficientnet_lite({**self.tensors, **trained}, self.packaged.image_size)
        return add_mirrored_view(model) if self.packaged.is_mirrored else model
