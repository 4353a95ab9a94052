"""Images to embeddings with ONNX Runtime: what a frozen backbone sees in each photo, as one vector.

Where backbones come from is `backbones/backbone.py`'s, reading photos and keeping embeddings `photo_pass.py`'s.
"""

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.backbone import Backbone, open_backbone
from tellapart.backbones.onnx_session import ORT_ERRORS, open_session, refused, signature
from tellapart.cache.cache_folder import backbones_dir, cache_root
from tellapart.errors import BundleError
from tellapart.images.preprocess import DECODER_VERSION, PreprocessSpec
from tellapart.store import sha256_hex
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop
from tellapart.watcher import Watcher

_EMBEDDING_NAME = "embedding"
_WHAT_TO_DO = gettext_noop("Give another `backbone`")


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
        self._session = open_session(model, 1, f"`backbone` {shown_name!r}", _(_WHAT_TO_DO))
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
            raise refused(
                _("`backbone` {shown_name!r} fails on a batch of photos").format(shown_name=self._shown_name),
                exc,
                _(_WHAT_TO_DO),
            ) from exc
        embeddings = np.asarray(raw, np.float32)
        if embeddings.ndim != 2 or len(embeddings) != len(images) or not np.isfinite(embeddings).all():
            found = (
                _("`backbone` {name!r} gives numbers that are not finite. {what_to_do}.")
                if embeddings.ndim == 2
                else _(
                    "`backbone` {name!r} gives an array of shape {shape} for {num} photos, not a vector for each. "
                    "{what_to_do}."
                )
            )
            raise BundleError(
                found.format(name=self._shown_name, shape=embeddings.shape, num=len(images), what_to_do=_(_WHAT_TO_DO))
            )
        return embeddings

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
                _(
                    "`backbone` {name!r} is {found}. It must be uint8 (batch, {height}, {width}, {channels}) -> "
                    "float {output} (batch, size). {what_to_do}."
                ).format(
                    name=self._shown_name,
                    found=f"{signature(inputs)} -> {signature(outputs)}",
                    height=height,
                    width=width,
                    channels=channels,
                    output=_EMBEDDING_NAME,
                    what_to_do=_(_WHAT_TO_DO),
                )
            )


@dataclass(frozen=True)
class OpenBackbone:
    """A backbone, and what embeds with it."""

    backbone: Backbone
    embedder: Embedder


def start_backbone(name: str, cache_dir: str | None, watcher: Watcher) -> OpenBackbone:
    """The backbone of that name, found in the cache, exported or downloaded, and ready to embed.

    Raises:
        ConfigError, BundleError, DependencyError: it cannot be had, or does not run.
    """
    backbone = open_backbone(name, backbones_dir(cache_root(cache_dir)))
    for note in backbone.notes:
        watcher.on_note(note)
    return OpenBackbone(backbone, Embedder(backbone.model, backbone.image_size, backbone.name))
