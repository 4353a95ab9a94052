"""Two finished runs on the photos that neither has learned from: a paired test, and the photos on which they differ."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tellapart.errors import DatasetError
from tellapart.measure.mcnemar import compare_paired
from tellapart.measure.scores import PairedTest
from tellapart.runs.run_tables import DAMAGE, PREDICTIONS_NAME, SPLIT_NAME, read_rows, unreadable
from tellapart.translation import gettext as _


@dataclass(frozen=True)
class RunAnswer:
    """What a run said of a photo it had not seen: the class, and its probability."""

    class_name: str
    probability: float


@dataclass(frozen=True)
class DifferingPhoto:
    """A photo that exactly one of two runs got right.

    Attributes:
        path: as the first run names it.
        content: of the photo, as `digest_photo` gives it.
        class_name: its label.
        first, second: what the runs said.
    """

    path: str
    content: str
    class_name: str
    first: RunAnswer
    second: RunAnswer


@dataclass(frozen=True)
class RunComparison:
    """How two runs fare on the same photos.

    Attributes:
        test: whether one is better, or it was luck.
        num_photos: photos that both were tested on.
        first_accuracy, second_accuracy: on these.
        differing: the photos that exactly one of them got right; those that only the first got right come first.
    """

    test: PairedTest
    num_photos: int
    first_accuracy: float
    second_accuracy: float
    differing: tuple[DifferingPhoto, ...]


def compare_runs(first: str | Path, second: str | Path) -> RunComparison:
    """The paired test of two runs on the photos that both were tested on, whatever the photos are called now.

    Args:
        first, second: folders of runs.

    Raises:
        BundleError: a run has no table of answers, or it is damaged.
        DatasetError: the runs were tested on no common photo of the same class.
    """
    one, other = Path(first), Path(second)
    of_one, of_other = _read_answers(one), _read_answers(other)
    common = [key for key in of_one if key in of_other]
    if not common:
        raise DatasetError(
            _(
                "{first!r} and {second!r} were not tested on the same photos, so they cannot be compared. Train both"
                " on the same photos."
            ).format(first=one.name, second=other.name)
        )
    first_right, second_right = (
        np.array([answers[key][1].class_name == key[1] for key in common], np.bool_) for answers in (of_one, of_other)
    )
    groups = _read_groups(one)
    numbers = np.array([groups.get(content, -1 - place) for place, (content, _class) in enumerate(common)], np.int64)
    differing = [
        DifferingPhoto(of_one[key][0], *key, of_one[key][1], of_other[key][1])
        for key, is_first, is_second in zip(common, first_right, second_right, strict=True)
        if is_first != is_second
    ]
    differing.sort(key=lambda photo: photo.first.class_name != photo.class_name)
    return RunComparison(
        compare_paired(one.name, other.name, first_right, second_right, numbers),
        len(common),
        float(first_right.mean()),
        float(second_right.mean()),
        tuple(differing),
    )


def _read_answers(run_dir: Path) -> dict[tuple[str, str], tuple[str, RunAnswer]]:
    """Path and answer by content and class of the photos that a run was tested on."""
    path = run_dir / PREDICTIONS_NAME
    rows = read_rows(path, "path", "content", "class", "predicted_class", "probability")
    try:
        return {
            (row["content"], row["class"]): (
                row["path"],
                RunAnswer(row["predicted_class"], float(row["probability"])),
            )
            for row in rows
        }
    except DAMAGE as exc:
        raise unreadable(path, exc) from exc


def _read_groups(run_dir: Path) -> dict[str, int]:
    """The number of the group of each photo, by content."""
    path = run_dir / SPLIT_NAME
    try:
        return {row["content"]: int(row["group"]) for row in read_rows(path, "content", "group")}
    except DAMAGE as exc:
        raise unreadable(path, exc) from exc
