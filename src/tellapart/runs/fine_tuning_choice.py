"""Whether fine-tuning pays on these photos, and how much of it: two trainings, each on one half, judged on the other.

Called by `finetune_recipe.py`, which trains once more where it pays. The photos that measure the model take no part.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.heads.head import FittedHead
from tellapart.heads.head_data import HeadData
from tellapart.heads.linear_models import even_out_lengths
from tellapart.heads.novelty import fit_novelty
from tellapart.measure.calibration import fit_temperature, log_loss_terms
from tellapart.translation import gettext as _

NUM_FOLDS = 2
# Of the way from the weights before to those after the training.
SHARES = (0.5, 0.75, 1.0)
# A gain is kept from so many standard errors of the paired difference on.
_STANDARD_ERRORS = 1.0
# Errors that the pretrained network has to make. With fewer a gain rests on a few photos, and does not last: two of 160
# cats and dogs were wrong, fine-tuning lowered the log-loss by two standard errors on them, and raised it on 1,200
# others (docs/decisions/015-when-fine-tuning-is-kept.md).
_FEWEST_ERRORS = 10
_FLOATS = NDArray[np.float32]
_EXACT = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoldTrial:
    """What a training on one half of the photos says of the other half.

    Attributes:
        rows: of the photos that were held out, int64, shape `(n,)`.
        frozen: logits of a head on the pretrained network, float32, shape `(n, num_classes)`.
        tuned: by the share of the way, logits after fine-tuning, likewise.
        weights: how much each of the photos counts, float64, shape `(n,)`.
        distances: from the share of the way to how unlike the photos of the training each is, float32, shape `(n,)`;
            `None` with few photos.
        num_steps: that the training took.
    """

    rows: NDArray[np.int64]
    frozen: _FLOATS
    tuned: dict[float, _FLOATS]
    weights: _EXACT
    distances: Callable[[float], _FLOATS | None]
    num_steps: int


@dataclass(frozen=True)
class FineTuningChoice:
    """Whether the fine-tuned network is kept.

    Attributes:
        is_kept: whether it is.
        sentence: why, for the owner of the photos.
        num_photos: that the decision was made on; 0 where nothing was tried.
        num_views: of each photo.
        num_steps: of each training.
        frozen_log_loss, tuned_log_loss: of the pretrained and the fine-tuned network, in nats, on photos that each had
            not seen; `None` where nothing was tried.
        gain, standard_error: of the paired difference of the two, as `choose` has it; `None` likewise.
        share: of the way from the pretrained to the fine-tuned weights; 0 where they stay.
        temperature: what the logits of the fine-tuned network are divided by.
        tested_frozen_log_loss, tested_frozen_accuracy: of the pretrained network on the photos of the test.
    """

    is_kept: bool
    sentence: str
    num_photos: int = 0
    num_views: int = 0
    num_steps: tuple[int, ...] = ()
    frozen_log_loss: float | None = None
    tuned_log_loss: float | None = None
    gain: float | None = None
    standard_error: float | None = None
    share: float = 0.0
    temperature: float = 1.0
    tested_frozen_log_loss: float | None = None
    tested_frozen_accuracy: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The part of `metrics.json` that says it."""
        return asdict(self)


def log_frequencies(head: FittedHead, labels: NDArray[np.int64]) -> _FLOATS | None:
    """Of the classes among these labels, float32, shape `(num_classes,)`; `None` where the head takes them as they are.

    Args:
        head: fitted to photos with these labels.
        labels: every class at least once.
    """
    if head.class_weights is None:
        return None
    counts = np.bincount(labels, minlength=len(head.bias))
    return np.asarray(np.log(counts / counts.sum()), np.float32)


def head_logits(weights: _FLOATS, bias: _FLOATS, embeddings: _FLOATS) -> _FLOATS:
    """Logits whose softmax are the probabilities of a head, as `FittedHead` has it."""
    return np.asarray(even_out_lengths(embeddings) @ weights + bias, np.float32)


def distances_of(seen: HeadData, unseen: _FLOATS, seed: int) -> _FLOATS | None:
    """How unlike the first photos the others are, by embeddings of one network; `None` with few photos."""
    novelty = fit_novelty(seen, seed)
    return None if novelty is None else novelty.distances(unseen)


def describe_few_errors(halves: Sequence[tuple[_FLOATS, NDArray[np.int64]]]) -> str | None:
    """Why fine-tuning is not tried, where the pretrained network makes too few errors to tell whether it helps.

    Args:
        halves: of each, logits of a head on the pretrained network for photos it did not learn from, shape
            `(n, num_classes)`, and their labels.
    """
    num_errors = sum(int((logits.argmax(axis=1) != labels).sum()) for logits, labels in halves)
    if num_errors >= _FEWEST_ERRORS:
        return None
    said = _(
        "Fine-tuning was not tried. The pretrained network gets {num:,} of {num_all:,} photos wrong, and {fewest} are"
        " needed to tell whether it helps."
    )
    return said.format(num=num_errors, num_all=sum(len(labels) for _logits, labels in halves), fewest=_FEWEST_ERRORS)


def choose(trials: Sequence[FoldTrial], labels: NDArray[np.int64], num_views: int) -> FineTuningChoice:
    """Whether fine-tuning pays, by the log-loss on photos that no part of the decision about them has seen.

    How far to go and the temperature are chosen for each half on the other one, so the paired difference says what the
    whole way of training brings. What is then used is chosen on both.

    The standard error of a mean over photos leaves out that another half would have made another network. As each half
    is as large as the other, it is multiplied by the square root of 3: with J trainings the variance of their means
    counts `1 / J + n2 / n1` times and not `1 / J`, where n1 photos train and n2 judge (Nadeau and Bengio 2003,
    "Inference for the generalization error", section 3).

    Args:
        trials: of both halves.
        labels: of all photos that the rows of the trials count.
        num_views: of each photo.
    """
    gains, weights, frozen, tuned = [], [], [], []
    for trial, other in zip(trials, reversed(trials), strict=True):
        share, temperature = _best_share([other], labels)
        of_frozen = log_loss_terms(trial.frozen, labels[trial.rows])
        of_tuned = log_loss_terms(trial.tuned[share] / temperature, labels[trial.rows])
        weights.append(trial.weights)
        frozen.append(of_frozen * trial.weights)
        tuned.append(of_tuned * trial.weights)
        gains.append((of_frozen - of_tuned) * trial.weights)
    all_gains, mean_weight = np.concatenate(gains), float(np.concatenate(weights).mean())
    gain = float(all_gains.mean()) / mean_weight
    of_photos = float(all_gains.std(ddof=1) / np.sqrt(len(all_gains))) / mean_weight
    error = of_photos * float(np.sqrt(1 + NUM_FOLDS / (NUM_FOLDS - 1)))
    share, temperature = _best_share(trials, labels)
    is_kept = gain > _STANDARD_ERRORS * error
    losses = [float(np.concatenate(one).mean()) / mean_weight for one in (frozen, tuned)]
    return FineTuningChoice(
        is_kept=is_kept,
        sentence=_describe(is_kept, gain, error),
        num_photos=len(all_gains),
        num_views=num_views,
        num_steps=tuple(trial.num_steps for trial in trials),
        frozen_log_loss=losses[0],
        tuned_log_loss=losses[1],
        gain=gain,
        standard_error=error,
        share=share if is_kept else 0.0,
        temperature=temperature if is_kept else 1.0,
    )


def _best_share(trials: Sequence[FoldTrial], labels: NDArray[np.int64]) -> tuple[float, float]:
    """The share of the way with the least log-loss on these photos, and its temperature."""
    truth = np.concatenate([labels[trial.rows] for trial in trials])
    weights = np.concatenate([trial.weights for trial in trials])
    found = []
    for share in SHARES:
        logits = np.concatenate([trial.tuned[share] for trial in trials])
        temperature = fit_temperature(logits, truth, weights)
        loss = float(np.average(log_loss_terms(logits / temperature, truth), weights=weights))
        found.append((loss, share, temperature))
    _loss, share, temperature = min(found)
    return share, temperature


def _describe(is_kept: bool, gain: float, error: float) -> str:
    if is_kept:
        said = _("Fine-tuning pays: the log loss falls by {gain:.3f} (standard error {error:.3f}).")
    elif gain > 0:
        said = _(
            "Fine-tuning was tried and not kept. The log loss falls by only {gain:.3f} (standard error {error:.3f})."
        )
    else:
        said = _("Fine-tuning was tried and not kept. The log loss rises by {gain:.3f} (standard error {error:.3f}).")
    return said.format(gain=abs(gain), error=error)
