"""What a model says of every photo without having seen it, in a second: the ground that the check-up stands on.

One kind of model with one penalty, so nothing is chosen. `cross_validate_head` in `heads/head.py` is for the accuracy
of a head: it makes the whole choice anew for each fold, and takes some hundred times as long. Called by `workflow/`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from tellapart.heads.candidates import FEWEST_FOR_TEMPERATURE, CrossValidation
from tellapart.heads.embedding_checks import are_same, check_arrays
from tellapart.heads.head import MOST_FOR_NEAREST_MEAN, HeadData, balance_classes, count_different, hold_out_folds
from tellapart.heads.linear_models import Coordinates, Examples
from tellapart.measure.calibration import fit_temperature

# Labels that are wrong mislead LDA less the more it is held back. Accuracy on the true labels with 5 % flipped, of
# shrinkage as Ledoit and Wolf estimate it, 0.5 and 0.8: 400 pets 0.963, 0.980, 0.990; 4,000 pets 0.968, 0.985, 0.986;
# 548 kinds of weather 0.922, 0.943, 0.956. With right labels 0.5 and 0.8 are as good (2026-11-24).
_SHRINKAGE = 0.8
# A temperature is one number: more photos than this make it no better, only slower.
_MOST_FOR_TEMPERATURE = 4000
_FLOATS = NDArray[np.float32]


def out_of_fold_probabilities(data: HeadData, folds: int, seed: int) -> NDArray[np.float32]:
    """Probabilities of each photo by a model that has seen neither it nor a duplicate: float32, `(n, num_classes)`.

    The model is LDA, or the nearest class mean where no class has more than 2 different photos. The temperature of a
    fold is fitted to the photos of all other folds. A photo that is never held out, because its class has no other,
    gets a row of NaN.

    Args:
        data: arrays, not modified. Embeddings that are all the same are accepted: all classes are then as probable.
        folds: at least 2; fewer where the largest class has fewer photos.
        seed: decides which photos come together in a fold.

    Raises:
        DatasetError: as `check_arrays` says.
    """
    check_arrays(data.embeddings, data.labels, data.groups, data.num_classes)
    probabilities = np.full((len(data.labels), data.num_classes), np.nan, np.float32)
    held_out = hold_out_folds(data, folds, seed)
    if not held_out:
        return probabilities
    if are_same(data.embeddings):
        probabilities[np.any(held_out, axis=0)] = 1 / data.num_classes
        return probabilities
    logits, is_lda = _held_out_logits(data, held_out)
    for number, fold in enumerate(held_out):
        temperature = _temperature_without(data, held_out, logits, number, 2 if is_lda else FEWEST_FOR_TEMPERATURE)
        probabilities[fold] = softmax(logits[number].astype(np.float64) / temperature, axis=1)
    return probabilities


def _held_out_logits(data: HeadData, held_out: list[NDArray[np.bool_]]) -> tuple[list[_FLOATS], bool]:
    """Fold by fold the logits of its photos, and whether they are those of LDA."""
    coordinates = Coordinates(data.embeddings)
    examples = Examples(
        coordinates.vectors, data.labels, data.num_classes, data.embeddings.shape[1], balance_classes(data)
    )
    validation = CrossValidation(examples, held_out)
    if max(count_different(data)) <= MOST_FOR_NEAREST_MEAN:
        return validation.nearest_mean_logits(), False
    return validation.lda_logits(_SHRINKAGE), True


def _temperature_without(
    data: HeadData, held_out: list[NDArray[np.bool_]], logits: list[_FLOATS], number: int, fewest: int
) -> float:
    """The temperature that all folds but one ask for; 1 where they hold fewer photos than `fewest`."""
    others = [other for other in range(len(held_out)) if other != number]
    labels = np.concatenate([data.labels[held_out[other]] for other in others])
    if len(labels) < fewest:
        return 1.0
    step = -(-len(labels) // _MOST_FOR_TEMPERATURE)
    weights = balance_classes(data)
    return fit_temperature(
        np.concatenate([logits[other] for other in others])[::step],
        labels[::step],
        None if weights is None else weights[labels[::step]],
    )
