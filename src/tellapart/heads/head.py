"""From embeddings and labels to a linear head with honest probabilities: what is tried, and how one is chosen.

Arrays in, records out; knows no files and no Keras. The fits are in `heads/linear_models.py`; called by
`runs/train_head.py` and the check-up.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.heads.cross_validation import SHRINKAGES, Candidate, CrossValidation, Tried, on_one_core
from tellapart.heads.embedding_rows import EmbeddingRows, Embeddings
from tellapart.heads.head_data import HeadData, are_same, check_arrays, check_embeddings
from tellapart.heads.linear_models import LDA, LOGISTIC, NEAREST_MEAN, LinearModel, average, even_out_lengths
from tellapart.measure.softmax import softmax
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

_MEAN = "mean of LDA and logistic regression"
# Up to so many different photos in the largest class, the nearest mean is all they can carry.
_MOST_FOR_NEAREST_MEAN = 2
# scikit-learn's C, from much penalty to little, for embeddings of mean squared length 1.
_INVERSE_PENALTIES = (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_MIDDLE_PENALTY = (100.0,)
# Photos x (dimensions + 400) x (classes + 8) up to which all penalties are tried, and up to which the middle one is:
# the time of a step of logistic regression grows with it. The 400 stand for the softmax, the 8 for reading the
# embeddings. Never measured time, so that the same photos give the same head on a slow machine.
_ALL_PENALTIES_COST = 5e8
_LOGISTIC_COST = 1.5e9
# Photos held out from which the nearest mean gets a temperature of its own. With 4 or 8 of them that is mostly luck:
# 2 photos a class, 30 seeds, log-loss of the fixed scale and of a fitted temperature, mean and spread: cats and dogs
# 0.39 (0.06) and 0.29 (0.15), 4 kinds of weather 0.91 (0.12) and 0.99 (0.15).
_FEWEST_FOR_TEMPERATURE = 50
# Folds inside each fold of `cross_validate_head`.
_INNER_FOLDS = 3
# Labels that are wrong mislead LDA less the more it is held back. Accuracy on the true labels with 5 % flipped, of
# shrinkage as Ledoit and Wolf estimate it, 0.5 and 0.8: 400 pets 0.963, 0.980, 0.990; 4,000 pets 0.968, 0.985, 0.986;
# 548 kinds of weather 0.922, 0.943, 0.956. With right labels 0.5 and 0.8 are as good (2026-11-24).
_QUICK = {LDA: (0.8,)}
# A temperature is one number: more photos than this make it no better, only slower.
_MOST_FOR_TEMPERATURE = 4000
# By which share an embedding differs from one machine or size of batch to another: some units of float32.
_ROUNDING = 1e-5
# The kinds of head that a caller may ask for by name.
HEADS = {"lda": LDA, "logistic": LOGISTIC, "nearest-mean": NEAREST_MEAN}
_FLOATS = NDArray[np.float32]


@dataclass(frozen=True)
class FittedHead:
    """A linear head: `softmax(even_out_lengths(embeddings) @ weights + bias)` are its probabilities.

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

    weights: _FLOATS
    bias: _FLOATS
    temperature: float
    chosen: tuple[str, ...]
    tried: tuple[Candidate, ...]
    num_folds: int
    class_weights: tuple[float, ...] | None
    notes: tuple[str, ...]

    def probabilities(self, embeddings: Embeddings) -> _FLOATS:
        """Float32, shape `(n, num_classes)`, rows summing to 1; `embeddings` as those it was fitted to."""
        probabilities = np.empty((len(embeddings), len(self.bias)), np.float32)
        for part, block in EmbeddingRows.of(embeddings).blocks():
            probabilities[part] = softmax(even_out_lengths(block) @ self.weights + self.bias)
        return probabilities

    def rounding(self, embeddings: Embeddings) -> float:
        """How far a probability of one of these photos may be off because embeddings are float32, at most about.

        What is added up to a logit is off by a share of its size. Photos that are nearly the same are told apart by
        large weights, whose terms are far larger than their sum.
        """
        weights, bias = np.abs(self.weights), np.abs(self.bias)
        largest = [
            float((np.abs(even_out_lengths(block)) @ weights + bias).max(initial=0.0))
            for _part, block in EmbeddingRows.of(embeddings).blocks()
        ]
        # A probability moves by half of what two logits move by together.
        return max(largest, default=0.0) * _ROUNDING

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


def tried_of(head: str | None, inverse_penalty: float | None = None) -> Tried | None:
    """What is tried where a caller has chosen the kind of head; `None` where nothing was chosen.

    Args:
        head: a name of `HEADS`; `None` with an `inverse_penalty` is `logistic`.
        inverse_penalty: of logistic regression, scikit-learn's C; `None` tries several.
    """
    if head is None and inverse_penalty is None:
        return None
    strengths: dict[str, tuple[float | None, ...]] = {
        "lda": SHRINKAGES,
        "logistic": _INVERSE_PENALTIES if inverse_penalty is None else (inverse_penalty,),
        "nearest-mean": (None,),
    }
    name = head or "logistic"
    return {HEADS[name]: strengths[name]}


@on_one_core
def fit_head(
    data: HeadData,
    folds: int,
    seed: int,
    tried: Tried | None = None,
    streamed: Mapping[float | None, LinearModel] | None = None,
) -> FittedHead:
    """The head for these photos, chosen among several kinds of model by the log-loss of cross-validation.

    With 1 or 2 different photos in the largest class it is the nearest class mean. Otherwise LDA and logistic
    regression are tried under several penalties, and so is the mean of the best of each. One temperature then makes its
    probabilities honest. Where one class has more than 3 times the photos of another, all are taken to be equally
    frequent, and count the same in the choice.

    Args:
        data: arrays, not modified.
        folds: parts of the cross-validation, at least 2; fewer are made where the largest class has fewer photos.
        seed: decides which photos come together in a fold.
        tried: one kind of head and its strengths, as `tried_of` gives them; `None` tries what can be afforded.
        streamed: shrinkage to LDA of many more photos, none of them among these, as `heads/stream_fit.py` makes them.
            They stand in place of the LDA of these photos, all of which are new to them.

    Raises:
        DatasetError: as `check_embeddings` says.
    """
    check_embeddings(data)
    return _fit(data, folds, seed, data.class_weights, tried, streamed)


@on_one_core
def cross_validate_head(data: HeadData, folds: int, seed: int, tried: Tried | None = None) -> _FLOATS:
    """Probabilities of each photo by a head that has seen neither it nor a duplicate: float32, `(n, num_classes)`.

    The whole of `fit_head`, choosing included, is done anew for each fold, with 3 folds inside. A photo that is never
    held out, because its class has no other, gets a row of NaN.

    Args:
        data: arrays, not modified.
        folds: at least 2; fewer where the largest class has fewer photos.
        seed: decides which photos come together in a fold.
        tried: as for `fit_head`.

    Raises:
        DatasetError: as `check_embeddings` says.
    """
    check_embeddings(data)
    probabilities = np.full((len(data.labels), data.num_classes), np.nan, np.float32)
    for held_out in data.hold_out_folds(folds, seed):
        part = data.take(~held_out)
        if are_same(part.embeddings):
            # Such a fold teaches nothing, and a head that knows nothing gives all classes the same.
            probabilities[held_out] = 1 / data.num_classes
        else:
            head = _fit(part, min(folds, _INNER_FOLDS), seed, data.class_weights, tried)
            probabilities[held_out] = head.probabilities(data.take(held_out).embeddings)
    return probabilities


@on_one_core
def out_of_fold_probabilities(data: HeadData, folds: int, seed: int) -> _FLOATS:
    """As `cross_validate_head`, by a quick model with one penalty, so nothing is chosen: what the check-up stands on.

    The model is LDA, or the nearest class mean where no class has more than 2 different photos. The temperature of a
    fold is fitted to the photos of all other folds.

    Args:
        data: arrays, not modified. Embeddings that are all the same are accepted: all classes are then as probable.
        folds, seed: as for `cross_validate_head`.

    Raises:
        DatasetError: as `check_arrays` says.
    """
    check_arrays(data)
    probabilities = np.full((len(data.labels), data.num_classes), np.nan, np.float32)
    held_out = data.hold_out_folds(folds, seed)
    if not held_out:
        return probabilities
    if are_same(data.embeddings):
        probabilities[np.any(held_out, axis=0)] = 1 / data.num_classes
        return probabilities
    is_lda = data.num_different.max() > _MOST_FOR_NEAREST_MEAN
    validation = CrossValidation(data, held_out, data.class_weights)
    (logits,) = validation.logits(_QUICK if is_lda else {NEAREST_MEAN: (None,)})
    for number in range(len(held_out)):
        inside = validation.fold_of_row == number
        others = np.flatnonzero(~inside)
        others = others[:: -(-max(1, len(others)) // _MOST_FOR_TEMPERATURE)]
        fewest = 1 if is_lda else _FEWEST_FOR_TEMPERATURE
        temperature = validation.temperature(logits, others) if len(others) >= fewest else 1.0
        probabilities[validation.rows[inside]] = softmax(logits[inside], temperature)
    return probabilities


def _fit(
    data: HeadData,
    folds: int,
    seed: int,
    class_weights: NDArray[np.float64] | None,
    wanted: Tried | None = None,
    streamed: Mapping[float | None, LinearModel] | None = None,
) -> FittedHead:
    held_out = data.hold_out_folds(folds, seed)
    validation = CrossValidation(data, held_out, class_weights)
    is_small = data.num_different.max() <= _MOST_FOR_NEAREST_MEAN or not held_out
    if is_small or (wanted is not None and NEAREST_MEAN in wanted):
        model, tried, chosen = _nearest_mean(validation)
    else:
        model, tried, chosen = _best(validation, wanted or _affordable(data), streamed or {})
    return FittedHead(
        weights=model.weights.astype(np.float32),
        bias=model.bias.astype(np.float32),
        temperature=chosen[-1].temperature,
        chosen=tuple(str(candidate) for candidate in chosen if candidate.name != _MEAN),
        tried=tuple(tried),
        num_folds=len(held_out),
        class_weights=None if class_weights is None else tuple(class_weights.tolist()),
        notes=tuple(_notes(data, class_weights)),
    )


def _nearest_mean(validation: CrossValidation) -> tuple[LinearModel, list[Candidate], list[Candidate]]:
    """The model, what was tried and what was chosen; its temperature is 1 where few photos are held out, or none."""
    (logits,) = validation.logits({NEAREST_MEAN: (None,)})
    temperature = validation.temperature(logits) if len(logits) >= _FEWEST_FOR_TEMPERATURE else 1.0
    candidate = validation.measure(NEAREST_MEAN, "", logits, temperature)
    return validation.fit(NEAREST_MEAN, (None,)).over(temperature), [candidate], [candidate]


def _best(
    validation: CrossValidation, tried: Tried, streamed: Mapping[float | None, LinearModel]
) -> tuple[LinearModel, list[Candidate], list[Candidate]]:
    """The model of least log-loss, what was tried and what was chosen: one kind, or both and then their mean."""
    own = {name: strengths for name, strengths in tried.items() if name != LDA or not streamed}
    tried = {**own, LDA: tuple(streamed)} if streamed else own
    all_logits = [*validation.logits(own), *map(validation.logits_of, streamed.values())]
    names = [(name, number) for name, strengths in tried.items() for number in range(len(strengths))]
    candidates = []
    for (name, number), logits in zip(names, all_logits, strict=True):
        setting = _describe(name, tried[name][number])
        candidates.append(validation.measure(name, setting, logits, validation.temperature(logits)))
    best_of_kind = [
        min(
            (row for row, (found, _unused) in enumerate(names) if found == name), key=lambda row: _loss(candidates[row])
        )
        for name in tried
    ]
    chosen = [min(best_of_kind, key=lambda row: _loss(candidates[row]))]
    mean = None
    if len(best_of_kind) > 1:
        logits = np.mean([all_logits[row] / candidates[row].temperature for row in best_of_kind], axis=0)
        mean = validation.measure(_MEAN, "", logits, validation.temperature(logits))
        candidates.append(mean)
        if _loss(mean) < _loss(candidates[chosen[0]]):
            chosen = sorted(best_of_kind, key=lambda row: _loss(candidates[row]))
    models = []
    for row in chosen:
        name, number = names[row]
        strengths = tried[name][: number + 1]
        model = streamed[strengths[-1]] if name not in own else validation.fit(name, strengths)
        models.append(model.over(candidates[row].temperature))
    if len(chosen) == 1 or mean is None:
        return models[0], candidates, [candidates[chosen[0]]]
    return average(models).over(mean.temperature), candidates, [*(candidates[row] for row in chosen), mean]


def _loss(candidate: Candidate) -> float:
    assert candidate.log_loss is not None
    return candidate.log_loss


def _describe(name: str, strength: float | None) -> str:
    if name == LOGISTIC:
        return f"C {strength:g}"
    return "shrinkage of Ledoit and Wolf" if strength is None else f"shrinkage {strength:g}"


def _affordable(data: HeadData) -> Tried:
    """What is tried: fewer penalties, or none, where each would take minutes."""
    penalties = _affordable_penalties(data)
    return {LDA: SHRINKAGES, LOGISTIC: penalties} if penalties else {LDA: SHRINKAGES}


def _affordable_penalties(data: HeadData) -> tuple[float, ...]:
    """The penalties that logistic regression is tried under; none where even one would take minutes."""
    cost = len(data.labels) * (min(data.embeddings.shape) + 400) * (data.num_classes + 8)
    if cost <= _ALL_PENALTIES_COST:
        return _INVERSE_PENALTIES
    return _MIDDLE_PENALTY if cost <= _LOGISTIC_COST else ()


def _notes(data: HeadData, class_weights: NDArray[np.float64] | None) -> list[str]:
    """What was out of the ordinary, in sentences for the person whose photos they are."""
    counts, different = np.bincount(data.labels, minlength=data.num_classes), data.num_different
    notes = []
    if class_weights is not None:
        notes.append(
            _("Classes are uneven ({most:,} and {fewest:,} photos). Training gives each class the same weight.").format(
                most=counts.max(), fewest=counts.min()
            )
        )
    num_copies = int(((different == 1) & (counts > 1)).sum())
    if num_copies:
        notes.append(
            ngettext(
                "{num:,} class has only copies of one photo, so its recall is unknown.",
                "{num:,} classes have only copies of one photo, so their recall is unknown.",
                num_copies,
            ).format(num=num_copies)
        )
    if different.max() > _MOST_FOR_NEAREST_MEAN:
        num_penalties = len(_affordable_penalties(data))
        if num_penalties == 0:
            notes.append(_("There are too many photos and classes for logistic regression, so only LDA was tried."))
        elif num_penalties == 1:
            notes.append(
                _("There are very many photos and classes, so logistic regression was tried with a single penalty.")
            )
    return notes
