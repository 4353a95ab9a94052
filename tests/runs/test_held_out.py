"""The split that a source brings along is its owner's word."""

from collections.abc import Sequence

import numpy as np
import pytest

from tellapart.errors import DatasetError
from tellapart.photos.files import DiskFile
from tellapart.photos.photoset import PhotoSet
from tellapart.runs.held_out import given_split, hold_out


def make(labels: Sequence[int], splits: Sequence[str | None]) -> PhotoSet:
    """Photos of these classes and splits."""
    paths = tuple(f"p/{row}.jpg" for row in range(len(labels)))
    return PhotoSet(
        source="p",
        paths=paths,
        labels=np.array(labels, np.int64),
        class_names=tuple("abc"[: max(labels) + 1]),
        skipped=(),
        places=tuple(map(DiskFile, paths)),
        given_splits=tuple(splits),
    )


def test_a_validation_split_that_lacks_a_class_is_still_validation() -> None:
    photos = make([0, 0, 1, 1, 2, 0], ["train", "validation", "train", "validation", "train", "train"])
    split = hold_out(photos, np.arange(6), 0.5, seed=0)

    assert (split.train.tolist(), split.validation.tolist()) == ([0, 2, 4, 5], [1, 3])


def test_photos_outside_of_a_split_are_trained_on() -> None:
    split = given_split(make([0, 1, 0, 1], ["train", None, "validation", None]))

    assert split is not None
    assert (split.train.tolist(), split.validation.tolist()) == ([0, 1, 3], [2])


def test_a_class_in_validation_only_is_refused() -> None:
    with pytest.raises(DatasetError, match="class 'b' in 'p' has photos for validation only.*Move some of them"):
        given_split(make([0, 0, 1], ["train", "validation", "validation"]))


@pytest.mark.parametrize("splits", [(None,) * 4, ("train",) * 4, ("validation",) * 4, ("train", "test") * 2], ids=str)
def test_without_both_sides_there_is_no_given_split(splits: Sequence[str | None]) -> None:
    assert given_split(make([0, 1, 0, 1], splits)) is None


def test_copies_of_training_photos_do_not_validate() -> None:
    photos = make([0, 1, 0, 1], ["train", "train", "validation", "validation"])

    assert hold_out(photos, np.array([0, 1, 0, 2]), 0.5, seed=0).validation.tolist() == [3]
