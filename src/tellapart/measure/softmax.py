"""Logits to probabilities, at a temperature: one function for heads, calibration and finished models. NumPy alone."""

import numpy as np
from numpy.typing import NDArray

_FLOATS = NDArray[np.float32] | NDArray[np.float64]


def softmax(logits: _FLOATS, temperature: float = 1.0) -> NDArray[np.float32]:
    """`exp(logits / temperature)`, each row divided by its sum: float32, shape `(n, num_classes)`.

    Args:
        logits: finite, shape `(n, num_classes)`; not modified.
        temperature: above 0; above 1 makes every row less sure (Guo et al. 2017, equation 9).
    """
    divided = np.asarray(logits, np.float64) / temperature
    powers = np.exp(divided - divided.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def temper(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """What `softmax` would have given at this temperature: float32, shape `(n, num_classes)`.

    Args:
        probabilities: rows that sum to 1; not modified, and given back as they are where the temperature is 1.
        temperature: as for `softmax`.
    """
    return probabilities if temperature == 1.0 else softmax(to_logits(probabilities), temperature)


def to_logits(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits that `softmax` turns into these probabilities; 0 counts as the smallest float32."""
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
