"""A head for more photos than memory holds: LDA by sums over batches, and the sample that everything else is fitted to.

Arrays in, models out; where batches come from is the caller's. What is chosen, and how, is `heads/head.py`'s: it takes
the sample as it takes any photos, and the LDA of all others in place of that of the sample.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tellapart.heads.cross_validation import SHRINKAGES
from tellapart.heads.linear_models import (
    TINY,
    ClassMoments,
    LinearModel,
    discriminants,
    even_out_lengths,
    sum_by_class,
    sum_fourth_powers,
)
from tellapart.randomness import named_generator

# Photos in the sample. A fifth of them tests the model, so that an accuracy of 98 % is known to 0.4 points. 25,000
# embeddings of 1,280 numbers are 128 MB, and near copies among them are found in some 20 seconds.
SAMPLE_SIZE = 25_000
# Of each class at least so many are in the sample, where there are as many.
FEWEST_A_CLASS = 50
# Steps of Sebastiano Vigna's splitmix64, which makes evenly spread numbers of any.
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))

_FLOATS = NDArray[np.float32]
Batch = tuple[_FLOATS, NDArray[np.int64]]
# Gives the same batches, embeddings and labels, each time it is called.
Batches = Callable[[], Iterable[Batch]]


def draw_sample(
    labels: NDArray[np.int64], contents: NDArray[np.uint64], size: int, seed: int, fewest: int = FEWEST_A_CLASS
) -> NDArray[np.bool_]:
    """Which photos are in a sample stratified by class, bool `(n,)`; photos of one content are in it together or not.

    Each class has its share of the sample, and at least `fewest` photos, or all it has. So the sample is a little
    larger than `size` where classes are rare, or where photos have copies. The order of the photos does not matter.

    Args:
        labels: ints in `[0, num_classes)`, shape `(n,)`; not modified.
        contents: equal for copies, shape `(n,)`; not modified.
        size: photos of the sample, at least 1; with no more photos than that all are in it.
        seed: decides which are drawn.
        fewest: photos of each class at least.
    """
    if len(labels) <= size:
        return np.ones(len(labels), np.bool_)
    keys = _mix(contents ^ named_generator(seed, "sample").integers(2**64, dtype=np.uint64))
    counts = np.bincount(labels)
    shares = np.minimum(counts, np.maximum(fewest, np.ceil(counts * (size / len(labels))).astype(np.int64)))
    chosen = []
    for label in np.flatnonzero(counts):
        of_class = keys[labels == label]
        last = shares[label] - 1
        chosen.append(of_class[of_class <= np.partition(of_class, last)[last]])
    return np.isin(keys, np.concatenate(chosen))


def fit_lda_stream(
    batches: Batches, num_classes: int, *, is_corrected: bool, shrinkages: Sequence[float | None] = SHRINKAGES
) -> dict[float | None, LinearModel]:
    """Linear discriminants of all photos of the batches, by shrinkage; the same as of all photos at once.

    The batches are asked for twice: for the means of the classes, then for the covariance about them. In between no
    more is kept than one batch and two matrices.

    Args:
        batches: embeddings, float32 `(n, size)`, finite, and labels, int64 `(n,)`; every class in some batch, at least
            one batch, none of them empty.
        num_classes: at least 2.
        is_corrected: whether all classes are taken to be equally frequent.
        shrinkages: as for `discriminants`.
    """
    counts, sums, squares = np.zeros(num_classes, np.int64), np.zeros((num_classes, 0)), 0.0
    for embeddings, labels in batches():
        vectors = even_out_lengths(embeddings)
        present, of_batch = sum_by_class(vectors, labels)
        if not sums.size:
            sums = np.zeros((num_classes, vectors.shape[1]))
        sums[present] += of_batch
        counts += np.bincount(labels, minlength=num_classes)
        squares += float(np.einsum("ij,ij->", vectors, vectors, dtype=np.float64))
    num_photos = int(counts.sum())
    # As all photos would be seen at once: see `linear_models.Examples`.
    mean = (sums.sum(axis=0) / num_photos).astype(np.float32)
    exact = mean.astype(np.float64)
    scale = float(np.sqrt(num_photos / max(squares - 2 * sums.sum(axis=0) @ exact + num_photos * exact @ exact, TINY)))
    means = (sums / counts[:, np.newaxis] - exact) * scale
    moments = _spread_about(batches, means, mean, scale, counts)
    models = discriminants(moments, shrinkages, is_corrected=is_corrected)
    return {one: model.before(mean, scale) for one, model in zip(shrinkages, models, strict=True)}


def _spread_about(
    batches: Batches, means: NDArray[np.float64], mean: _FLOATS, scale: float, counts: NDArray[np.int64]
) -> ClassMoments:
    """How photos differ from the means of their classes, in one more look at the batches."""
    size = len(mean)
    products, fourth_powers = np.zeros((size, size)), 0.0
    rounded = means.astype(np.float32)
    for embeddings, labels in batches():
        residuals = even_out_lengths(embeddings)
        residuals -= mean
        residuals *= np.float32(scale)
        residuals -= rounded[labels]
        products += residuals.T @ residuals
        fourth_powers += sum_fourth_powers(residuals)
    num_photos = int(counts.sum())
    return ClassMoments(counts, means, products / num_photos, fourth_powers / num_photos, size)


def _mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = numbers
    for shift, factor in _MIX:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed
