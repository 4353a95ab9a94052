"""Models of one kind under several penalties, fitted to the photos of all folds but one: how they fare on the others.

Called by `heads/head.py`, which chooses among the results.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tellapart.heads.embedding_rows import EmbeddingRows
from tellapart.heads.head_data import HeadData
from tellapart.heads.linear_models import (
    FITS,
    LDA,
    LinearModel,
    even_out_lengths,
    make_examples,
    unfinished_fits_accepted,
)
from tellapart.measure.calibration import fit_temperature, log_loss_terms
from tellapart.photos.loading import num_cores

_FLOATS = NDArray[np.float32]
# `None` is what Ledoit and Wolf estimate.
SHRINKAGES = (None, 0.5, 0.8)
# Kinds of model, and how strongly each is held back.
Tried = Mapping[str, Sequence[float | None]]
# Photos from which products are large enough to be shared out to several cores.
_FEWEST_SHARED_OUT = 5_000

_Rest = ParamSpec("_Rest")
_Answer = TypeVar("_Answer")


def on_one_core(
    work: Callable[Concatenate[HeadData, _Rest], _Answer],
) -> Callable[Concatenate[HeadData, _Rest], _Answer]:
    """The function, whose products of fewer photos than `_FEWEST_SHARED_OUT` use one core.

    Threads that share small products wait for one another, and keep their cores busy meanwhile, wherever something else
    runs: training on 400 photos already seen took 55 s of two busy cores, and 13 s with this (2026-11-28).
    """

    @wraps(work)
    def run(data: HeadData, /, *rest: _Rest.args, **settings: _Rest.kwargs) -> _Answer:
        with threadpool_limits(limits=1 if len(data.labels) < _FEWEST_SHARED_OUT else None, user_api="blas"):
            return work(data, *rest, **settings)

    return run


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

    def __str__(self) -> str:
        return f"{self.name} {self.setting}".strip()


class CrossValidation:
    """The photos in folds.

    Args:
        data: all of them.
        held_out: for each fold whether a photo is held out in it, shape `(n,)`; some photos may be in none.
        class_weights: how much a photo of each class counts, for models that take all classes to be equally frequent;
            `None` where all photos count the same.

    Attributes:
        rows: of the photos held out, fold after fold.
        fold_of_row: of each of them.
    """

    def __init__(
        self, data: HeadData, held_out: Sequence[NDArray[np.bool_]], class_weights: NDArray[np.float64] | None
    ) -> None:
        self._held_out = held_out
        self._vectors = EmbeddingRows.of(data.embeddings).changed(even_out_lengths)
        self._examples = make_examples(
            self._vectors, data.labels, data.num_classes, is_corrected=class_weights is not None
        )
        found = [np.flatnonzero(fold) for fold in held_out]
        self.rows = np.concatenate(found) if found else np.zeros(0, np.int64)
        self.fold_of_row = np.repeat(np.arange(len(found)), [len(rows) for rows in found])
        self._labels = data.labels[self.rows]
        self._weights = None if class_weights is None else class_weights[self._labels]

    def logits(self, tried: Tried) -> list[_FLOATS]:
        """Of each thing tried the logits of the photos held out, before any temperature, shape `(num_held_out, ...)`.

        Folds are fitted side by side, one core each: the products here are too small to be shared out well.
        """

        def fit_fold(held_out: NDArray[np.bool_]) -> list[_FLOATS]:
            examples = self._examples.take(~held_out)
            models = [model for name, strengths in tried.items() for model in FITS[name](examples, strengths)]
            return [model.logits(self._vectors.take(held_out)) for model in models]

        if not self._held_out:
            nothing = np.zeros((0, self._examples.num_classes), np.float32)
            return [nothing for strengths in tried.values() for _ in strengths]
        with (
            unfinished_fits_accepted(),
            threadpool_limits(limits=1, user_api="blas"),
            ThreadPoolExecutor(num_cores(), thread_name_prefix="folds") as pool,
        ):
            parts = list(pool.map(fit_fold, self._held_out))
        return [np.concatenate(of_folds) for of_folds in zip(*parts, strict=True)]

    def logits_of(self, model: LinearModel) -> _FLOATS:
        """The logits of the photos held out by a model that learnt from none of the photos, as `logits` has them."""
        return model.logits(self._vectors.take(self.rows))

    def fit(self, name: str, strengths: Sequence[float | None]) -> LinearModel:
        """The last model of these strengths, fitted to all photos."""
        with unfinished_fits_accepted():
            return FITS[name](self._examples, strengths)[-1]

    def temperature(self, logits: _FLOATS, some: NDArray[np.int64] | slice = slice(None)) -> float:
        """What makes these logits of the photos held out, or of some of them, honest."""
        return fit_temperature(logits[some], self._labels[some], None if self._weights is None else self._weights[some])

    def measure(self, name: str, setting: str, logits: _FLOATS, temperature: float) -> Candidate:
        """What was tried, with the log-loss of these logits divided by the temperature, and its standard error."""
        terms = log_loss_terms(logits / temperature, self._labels)
        if len(terms) == 0:
            return Candidate(name, setting, None, None, temperature)
        weights = np.ones(len(terms)) if self._weights is None else self._weights
        mean = float(np.average(terms, weights=weights))
        error = float(np.sqrt(np.square(weights * (terms - mean)).sum()) / weights.sum())
        return Candidate(name, setting, mean, error, temperature)


@on_one_core
def held_out_losses(data: HeadData, folds: int, seed: int) -> NDArray[np.float64]:
    """What each photo adds to the log-loss of a quick head that has not seen it: float64, shape `(num_held_out,)`.

    The head is LDA under the best of its shrinkages. For the same labels, groups and seed the photos are the same, in
    the same order, so two kinds of embeddings can be compared photo by photo. Each class counts as in `fit_head`; the
    mean is the log-loss. Empty where no class has two different photos.

    Args:
        data: arrays, as `check_embeddings` accepts them; not modified.
        folds: at least 2.
        seed: decides which photos come together in a fold.
    """
    weights = data.class_weights
    validation = CrossValidation(data, data.hold_out_folds(folds, seed), weights)
    labels = data.labels[validation.rows]
    found = [
        log_loss_terms(logits / validation.temperature(logits), labels) * (1 if weights is None else weights[labels])
        for logits in validation.logits({LDA: SHRINKAGES})
    ]
    return min(found, key=lambda terms: float(terms.sum()))
