"""What a head learns from, checked once at the border, and its folds; the fits trust what has passed.

Called by all modules of `heads/`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import DatasetError
from tellapart.heads.embedding_rows import EmbeddingRows, Embeddings
from tellapart.measure.splits import fold_numbers
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

_SHOWN = 5
# Embeddings whose every feature varies by less than this share of the largest number in them are all the same: float32
# sums that a backbone takes in another order differ by as much.
_SAME = 1e-5
# The largest class may have so many times the photos of the smallest before all classes are made to count the same.
_MOST_IMBALANCE = 3


@dataclass(frozen=True)
class HeadData:
    """What a head learns from.

    Attributes:
        embeddings: float32, shape `(n, size)`: an array, or rows of one.
        labels: int64 in `[0, num_classes)`, shape `(n,)`; every class at least once.
        groups: int64, shape `(n,)`; equal numbers are duplicates of one another, which stay together in one fold.
        num_classes: at least 2.
    """

    embeddings: Embeddings
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    num_classes: int

    def take(self, rows: NDArray[np.bool_]) -> "HeadData":
        """Those of the rows that are true; the embeddings are not copied."""
        embeddings = EmbeddingRows.of(self.embeddings).take(rows)
        return HeadData(embeddings, self.labels[rows], self.groups[rows], self.num_classes)

    @property
    def num_different(self) -> NDArray[np.int64]:
        """Groups that each class has photos in, shape `(num_classes,)`."""
        pairs = np.unique(np.stack([self.labels, self.groups]), axis=1)
        return np.bincount(pairs[0], minlength=self.num_classes)

    @property
    def class_weights(self) -> NDArray[np.float64] | None:
        """Inversely proportional to the photos of each class, where their numbers differ much; `None` elsewhere."""
        counts = np.bincount(self.labels, minlength=self.num_classes)
        if counts.max() <= _MOST_IMBALANCE * counts.min():
            return None
        return np.asarray(len(self.labels) / (self.num_classes * counts), np.float64)

    def hold_out_folds(self, folds: int, seed: int) -> list[NDArray[np.bool_]]:
        """For each fold the photos held out in it, bool, shape `(n,)`; folds without photos are left away."""
        num_folds = min(folds, int(self.num_different.max()))
        if num_folds < 2:
            return []
        numbers = fold_numbers(self.labels, self.groups, num_folds, seed)
        return [numbers == number for number in range(num_folds) if (numbers == number).any()]


def check_embeddings(data: HeadData) -> None:
    """Nothing, if a head can be fitted to the arrays, none of which is modified.

    Raises:
        DatasetError: the shapes do not fit each other, there are fewer than 2 classes, a class has no photos, or the
            embeddings are not finite or all the same.
    """
    check_arrays(data)
    if are_same(data.embeddings):
        raise DatasetError(
            _(
                "The embeddings of all {num_embeddings:,} photos are the same, so they tell no classes "
                "apart. Check that the photos differ, or try another `backbone`."
            ).format(num_embeddings=len(data.embeddings))
        )


def check_arrays(data: HeadData) -> None:
    """Nothing, if the arrays are what `check_embeddings` accepts, though perhaps all the same.

    Raises:
        DatasetError: as there.
    """
    _check_shapes(data.embeddings, data.labels, data.groups)
    _check_labels(data.labels, data.num_classes)
    is_finite = [np.isfinite(block).all(axis=1) for _part, block in EmbeddingRows.of(data.embeddings).blocks()]
    bad = np.flatnonzero(~np.concatenate(is_finite))
    if len(bad):
        raise DatasetError(
            ngettext(
                "Of {total:,} embeddings, {num:,} is not finite (row {rows}). Try another `backbone`, or leave this "
                "photo out.",
                "Of {total:,} embeddings, {num:,} are not finite (rows {rows}). Try another `backbone`, or leave these "
                "photos out.",
                len(bad),
            ).format(total=len(data.embeddings), num=len(bad), rows=_shown(bad))
        )


def are_same(embeddings: Embeddings) -> bool:
    """Whether all embeddings, finite and at least one, are the same but for rounding."""
    bounds = [(block.min(axis=0), block.max(axis=0)) for _part, block in EmbeddingRows.of(embeddings).blocks()]
    lowest, highest = np.min([low for low, _high in bounds], axis=0), np.max([high for _low, high in bounds], axis=0)
    largest = max(abs(float(lowest.min())), abs(float(highest.max())))
    # Divided first, for the difference of two large numbers is not finite in float32.
    return largest == 0 or bool((highest / largest - lowest / largest).max() <= _SAME)


def _check_shapes(embeddings: Embeddings, labels: NDArray[np.int64], groups: NDArray[np.int64]) -> None:
    fits = (
        embeddings.ndim == 2
        and min(embeddings.shape) >= 1
        and np.issubdtype(embeddings.dtype, np.floating)
        and np.issubdtype(labels.dtype, np.integer)
        and np.issubdtype(groups.dtype, np.integer)
        and labels.shape == groups.shape == (len(embeddings),)
    )
    if not fits:
        raise DatasetError(
            _(
                "The embeddings are {embeddings}, the labels {labels}, the groups {groups}. Give one embedding, one"
                " label and one group a photo: float32 (n, size), int64 (n,) and int64 (n,), with n and size at least"
                " 1."
            ).format(
                embeddings=f"{embeddings.dtype} {embeddings.shape}",
                labels=f"{labels.dtype} {labels.shape}",
                groups=f"{groups.dtype} {groups.shape}",
            )
        )


def _check_labels(labels: NDArray[np.int64], num_classes: int) -> None:
    if num_classes < 2:
        raise DatasetError(_("A classifier needs at least 2 classes. Add photos of another class."))
    if labels.min() < 0 or labels.max() >= num_classes:
        raise DatasetError(
            _(
                "The labels run from {least} to {most}. Give numbers from 0 to {last} for {num_classes} classes, in the"
                " order of the class names."
            ).format(least=labels.min(), most=labels.max(), last=num_classes - 1, num_classes=num_classes)
        )
    empty = np.flatnonzero(np.bincount(labels, minlength=num_classes) == 0)
    if len(empty):
        raise DatasetError(
            ngettext(
                "Of {total:,} classes, {num:,} has no photo to train on (number {numbers}). Add photos, or leave this "
                "class out.",
                "Of {total:,} classes, {num:,} have no photo to train on (numbers {numbers}). Add photos, or leave "
                "these classes out.",
                len(empty),
            ).format(total=num_classes, num=len(empty), numbers=_shown(empty))
        )


def _shown(numbers: NDArray[np.intp]) -> str:
    """The first numbers, such as `0, 1, 2, 3, 4, ...`."""
    shown = [str(number) for number in numbers[:_SHOWN]]
    return ", ".join([*shown, "..."] if len(numbers) > _SHOWN else shown)
