"""Whether embeddings, labels and groups can be learnt from, with words for each reason why not.

Called by `heads/head.py`, once at its border; the fits trust what has passed.
"""

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import DatasetError

_SHOWN = 5
# Embeddings whose every feature varies by less than this share of the largest number in them are all the same: float32
# sums that a backbone takes in another order differ by as much.
_SAME = 1e-5


def check_embeddings(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], num_classes: int
) -> None:
    """Nothing, if a head can be fitted to the arrays, none of which is modified.

    Raises:
        DatasetError: the shapes do not fit each other, there are fewer than 2 classes, a class has no photos, or the
            embeddings are not finite or all the same.
    """
    check_arrays(embeddings, labels, groups, num_classes)
    if are_same(embeddings):
        raise DatasetError(
            f"the embeddings of all {len(embeddings):,} photos are the same, so they tell no classes apart; accepted"
            " are embeddings that differ. Look whether the photos differ, or try another --backbone."
        )


def check_arrays(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], num_classes: int
) -> None:
    """Nothing, if the arrays are what `check_embeddings` accepts, though perhaps all the same.

    Raises:
        DatasetError: as there.
    """
    _check_shapes(embeddings, labels, groups)
    _check_labels(labels, num_classes)
    _check_finite(embeddings)


def are_same(embeddings: NDArray[np.float32]) -> bool:
    """Whether all embeddings, finite and at least one, are the same but for rounding."""
    lowest, highest = embeddings.min(axis=0), embeddings.max(axis=0)
    largest = max(abs(float(lowest.min())), abs(float(highest.max())))
    # Divided first, for the difference of two large numbers is not finite in float32.
    return largest == 0 or bool((highest / largest - lowest / largest).max() <= _SAME)


def _check_shapes(embeddings: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]) -> None:
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
            f"embeddings are {embeddings.dtype} of shape {embeddings.shape}, labels {labels.dtype} of shape "
            f"{labels.shape}, groups {groups.dtype} of shape {groups.shape}; accepted are float32 (n, size), int64 (n,)"
            " and int64 (n,), with n and size at least 1. Pass one embedding, one label and one group a photo."
        )


def _check_labels(labels: NDArray[np.int64], num_classes: int) -> None:
    if num_classes < 2:
        raise DatasetError(
            f"num_classes is {num_classes!r}; at least 2 classes are needed to tell anything apart. Add photos of "
            "another class."
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise DatasetError(
            f"labels run from {labels.min()} to {labels.max()}; accepted are 0 to {num_classes - 1}, for "
            f"{num_classes} classes. Number them in the order of the class names."
        )
    empty = np.flatnonzero(np.bincount(labels, minlength=num_classes) == 0)
    if len(empty):
        raise DatasetError(
            f"of {num_classes} classes, {_name_numbers('number', 'numbers', empty)} without a photo to learn from;"
            " every class needs at least 1. Add photos, or take the class out of the source."
        )


def _check_finite(embeddings: NDArray[np.float32]) -> None:
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        raise DatasetError(
            f"of {len(embeddings):,} embeddings, {_name_numbers('that in row', 'those in rows', bad)} not finite;"
            " accepted are finite numbers. Try another --backbone, or take these photos out of the source."
        )


def _name_numbers(one: str, several: str, numbers: NDArray[np.intp]) -> str:
    """Such as `number 3 is` or `numbers 0, 1, 2, 3, 4 and 12 more are`."""
    if len(numbers) == 1:
        return f"{one} {numbers[0]} is"
    shown = ", ".join(str(number) for number in numbers[:_SHOWN])
    more = f" and {len(numbers) - _SHOWN:,} more" if len(numbers) > _SHOWN else ""
    return f"{several} {shown}{more} are"
