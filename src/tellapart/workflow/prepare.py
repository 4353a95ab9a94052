"""From a photo set to what a network learns from: choose, decode, drop what is unusable, split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from tellapart.config import SourceConfig, TrainConfig
from tellapart.errors import DatasetError
from tellapart.learn.fit import FitData
from tellapart.photos.cache import CachedImages, cache_images
from tellapart.photos.photoset import check_classes
from tellapart.photos.preprocess import PreprocessSpec
from tellapart.photos.sources import PhotoSet
from tellapart.photos.splits import Split, count_groups, split_indices
from tellapart.records import Skipped


def prepare_photos(photos: PhotoSet, source: SourceConfig, config: TrainConfig) -> FitData:
    """The usable photos decoded, labelled and split into train and validation.

    With `per_class`, a chosen photo that turns out to be unusable is replaced by another of its class while there are
    any.

    Raises:
        DatasetError: after leaving out what is unusable there are fewer than 2 classes, or a class has fewer than 2
        photos. OutputError: the decoded photos do not fit on the disk.
    """
    photos = _without_given_test(photos)
    images = _cache_chosen(photos, source, config)
    check_classes(images.photos.counts(), photos.source)
    labels = images.photos.labels
    assert labels is not None
    return FitData(images, labels, _split(images, labels, config))


def _cache_chosen(photos: PhotoSet, source: SourceConfig, config: TrainConfig) -> CachedImages:
    """The chosen photos' images, choosing again without the unusable ones until nothing more is to be gained."""
    cache_dir = Path(source.cache_dir or platformdirs.user_cache_path("tellapart")) / "images"
    spec = PreprocessSpec(config.image_size, config.channels)
    candidates = photos
    while True:
        chosen = candidates if source.per_class is None else candidates.per_class(source.per_class, config.seed)
        images = cache_images(chosen, spec, source.limits, cache_dir)
        unusable = {item.path for item in images.photos.skipped[len(candidates.skipped) :]}
        if not unusable or len(chosen) == len(candidates):
            return images
        usable = [row for row, path in enumerate(candidates.paths) if path not in unusable]
        candidates = replace(candidates.take(usable), skipped=images.photos.skipped)


def _without_given_test(photos: PhotoSet) -> PhotoSet:
    """The photos outside a split folder called test, which stay unseen; unless there is nothing else."""
    rows = [row for row, split in enumerate(photos.given_splits) if split == "test"]
    if not rows or len(rows) == len(photos):
        return photos
    rest = np.setdiff1d(np.arange(len(photos)), rows)
    reason = "stands in the source's own test folder, kept for `tellapart evaluate`"
    left_out = tuple(Skipped(photos.paths[row], reason) for row in rows)
    return replace(photos.take(rest), skipped=photos.skipped + left_out)


def _split(images: CachedImages, labels: NDArray[np.int64], config: TrainConfig) -> Split:
    """The source's own train and validation folders where it has both for every class, else a random split."""
    given = np.array(images.photos.given_splits, dtype=object)
    if given.size:
        sides = {name: np.flatnonzero(given == name) for name in ("train", "validation")}
        classes = set(labels.tolist())
        if all(set(labels[rows].tolist()) == classes for rows in sides.values()):
            return Split(sides["train"], sides["validation"])
    for label, num_groups in enumerate(count_groups(labels, images.groups())):
        if num_groups < 2:
            raise DatasetError(
                f"class {images.photos.class_names[label]!r} in {images.photos.source!r} has {num_groups} different"
                " photo; its others are copies of that one, or of photos of other classes. Every class needs at least"
                " 2. Add photos of it, or remove the class."
            )
    return split_indices(labels, images.groups(), config.validation_fraction, config.seed)
