"""The head that was chosen last, fitted again to photos that have changed since; nothing is chosen.

Arrays in, arrays out; what is chosen, and how, is `heads/head.py`'s. Called by Studio after each change of a photo.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tellapart.heads.embedding_rows import EmbeddingRows
from tellapart.heads.head import FittedHead
from tellapart.heads.head_data import HeadData, check_embeddings
from tellapart.heads.linear_models import (
    FITS,
    LDA,
    NEAREST_MEAN,
    Examples,
    LinearModel,
    average,
    even_out_lengths,
    make_examples,
    unfinished_fits_accepted,
)
from tellapart.measure.calibration import fit_temperature
from tellapart.photos.loading import num_cores
from tellapart.untrusted import number_of, text_of

# Directions that the photos differ most in, which the models see instead of all features: as good, and the fits of
# 2,000 photos take a tenth of the time (see `heads/learning_curve.py` on how many are enough).
_NUM_DIRECTIONS = 128
# Folds, and with how many photos fewer of them say enough.
_NUM_FOLDS, _NUM_FOLDS_OF_MANY, _MANY_PHOTOS = 5, 3, 1_000
# Up to so many different photos in the largest class, the nearest mean is all they can carry, as in `heads/head.py`.
_MOST_FOR_NEAREST_MEAN = 2
# Where a quick head stands in for one that was never chosen: as the check-up's, see `heads/head.py`.
_QUICK_SHRINKAGE = 0.8
_SETTING_WORDS = ("C ", "shrinkage ")
_FLOATS = NDArray[np.float32]


@dataclass(frozen=True)
class ChosenModel:
    """One kind of model in a head.

    Attributes:
        name: a key of `FITS`.
        strength: how much it is held back; `None` for what takes no number.
        temperature: what its logits are divided by.
    """

    name: str
    strength: float | None
    temperature: float


@dataclass(frozen=True)
class HeadChoice:
    """What a head was made of.

    Attributes:
        models: one kind of model, or several whose mean it is.
        temperature: what the logits of the mean are divided by; 1 for one model.
    """

    models: tuple[ChosenModel, ...]
    temperature: float = 1.0

    @classmethod
    def from_json(cls, head: Mapping[str, Any]) -> "HeadChoice":
        """The choice in what `FittedHead.to_json` gave, as `metrics.json` keeps it.

        Raises:
            AttributeError, LookupError, TypeError, ValueError: something is missing or of another kind.
        """
        tried = {f"{one['name']} {one['setting']}".strip(): one for one in head["tried"]}
        models = tuple(
            ChosenModel(
                text_of(tried[name]["name"]),
                _strength_of(tried[name]["setting"]),
                number_of(tried[name]["temperature"]),
            )
            for name in head["chosen"]
        )
        if not models or any(one.name not in FITS or one.temperature <= 0 for one in models):
            raise ValueError("the head is made of nothing that is known")
        return cls(models, number_of(head["temperature"]) if len(models) > 1 else 1.0)


@dataclass(frozen=True, eq=False)
class Refit:
    """A head that was fitted again, and what heads like it say of photos they had not seen.

    Attributes:
        head: of all photos.
        rows: of the photos that were held out once, int64, shape `(num_held_out,)`.
        is_right: whether the most probable class of each is its label, bool.
    """

    head: FittedHead
    rows: NDArray[np.int64]
    is_right: NDArray[np.bool_]


def refit_head(data: HeadData, choice: HeadChoice | None, seed: int) -> Refit:
    """The head of these photos that is made as an earlier one was.

    With 1 or 2 different photos in the largest class it is the nearest class mean, whatever was chosen; without a
    choice it is LDA with a temperature of its own. More than 128 features are reduced to the 128 directions that the
    photos differ most in. Five folds, 3 with more than 1,000 photos, tell how right such heads are; groups stay
    together in one.

    Args:
        data: arrays, not modified.
        choice: what the earlier head was made of; `None` where there was none.
        seed: decides which photos come together in a fold.

    Raises:
        DatasetError: as `check_embeddings` says.
    """
    check_embeddings(data)
    weights = data.class_weights
    vectors = EmbeddingRows.of(data.embeddings).changed(even_out_lengths)
    examples = make_examples(
        vectors,
        data.labels,
        data.num_classes,
        is_corrected=weights is not None,
        num_directions=_NUM_DIRECTIONS,
        seed=seed,
    )
    held_out = data.hold_out_folds(_NUM_FOLDS if len(data.labels) <= _MANY_PHOTOS else _NUM_FOLDS_OF_MANY, seed)
    rows = np.concatenate([np.flatnonzero(fold) for fold in held_out]) if held_out else np.zeros(0, np.int64)
    chosen = _usable(choice, data)
    # Side by side, one core each, as `heads/cross_validation.py` does.
    with (
        unfinished_fits_accepted(),
        threadpool_limits(limits=1, user_api="blas"),
        ThreadPoolExecutor(num_cores(), thread_name_prefix="folds") as pool,
    ):
        of_all = pool.submit(_fit, examples, chosen)
        logits = list(pool.map(lambda fold: _fit(examples.take(~fold), chosen).logits(vectors.take(fold)), held_out))
        said = np.concatenate(logits) if logits else np.zeros((0, data.num_classes), np.float32)
        temperature = 1.0
        if choice is None and len(rows) and chosen.models[0].name == LDA:
            temperature = fit_temperature(
                said, data.labels[rows], None if weights is None else weights[data.labels[rows]]
            )
        model = of_all.result().over(temperature)
    head = FittedHead(
        weights=model.weights.astype(np.float32),
        bias=model.bias.astype(np.float32),
        temperature=temperature * chosen.temperature,
        chosen=tuple(one.name for one in chosen.models),
        tried=(),
        num_folds=len(held_out),
        class_weights=None if weights is None else tuple(weights.tolist()),
        notes=(),
    )
    return Refit(head, rows, np.asarray(said.argmax(axis=1) == data.labels[rows]))


def _usable(choice: HeadChoice | None, data: HeadData) -> HeadChoice:
    """What these photos can carry: the choice, or the quick one where there is none for so many photos."""
    if data.num_different.max() <= _MOST_FOR_NEAREST_MEAN:
        return HeadChoice((ChosenModel(NEAREST_MEAN, None, 1.0),))
    if choice is None or choice.models[0].name == NEAREST_MEAN:
        return HeadChoice((ChosenModel(LDA, _QUICK_SHRINKAGE, 1.0),))
    return choice


def _fit(examples: Examples, choice: HeadChoice) -> LinearModel:
    models = [FITS[one.name](examples, (one.strength,))[-1].over(one.temperature) for one in choice.models]
    return average(models).over(choice.temperature)


def _strength_of(setting: str) -> float | None:
    """The number in `C 10` or `shrinkage 0.5`; `None` for `shrinkage of Ledoit and Wolf`, and for nothing."""
    for word in _SETTING_WORDS:
        try:
            return number_of(float(text_of(setting).removeprefix(word)), 0)
        except ValueError:
            continue
    return None
