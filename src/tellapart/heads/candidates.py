"""What is tried for a head: each kind of model under each penalty, and how it fares on photos held out.

Called by `heads/head.py`, which chooses among the results.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tellapart.heads.linear_models import (
    Examples,
    LinearModel,
    LogisticPath,
    fit_lda,
    fit_nearest_mean,
    unfinished_fits_accepted,
)
from tellapart.measure.calibration import fit_temperature, log_loss_terms
from tellapart.photos.loading import num_cores

NEAREST_MEAN, LDA, LOGISTIC = "nearest mean", "LDA", "logistic regression"
# `None` is what Ledoit and Wolf estimate.
_SHRINKAGES = (None, 0.5, 0.8)
# scikit-learn's C, from much penalty to little, where the embeddings have a mean squared length of 1.
_INVERSE_PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
_MIDDLE_PENALTY = (10.0,)
# Photos x (dimensions + 400) x (classes + 8) up to which all penalties are tried, and up to which the middle one is:
# the time of a step of logistic regression grows with it. The 400 stand for the softmax, the 8 for reading the
# embeddings. Never measured time, so that the same photos give the same head on a slow machine.
_ALL_PENALTIES_COST = 5e8
_LOGISTIC_COST = 1.5e9
# Photos held out from which the nearest mean gets a temperature of its own. With 4 or 8 of them that is mostly luck:
# 2 photos a class, 30 seeds, log-loss of the fixed scale and of a fitted temperature, mean and spread: cats and dogs
# 0.39 (0.06) and 0.29 (0.15), 4 kinds of weather 0.91 (0.12) and 0.99 (0.15).
FEWEST_FOR_TEMPERATURE = 50
_FLOATS = NDArray[np.float32]


@dataclass(frozen=True)
class Candidate:
    """One thing that was tried; the figures are of photos it had not seen, in cross-validation.

    Attributes:
        name: the kind of model.
        setting: how much it is held back: `shrinkage 0.5`, `C 10`, or nothing.
        log_loss: mean of `-log p(label)` in nats, after its temperature, weighted as the classes are; `None` where
            there was nothing to measure it on.
        standard_error: of the log-loss; `None` likewise.
        temperature: what its logits are divided by.
    """

    name: str
    setting: str
    log_loss: float | None
    standard_error: float | None
    temperature: float


@dataclass(frozen=True)
class Trial:
    """A candidate, with what it takes to use it.

    Attributes:
        candidate: what it was, and how it did.
        logits: of the photos held out, divided by its temperature, float32, shape `(num_held_out, num_classes)`.
        fit: gives its model for all the examples, before the temperature.
    """

    candidate: Candidate
    logits: _FLOATS
    fit: Callable[[], LinearModel]


class CrossValidation:
    """The examples in folds.

    Args:
        examples: all of them.
        held_out: for each fold whether a photo is held out in it, shape `(n,)`; some photos may be in none.
    """

    def __init__(self, examples: Examples, held_out: Sequence[NDArray[np.bool_]]) -> None:
        self.examples, self.held_out = examples, held_out
        # The photos held out, fold after fold: the rows of all logits below.
        rows = np.concatenate([np.flatnonzero(fold) for fold in held_out]) if held_out else np.zeros(0, np.int64)
        self.labels = examples.labels[rows]
        self.weights = None if examples.class_weights is None else examples.class_weights[self.labels]

    def try_nearest_mean(self) -> Trial:
        """The nearest class mean; its temperature is 1 where few photos are held out, or none."""
        logits = np.concatenate([np.zeros((0, self.examples.num_classes), np.float32), *self.nearest_mean_logits()])
        is_enough = len(logits) >= FEWEST_FOR_TEMPERATURE
        temperature = fit_temperature(logits, self.labels, self.weights) if is_enough else 1.0
        return self._trial((NEAREST_MEAN, ""), logits, temperature, partial(fit_nearest_mean, self.examples))

    def try_lda(self) -> list[Trial]:
        """LDA under each shrinkage."""
        parts = self._lda_over_folds(_SHRINKAGES)
        trials = []
        for shrinkage, of_folds in zip(_SHRINKAGES, zip(*parts, strict=True), strict=True):
            setting = "shrinkage of Ledoit and Wolf" if shrinkage is None else f"shrinkage {shrinkage:g}"
            logits = np.concatenate(of_folds)
            temperature = fit_temperature(logits, self.labels, self.weights)
            trials.append(self._trial((LDA, setting), logits, temperature, partial(self._fit_lda, shrinkage)))
        return trials

    def try_logistic(self) -> list[Trial]:
        """Logistic regression under less and less penalty, until the log-loss has got worse twice in a row.

        Of very many photos and classes only the middle penalty is tried, or none.
        """
        penalties = affordable_penalties(self.examples)
        paths = [LogisticPath() for _ in self.held_out]
        trials: list[Trial] = []
        for number, penalty in enumerate(penalties):
            parts = self._over_folds(partial(_go_on, paths, penalty))
            logits = np.concatenate([of_fold for (of_fold,) in parts])
            temperature = fit_temperature(logits, self.labels, self.weights)
            fit = partial(self._fit_logistic, penalties[: number + 1])
            trials.append(self._trial((LOGISTIC, f"C {penalty:g}"), logits, temperature, fit))
            losses = [_loss(trial) for trial in trials[-3:]]
            if len(losses) == 3 and losses[0] < losses[1] < losses[2]:
                break
        return trials

    def lda_logits(self, shrinkage: float | None) -> list[_FLOATS]:
        """Fold by fold the logits of its held-out photos under LDA, before any temperature."""
        return [of_fold for (of_fold,) in self._lda_over_folds([shrinkage])]

    def _lda_over_folds(self, shrinkages: Sequence[float | None]) -> list[list[_FLOATS]]:
        """As `_over_folds`; the products of all features are summed over all photos once, less those of each fold."""
        vectors = self.examples.vectors
        products = (vectors.T @ vectors).astype(np.float64)

        def fit(number: int, part: Examples) -> list[LinearModel]:
            left_out = vectors[self.held_out[number]]
            return fit_lda(part, shrinkages, products - left_out.T @ left_out)

        return self._over_folds(fit)

    def nearest_mean_logits(self) -> list[_FLOATS]:
        """Fold by fold the logits of its held-out photos under the nearest class mean, before any temperature."""
        return [of_fold for (of_fold,) in self._over_folds(lambda number, part: [fit_nearest_mean(part)])]

    def _over_folds(self, fit: Callable[[int, Examples], Sequence[LinearModel]]) -> list[list[_FLOATS]]:
        """Fold by fold the logits of its held-out photos under each model that `fit` gives for all other photos.

        Folds are fitted side by side, one core each: the products here are too small to be shared out well.
        """

        def run(number: int) -> list[_FLOATS]:
            fold = self.held_out[number]
            return [self._logits(fold, model) for model in fit(number, self.examples.take(~fold))]

        with (
            unfinished_fits_accepted(),
            threadpool_limits(limits=1, user_api="blas"),
            ThreadPoolExecutor(num_cores(), thread_name_prefix="folds") as pool,
        ):
            return list(pool.map(run, range(len(self.held_out))))

    def _fit_lda(self, shrinkage: float | None) -> LinearModel:
        return fit_lda(self.examples, [shrinkage])[0]

    def _fit_logistic(self, penalties: Sequence[float]) -> LinearModel:
        """Along the same path as in the folds, for where it ends depends a little on where it began."""
        path = LogisticPath()
        with unfinished_fits_accepted():
            return [path.fit(self.examples, penalty) for penalty in penalties][-1]

    def _logits(self, fold: NDArray[np.bool_], model: LinearModel) -> _FLOATS:
        return model.logits(self.examples.vectors[fold])

    def _trial(
        self, names: tuple[str, str], logits: _FLOATS, temperature: float, fit: Callable[[], LinearModel]
    ) -> Trial:
        cooled = (logits / temperature).astype(np.float32)
        return Trial(Candidate(*names, *self._measure(cooled), temperature), cooled, fit)

    def _measure(self, logits: _FLOATS) -> tuple[float | None, float | None]:
        """The log-loss of these logits of the photos held out, and its standard error."""
        terms = log_loss_terms(logits, self.labels)
        if len(terms) == 0:
            return None, None
        weights = np.ones(len(terms)) if self.weights is None else self.weights
        mean = float(np.average(terms, weights=weights))
        return mean, float(np.sqrt(np.square(weights * (terms - mean)).sum()) / weights.sum())


def _go_on(paths: Sequence[LogisticPath], penalty: float, number: int, part: Examples) -> list[LinearModel]:
    """The next model of the path of one fold."""
    return [paths[number].fit(part, penalty)]


def best_trials(trials: Sequence[Trial]) -> list[Trial]:
    """The best trial, and the best of another kind where one standard error does not tell the two apart."""
    best = min(trials, key=_loss)
    others = [trial for trial in trials if trial.candidate.name != best.candidate.name]
    if others and best.candidate.standard_error is not None:
        second = min(others, key=_loss)
        if _loss(second) <= _loss(best) + best.candidate.standard_error:
            return [best, second]
    return [best]


def _loss(trial: Trial) -> float:
    return math.inf if trial.candidate.log_loss is None else trial.candidate.log_loss


def affordable_penalties(examples: Examples) -> tuple[float, ...]:
    """The penalties that logistic regression is tried under; none where even one would take minutes."""
    num_photos, num_dimensions = examples.vectors.shape
    cost = num_photos * (num_dimensions + 400) * (examples.num_classes + 8)
    if cost <= _ALL_PENALTIES_COST:
        return _INVERSE_PENALTIES
    return _MIDDLE_PENALTY if cost <= _LOGISTIC_COST else ()
