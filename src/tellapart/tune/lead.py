"""What the lead of the winner is worth on photos that no trial saw, and how much of it was luck."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.measure.mcnemar import compare_paired, describe_test
from tellapart.measure.number_words import percent
from tellapart.measure.scores import PairedTest
from tellapart.photos.photoset import PhotoSet
from tellapart.predict.model import load
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop, ngettext

TUNED, DEFAULT = gettext_noop("tuned settings"), gettext_noop("default settings")


@dataclass(frozen=True)
class Lead:
    """The winner against the default settings, both as trials: trained on the same photos for as long.

    Attributes:
        search_accuracy, search_default_accuracy: on the photos that the winner was chosen on.
        accuracy, default_accuracy: on photos that no trial saw.
        num_photos: of those.
        test: whether the difference on them could be chance.
    """

    search_accuracy: float
    search_default_accuracy: float
    accuracy: float
    default_accuracy: float
    num_photos: int
    test: PairedTest

    @property
    def search_lead(self) -> float:
        """Of the winner in the search, 0 or more."""
        return self.search_accuracy - self.search_default_accuracy

    @property
    def lead(self) -> float:
        """Of the winner on photos that no trial saw; below 0 where the default is better."""
        return self.accuracy - self.default_accuracy

    @property
    def luck(self) -> float:
        """The part of the search's lead that is not there on new photos, 0 or more."""
        return max(0.0, self.search_lead - self.lead)


def measure_lead(
    winner_dir: Path, default_dir: Path, search: tuple[float, float], unseen: PhotoSet, groups: NDArray[np.int64]
) -> Lead:
    """The lead on the unseen photos.

    Args:
        winner_dir, default_dir: folders with the models of both trials.
        search: their accuracies in the search.
        unseen: labelled photos that no trial saw.
        groups: int64 `(len(unseen),)`, equal for photos that belong together.
    """
    first, second = _are_right(winner_dir, unseen), _are_right(default_dir, unseen)
    rows = sorted(first.keys() & second.keys())
    tuned, default = (np.array([answers[row] for row in rows], np.bool_) for answers in (first, second))
    test = compare_paired(_(TUNED), _(DEFAULT), tuned, default, groups[rows])
    return Lead(*search, float(tuned.mean()), float(default.mean()), len(rows), test)


def describe_lead(lead: Lead) -> list[str]:
    """What a person should know of it, a sentence each."""
    num = lead.num_photos
    on_new = ngettext(
        "On {num:,} photo that no trial saw: tuned settings {tuned}, default settings {default}.",
        "On {num:,} photos that no trial saw: tuned settings {tuned}, default settings {default}.",
        num,
    ).format(num=num, tuned=percent(lead.accuracy, num), default=percent(lead.default_accuracy, num))
    in_search = _("In the search the tuned settings led by {points} points, on new photos by {others} points.").format(
        points=f"{100 * lead.search_lead:.1f}", others=f"{100 * lead.lead:.1f}"
    )
    luck = _("None of the lead was luck.")
    if lead.luck > 0:
        luck = _("About {points} points of the lead were luck.").format(points=f"{100 * lead.luck:.1f}")
    return [on_new, f"{in_search} {luck}", f"{describe_test(lead.test)}."]


def _are_right(model_dir: Path, photos: PhotoSet) -> dict[int, bool]:
    """Whether the most probable class is the label, by row, of the photos that can be read."""
    assert photos.labels is not None
    model = load(model_dir)
    row_of_path = {path: row for row, path in enumerate(photos.paths)}
    labels = [photos.class_names[label] for label in photos.labels.tolist()]
    return {
        row: prediction.nearest_class == labels[row]
        for prediction in model.predict(photos)
        for row in (row_of_path[prediction.path],)
    }
