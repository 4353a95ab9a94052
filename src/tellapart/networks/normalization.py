"""Batch normalisation that trains fast on PyTorch: the same layer as Keras' own, with the same weights."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tellapart.networks.backend import DataFormat, keras

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
        return self.training_call()(inputs)

    def training_call(self) -> Callable[[Any], Any]:
        """What the layer does in training on PyTorch, a tensor for a tensor; it holds the built layer's weights."""
        import torch

        scale, offset = (None if weight is None else weight.value for weight in (self.gamma, self.beta))
        moving_mean, moving_variance = self.moving_mean.value, self.moving_variance.value
        epsilon, share = self.epsilon, 1 - self.momentum

        def call(inputs: torch.Tensor) -> torch.Tensor:
            outputs, mean, inverse = torch.native_batch_norm(inputs, scale, offset, None, None, True, 0.0, epsilon)
            if not getattr(_thread, "keeps", False):
                with torch.no_grad():
                    moving_mean.lerp_(mean, share)
                    moving_variance.lerp_(inverse.pow(-2) - epsilon, share)
            return outputs

        return call


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
