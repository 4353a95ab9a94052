"""Whether a mirrored photo is still a photo of its class: asked of the training photos before a training from scratch.

Mirroring at random shows a network twice as many cats and dogs, and teaches it that `b` is `d`. Which of the two it
would be is found by cross-validation with a small linear model that knows left from right. Arrays in, record out; knows
no files and no Keras. Called by `workflow/`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom
from scipy.stats import t as student_t

from tellapart.heads.linear_models import fit_lda, make_examples
from tellapart.images.preprocess import PreprocessSpec, resize_image
from tellapart.measure.calibration import fit_temperature, log_loss_terms
from tellapart.photos.splits import fold_numbers
from tellapart.randomness import named_generator

_FLOATS = NDArray[np.float32]

_NUM_FOLDS = 5
# So many photos take 2 s on one core, and harm to letters shows with far fewer. A few of each class are kept first.
_MOST_PHOTOS = 2000
_FIRST_OF_CLASS = 4
# How rarely chance alone may make mirroring look harmful, and how rarely some pair of classes alike. The first is not
# strict, for to mirror letters costs far more than not to mirror cats. Of random subsets in which a coin had turned
# round each photo, so that mirroring could do no harm, it found harm in 8 of 675 (cats and dogs, 8 to 500 photos, at
# most 2 of 60 of one size) and in 21 of 675 (4 kinds of weather, at most 14 of 200, with 50 photos); no twins in any.
_CHANCE_OF_HARM = 0.025
_CHANCE_OF_TWINS = 1e-3
# A smaller difference is no harm, in nats, nor is a smaller share of the photos of two classes taken for the other.
_LEAST_HARM = 0.005
_LEAST_SHARE_LOST = 0.2

# Photos are looked at in 64x64 pixels, in cells of 8x8, and edges in 8 directions.
_SIDE = 64
_CELL = 8
_NUM_CELLS = _SIDE // _CELL
_NUM_DIRECTIONS = 8
_NUM_KINDS = _NUM_DIRECTIONS + 3
# Edges of this strength, as a share of the range of brightness, count half as much as strong ones.
_FAINT_EDGE = 0.02
_COLOUR_WEIGHT = 0.5
# Photos described at once: what is in between stays in the processor's cache.
_BATCH_SIZE = 16


@dataclass(frozen=True)
class MirrorChoice:
    """Whether to mirror training photos left to right at random, and what it rests on.

    The losses are mean log-losses in nats of photos that the small model has not learnt from.

    Attributes:
        is_harmless: mirroring is to be done: nothing speaks against it.
        loss_with: with mirrored photos beside the originals in training, and the logits of a photo averaged with those
            of its mirror image.
        loss_without: with the photos as they are.
        standard_error: of `loss_with - loss_without`, over photos; 0 where nothing was measured.
        num_photos: held-out photos that the losses are means of; 0 where nothing could be measured.
        twins: the two classes, in ascending order, that mirroring makes hard to tell apart; `None` where there are no
            such classes.
    """

    is_harmless: bool
    loss_with: float
    loss_without: float
    standard_error: float
    num_photos: int
    twins: tuple[int, int] | None = None


_NOTHING_MEASURED = MirrorChoice(True, 0.0, 0.0, 0.0, 0)


def choose_mirroring(
    images: NDArray[np.uint8], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> MirrorChoice:
    """Whether mirroring the training photos left to right would hurt, cross-validated on these photos alone.

    A small linear model of edges and colours is fitted to the photos as they are, and to them and their mirror images;
    both are asked about photos held out. Mirroring is harmless unless the second is worse by more than chance explains,
    or takes two classes for one another. Where nothing can be measured (one class, no class with two groups, photos
    that are all alike) it counts as harmless, as it does where the photos are too few to show a difference. Of 12
    collections of noisy letters `b` and `d` in five fonts, harm was found in 1 with 16 photos in all, in 10 with 30 and
    in 12 with 60; of `b`, `d`, `p` and `q`, in 9 with 40 and in 12 with 100; of all 26 letters, with 20 photos a class
    but not with 10 (1 collection each).

    Args:
        images: decoded training photos, uint8, shape `(n, height, width, channels)` with 1 or 3 channels, possibly
            memory-mapped; of any height and width; not modified. At most 2,000 of them are looked at.
        labels: ints of at least 0, shape `(n,)`.
        groups: ints, shape `(n,)`; equal numbers are duplicates of one another, which stay together in one fold.
        seed: decides which photos are looked at and how they fall into folds.
    """
    rows = _draw_rows(labels, seed)
    groups = groups[rows]
    class_numbers, class_of_row = np.unique(labels[rows], return_inverse=True)
    class_of_row = class_of_row.astype(np.int64)
    folds = fold_numbers(class_of_row, groups, _NUM_FOLDS, seed)
    is_held_out = folds >= 0
    if len(class_numbers) < 2 or not is_held_out.any():
        return _NOTHING_MEASURED
    vectors = _describe(images, rows)
    if np.array_equal(vectors.min(axis=0), vectors.max(axis=0)):
        return _NOTHING_MEASURED
    logits_with, logits_without = _held_out_logits(vectors, class_of_row, folds)
    choice = _judge(
        logits_with[is_held_out], logits_without[is_held_out], class_of_row[is_held_out], groups[is_held_out]
    )
    if choice.twins is None:
        return choice
    first, second = choice.twins
    return replace(choice, twins=(int(class_numbers[first]), int(class_numbers[second])))


def _draw_rows(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Rows of at most `_MOST_PHOTOS` photos, sorted: equal shares of the classes, but a few of each class first."""
    order = named_generator(seed, "mirror").permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    ranks = np.arange(len(labels)) - np.repeat(starts, counts)
    shares = (ranks + 0.5) / np.repeat(counts, counts)
    chosen = np.lexsort((shares, np.minimum(ranks, _FIRST_OF_CLASS)))[:_MOST_PHOTOS]
    return np.sort(order[chosen])


def _held_out_logits(vectors: _FLOATS, labels: NDArray[np.int64], folds: NDArray[np.int64]) -> tuple[_FLOATS, _FLOATS]:
    """Logits of the held-out photos with mirroring and without, each of shape `(n, num_classes)`; 0 for the others.

    Args:
        vectors: of the photos and, below them, of their mirror images, shape `(2 * n, size)`.
        labels: ints in `[0, num_classes)`, shape `(n,)`.
        folds: where each photo is held out; -1 for never.
    """
    num_photos, num_classes = len(labels), int(labels.max()) + 1
    # Centred and rotated with all photos at once, which tells nothing of their classes and saves doing it per fold.
    examples = make_examples(vectors, np.tile(labels, 2), num_classes)
    originals, mirrored = vectors[:num_photos], vectors[num_photos:]
    logits_with = np.zeros((num_photos, num_classes), np.float32)
    logits_without = np.zeros_like(logits_with)
    for fold in np.unique(folds[folds >= 0]):
        is_test = folds == fold
        (model,) = fit_lda(examples.take(np.concatenate([~is_test, ~is_test])), [None])
        logits_with[is_test] = (model.logits(originals[is_test]) + model.logits(mirrored[is_test])) / 2
        (model,) = fit_lda(examples.take(np.concatenate([~is_test, np.zeros_like(is_test)])), [None])
        logits_without[is_test] = model.logits(originals[is_test])
    return logits_with, logits_without


def _judge(
    logits_with: _FLOATS, logits_without: _FLOATS, labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> MirrorChoice:
    """What the logits of held-out photos say; `twins` as numbers in `[0, num_classes)`.

    The standard error takes the photos of a group for one observation (Liang and Zeger 1986).
    """
    losses_with, losses_without = _losses(logits_with, labels), _losses(logits_without, labels)
    differences = losses_with - losses_without
    difference = float(differences.mean())
    _, group_of_row = np.unique(groups, return_inverse=True)
    sums = np.bincount(group_of_row, differences - difference)
    standard_error = math.sqrt(np.square(sums).sum() * len(sums) / (len(sums) - 1)) / len(labels)
    most = max(_LEAST_HARM, standard_error * float(student_t.isf(_CHANCE_OF_HARM, len(sums) - 1)))
    twins = _find_twins(logits_with, logits_without, labels)
    return MirrorChoice(
        is_harmless=difference <= most and twins is None,
        loss_with=float(losses_with.mean()),
        loss_without=float(losses_without.mean()),
        standard_error=standard_error,
        num_photos=len(labels),
        twins=twins,
    )


def _losses(logits: _FLOATS, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The log-loss of each photo in nats at the best temperature, shape `(n,)`."""
    return log_loss_terms(logits / np.float32(fit_temperature(logits, labels)), labels)


def _find_twins(logits_with: _FLOATS, logits_without: _FLOATS, labels: NDArray[np.int64]) -> tuple[int, int] | None:
    """The two classes that mirroring makes hard to tell apart, or `None`.

    A sign test of each pair of classes. Of the photos of both, `lost` are those that are told right without mirroring
    and taken for the other class with it; `gained` are those told right with it and taken for the other without.
    Counting both classes together keeps a model that merely leans more to one of them from passing for harm.

    Args:
        logits_with, logits_without: shape `(n, num_classes)` with at least 2 classes.
        labels: ints in `[0, num_classes)`, shape `(n,)`; a class may be missing.
    """
    num_classes = logits_with.shape[1]
    said_with, said_without = logits_with.argmax(axis=1), logits_without.argmax(axis=1)
    counts = np.bincount(labels, minlength=num_classes)
    lost, gained = np.zeros((2, num_classes, num_classes), np.int64)
    was_right, is_right = said_without == labels, said_with == labels
    np.add.at(lost, (labels[was_right], said_with[was_right]), 1)
    np.add.at(gained, (labels[is_right], said_without[is_right]), 1)
    first, second = np.triu_indices(num_classes, 1)
    lost, gained = (lost + lost.T)[first, second], (gained + gained.T)[first, second]
    is_large = lost - gained >= _LEAST_SHARE_LOST * (counts[first] + counts[second])
    chances = np.where(is_large, binom.sf(lost - 1, lost + gained, 0.5), 1.0)
    worst = int(chances.argmin())
    if chances[worst] * len(chances) > _CHANCE_OF_TWINS:
        return None
    return int(first[worst]), int(second[worst])


def _describe(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> _FLOATS:
    """What the small model sees of the photos and, below them, of their mirror images: shape `(2 * n, size)`."""
    cells = np.empty((2 * len(rows), _NUM_CELLS, _NUM_CELLS, _NUM_KINDS), np.float32)
    for start in range(0, len(rows), _BATCH_SIZE):
        batch = [_shrink(images[row]) for row in rows[start : start + _BATCH_SIZE]]
        cells[start : start + len(batch)] = _describe_cells(np.stack(batch))
    # Mirrored, an edge of direction d has direction 4 - d, and the cells of each row stand the other way round.
    directions = (_NUM_DIRECTIONS // 2 - np.arange(_NUM_DIRECTIONS)) % _NUM_DIRECTIONS
    kinds = np.concatenate([directions, np.arange(_NUM_DIRECTIONS, _NUM_KINDS)])
    cells[len(rows) :] = cells[: len(rows), :, ::-1][..., kinds]
    return cells.reshape(len(cells), -1)


def _shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image in RGB, shape `(64, 64, 3)`, whatever its shape and channels."""
    return resize_image(np.repeat(image, 3 // image.shape[2], axis=2), PreprocessSpec((_SIDE, _SIDE)))


def _describe_cells(images: NDArray[np.uint8]) -> _FLOATS:
    """Edges in 8 directions and mean colours of each cell, shape `(n, 8, 8, 8 + 3)`.

    The edges are histograms of oriented gradients (Dalal and Triggs 2005) that know light to dark from dark to light,
    over how strong edges are in the 3x3 cells around. OpenCV 5 has none of its own any more.

    Args:
        images: RGB, shape `(n, 64, 64, 3)`.
    """
    colours: _FLOATS = images.astype(np.float32) / np.float32(255)
    brightness = np.pad(colours.mean(axis=3), ((0, 0), (1, 1), (1, 1)), mode="edge")
    right = brightness[:, 1:-1, 2:] - brightness[:, 1:-1, :-2]
    down = brightness[:, 2:, 1:-1] - brightness[:, :-2, 1:-1]
    strength = np.sqrt(right * right + down * down)
    direction = np.arctan2(down, right) * np.float32(_NUM_DIRECTIONS / (2 * math.pi))
    direction[direction < 0] += _NUM_DIRECTIONS
    cells = np.empty((len(images), _NUM_CELLS, _NUM_CELLS, _NUM_KINDS), np.float32)
    for number in range(_NUM_DIRECTIONS):
        distance = np.abs(direction - number)
        np.minimum(distance, _NUM_DIRECTIONS - distance, out=distance)
        cells[..., number] = _mean_of_cells(np.maximum(1 - distance, 0) * strength)
    edges = cells[..., :_NUM_DIRECTIONS]
    squared = np.pad(np.square(edges).sum(axis=3), ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(squared, (3, 3), axis=(1, 2)).mean(axis=(3, 4))
    edges /= np.sqrt(around + _FAINT_EDGE**2)[..., np.newaxis]
    for channel in range(3):
        cells[..., _NUM_DIRECTIONS + channel] = _COLOUR_WEIGHT * _mean_of_cells(colours[..., channel])
    return cells


def _mean_of_cells(values: _FLOATS) -> _FLOATS:
    """Means over each cell of arrays of shape `(n, 64, 64)`: shape `(n, 8, 8)`."""
    rows = values.reshape(-1, _NUM_CELLS, _CELL, _SIDE).sum(axis=2)
    sums: _FLOATS = rows.reshape(-1, _NUM_CELLS, _NUM_CELLS, _CELL).sum(axis=3)
    return sums / np.float32(_CELL**2)
