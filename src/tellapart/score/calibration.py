"""How sure a model may sound: the log-loss of each photo, and the one temperature that makes logits honest.

Called by `learn/` on logits of photos that the model did not learn from; writes and draws nothing.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-3, 1e3
_FLOATS = NDArray[np.float32] | NDArray[np.float64]


def log_loss_terms(logits: _FLOATS, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each photo adds to the log-loss, `-log softmax(logits)[label]` in nats: float64, shape `(n,)`.

    Args:
        logits: finite, shape `(n, num_classes)`; not modified.
        labels: ints in `[0, num_classes)`, shape `(n,)`.
    """
    shares = log_softmax(np.asarray(logits, np.float64), axis=1)
    # A maximum of 0 hides the -0.0 of a photo that is certain.
    return np.maximum(0.0, -shares[np.arange(len(labels)), labels])


def fit_temperature(logits: _FLOATS, labels: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> float:
    """The temperature T in `[0.05, 20]` at which `softmax(logits / T)` has the least log-loss (Guo et al. 2017, 4.2).

    Few photos are easily all right, which would ask for T = 0, a model that is never in doubt. So each photo counts as
    right with `(n + 1) / (n + 2)` and as each other class with an equal share of the rest: as if one more photo had
    been wrong (Platt 1999, section 2.2, over all classes, for T is one number for all). From hundreds of photos on that
    changes nothing worth mentioning. Without photos, or where the logits tell no classes apart, T is 1.

    Args:
        logits: finite, of photos the model did not learn from, shape `(n, num_classes)` with at least 2 classes; not
            modified.
        labels: ints in `[0, num_classes)`, shape `(n,)`.
        weights: how much each photo counts, at least 0, shape `(n,)`; `None` counts all alike.
    """
    num_photos, num_classes = logits.shape
    centred = np.asarray(logits, np.float64)
    centred = centred - centred.mean(axis=1, keepdims=True)
    if not np.any(centred):
        return 1.0
    doubt = 1 / (num_photos + 2)
    # The logits of a row sum to 0, so those of the other classes sum to minus that of the label.
    right = centred[np.arange(num_photos), labels]
    expected = (1 - doubt) * right - doubt / (num_classes - 1) * right

    def mean_loss(log_temperature: float) -> float:
        sharpness = math.exp(-log_temperature)
        return float(np.average(logsumexp(centred * sharpness, axis=1) - expected * sharpness, weights=weights))

    # Convex in 1/T (Boyd and Vandenberghe 2004, 3.1.5), so with one minimum along log T too.
    bounds = (math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE))
    return math.exp(minimize_scalar(mean_loss, bounds=bounds, method="bounded", options={"xatol": 1e-4}).x)
