"""Whether what `--not-sure` and `--max-missed` promise holds where photos come in groups, such as copies and bursts.

Collections are drawn whose photos belong to groups of 1 to 8; of a group a chosen share are copies of one photo, with
its probability and its label. For each kind of collection the table has the mean share of wrong answers among new
photos that are answered, of the collections that answer any, counting groups and counting files, and the mean share of
new photos of a class that are missed. `--table` is where it is written.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recording import write_simulation
from tellapart.measure.operating import operating_curve, point_for_missed
from tellapart.measure.selective import selective_points, threshold_for
from tellapart.randomness import named_generator

HEADER = (
    *("groups", "together", "accuracy", "rate", "n", "answering_by_groups", "error_by_groups", "answering_by_files"),
    *("error_by_files", "promising_by_groups", "missed_by_groups", "promising_by_files", "missed_by_files"),
)
NUM_GROUPS, TOGETHER, ACCURACIES, RATES = (60, 200), (0.5, 1.0), (0.8, 0.9, 0.97), (0.02, 0.05, 0.1)
LARGEST = 8
_NUM_NEW = 20_000


def draw(
    num_photos: int, accuracy: float, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels and calibrated probabilities of two classes, from a model with about this accuracy."""
    sure = 0.5 + 0.5 * generator.beta(4 * accuracy - 2, 4 - 4 * accuracy, num_photos)
    labels = generator.integers(0, 2, num_photos)
    predicted = np.where(generator.random(num_photos) < sure, labels, 1 - labels)
    probabilities = np.where(predicted[:, np.newaxis] == np.arange(2), sure[:, np.newaxis], 1 - sure[:, np.newaxis])
    return labels, probabilities.astype(np.float32)


def measure_kind(num_groups: int, together: float, accuracy: float, rate: float, num_draws: int) -> list[float]:
    """The figures of a kind of collection, in the order of `HEADER`; a mean over no collections is 0.

    Args:
        num_groups: groups of one collection, of 1 to 8 photos.
        together: share of the photos of a group that are copies of its first one.
        accuracy: of the model, about.
        rate: both of wrong answers and of missed photos.
        num_draws: collections.
    """
    generator = named_generator(
        0, "not sure", num_groups, round(100 * together), round(100 * accuracy), round(1000 * rate)
    )
    new_labels, new_shares = draw(_NUM_NEW, accuracy, generator)
    new_sure, is_wrong = new_shares.max(axis=1), new_shares.argmax(axis=1) != new_labels
    new_own = new_shares[new_labels == 1, 1]
    errors: tuple[list[float], list[float]] = ([], [])
    missed: tuple[list[float], list[float]] = ([], [])
    for _ in range(num_draws):
        groups = np.repeat(np.arange(num_groups), generator.integers(1, LARGEST + 1, num_groups))
        labels, shares = draw(len(groups), accuracy, generator)
        first = np.unique(groups, return_index=True)[1][groups]
        source = np.where(generator.random(len(groups)) < together, first, np.arange(len(groups)))
        labels, shares = labels[source], shares[source]
        for number, of_photo in enumerate((groups, np.arange(len(groups)))):
            threshold = threshold_for(selective_points(labels, shares, of_photo), rate)
            if threshold is not None and (new_sure >= threshold).any():
                errors[number].append(float(is_wrong[new_sure >= threshold].mean()))
            curve = operating_curve("one", labels == 1, shares[:, 1], of_photo)
            point = None if curve is None else point_for_missed(curve, rate)
            if point is not None:
                missed[number].append(float((new_own < point.threshold).mean()))
    found = itertools.chain(errors, missed)
    return [value for some in found for value in (len(some) / num_draws, float(np.mean(some or [0])))]


def rows(num_draws: int) -> Iterator[tuple[object, ...]]:
    """The table without its header, a row a kind of collection."""
    for kind in itertools.product(NUM_GROUPS, TOGETHER, ACCURACIES, RATES):
        figures = measure_kind(*kind, num_draws)
        print(*kind, *(f"{value:.3f}" for value in figures))
        yield (*kind, num_draws, *(f"{value:.3f}" for value in figures))


def main() -> None:
    """Draws `--draws` collections of each kind."""
    write_simulation(__doc__, "group-promises.csv", HEADER, rows, 400)


if __name__ == "__main__":
    main()
