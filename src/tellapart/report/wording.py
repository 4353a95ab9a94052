"""How the page says names that can hold anything, its title, and what "not sure" costs.

Knows nothing of HTML; every text may hold anything, and is escaped where it is put into a template.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tellapart.measure.measurement import Measurement
from tellapart.measure.scores import SelectivePoint
from tellapart.measure.selective import is_too_few, threshold_for
from tellapart.photos.names import printable
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

TARGET_ERRORS = (0.1, 0.05, 0.02, 0.01, 0.005)
# Controls, line ends, and the marks that turn the direction of what follows them.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# Letters that are read from the right, and what stands between two of them.
_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_FROM_RIGHT = re.compile(f"[{_RIGHT_TO_LEFT}](?:[^A-Za-z,.:;]{{0,6}}[{_RIGHT_TO_LEFT}])*")
_MOST_NAMES_IN_TITLE, _LONGEST_TITLE = 5, 60


@dataclass(frozen=True)
class NotSure:
    """What the model does where it may answer "not sure".

    Attributes:
        target_error: share of its answers that may be wrong.
        threshold: the least probability of an answer; `None` where no threshold keeps to the target.
        is_too_few: whether that is so for want of photos, and not because it is too often wrong.
        answered: share of the photos that still get an answer.
        num_answered, num_wrong: those photos, and the wrong ones among them.
    """

    target_error: float
    threshold: float | None
    is_too_few: bool
    answered: float
    num_answered: int
    num_wrong: int


def visible(text: str) -> str:
    r"""The text on one line, with what cannot be seen or would turn the direction written out: `\n`, `\u202e`."""
    return _INVISIBLE.sub(lambda match: match[0].encode("unicode_escape").decode(), printable(text))


def isolate(text: str) -> str:
    """The text with what is read from the right set apart, so that the numbers and quotes beside it stay in place."""
    return _FROM_RIGHT.sub(lambda match: f"\u2068{match[0]}\u2069", text)


def shorten(text: str, longest: int) -> str:
    """The text as `visible`, without its middle where it is longer than `longest` characters."""
    shown = visible(text)
    if len(shown) <= longest:
        return shown
    at_start = (longest - 1) // 3
    return f"{shown[:at_start]}…{shown[at_start + 1 - longest :]}"


def title_of(class_names: Sequence[str], *, is_checkup: bool) -> str:
    """A few words for the top of the page: `cat or dog?` for up to 5 short names, else how many classes there are."""
    names = [visible(name) for name in class_names]
    if not names or is_checkup:
        return _("Check-up of your photos")
    listed = names[0]
    if len(names) > 1:
        listed = _("{names} or {last}?").format(names=_(", ").join(names[:-1]), last=names[-1])
    if len(names) <= _MOST_NAMES_IN_TITLE and len(listed) <= _LONGEST_TITLE:
        return listed
    return ngettext("Which of {num:,} class?", "Which of {num:,} classes?", len(names)).format(num=len(names))


def not_sure_table(measurement: Measurement) -> tuple[NotSure, ...]:
    """For each target, what "not sure" costs; of those that hold without a single one, only the strictest."""
    rows: list[NotSure] = []
    for target in TARGET_ERRORS:
        threshold = threshold_for(measurement.selective, target)
        row = _not_sure(measurement, target, threshold)
        if row.threshold is not None and row.answered >= 1 and rows and rows[-1].answered >= 1:
            rows[-1] = row  # the stricter target holds without a single "not sure"
        else:
            rows.append(row)
    return tuple(rows)


def not_sure_offer(measurement: Measurement, rows: tuple[NotSure, ...]) -> NotSure | None:
    """The line for the head of the page: the mildest target that makes at least a third of the mistakes go away."""
    error = 1 - measurement.evaluation.accuracy
    fitting = [row for row in rows if row.threshold is not None and row.target_error <= error * 2 / 3]
    return fitting[0] if fitting and fitting[0].num_answered else None


def _not_sure(measurement: Measurement, target: float, threshold: float | None) -> NotSure:
    if threshold is None:
        return NotSure(target, None, is_too_few(measurement.selective, target), 0.0, 0, 0)
    none_left = SelectivePoint(threshold, 0, 0)
    point = next((point for point in measurement.selective if point.threshold >= threshold), none_left)
    num_photos = max(1, measurement.evaluation.num_photos)
    return NotSure(target, threshold, False, point.num_answered / num_photos, point.num_answered, point.num_wrong)
