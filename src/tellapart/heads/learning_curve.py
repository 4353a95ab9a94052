"""Would more photos help: models that learn from some of the embeddings, tried on the others.

Arrays in; the curve through the errors and the sentence about it are in `measure/power_law.py`. Needs no Keras.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tellapart.heads.embedding_rows import EmbeddingRows
from tellapart.heads.head_data import HeadData, check_embeddings
from tellapart.heads.linear_models import LinearModel, even_out_lengths, fit_lda, make_examples
from tellapart.measure.power_law import CurveTrials, fit_learning_curve
from tellapart.measure.scores import LearningCurve
from tellapart.measure.splits import fold_numbers
from tellapart.photos.loading import num_cores
from tellapart.randomness import named_generator

# Shares of the photos that models learn from, besides all but those of one fold.
_SHARES = (0.1, 0.2, 0.35, 0.6)
_NUM_REPEATS = 3
_NUM_FOLDS = 10
# Cross-validations, and photos from which one is enough.
_NUM_FOLD_REPEATS = 2
_MANY_PHOTOS = 1_000
# Photos a model has to learn from for its error to lie on the curve at all.
_FEWEST_LEARNT = 16
_FEWEST_A_CLASS = 1
# Directions that the photos differ most in, which the models see instead of all features; with one more for each class.
# 4,000 cats and dogs, one core: 128 directions make 1.4 % mistakes in 0.7 s, 256 as many in 1.4 s, 1,280 1.8 % in 6 s.
_NUM_DIRECTIONS = 128
# Photos each model is tried on at most: an error of 1 % is then known to 0.2 points.
_MOST_TESTED = 10_000


@dataclass(frozen=True, eq=False)
class _Trial:
    """One or several models of one size, and what they are tried on.

    Attributes:
        size: photos that a model learns from.
        parts: for each model whether a photo is learnt from, and whether it is tried; bool, shape `(n,)` each.
    """

    size: int
    parts: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]


def measure_learning_curve(data: HeadData, seed: int) -> LearningCurve | None:
    """How the error falls with the number of photos, and what more of them would bring; `None` with too few to tell.

    The models are linear discriminants under the shrinkage of Ledoit and Wolf. Shares of 10, 20, 35 and 60 % of the
    groups of each class are drawn 3 times, each within the next, and tried on all other photos; 90 % are learnt from
    in cross-validation.

    Args:
        data: arrays, not modified.
        seed: decides which photos are drawn.

    Raises:
        DatasetError: as `check_embeddings` says.
    """
    check_embeddings(data)
    trials = [trial for trial in [*_draw_shares(data, seed), *_draw_folds(data, seed)] if _is_enough(data, trial)]
    if not trials:
        return None
    vectors = EmbeddingRows.of(data.embeddings).changed(even_out_lengths)
    is_tested = np.zeros((len(trials), len(data.labels)), np.bool_)
    is_wrong = np.zeros_like(is_tested)
    tasks = [(number, *part) for number, trial in enumerate(trials) for part in trial.parts]

    def find_wrong(learnt: NDArray[np.bool_], tested: NDArray[np.bool_]) -> NDArray[np.bool_]:
        model = _fit(vectors.take(learnt), data.labels[learnt], data, seed)
        return np.asarray(model.logits(vectors.take(tested)).argmax(axis=1) != data.labels[tested])

    # Side by side, one core each: the products here are too small to be shared out well, and threads that share them
    # wait for one another wherever something else runs: 51 s instead of 2 with one of two cores busy (2026-11-24).
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(num_cores(), "curve") as pool:
        found = pool.map(lambda task: find_wrong(task[1], task[2]), tasks)
        for (number, _, tested), wrong in zip(tasks, found, strict=True):
            is_tested[number] |= tested
            is_wrong[number, tested] = wrong
    sizes = np.array([trial.size for trial in trials])
    return fit_learning_curve(CurveTrials(sizes, is_tested, is_wrong, data.groups), seed)


def _draw_shares(data: HeadData, seed: int) -> list[_Trial]:
    """Models that learn from some groups of each class, at least one, and are tried on all others."""
    group_names, first_rows, group_of_row = np.unique(data.groups, return_index=True, return_inverse=True)
    label_of_group, group_of_row = data.labels[first_rows], group_of_row.reshape(-1)
    counts = np.bincount(label_of_group, minlength=data.num_classes)
    places = []
    for repeat in range(_NUM_REPEATS):
        order = named_generator(seed, "learning curve", repeat).permutation(len(group_names))
        order = order[np.argsort(label_of_group[order], kind="stable")]
        place = np.empty(len(order), np.int64)
        # Which of its class a group is, in the order drawn.
        place[order] = np.arange(len(order)) - (np.cumsum(counts) - counts)[label_of_group[order]]
        places.append(place)
    trials = []
    for share in _SHARES:
        num_learnt = np.maximum(1, (share * counts).round())[label_of_group]
        drawn = [(place < num_learnt)[group_of_row] for place in places]
        # Groups differ in size, so the models do a little too; they stand for one size all the same.
        size = round(float(np.mean([learnt.sum() for learnt in drawn])))
        trials += [_Trial(size, [(learnt, _limit(~learnt, 1, seed))]) for learnt in drawn]
    return trials


def _draw_folds(data: HeadData, seed: int) -> list[_Trial]:
    """Models that learn from all photos but those of one fold, which they are tried on."""
    trials = []
    for repeat in range(1 if len(data.labels) >= _MANY_PHOTOS else _NUM_FOLD_REPEATS):
        # The numbers of a seed are to be independent of those the head is measured with.
        number = int(named_generator(seed, "learning curve folds", repeat).integers(2**32 - 1))
        folds = fold_numbers(data.labels, data.groups, _NUM_FOLDS, number)
        held_out = [folds == fold for fold in range(_NUM_FOLDS) if (folds == fold).any()]
        if held_out:
            size = round(len(folds) - (folds >= 0).sum() / len(held_out))
            trials.append(_Trial(size, [(~fold, _limit(fold, len(held_out), seed)) for fold in held_out]))
    return trials


def _limit(tested: NDArray[np.bool_], num_parts: int, seed: int) -> NDArray[np.bool_]:
    """So many of the photos that all parts together are tried on no more than is of use."""
    most, rows = _MOST_TESTED // num_parts, np.flatnonzero(tested)
    if len(rows) <= most:
        return tested
    limited = np.zeros_like(tested)
    limited[named_generator(seed, "learning curve tests").choice(rows, most, replace=False)] = True
    return limited


def _is_enough(data: HeadData, trial: _Trial) -> bool:
    """Whether models can learn something from the photos of the trial, and are tried on any."""
    if trial.size < max(_FEWEST_LEARNT, _FEWEST_A_CLASS * data.num_classes):
        return False
    return all(
        tested.any() and np.bincount(data.labels[learnt], minlength=data.num_classes).all()
        for learnt, tested in trial.parts
    )


def _fit(vectors: EmbeddingRows, labels: NDArray[np.int64], data: HeadData, seed: int) -> LinearModel:
    """A model for vectors like these, fitted in the directions that these, and no others, differ most in.

    Directions read off other photos as well make a worse model: 300 cats and dogs in 10 folds, with the directions of
    one fold for all, have 3.1 % mistakes instead of 1.9 % (mean over 5 draws).
    """
    num_directions = _NUM_DIRECTIONS + data.num_classes
    examples = make_examples(vectors, labels, data.num_classes, num_directions=num_directions, seed=seed)
    return fit_lda(examples, (None,))[0]
