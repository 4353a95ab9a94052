"""How unlike the photos of the training a photo is: its distance to the nearest of them, on their own scale.

A photo of none of the classes gets a probability for one of them all the same; only its distance gives it away. Arrays
in, constants out, which `heads/onnx_head.py` builds into the model. Needs no Keras.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.heads.head_data import HeadData
from tellapart.heads.linear_models import TINY, to_unit_length
from tellapart.randomness import named_generator

# How many of the nearest training photos, the centres, a distance is the mean over, and the scale of a centre.
NUM_NEAREST = 5
_NUM_FOR_SCALE = 5
# Centres that are kept, 0.6 MB of the model with embeddings of 1,280 numbers. Of 12 sets of photos of no known class
# (one left out of cats, dogs and 4 kinds of weather, or another collection) 500 in 8 bits flag 77.6 %, 1,000 in 8 bits
# 77.7 % and in 16 bits 77.6 %; they raise 4.4, 4.3 and 4.3 % of false alarms, where 5 % were asked for (2026-11-28).
# 250 flag clearly less, and so do random projections to 256 numbers.
_MOST_CENTRES = 500
# Whole numbers that the entries of a centre are rounded to go from minus this to this.
LARGEST_ENTRY = 127
_FEWEST_A_CLASS = 2
# Photos whose distances are looked at for thresholds.
_MOST_MEASURED = 4_000
# With fewer different photos than this no rate of false alarms of 5 % can be promised.
_FEWEST_PHOTOS = 20
# Steps of half a percent.
_NUM_QUANTILES = 201
# Keeps the scale of a centre with many close relatives above 0, as a share of the median scale.
_LEAST_SCALE = 0.1
_FLOATS = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Novelty:
    """What it takes to tell how unlike the training photos a photo is.

    Attributes:
        centres: float32, shape `(num_centres, size)`: embeddings of training photos, scaled to length 1 and rounded to
            whole multiples of a step that is `LARGEST_ENTRY`th of the largest entry of the centre.
        scales: float32, shape `(num_centres,)`: how far each centre lies from the photos around it.
        usual: float32, sorted, shape `(n,)`: the distances of training photos, each as if it had not been among them.
    """

    centres: _FLOATS
    scales: _FLOATS
    usual: _FLOATS

    def distances(self, embeddings: _FLOATS) -> _FLOATS:
        """Of each photo the mean over its nearest centres, float32, shape `(n,)`; about 1 for a usual photo.

        Each centre counts on its own scale. The output `distance` of the exported model is the same within 1e-3.

        Args:
            embeddings: float32, shape `(n, size)`, finite; not modified.
        """
        distances = _between(to_unit_length(embeddings), self.centres) / self.scales
        return _mean_of_least(distances, NUM_NEAREST)

    @property
    def quantiles(self) -> tuple[float, ...]:
        """Distances at 201 shares from 0 to 1, evenly spaced, for `threshold` at any rate of false alarms."""
        return tuple(self._quantile(share) for share in np.linspace(0, 1, _NUM_QUANTILES))

    def threshold(self, false_alarm_rate: float) -> float:
        """The distance that at most this share of photos like those of the training goes beyond, on average.

        Args:
            false_alarm_rate: strictly between 0 and 1. Below `1 / (n + 1)` nothing can be promised, and the threshold
                is one that no photo goes beyond.
        """
        return self._quantile(1 - false_alarm_rate)

    def _quantile(self, share: float) -> float:
        """The conservative quantile: a new photo is the (n + 1)th (Vovk, Gammerman and Shafer 2005, section 2.2)."""
        rank = int(np.ceil(share * (len(self.usual) + 1) - 1e-9))
        if rank > len(self.usual):
            return float(np.finfo(np.float32).max)
        return float(self.usual[max(rank, 1) - 1])


def fit_novelty(data: HeadData, seed: int) -> Novelty | None:
    """How to tell photos that are unlike all of these; `None` with fewer than 20 different photos.

    A distance is the mean of those to the 5 nearest training photos in the directions of the embeddings, each divided
    by how far that training photo is from its own 5 nearest. Without it (Sun et al. 2022, "Out-of-distribution
    detection with deep nearest neighbors") one class of varied photos sets a threshold that all look-alikes of the
    other classes stay below. The local outlier factor (Breunig et al. 2000) divides likewise, after taking the means.

    Args:
        data: arrays, not modified; embeddings finite.
        seed: decides which photos are kept where there are more than 500.
    """
    # One photo of each group: by its duplicates a photo would measure itself.
    rows = np.unique(data.groups, return_index=True)[1]
    if len(rows) < _FEWEST_PHOTOS:
        return None
    num_centres = max(_MOST_CENTRES, _FEWEST_A_CLASS * data.num_classes)
    rows = rows[_draw_evenly(data.labels[rows], max(_MOST_MEASURED, num_centres), seed)]
    vectors = to_unit_length(data.embeddings[rows])
    centres = _round_entries(vectors[:num_centres])
    between = _between(vectors, centres)
    np.fill_diagonal(between, np.inf)
    # Column by column, for in the last bit the distance of two photos depends on which of them is the centre.
    nearest = np.sort(_least(between[: len(centres)].T, _NUM_FOR_SCALE + 1), axis=1)
    scales = nearest[:, :-1].mean(axis=1)
    least = max(_LEAST_SCALE * float(np.median(scales)), TINY)
    usual = _mean_of_least(_scale_without(between, nearest, least), NUM_NEAREST)
    return Novelty(centres, np.maximum(scales, least), np.sort(usual))


def _scale_without(between: _FLOATS, nearest: _FLOATS, least: float) -> _FLOATS:
    """The distances of photos to centres on the scale that each centre had if the photo were not in the training.

    Args:
        between: shape `(n, num_centres)`; the first photos are the centres.
        nearest: sorted, one more of each centre than its scale is the mean of.
        least: that a scale can be.
    """
    number = nearest.shape[1] - 1
    scaled = between / np.maximum(nearest[:, :-1].mean(axis=1), least)
    of_centres = between[: len(nearest)]
    photos, centres = np.nonzero(of_centres <= nearest[:, number - 1])
    distances = of_centres[photos, centres]
    without = (nearest.sum(axis=1)[centres] - distances) / number
    scaled[photos, centres] = distances / np.maximum(without, least)
    return np.asarray(scaled, np.float32)


def _draw_evenly(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Rows of up to `most` photos in random order, those of all classes in turn."""
    order = named_generator(seed, "novelty photos").permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    place = np.arange(len(order)) - (np.cumsum(counts) - counts)[labels[order]]
    return np.asarray(order[np.argsort(place, kind="stable")][:most], np.int64)


def whole_entries(centres: _FLOATS) -> tuple[NDArray[np.int8], _FLOATS]:
    """Centres as whole numbers, int8 of the same shape, and the step of each, float32, shape `(num_centres,)`."""
    steps = np.maximum(np.abs(centres).max(axis=1) / LARGEST_ENTRY, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(centres / steps[:, np.newaxis]).astype(np.int8), steps


def _round_entries(vectors: _FLOATS) -> _FLOATS:
    numbers, steps = whole_entries(vectors)
    return np.asarray(numbers * steps[:, np.newaxis], np.float32)


def _between(vectors: _FLOATS, centres: _FLOATS) -> _FLOATS:
    """The distance of each vector to each centre, shape `(num_vectors, num_centres)`."""
    squares = np.square(vectors).sum(axis=1)[:, np.newaxis] + np.square(centres).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squares - 2 * (vectors @ centres.T), 0)), np.float32)


def _least(distances: _FLOATS, number: int) -> _FLOATS:
    return np.asarray(np.partition(distances, number - 1, axis=1)[:, :number], np.float32)


def _mean_of_least(distances: _FLOATS, number: int) -> _FLOATS:
    return np.asarray(_least(distances, number).mean(axis=1), np.float32)
