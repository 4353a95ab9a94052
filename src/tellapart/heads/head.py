"""From embeddings and labels to a linear head with honest probabilities: what is tried, and how one is chosen.

Arrays in, records out; knows no files and no Keras. The fits are in `heads/linear_models.py`; called by
`runs/train_head.py`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from tellapart.heads.candidates import Candidate, CrossValidation, Trial, affordable_penalties, best_trials
from tellapart.heads.embedding_checks import are_same, check_embeddings
from tellapart.heads.linear_models import Coordinates, Examples, LinearModel, average
from tellapart.measure.calibration import fit_temperature
from tellapart.photos.splits import fold_numbers

# Up to so many different photos in the largest class, the nearest mean is all they can carry.
MOST_FOR_NEAREST_MEAN = 2
# The largest class may have so many times the photos of the smallest before all classes are made to count alike.
_MOST_IMBALANCE = 3
# Folds inside each fold of `cross_validate_head`.
_INNER_FOLDS = 3


@dataclass(frozen=True)
class HeadData:
    """What a head learns from.

    Attributes:
        embeddings: float32, shape `(n, size)`.
        labels: int64 in `[0, num_classes)`, shape `(n,)`; every class at least once.
        groups: int64, shape `(n,)`; equal numbers are duplicates of one another, which stay together in one fold.
        num_classes: at least 2.
    """

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    num_classes: int

    def take(self, rows: NDArray[np.bool_]) -> "HeadData":
        """Those of the rows that are true."""
        return HeadData(self.embeddings[rows], self.labels[rows], self.groups[rows], self.num_classes)


@dataclass(frozen=True)
class FittedHead:
    """A linear head: `softmax(embeddings @ weights + bias)` are its probabilities.

    Attributes:
        weights: float32, shape `(size, num_classes)`; the temperature is divided in.
        bias: float32, shape `(num_classes,)`; likewise.
        temperature: what the logits of the chosen model, or of the mean of the chosen, were divided by.
        chosen: names of the one or two candidates the head is made of.
        tried: all candidates.
        num_folds: parts of the cross-validation that chose; 0 where there was none.
        class_weights: how much a photo of each class counted, with a mean of 1 over the photos; `None` for all alike.
        notes: sentences on what was out of the ordinary.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float
    chosen: tuple[str, ...]
    tried: tuple[Candidate, ...]
    num_folds: int
    class_weights: tuple[float, ...] | None
    notes: tuple[str, ...]

    def probabilities(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32, shape `(n, num_classes)`, rows summing to 1; `embeddings` as those it was fitted to."""
        return np.asarray(softmax(embeddings @ self.weights + self.bias, axis=1), np.float32)

    def to_json(self) -> dict[str, Any]:
        """Everything but the weights, as plain values."""
        return {
            "chosen": list(self.chosen),
            "tried": [asdict(candidate) for candidate in self.tried],
            "temperature": self.temperature,
            "num_folds": self.num_folds,
            "class_weights": None if self.class_weights is None else list(self.class_weights),
            "notes": list(self.notes),
        }


def fit_head(data: HeadData, folds: int, seed: int) -> FittedHead:
    """The head for these photos, chosen among several kinds of model by the log-loss of cross-validation.

    With 1 or 2 different photos in the largest class it is the nearest class mean. Otherwise LDA and logistic
    regression are tried under several penalties; the best of each are averaged where one standard error does not tell
    them apart, else the better one is taken. One temperature then makes its probabilities honest.

    Args:
        data: arrays, not modified.
        folds: parts of the cross-validation, at least 2; fewer are made where the largest class has fewer photos.
        seed: decides which photos come together in a fold.

    Raises:
        DatasetError: as `check_embeddings` says.
    """
    check_embeddings(data.embeddings, data.labels, data.groups, data.num_classes)
    return _fit(data, folds, seed, balance_classes(data))


def cross_validate_head(data: HeadData, folds: int, seed: int) -> NDArray[np.float32]:
    """Probabilities of each photo by a head that has seen neither it nor a duplicate: float32, `(n, num_classes)`.

    The whole of `fit_head`, choosing included, is done anew for each fold, with 3 folds inside. A photo that is never
    held out, because its class has no other, gets a row of NaN.

    Args:
        data: arrays, not modified.
        folds: at least 2; fewer where the largest class has fewer photos.
        seed: decides which photos come together in a fold.

    Raises:
        DatasetError: as `check_embeddings` says.
    """
    check_embeddings(data.embeddings, data.labels, data.groups, data.num_classes)
    probabilities = np.full((len(data.labels), data.num_classes), np.nan, np.float32)
    class_weights = balance_classes(data)
    for held_out in hold_out_folds(data, folds, seed):
        part = data.take(~held_out)
        if are_same(part.embeddings):
            # Such a fold teaches nothing, and a head that knows nothing gives all classes the same.
            probabilities[held_out] = 1 / data.num_classes
        else:
            head = _fit(part, min(folds, _INNER_FOLDS), seed, class_weights)
            probabilities[held_out] = head.probabilities(data.embeddings[held_out])
    return probabilities


def _fit(data: HeadData, folds: int, seed: int, class_weights: NDArray[np.float64] | None) -> FittedHead:
    coordinates = Coordinates(data.embeddings)
    examples = Examples(coordinates.vectors, data.labels, data.num_classes, data.embeddings.shape[1], class_weights)
    held_out = hold_out_folds(data, folds, seed)
    validation = CrossValidation(examples, held_out)
    if max(count_different(data)) <= MOST_FOR_NEAREST_MEAN or not held_out:
        trials = [validation.try_nearest_mean()]
    else:
        trials = [*validation.try_lda(), *validation.try_logistic()]
    chosen = best_trials(trials)
    model, temperature = _combine(chosen, validation)
    model = coordinates.to_embeddings(model)
    return FittedHead(
        weights=model.weights.astype(np.float32),
        bias=model.bias.astype(np.float32),
        temperature=temperature,
        chosen=tuple(f"{trial.candidate.name} {trial.candidate.setting}".strip() for trial in chosen),
        tried=tuple(trial.candidate for trial in trials),
        num_folds=len(held_out),
        class_weights=None if class_weights is None else tuple(class_weights.tolist()),
        notes=tuple(_notes(data, validation, class_weights)),
    )


def _combine(chosen: list[Trial], validation: CrossValidation) -> tuple[LinearModel, float]:
    """One model of one or several, at its temperature, and that temperature."""
    if len(chosen) == 1:
        temperature = chosen[0].candidate.temperature
        return chosen[0].fit().over(temperature), temperature
    logits = np.mean([trial.logits for trial in chosen], axis=0)
    temperature = fit_temperature(logits, validation.labels, validation.weights)
    return average([trial.fit().over(trial.candidate.temperature) for trial in chosen]).over(temperature), temperature


def hold_out_folds(data: HeadData, folds: int, seed: int) -> list[NDArray[np.bool_]]:
    """For each fold the photos held out in it, bool, shape `(n,)`; folds without photos are left away."""
    num_folds = min(folds, max(count_different(data)))
    if num_folds < 2:
        return []
    numbers = fold_numbers(data.labels, data.groups, num_folds, seed)
    return [numbers == number for number in range(num_folds) if (numbers == number).any()]


def count_different(data: HeadData) -> list[int]:
    """Groups that each class has photos in."""
    pairs = np.unique(np.stack([data.labels, data.groups]), axis=1)
    return [int(number) for number in np.bincount(pairs[0], minlength=data.num_classes)]


def balance_classes(data: HeadData) -> NDArray[np.float64] | None:
    """Class weights, inversely proportional to the photos of each class, where their numbers differ much."""
    counts = np.bincount(data.labels, minlength=data.num_classes)
    if counts.max() <= _MOST_IMBALANCE * counts.min():
        return None
    return len(data.labels) / (data.num_classes * counts.astype(np.float64))


def _notes(data: HeadData, validation: CrossValidation, class_weights: NDArray[np.float64] | None) -> list[str]:
    """What was out of the ordinary, in sentences for the person whose photos they are."""
    counts, different = np.bincount(data.labels, minlength=data.num_classes), count_different(data)
    notes = []
    if class_weights is not None:
        notes.append(
            f"the largest class has {counts.max():,} photos and the smallest {counts.min():,}, so each class counts as"
            " much as any other, whatever the number of its photos."
        )
    num_copies = sum(1 for number, count in zip(different, counts, strict=True) if number == 1 < count)
    if num_copies:
        what = "1 class has" if num_copies == 1 else f"{num_copies:,} classes have"
        notes.append(f"{what} only copies of one photo, so how often it is recognised is unknown.")
    if max(different) > MOST_FOR_NEAREST_MEAN:
        num_penalties = len(affordable_penalties(validation.examples))
        if num_penalties == 0:
            notes.append("too many photos and classes for logistic regression, so only LDA was tried.")
        elif num_penalties == 1:
            notes.append("very many photos and classes, so logistic regression was tried with a single penalty.")
    return notes
