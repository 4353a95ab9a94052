"""Whether what small collections are promised holds: the interval of the accuracy, and the error of answers not unsure.

Many times a small collection is drawn, a head is fitted to it and cross-validated, and what that promises is compared
with how the head does on all other photos. Recorded are the share of intervals that hold the accuracy on the rest, and
the mean over the draws of the error among the photos answered. `--embeddings` takes what `tellapart embed` wrote.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accuracy_transfer import FOLDS, embed
from recording import Measurement, make_parser, record
from tellapart.config import DEFAULT_BACKBONE
from tellapart.heads.head import cross_validate_head, fit_head
from tellapart.heads.head_data import HeadData
from tellapart.measure.intervals import grouped_interval
from tellapart.measure.selective import selective_points, threshold_for
from tellapart.randomness import named_generator

TARGETS = (0.05, 0.1)


@dataclass(frozen=True)
class Draw:
    """One small collection.

    Attributes:
        accuracy: on the rest.
        interval_95: what cross-validation promised of it.
        answered: for each target the share of the rest that was answered.
        errors: for each target the share of wrong answers among those; `None` where none was given.
    """

    accuracy: float
    interval_95: tuple[float, float]
    answered: tuple[float, ...]
    errors: tuple[float | None, ...]


def load(arguments_embeddings: Path | None, photos_dir: Path) -> HeadData:
    """All photos, from a file of embeddings or embedded now."""
    if arguments_embeddings is None:
        embedded = embed(photos_dir, DEFAULT_BACKBONE)
        labels = embedded.photos.labels
        assert labels is not None
        return HeadData(embedded.embeddings, labels, embedded.groups, len(embedded.photos.class_names))
    with np.load(arguments_embeddings) as stored:
        embeddings, labels = stored["embeddings"], stored["labels"].astype(np.int64)
    groups = np.unique(embeddings, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return HeadData(embeddings, labels, groups, int(labels.max()) + 1)


def draw_collection(data: HeadData, num_photos: int, num_repeats: int, seed: int) -> Draw:
    """What so many photos promised, by the mean probabilities of `num_repeats` cross-validations, and what held."""
    rows = named_generator(seed, "coverage").permutation(len(data.labels))[:num_photos]
    is_drawn = np.zeros(len(data.labels), np.bool_)
    is_drawn[rows] = True
    part = data.take(is_drawn)
    rest = data.take(~np.isin(data.groups, part.groups))
    folded = [cross_validate_head(part, FOLDS, seed * num_repeats + number) for number in range(num_repeats)]
    promised = np.mean(folded, axis=0)
    promised_right = promised.argmax(axis=1) == part.labels
    probabilities = fit_head(part, FOLDS, seed).probabilities(rest.embeddings)
    is_right, sure = probabilities.argmax(axis=1) == rest.labels, probabilities.max(axis=1)
    points = selective_points(part.labels, promised)
    shares, errors = zip(*(realised(sure, is_right, threshold_for(points, target)) for target in TARGETS), strict=True)
    return Draw(float(is_right.mean()), grouped_interval(promised_right, part.groups), shares, errors)


def realised(
    sure: NDArray[np.float32], is_right: NDArray[np.bool_], threshold: float | None
) -> tuple[float, float | None]:
    """Share of the photos answered, and of wrong answers among them."""
    is_answered = np.zeros(len(sure), np.bool_) if threshold is None else sure >= threshold
    error = float(1 - is_right[is_answered].mean()) if is_answered.any() else None
    return float(is_answered.mean()), error


def summarise(draws: list[Draw], name: str) -> list[Measurement]:
    """The figures over all draws."""
    holds = [draw.interval_95[0] <= draw.accuracy <= draw.interval_95[1] for draw in draws]
    measurements = [
        Measurement(f"{name}.interval_holds", (float(np.mean(holds)),), "share"),
        Measurement(
            f"{name}.interval_width", tuple(draw.interval_95[1] - draw.interval_95[0] for draw in draws), "share"
        ),
        Measurement(f"{name}.accuracy", tuple(draw.accuracy for draw in draws), "share"),
    ]
    for number, target in enumerate(TARGETS):
        errors = [error for draw in draws if (error := draw.errors[number]) is not None]
        answered = float(np.mean([draw.answered[number] for draw in draws]))
        measurements.append(Measurement(f"{name}.not_sure_{target:g}.mean_answered", (answered,), "share"))
        if errors:
            measurements.append(
                Measurement(f"{name}.not_sure_{target:g}.mean_error", (float(np.mean(errors)),), "share")
            )
    return measurements


def main() -> None:
    """Draws `--runs` collections of each size."""
    parser = make_parser(__doc__, num_runs=200)
    parser.add_argument("--embeddings", type=Path, help="NPZ of `tellapart embed`, instead of --photos")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100])
    parser.add_argument("--repeats", type=int, default=3, help="cross-validations whose mean is taken (default 3)")
    arguments = parser.parse_args()
    data = load(arguments.embeddings, arguments.photos)
    source = (arguments.embeddings or arguments.photos.parent).stem
    measurements = []
    for size in arguments.sizes:
        draws = [draw_collection(data, size, arguments.repeats, seed) for seed in range(arguments.runs)]
        name = f"coverage.{source}.{size}_photos.{arguments.repeats}_repeats.{arguments.runs}_draws"
        measurements.extend(summarise(draws, name))
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
