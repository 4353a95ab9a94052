"""Linear classifiers of embeddings: nearest class mean, shrinkage LDA, multinomial logistic regression.

Each fit is arrays in, `LinearModel` out. Which of them to use for a head is chosen in `heads/head.py`.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

# What the mean distance between two classes is made to count, in nats. For the nearest mean: a photo that lies at the
# mean of its class, with all others at that distance, gets a probability of 0.95. LDA is surer, for it knows the
# directions that tell the classes apart; with this number its temperatures come out near 1.
_PROBABILITY_AT_MEAN = 0.95
_LDA_MARGIN = 8.0
# Keeps the covariance invertible where the photos of each class are all alike, as a share of the mean total variance.
_LEAST_VARIANCE = 1e-4
# Photos from which the length of residuals is estimated, and the least that is left of 1 without a photo's own part.
_NUM_RESIDUALS = 250
_LEAST_LEFT = 1e-3
# Logistic regression stops where no slope of the mean loss is steeper, or after so many steps.
_TOLERANCE = 1e-5
_MAX_STEPS = 200


@dataclass(frozen=True)
class LinearModel:
    """`logits(vectors) = vectors @ weights + bias`; float64, shapes `(size, num_classes)` and `(num_classes,)`."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32, shape `(n, num_classes)`."""
        return vectors @ self.weights.astype(np.float32) + self.bias.astype(np.float32)

    def over(self, temperature: float) -> "LinearModel":
        """The model whose logits are these divided by `temperature`."""
        return LinearModel(self.weights / temperature, self.bias / temperature)


def average(models: Sequence[LinearModel]) -> LinearModel:
    """The model whose logits are the mean of those of `models`, at least one."""
    weights = np.mean([model.weights for model in models], axis=0)
    return LinearModel(weights, np.mean([model.bias for model in models], axis=0))


@dataclass(frozen=True)
class Examples:
    """What a model is fitted to.

    Attributes:
        vectors: float32, shape `(n, size)`, about centred, with a mean squared length of about 1.
        labels: int64 in `[0, num_classes)`, shape `(n,)`, every class at least once.
        num_classes: at least 2.
        num_features: length of the embeddings before `Coordinates` shortened them.
        class_weights: how much a photo of each class counts, shape `(num_classes,)`; `None` counts all alike.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    num_classes: int
    num_features: int
    class_weights: NDArray[np.float64] | None

    def take(self, rows: NDArray[np.bool_]) -> "Examples":
        """Those of the rows that are true."""
        return replace(self, vectors=self.vectors[rows], labels=self.labels[rows])

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """How much each photo counts, shape `(n,)`."""
        return None if self.class_weights is None else self.class_weights[self.labels]


class Coordinates:
    """Where the fits see the embeddings: centred, of mean squared length 1, in no more dimensions than photos.

    All features share one scale. Scaling each to unit variance instead makes noise as loud as what tells classes apart
    when photos are few: with 10 cats and 10 dogs, EfficientNet-Lite0 gave an accuracy of 0.949 that way and of 0.973
    with one scale (means over 10 seeds, spread 0.010).

    With fewer photos than features the embeddings are rotated into the space they span, which changes nothing: there
    the penalised weights lie anyway, and lengths and angles stay (QR of the transpose).

    Args:
        embeddings: float32, shape `(n, num_features)`, finite, not all the same; not modified.
    """

    def __init__(self, embeddings: NDArray[np.float32]) -> None:
        self._mean = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
        vectors = embeddings - self._mean
        self._scale = 1 / math.sqrt(np.einsum("ij,ij->", vectors, vectors, dtype=np.float64) / len(vectors))
        vectors *= np.float32(self._scale)
        self._basis: NDArray[np.float32] | None = None
        if len(embeddings) < embeddings.shape[1]:
            self._basis, lengths = np.linalg.qr(vectors.T)
            vectors = np.ascontiguousarray(lengths.T)
        self.vectors: NDArray[np.float32] = vectors

    def to_embeddings(self, model: LinearModel) -> LinearModel:
        """The same model for embeddings instead of `vectors`."""
        weights = model.weights if self._basis is None else self._basis.astype(np.float64) @ model.weights
        weights = weights * self._scale
        return LinearModel(weights, model.bias - self._mean.astype(np.float64) @ weights)


def fit_nearest_mean(examples: Examples) -> LinearModel:
    """The class whose mean is nearest: `w_k = mu_k`, `b_k = -|mu_k|^2 / 2`, at a scale that one photo a class allows.

    The mean of a class with fewer photos is off by more, so everything is further from it; that is taken off where some
    class shows how much photos of one class differ.
    """
    means, counts = _class_means(examples)
    spread = np.square(examples.vectors - means[examples.labels]).sum() / max(len(examples.labels) - len(counts), 1)
    directions = means.T.astype(np.float64)
    margin = math.log(_PROBABILITY_AT_MEAN / (1 - _PROBABILITY_AT_MEAN) * (examples.num_classes - 1))
    return _from_means(means, directions, spread / counts, margin)


def fit_lda(
    examples: Examples, shrinkages: Sequence[float | None], products: NDArray[np.float64] | None = None
) -> list[LinearModel]:
    """Linear discriminant analysis, one model for each shrinkage of the covariance within classes.

    The covariance is pooled over the classes and pulled towards a multiple of the identity. scikit-learn's
    `LinearDiscriminantAnalysis(shrinkage="auto")` estimates one for each class instead, from its few photos alone, and
    then averages: 1,000 classes of 4 photos take 1,000 estimates of 1,280 x 1,280 numbers.

    The mean of a class with few photos is off by more than that of one with many, which makes every photo seem further
    from the rare class; what chance adds to the squared length of each mean is therefore taken off it. With 90 cats and
    3 dogs that raised the share of dogs found from 0.43 to 0.76 (EfficientNet-Lite0, means over 10 seeds).

    Args:
        examples: with class weights all classes are taken to be equally frequent, else as frequent as here.
        shrinkages: each from above 0 to 1, or `None` for what Ledoit and Wolf (2004) estimate.
        products: `vectors.T @ vectors`, where it is known already; not modified.
    """
    means, counts = _class_means(examples)
    residuals = examples.vectors - means[examples.labels]
    if products is None:
        within = (residuals.T @ residuals).astype(np.float64)
    else:
        exact = means.astype(np.float64)
        within = products - (exact.T * counts) @ exact
    covariance = within / len(residuals)
    estimated = ledoit_wolf(residuals, covariance, examples.num_features) if None in shrinkages else 1.0
    mean_variance = float(np.trace(covariance)) / examples.num_features
    least = _LEAST_VARIANCE / examples.num_features
    log_priors = np.zeros(len(counts)) if examples.class_weights is not None else np.log(counts / counts.sum())
    # A residual is short of its share, for the photo has drawn the mean of its class towards itself.
    spare = len(residuals) / max(len(residuals) - len(counts), 1)
    models = []
    for shrinkage in (estimated if wanted is None else wanted for wanted in shrinkages):
        shrunk = (1 - shrinkage) * covariance
        shrunk[np.diag_indices_from(shrunk)] += shrinkage * mean_variance + least
        factor = cho_factor(shrunk, overwrite_a=True, check_finite=False)
        directions = cho_solve(factor, means.T.astype(np.float64), check_finite=False)
        excess = spare * _mean_length(factor, residuals, (1 - shrinkage) / len(residuals)) / counts
        model = _from_means(means, directions, excess, _LDA_MARGIN)
        models.append(replace(model, bias=model.bias + log_priors))
    return models


def ledoit_wolf(residuals: NDArray[np.float32], covariance: NDArray[np.float64], num_features: int) -> float:
    """The shrinkage in `[0, 1]` that Ledoit and Wolf (2004) estimate (lemmas 3.1 to 3.4).

    The same number as `sklearn.covariance.ledoit_wolf_shrinkage`, which would multiply the matrices twice more: the
    sum over all pairs of features of `sum_i x_ij^2 x_ik^2` is `sum_i |x_i|^4`.

    Args:
        residuals: shape `(n, size)`, of mean 0.
        covariance: `residuals.T @ residuals / n`.
        num_features: at least `size`: dimensions of the space that the residuals were rotated out of.
    """
    num_photos = len(residuals)
    mean_variance = float(np.trace(covariance)) / num_features
    squared = float(np.square(covariance).sum())
    distance = squared / num_features - mean_variance**2
    fourth_powers = float(np.square(np.square(residuals, dtype=np.float64).sum(axis=1)).sum())
    noise = (fourth_powers / num_photos - squared) / (num_features * num_photos)
    return min(max(noise / distance, 0.0), 1.0) if distance > 0 else 1.0


@contextmanager
def unfinished_fits_accepted() -> Iterator[None]:
    """A stretch in which a fit that stopped after the most steps is no reason for a warning.

    It is judged like any other, on photos it has not seen. To be entered before threads begin to fit, for what is
    ignored is a setting of the whole process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


class LogisticPath:
    """Multinomial logistic regressions of the same examples under less and less penalty, each begun at the last."""

    def __init__(self) -> None:
        self._model = LogisticRegression(warm_start=True, tol=_TOLERANCE, max_iter=_MAX_STEPS)

    def fit(self, examples: Examples, inverse_penalty: float) -> LinearModel:
        """The weights of least `|weights|^2 / 2 + inverse_penalty * sum of log-losses`.

        Args:
            examples: the same at every call.
            inverse_penalty: scikit-learn's C, above 0, for vectors of mean squared length 1.
        """
        self._model.set_params(C=inverse_penalty)
        self._model.fit(examples.vectors, examples.labels, sample_weight=examples.weights)
        weights = np.asarray(self._model.coef_, np.float64).T
        bias = np.asarray(self._model.intercept_, np.float64)
        if weights.shape[1] == 1:
            # For two classes scikit-learn gives the difference of their logits.
            return LinearModel(np.hstack([-weights, weights]) / 2, np.hstack([-bias, bias]) / 2)
        return LinearModel(weights, bias)


def _class_means(examples: Examples) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Means, shape `(num_classes, size)`, and photos of each class."""
    counts = np.bincount(examples.labels, minlength=examples.num_classes)
    order = np.argsort(examples.labels, kind="stable")
    starts = np.cumsum(counts) - counts
    sums = np.add.reduceat(examples.vectors[order], starts, axis=0, dtype=np.float64)
    return (sums / counts[:, np.newaxis]).astype(np.float32), counts


def _from_means(
    means: NDArray[np.float32], directions: NDArray[np.float64], excess: NDArray[np.float64], margin: float
) -> LinearModel:
    """The model of the nearest mean under the metric that turned the means into `directions`, at the scale `margin`.

    Args:
        means: shape `(num_classes, size)`.
        directions: the metric times the means, shape `(size, num_classes)`.
        excess: what the squared length of each mean owes to chance, shape `(num_classes,)`.
        margin: what half the mean squared distance between two means becomes.
    """
    products = means.astype(np.float64) @ directions
    num_classes = len(means)
    distance = (num_classes * np.trace(products) - products.sum()) / (num_classes * (num_classes - 1))
    scale = margin / distance if distance > 0 else 1.0
    return LinearModel(directions * scale, (excess - np.diag(products)) / 2 * scale)


def _mean_length(factor: tuple[NDArray[np.float64], bool], residuals: NDArray[np.float32], own_share: float) -> float:
    """The mean of `e' A^-1 e` over the photos' residuals e, each with its own part taken out of the covariance A.

    That is how far a photo lies from the mean of its class under the metric of A, and so `1 / n` of it is how far the
    mean of n photos lies from where it would be with very many (Sherman and Morrison 1950 for taking a photo out).

    Args:
        factor: the Cholesky factor of A.
        residuals: shape `(n, size)`; some hundred of them, evenly spaced, are looked at.
        own_share: A contains `own_share * e e'` of each photo.
    """
    some = residuals[:: max(1, len(residuals) // _NUM_RESIDUALS)].T.astype(np.float64)
    lengths = (some * cho_solve(factor, some, check_finite=False)).sum(axis=0)
    return float((lengths / np.maximum(1 - own_share * lengths, _LEAST_LEFT)).mean())
