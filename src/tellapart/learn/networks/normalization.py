"""Batch normalisation that trains fast on PyTorch: the same layer as Keras' own, with the same weights."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tellapart.learn.backend import DataFormat, keras

_thread = threading.local()


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras' layer with one fused operation for the statistics, the scaling and their gradients on PyTorch.

    Keras writes them as eleven operations over the whole batch of features. On another backend, and outside training,
    it is Keras' own layer. The moving variance follows Keras: that of the batch, not the unbiased estimate.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalised features, of the same shape and type."""
        if not training or not self.trainable or keras.backend.backend() != "torch":
            return super().call(inputs, training=training, mask=mask)
        import torch

        scale, offset = (None if weight is None else weight.value for weight in (self.gamma, self.beta))
        outputs, mean, inverse = torch.native_batch_norm(inputs, scale, offset, None, None, True, 0.0, self.epsilon)
        if not getattr(_thread, "keeps", False):
            with torch.no_grad():
                variance = inverse.pow(-2) - self.epsilon
                for moving, value in ((self.moving_mean.value, mean), (self.moving_variance.value, variance)):
                    moving.lerp_(value, 1 - self.momentum)
        return outputs


@contextmanager
def moving_averages_kept(keeps: bool) -> Iterator[None]:
    """While it is open, the layers above leave their moving averages as they are, in this thread, if `keeps`."""
    _thread.keeps = keeps
    try:
        yield
    finally:
        _thread.keeps = False


def batch_norm(data_format: DataFormat, **settings: Any) -> keras.layers.BatchNormalization:
    """The layer for features in this format; `channels_last` is what leaves tellapart, and is Keras' own."""
    if data_format == "channels_first":
        return FusedBatchNormalization(axis=1, **settings)
    return keras.layers.BatchNormalization(axis=-1, **settings)
