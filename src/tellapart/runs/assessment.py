"""What a training says of its own model on the first screen: the verdict, and what to do next."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from tellapart.checkup.check_up import Checkup
from tellapart.formats.photo_formats import SUFFIXES
from tellapart.measure.measurement import Measurement
from tellapart.measure.next_steps import rank_steps
from tellapart.measure.scores import Step, Verdict
from tellapart.measure.verdict import judge
from tellapart.records import Skipped
from tellapart.translation import gettext as _

# Rounding alone stays near 1e-6 in a probability.
_PARITY_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Assessment:
    """The verdict on a model, and what to do next, the costliest neglect first."""

    verdict: Verdict
    steps: tuple[Step, ...]

    def to_json(self) -> dict[str, Any]:
        """The part of `metrics.json` that says it."""
        return {
            "verdict": self.verdict.word,
            "verdict_sentence": self.verdict.sentence,
            "reasons": list(self.verdict.reasons),
            "next_steps": [asdict(step) for step in self.steps],
        }


def assess(checkup: Checkup, measurement: Measurement | None) -> Assessment:
    """The assessment of a model by its measurement, `None` where there was nothing to measure, and its photos."""
    evaluation = None if measurement is None else measurement.evaluation
    method = None if measurement is None else measurement.method
    num_photos = len(checkup.photos)
    verdict = judge(evaluation, checkup.findings, num_photos)
    steps = rank_steps(verdict, evaluation, checkup.findings, num_photos, method, _count_lost(checkup.photos.skipped))
    return Assessment(verdict, steps)


def describe_difference(difference: float) -> str | None:
    """A sentence on an exported model that answers a little unlike the trained one; `None` where rounding explains it.

    Args:
        difference: the largest between their probabilities.
    """
    if difference <= _PARITY_TOLERANCE:
        return None
    return _(
        "The exported model differs from the trained one by up to {difference} in a probability. Small rounding"
        " differences decide there: the photos are very similar, or the training was very long."
    ).format(difference=f"{difference:.1g}")


def _count_lost(skipped: Sequence[Skipped]) -> int:
    """How many of the files that were left out are photos by their name; the others, such as notes, are no loss."""
    suffixes = {suffix for some in SUFFIXES.values() for suffix in some}
    return sum(PurePath(item.path).suffix.lower() in suffixes for item in skipped)
