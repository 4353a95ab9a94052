"""What every training does before it learns: take the photos asked for, hold some out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import DatasetError
from tellapart.measure.splits import Split, count_groups, split_indices
from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped
from tellapart.translation import gettext as _


class _Loaded(Protocol):
    @property
    def photos(self) -> PhotoSet: ...


LoadedPhotos = TypeVar("LoadedPhotos", bound=_Loaded)


def load_chosen(
    photos: PhotoSet, per_class: int | None, seed: int, load: Callable[[PhotoSet], LoadedPhotos]
) -> LoadedPhotos:
    """What `load` makes of the photos that are to be learnt from.

    With `per_class`, a chosen photo that turns out to be unusable is replaced by another of its class while there are
    any. Photos in a split folder called test stay unseen, unless there is nothing else.

    Args:
        photos: all there are.
        per_class: photos to take of each class; `None` takes all.
        seed: decides which are taken.
        load: decodes photos in some way; moves those that cannot be used to `photos.skipped` of what it gives.
    """
    candidates = _without_given_test(photos)
    while True:
        chosen = candidates if per_class is None else candidates.per_class(per_class, seed)
        loaded = load(chosen)
        unusable = {item.path for item in loaded.photos.skipped[len(candidates.skipped) :]}
        if not unusable or len(chosen) == len(candidates):
            return loaded
        usable = [row for row, path in enumerate(candidates.paths) if path not in unusable]
        candidates = replace(candidates.take(usable), skipped=loaded.photos.skipped)


def given_split(photos: PhotoSet) -> Split | None:
    """The source's own train and validation photos, where it has both; photos in neither train.

    Validation may lack a class, and is then the source's word all the same.

    Raises:
        DatasetError: a class is in validation only, so that nothing of it can be learnt.
    """
    given = np.array(photos.given_splits, dtype=object)
    if photos.labels is None or not {"train", "validation"} <= set(photos.given_splits):
        return None
    split = Split(np.flatnonzero(given != "validation"), np.flatnonzero(given == "validation"))
    untrained = sorted(set(photos.labels.tolist()) - set(photos.labels[split.train].tolist()))
    if untrained:
        rows = split.validation[np.isin(photos.labels[split.validation], untrained)]
        names = name_some([photos.class_names[label] for label in untrained])
        raise DatasetError(
            _(
                "class {names} in {source!r} has photos for validation only, so it cannot be learned. Move some of them"
                " to the training photos, or remove the class."
            ).format(names=names, source=photos.source),
            paths=[photos.paths[row] for row in rows],
        )
    return split


def hold_out(photos: PhotoSet, groups: NDArray[np.int64], validation_fraction: float, seed: int) -> Split:
    """The source's own split where it has one, else a random one, stratified by class.

    Photos that the source itself has put to validation, and that belong together with a training photo, are in neither
    part: they would be recognised, not judged.

    Args:
        photos: labelled.
        groups: equal numbers for photos that belong together, which stay on one side.
        validation_fraction: share of each class to validate with.
        seed: decides which photos are drawn.

    Raises:
        DatasetError: a class has fewer than 2 different photos.
    """
    if (given := given_split(photos)) is not None:
        return _without_leak(given, groups, photos)
    assert photos.labels is not None
    for label, num_groups in enumerate(count_groups(photos.labels, groups)):
        if num_groups < 2:
            said = _(
                "class {name!r} in {source!r} has no photo of its own, because each has a copy in another class. Every"
                " class needs at least 2. Add photos of the class, or remove it."
            )
            if num_groups:
                said = _(
                    "class {name!r} in {source!r} has 1 different photo. The others are copies of it, or of photos of"
                    " other classes. Every class needs at least 2. Add photos of the class, or remove it."
                )
            raise DatasetError(
                said.format(name=photos.class_names[label], source=photos.source),
                paths=[photos.paths[row] for row in np.flatnonzero(photos.labels == label)],
            )
    return split_indices(photos.labels, groups, validation_fraction, seed)


def _without_leak(split: Split, groups: NDArray[np.int64], photos: PhotoSet) -> Split:
    """The split without the validation photos that share a group with a training photo.

    Raises:
        DatasetError: none is left.
    """
    kept = split.validation[~np.isin(groups[split.validation], groups[split.train])]
    if not len(kept):
        raise DatasetError(
            _(
                "every validation photo of {source!r} has a copy among the training photos, so nothing is left to test"
                " with. Choose other photos for validation, or train without that split."
            ).format(source=photos.source),
            paths=[photos.paths[row] for row in split.validation],
        )
    return Split(split.train, kept)


def _without_given_test(photos: PhotoSet) -> PhotoSet:
    """The photos outside the source's own test split, which stay unseen; unless there is nothing else."""
    rows = [row for row, split in enumerate(photos.given_splits) if split == "test"]
    if not rows or len(rows) == len(photos):
        return photos
    rest = np.setdiff1d(np.arange(len(photos)), rows)
    reason = _("is in the test split of the source, kept for `tellapart evaluate`")
    left_out = tuple(Skipped(photos.paths[row], reason) for row in rows)
    return replace(photos.take(rest), skipped=photos.skipped + left_out)
