"""Photos to embeddings with ONNX Runtime: what a frozen backbone sees in each photo, as one vector.

Where backbones come from is `backbones/backbone.py`'s, keeping embeddings `embedding_cache.py`'s.
"""

import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.onnx_session import ORT_ERRORS, open_session, refused, signature
from tellapart.errors import BundleError
from tellapart.images.preprocess import DECODER_VERSION, PreprocessSpec, load_image
from tellapart.photos.loading import map_images
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped
from tellapart.store import sha256_hex

_EMBEDDING_NAME = "embedding"
_WHAT_TO_DO = "pass another --backbone"
# Photos a thread embeds at once. EfficientNet-Lite0 with two threads: 172 photos/s with 2, 167 with 4, 164 with 8, 161
# with 32 at once; with one batch of 32 over both cores 157 (2 cores, medians of 4 turns, 2026-11-24).
_BATCH_SIZE = 2


class Embedder:
    """A backbone made ready to embed; may be used from several threads.

    Args:
        model: a backbone as ONNX bytes: one input `image`, uint8 `(batch, height, width, 3)`; an output `embedding`,
            float32 `(batch, embedding_size)`.
        image_size: `(height, width)` that the backbone takes, in pixels.
        shown_name: what the user calls the backbone.

    Attributes:
        preprocess: what a photo is turned into before the backbone.
        key: 64 hexadecimal digits that change with the backbone and with the preprocessing.
        embedding_size: length of the vector of a photo.

    Raises:
        BundleError: the backbone does not run.
    """

    def __init__(self, model: bytes, image_size: tuple[int, int], shown_name: str) -> None:
        self.preprocess = PreprocessSpec(image_size)
        identity = [sha256_hex(model), self.preprocess.to_json(), DECODER_VERSION]
        self.key = sha256_hex(json.dumps(identity).encode())
        self._shown_name = shown_name
        # One thread a call: the photos of a batch are decoded and embedded by the same thread, with as many batches
        # under way as there are cores.
        self._session = open_session(model, 1, f"--backbone {shown_name!r}", _WHAT_TO_DO)
        self._input_name = self._session.get_inputs()[0].name
        self._check_signature()
        probe = self.embed(np.zeros((1, *self.preprocess.shape), np.uint8))
        self.embedding_size = int(probe.shape[1])

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings, float32, shape `(n, embedding_size)`, of images, uint8, shape `(n, *preprocess.shape)`.

        Raises:
            BundleError: the backbone fails, or gives numbers that are not finite.
        """
        try:
            (raw,) = self._session.run([_EMBEDDING_NAME], {self._input_name: images})
        except ORT_ERRORS as exc:
            raise refused(f"--backbone {self._shown_name!r} fails on a batch of photos", exc, _WHAT_TO_DO) from exc
        embeddings = np.asarray(raw, np.float32)
        if embeddings.ndim != 2 or len(embeddings) != len(images) or not np.isfinite(embeddings).all():
            found = "numbers that are not finite" if embeddings.ndim == 2 else f"an array of shape {embeddings.shape}"
            raise BundleError(
                f"--backbone {self._shown_name!r} gives {found} for {len(images)} photos; accepted is one finite vector"
                " a photo. Pass another --backbone."
            )
        return embeddings

    def stream(self, photos: PhotoSet) -> Iterator[NDArray[np.float32] | Skipped]:
        """One item for each of `photos.paths`, in order: its embedding, or why there is none; in bounded memory."""
        return map_images(
            photos.paths,
            lambda row: load_image(photos.read(row), self.preprocess, photos.limits),
            self.embed,
            _BATCH_SIZE,
        )

    def _check_signature(self) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        fits_input = (
            len(inputs) == 1
            and inputs[0].type == "tensor(uint8)"
            and tuple(inputs[0].shape[1:]) == self.preprocess.shape
            and not isinstance(inputs[0].shape[0], int)
        )
        if not fits_input or _EMBEDDING_NAME not in [output.name for output in outputs]:
            height, width, channels = self.preprocess.shape
            raise BundleError(
                f"--backbone {self._shown_name!r} is {signature(inputs)} -> {signature(outputs)}; accepted is uint8 "
                f"(batch, {height}, {width}, {channels}) -> float {_EMBEDDING_NAME} (batch, size). Pass another "
                "--backbone."
            )
