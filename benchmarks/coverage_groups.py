"""Whether the interval of the accuracy holds the truth where photos come in groups, such as copies and bursts.

Collections are drawn whose photos belong to groups of 1 to 8, and whose photos of a group are right or wrong together
to a chosen degree. For each kind of collection the table has the share of intervals that hold the truth, by groups and
as if each file were a photo of its own, and the mean width. `--table` is where it is written.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from recording import write_simulation
from tellapart.measure.intervals import grouped_interval
from tellapart.randomness import named_generator

HEADER = ("groups", "largest_group", "together", "accuracy", "n", "held_by_groups", "held_by_files", "width_by_groups")
NUM_GROUPS, LARGEST, TOGETHER, ACCURACIES = (40, 150), (4, 8), (0.3, 0.7, 1.0), (0.8, 0.95, 0.99)


def measure_kind(
    num_groups: int, largest: int, together: float, accuracy: float, num_draws: int
) -> tuple[float, float, float]:
    """Share of intervals that hold the accuracy, by groups and by files, and the mean width by groups.

    Args:
        num_groups: groups of one collection, of 1 to `largest` photos.
        largest: see there.
        together: the intraclass correlation of right and wrong; 1 for copies.
        accuracy: the true share of right answers.
        num_draws: collections.
    """
    generator = named_generator(0, "groups", num_groups, largest, round(100 * together), round(100 * accuracy))
    held, widths = [], []
    for _ in range(num_draws):
        groups = np.repeat(np.arange(num_groups), generator.integers(1, largest + 1, num_groups))
        # A photo has the answer of its group with this probability, so two of a group share one with its square.
        is_shared = generator.random(len(groups)) < together**0.5
        of_group, alone = generator.random(num_groups) < accuracy, generator.random(len(groups)) < accuracy
        is_right = np.where(is_shared, of_group[groups], alone)
        low, high = grouped_interval(is_right, groups)
        low_files, high_files = grouped_interval(is_right)
        held.append((low <= accuracy <= high, low_files <= accuracy <= high_files))
        widths.append(high - low)
    by_groups, by_files = np.mean(held, axis=0)
    return float(by_groups), float(by_files), float(np.mean(widths))


def rows(num_draws: int) -> Iterator[tuple[object, ...]]:
    """The table without its header, a row a kind of collection."""
    for kind in itertools.product(NUM_GROUPS, LARGEST, TOGETHER, ACCURACIES):
        by_groups, by_files, width = measure_kind(*kind, num_draws)
        print(*kind, f"groups {by_groups:.3f}, files {by_files:.3f}")
        yield (*kind, num_draws, f"{by_groups:.3f}", f"{by_files:.3f}", f"{width:.3f}")


def main() -> None:
    """Draws `--draws` collections of each kind."""
    write_simulation(__doc__, "group-intervals.csv", HEADER, rows, 2000)


if __name__ == "__main__":
    main()
