"""What scikit-learn calls `X`, taken apart: a photo or an embedding a row, whatever the container."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from tellapart.errors import DatasetError
from tellapart.translation import gettext as _

# Of arrays that can hold paths (objects, text of both kinds), and of those that hold numbers.
_TEXT_KINDS, _NUMBER_KINDS = "OUT", "fiub"
Photo = str | NDArray[np.uint8] | None


@dataclass(frozen=True, eq=False)
class PhotoRows:
    """The rows of `X`: either photos or embeddings.

    Attributes:
        photos: of each row the path of a file, or pixels, uint8 RGB `(height, width, 3)`; `None` for a row without
            either, such as a missing value.
        embeddings: float32 `(n, size)`; `None` where the rows are photos.
    """

    photos: tuple[Photo, ...] = ()
    embeddings: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.photos) if self.embeddings is None else len(self.embeddings)


def to_rows(X: Any) -> PhotoRows:
    """The rows of `X`, in order.

    Args:
        X: a list, array of shape `(n,)` or `(n, 1)`, Series, or DataFrame of one column, of paths; uint8 images of
            shape `(n, height, width, 3)`, or a list of images; embeddings of shape `(n, size)`. Not modified.

    Raises:
        DatasetError: it is nothing of that kind.
    """
    array = _to_array(X)
    if array.ndim == 4 and array.dtype == np.uint8 and array.shape[3] == 3:
        return PhotoRows(tuple(array))
    if array.ndim == 2 and array.shape[1] == 1 and array.dtype.kind in _TEXT_KINDS:
        array = array[:, 0]
    if array.ndim == 1 and array.dtype.kind in _TEXT_KINDS:
        return PhotoRows(tuple(_to_photo(item) for item in array.tolist()))
    if array.ndim == 2 and array.dtype.kind in _NUMBER_KINDS:
        return PhotoRows(embeddings=np.asarray(array, np.float32))
    raise DatasetError(
        _(
            "X is {dtype} of shape {shape}. Give a column of paths, uint8 images of shape (n, height, width, 3), or"
            " embeddings of shape (n, size)."
        ).format(dtype=array.dtype, shape=array.shape)
    )


def _to_array(X: Any) -> NDArray[Any]:
    if issparse(X):
        raise DatasetError(_("X is a sparse matrix. Give paths, images, or embeddings as a dense array."))
    if hasattr(X, "to_numpy"):
        return np.asarray(X.to_numpy())
    if isinstance(X, list | tuple):
        return _list_to_array(X)
    if isinstance(X, str | bytes | os.PathLike) or not hasattr(X, "__array__"):
        raise DatasetError(
            _("X is a {kind}. Give a list, array, Series or DataFrame with a photo in each row.").format(
                kind=type(X).__name__
            )
        )
    return np.asarray(X)


def _list_to_array(items: Sequence[Any]) -> NDArray[Any]:
    """An array of the items; rows of a table become one of two dimensions, images stay whole."""
    if items and all(np.ndim(item) in (1, 2) and not isinstance(item, str | os.PathLike) for item in items):
        try:
            return np.asarray(items)
        except ValueError as exc:  # rows of different lengths
            raise DatasetError(_("X has rows of different lengths. Give a photo in each row.")) from exc
    array = np.empty(len(items), object)
    for row, item in enumerate(items):  # one by one, for numpy would take equally large images apart
        array[row] = item
    return array


def _to_photo(item: Any) -> Photo:
    """The photo of a row; `None` for a missing value.

    Raises:
        DatasetError: it is something else, such as a number.
    """
    if isinstance(item, str | os.PathLike):
        path = os.fspath(item)
        return path if isinstance(path, str) else os.fsdecode(path)
    if isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim == 3 and item.shape[2] == 3:
        return item
    is_missing = item is None or (isinstance(item, float) and math.isnan(item)) or type(item).__name__ == "NAType"
    if is_missing:
        return None
    raise DatasetError(
        _("a row of X is a {kind}. Give the path of a photo, or a uint8 image of shape (height, width, 3).").format(
            kind=type(item).__name__
        )
    )
