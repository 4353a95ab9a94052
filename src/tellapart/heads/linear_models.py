"""Linear classifiers of embeddings: nearest class mean, shrinkage LDA, multinomial logistic regression.

Which of them a head is made of is chosen in `heads/head.py`.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tellapart.heads.embedding_rows import EmbeddingRows, Embeddings
from tellapart.randomness import named_generator

NEAREST_MEAN, LDA, LOGISTIC = "nearest mean", "LDA", "logistic regression"
# What lengths are at least.
TINY = 1e-12
# Photos that the main directions are read off.
_MOST_FOR_DIRECTIONS = 4_000
# A photo that lies at the mean of its class, with all others at the mean distance, gets this probability.
_PROBABILITY_AT_MEAN = 0.95
# The least variance in any direction, as a share of the mean over all directions.
_LEAST_VARIANCE = 1e-4
# Logistic regression stops where no slope of the mean loss is steeper, or after so many steps.
_TOLERANCE = 1e-4
_MAX_STEPS = 200
_FLOATS = NDArray[np.float32]


def to_unit_length(embeddings: _FLOATS) -> _FLOATS:
    """Each embedding divided by its length, float32, shape `(n, size)`; zeros stay zeros."""
    return np.asarray(embeddings / _lengths(embeddings), np.float32)


def even_out_lengths(embeddings: _FLOATS) -> _FLOATS:
    """Each embedding divided by the square root of its length, float32, shape `(n, size)`: half-way to unit length.

    With few photos a class heads on embeddings of unit length are better, with many those on embeddings as they are;
    these are as good as the better of the two (docs/decisions/006-the-head-on-embeddings.md).
    """
    return np.asarray(embeddings / np.sqrt(_lengths(embeddings)), np.float32)


def _lengths(embeddings: _FLOATS) -> _FLOATS:
    lengths = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64))[:, np.newaxis]
    return np.asarray(np.maximum(lengths, TINY), np.float32)


@dataclass(frozen=True)
class LinearModel:
    """`logits(vectors) = vectors @ weights + bias`, where `vectors` are embeddings whose lengths are evened out.

    Attributes:
        weights, bias: float64, shapes `(size, num_classes)` and `(num_classes,)`.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, vectors: Embeddings) -> _FLOATS:
        """Float32, shape `(n, num_classes)`."""
        weights, bias = self.weights.astype(np.float32), self.bias.astype(np.float32)
        logits = np.empty((len(vectors), len(bias)), np.float32)
        for part, block in EmbeddingRows.of(vectors).blocks():
            logits[part] = block @ weights + bias
        return logits

    def over(self, temperature: float) -> "LinearModel":
        """The model whose logits are these divided by `temperature`."""
        return LinearModel(self.weights / temperature, self.bias / temperature)

    def before(self, mean: _FLOATS, scale: float) -> "LinearModel":
        """The model of `vectors` that is this one of `(vectors - mean) * scale`."""
        weights = self.weights * scale
        return LinearModel(weights, self.bias - mean.astype(np.float64) @ weights)


def average(models: Sequence[LinearModel]) -> LinearModel:
    """The model whose logits are the mean of those of `models`, at least one."""
    weights = np.mean([model.weights for model in models], axis=0)
    return LinearModel(weights, np.mean([model.bias for model in models], axis=0))


@dataclass(frozen=True, eq=False)
class Examples:
    """Photos as the fits see them: centred, and in no more dimensions than there are photos.

    With fewer photos than features they are rotated into the space they span, which changes nothing but the time. All
    features share one scale: unit variance for each makes noise as loud as what tells classes apart.

    Attributes:
        coordinates: float32, shape `(n, num_dimensions)`, with a mean squared length of about 1.
        labels: int64 in `[0, num_classes)`, shape `(n,)`, every class at least once.
        num_classes: at least 2.
        is_corrected: whether models take all classes to be equally frequent, instead of as frequent as here.
        mean, scale: `coordinates = (vectors - mean) * scale @ basis`; the mean of shape `(size,)`.
        basis: shape `(size, num_dimensions)`; `None` for the identity.
    """

    coordinates: Embeddings
    labels: NDArray[np.int64]
    num_classes: int
    is_corrected: bool
    mean: _FLOATS
    scale: float
    basis: _FLOATS | None

    def take(self, rows: NDArray[np.bool_]) -> "Examples":
        """Those of the rows that are true."""
        return replace(self, coordinates=EmbeddingRows.of(self.coordinates).take(rows), labels=self.labels[rows])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Photos of each class, shape `(num_classes,)`."""
        return np.bincount(self.labels, minlength=self.num_classes)

    @property
    def log_frequencies(self) -> NDArray[np.float64]:
        """Of each class, shape `(num_classes,)`."""
        return np.asarray(np.log(self.counts / len(self.labels)), np.float64)

    def means(self) -> NDArray[np.float64]:
        """The mean of each class, shape `(num_classes, num_dimensions)`."""
        sums = np.zeros((self.num_classes, self.coordinates.shape[1]))
        for part, block in self.blocks():
            present, of_block = sum_by_class(block, self.labels[part])
            sums[present] += of_block
        return sums / self.counts[:, np.newaxis]

    def blocks(self) -> Iterator[tuple[slice, _FLOATS]]:
        """The coordinates, some photos at a time."""
        return EmbeddingRows.of(self.coordinates).blocks()

    def residuals(self, means: NDArray[np.float64]) -> Iterator[_FLOATS]:
        """The coordinates less the mean of their class, some photos at a time."""
        rounded = means.astype(np.float32)
        for part, block in self.blocks():
            yield block - rounded[self.labels[part]]

    def to_model(self, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> LinearModel:
        """The model of the vectors that is this one of `coordinates`."""
        exact = weights if self.basis is None else self.basis.astype(np.float64) @ weights
        return LinearModel(exact, bias).before(self.mean, self.scale)


def make_examples(
    vectors: Embeddings,
    labels: NDArray[np.int64],
    num_classes: int,
    *,
    is_corrected: bool = False,
    num_directions: int | None = None,
    seed: int = 0,
) -> Examples:
    """The examples that these photos are.

    Args:
        vectors: float32, shape `(n, size)`, not all the same; not modified.
        labels, num_classes, is_corrected: as in `Examples`.
        num_directions: at most so many of those that the photos differ most in are kept; `None` keeps all.
        seed: decides where the search for these directions begins.
    """
    some = EmbeddingRows.of(vectors)
    sums = [block.sum(axis=0, dtype=np.float64) for _part, block in some.blocks()]
    mean = (np.sum(sums, axis=0) / len(some)).astype(np.float32)
    centred = some.changed(lambda block: block - mean)
    squares = [float(np.einsum("ij,ij->", block, block, dtype=np.float64)) for _part, block in centred.blocks()]
    scale = math.sqrt(len(some) / max(sum(squares), TINY**2))
    scaled = centred.changed(lambda block: block * np.float32(scale))
    basis = _main_directions(scaled, num_directions or some.shape[1], seed)
    coordinates: Embeddings = scaled
    if basis is not None:  # few numbers, and worth keeping
        coordinates = np.empty((len(some), basis.shape[1]), np.float32)
        for part, block in scaled.blocks():
            coordinates[part] = block @ basis
    return Examples(coordinates, labels, num_classes, is_corrected, mean, scale, basis)


def fit_nearest_mean(examples: Examples, _strengths: Sequence[float | None] = ()) -> list[LinearModel]:
    """The class whose mean is nearest, at a scale that one photo a class allows: one model.

    The mean of a class with fewer photos is off by more, so everything is further from it; that is taken off where some
    class shows how much photos of one class differ.
    """
    means, num_classes = examples.means(), examples.num_classes
    spread = sum(float(np.square(block, dtype=np.float64).sum()) for block in examples.residuals(means))
    spread /= max(len(examples.labels) - num_classes, 1)
    products = means @ means.T
    distance = (num_classes * np.trace(products) - products.sum()) / (num_classes * (num_classes - 1))
    margin = math.log(_PROBABILITY_AT_MEAN / (1 - _PROBABILITY_AT_MEAN) * (num_classes - 1))
    scale = margin / distance if distance > 0 else 1.0
    bias = (spread / examples.counts - np.diag(products)) / 2
    return [examples.to_model(means.T * scale, bias * scale)]


@dataclass(frozen=True, eq=False)
class ClassMoments:
    """What linear discriminant analysis knows of photos: where their classes lie, and how photos of one class differ.

    Attributes:
        counts: photos of each class, int64, shape `(num_classes,)`.
        means: of each class, float64, shape `(num_classes, num_dimensions)`; the mean of all photos is 0.
        covariance: within the classes, pooled, float64, shape `(num_dimensions, num_dimensions)`.
        fourth_power: mean of the fourth power of a photo's distance to the mean of its class; the shrinkage of Ledoit
            and Wolf needs it, and no other.
        num_features: at least `num_dimensions`: dimensions of the space that the photos were rotated out of.
    """

    counts: NDArray[np.int64]
    means: NDArray[np.float64]
    covariance: NDArray[np.float64]
    fourth_power: float
    num_features: int


def fit_lda(examples: Examples, shrinkages: Sequence[float | None]) -> list[LinearModel]:
    """Linear discriminant analysis, one model for each shrinkage of the covariance within classes.

    Args:
        examples: at least 2 classes.
        shrinkages: as for `discriminants`.
    """
    means = examples.means()
    num_photos, size = examples.coordinates.shape
    products, fourth_powers = np.zeros((size, size)), 0.0
    for residuals in examples.residuals(means):
        products += residuals.T @ residuals
        fourth_powers += sum_fourth_powers(residuals) if None in shrinkages else 0.0
    moments = ClassMoments(
        examples.counts, means, products / num_photos, fourth_powers / num_photos, len(examples.mean)
    )
    models = discriminants(moments, shrinkages, is_corrected=examples.is_corrected)
    return [examples.to_model(model.weights, model.bias) for model in models]


def discriminants(
    moments: ClassMoments, shrinkages: Sequence[float | None], *, is_corrected: bool
) -> list[LinearModel]:
    """The linear discriminants of classes that share one covariance, a model for each shrinkage.

    The covariance is pulled towards a multiple of the identity.

    Args:
        moments: of at least 2 classes, each with a photo.
        shrinkages: each from 0 to 1, or `None` for what Ledoit and Wolf (2004) estimate from all classes together.
        is_corrected: whether all classes are taken to be equally frequent, instead of as frequent as their counts.
    """
    mean_variance = float(np.trace(moments.covariance)) / moments.num_features
    # Keeps the covariance invertible where the photos of each class are all the same.
    least = _LEAST_VARIANCE / moments.num_features
    log_frequencies = 0.0 if is_corrected else np.log(moments.counts / moments.counts.sum())
    models = []
    for wanted in shrinkages:
        shrinkage = ledoit_wolf(moments) if wanted is None else wanted
        shrunk = (1 - shrinkage) * moments.covariance
        shrunk[np.diag_indices_from(shrunk)] += shrinkage * mean_variance + least
        weights = solve(shrunk, moments.means.T, assume_a="pos", overwrite_a=True, check_finite=False)
        models.append(LinearModel(weights, log_frequencies - (moments.means.T * weights).sum(axis=0) / 2))
    return models


def sum_fourth_powers(residuals: _FLOATS) -> float:
    """The sum of the fourth powers of the lengths of `residuals`, shape `(n, num_dimensions)`."""
    return float(np.square(np.square(residuals, dtype=np.float64).sum(axis=1)).sum())


def sum_by_class(vectors: _FLOATS, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The classes that are there, and the sum of the vectors of each."""
    order = np.argsort(labels, kind="stable")
    present, firsts = np.unique(labels[order], return_index=True)
    return present, np.add.reduceat(vectors[order], firsts, axis=0, dtype=np.float64)


def ledoit_wolf(moments: ClassMoments) -> float:
    """The shrinkage in `[0, 1]` that Ledoit and Wolf (2004) estimate (lemmas 3.1 to 3.4).

    The same number as `sklearn.covariance.ledoit_wolf_shrinkage`, which would multiply the matrices twice more: the
    sum over all pairs of features of `sum_i x_ij^2 x_ik^2` is `sum_i |x_i|^4`.
    """
    num_photos, num_features = int(moments.counts.sum()), moments.num_features
    mean_variance = float(np.trace(moments.covariance)) / num_features
    squared = float(np.square(moments.covariance).sum())
    distance = squared / num_features - mean_variance**2
    noise = (moments.fourth_power - squared) / (num_features * num_photos)
    return min(max(noise / distance, 0.0), 1.0) if distance > 0 else 1.0


def fit_logistic(examples: Examples, inverse_penalties: Sequence[float | None]) -> list[LinearModel]:
    """Multinomial logistic regressions under less and less penalty, each begun where the last one ended.

    Where all classes are taken to be equally frequent, each probability is divided by the frequency of its class, which
    subtracts a logarithm from each logit (Saerens et al. 2002, equation 2.4).

    Args:
        examples: at least 2 classes.
        inverse_penalties: scikit-learn's C, above 0: the weights are those of least
            `|weights|^2 / 2 + C * sum of log-losses`.
    """
    coordinates = np.asarray(examples.coordinates)
    estimator = LogisticRegression(warm_start=True, tol=_TOLERANCE, max_iter=_MAX_STEPS)
    models = []
    for inverse_penalty in inverse_penalties:
        estimator.set_params(C=inverse_penalty).fit(coordinates, examples.labels)
        weights, bias = np.asarray(estimator.coef_.T, np.float64), np.asarray(estimator.intercept_, np.float64)
        if len(bias) == 1:
            # For two classes scikit-learn gives the difference of their logits.
            weights, bias = np.hstack([-weights, weights]) / 2, np.hstack([-bias, bias]) / 2
        models.append(examples.to_model(weights, bias - examples.log_frequencies if examples.is_corrected else bias))
    return models


FITS: Mapping[str, Callable[[Examples, Sequence[float | None]], list[LinearModel]]] = {
    NEAREST_MEAN: fit_nearest_mean,
    LDA: fit_lda,
    LOGISTIC: fit_logistic,
}


@contextmanager
def unfinished_fits_accepted() -> Iterator[None]:
    """A stretch in which a fit that stopped after the most steps is no reason for a warning.

    It is judged like any other, on photos it has not seen. To be entered before threads begin to fit, for what is
    ignored is a setting of the whole process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _main_directions(vectors: EmbeddingRows, num_directions: int, seed: int) -> _FLOATS | None:
    """Orthogonal directions, shape `(size, num_directions)`, by subspace iteration; `None` where there are no more.

    Halko, Martinsson and Tropp 2011, algorithm 4.4. With no more photos than directions, those that the photos span.
    """
    num_photos, size = vectors.shape
    if num_photos <= num_directions:
        return np.asarray(np.linalg.qr(vectors[:].T)[0], np.float32) if num_photos < size else None
    if size <= num_directions:
        return None
    some = vectors[:: max(1, num_photos // _MOST_FOR_DIRECTIONS)]
    drawn = named_generator(seed, "main directions").standard_normal((size, num_directions), np.float32)
    return np.asarray(np.linalg.qr(some.T @ (some @ drawn))[0], np.float32)
