"""What a report shows: plain values and small pictures, put together by `workflow/` and drawn by `report/page.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tellapart.records import (
    Evaluation,
    Finding,
    LabelSuspect,
    LearningCurve,
    Reliability,
    SelectivePoint,
    Skipped,
)


@dataclass(frozen=True, eq=False)
class ReportPhoto:
    """A photo that the report shows.

    Attributes:
        path: as its owner would recognise it.
        content: BLAKE2b of its bytes, 40 hexadecimal digits.
        class_name: its label; `None` without one.
        image: uint8 RGB, shape `(height, width, 3)`, some 200 pixels at its longer side.
    """

    path: str
    content: str
    class_name: str | None
    image: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What the model said of a photo it had not seen: the row, its label, its answer, and how sure it was."""

    row: int
    label: int
    predicted: int
    probability: float


@dataclass(frozen=True, eq=False)
class Results:
    """How a model does on photos it has not learnt from.

    Attributes:
        recipe: its name.
        evaluation: the figures.
        method: `hold-out` or `cross-validation`.
        num_repeats: cross-validations the figures are the mean of; 1 for a hold-out.
        reliability: whether the probabilities mean what they say.
        selective: how it does on the photos it is surest about, the lowest threshold first.
        curve: whether more photos would help; `None` where it was not measured.
        leak_accuracy: what the accuracy would have looked like with copies on both sides; `None` where there are none.
        mistakes: the surest mistakes, the surest first.
        unsure: the photos it was least sure about, the least sure first.
        examples: rows of example photos for cells of the confusion matrix, by `(label, predicted)`.
        heatmaps: by row, where the model looked, over the photo; uint8 RGB as `ReportPhoto.image`.
    """

    recipe: str
    evaluation: Evaluation
    method: str
    num_repeats: int
    reliability: Reliability
    selective: tuple[SelectivePoint, ...]
    curve: LearningCurve | None
    leak_accuracy: float | None
    mistakes: tuple[Answer, ...]
    unsure: tuple[Answer, ...]
    examples: Mapping[tuple[int, int], tuple[int, ...]]
    heatmaps: Mapping[int, NDArray[np.uint8]] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Report:
    """All that one page shows.

    Attributes:
        source: the photos, as they were named.
        made_on: the day, `2026-11-24`.
        class_counts: photos of each class, in class order.
        num_photos: photos that can be used.
        skipped: files that cannot, and why.
        findings: of the check-up, the weightiest first.
        suspects: labels that are probably wrong, the most suspicious first.
        photos: by row, every photo that anything here refers to.
        results: how the model does; `None` in the report of a check-up alone.
        facts: further lines about the training, such as its duration: what, and how much.
        clear: what the check-up looked for and did not find, a sentence each: `No copies were found.`
    """

    source: str
    made_on: str
    class_counts: Mapping[str, int]
    num_photos: int
    skipped: tuple[Skipped, ...]
    findings: tuple[Finding, ...]
    suspects: tuple[LabelSuspect, ...]
    photos: Mapping[int, ReportPhoto]
    results: Results | None
    facts: tuple[tuple[str, str], ...] = ()
    clear: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in order; labels are numbers into it."""
        return tuple(self.class_counts)
