"""What a model may be asked about: photos by path, and images that the caller already has, in any mixture."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.config import ImageLimits
from tellapart.errors import DatasetError
from tellapart.images.pillow_decoder import PillowImage
from tellapart.images.preprocess import AnyImage, PreprocessSpec, load_image
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos
from tellapart.records import Skipped
from tellapart.translation import gettext as _

AnyPhotos = PhotoSet | AnyImage | Iterable[PhotoSet | AnyImage]
_ONE_IMAGE = (bytes, PillowImage, np.ndarray)


class Inputs:
    """Photos and images in the order given, each loaded when it is asked for; rows are numbered from 0.

    Args:
        photos: a `PhotoSet`; the path of a photo, folder or zip; the bytes of a photo; a Pillow image; pixels, uint8
            RGB, shape `(height, width, 3)` or `(n, height, width, 3)`; or any of these in a list.
        limits: the largest photo that is decoded; a photo set has its own.

    Attributes:
        paths: one for each; `image 0`, `image 1` and so on for what is no file.
        skipped: files of the folders and zips that are no photos, with the reason.

    Raises:
        DatasetError: there is nothing at a path, or something is no photo.
    """

    def __init__(self, photos: AnyPhotos, limits: ImageLimits = ImageLimits()) -> None:
        self._limits = limits
        self._parts: list[PhotoSet | Sequence[AnyImage]] = []
        is_one = isinstance(photos, (PhotoSet, str, Path, *_ONE_IMAGE)) or not isinstance(photos, Iterable)
        items: list[Any] = [photos] if is_one else list(photos)  # type: ignore[arg-type]
        if items and all(isinstance(item, str | Path) for item in items):
            self._parts.append(list_photos([str(item) for item in items], limits))
        else:
            for item in items:
                self._parts.append(_as_part(item, limits))
        self._ends = list(accumulate(len(part) for part in self._parts))
        self.paths: tuple[str, ...] = self._find_paths()
        self.skipped: tuple[Skipped, ...] = tuple(
            skip for part in self._parts if isinstance(part, PhotoSet) for skip in part.skipped
        )

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, row: int, spec: PreprocessSpec) -> NDArray[np.uint8]:
        """One image as a network takes it: uint8, shape `spec.shape`.

        Raises:
            ImageError: it cannot be used.
        """
        number = bisect_right(self._ends, row)
        part = self._parts[number]
        row -= self._ends[number] - len(part)
        if isinstance(part, PhotoSet):
            return load_image(part.read(row), spec, part.limits)
        return spec.load(part[row], self._limits)

    def _find_paths(self) -> tuple[str, ...]:
        paths: list[str] = []
        num_images = 0
        for part in self._parts:
            if isinstance(part, PhotoSet):
                paths += part.paths
            else:
                paths += [f"image {num_images + number}" for number in range(len(part))]
                num_images += len(part)
        return tuple(paths)


def _as_part(item: object, limits: ImageLimits) -> PhotoSet | Sequence[AnyImage]:
    if isinstance(item, PhotoSet):
        return item
    if isinstance(item, str | Path):
        return list_photos([item], limits)
    if isinstance(item, np.ndarray):
        images = item if item.ndim == 4 else item[np.newaxis]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise DatasetError(
                _(
                    "an array of {dtype}, shape {shape}, is not a photo. Give uint8 RGB of shape (height, "
                    "width, 3) or (n, height, width, 3), with values from 0 to 255."
                ).format(dtype=item.dtype, shape=item.shape)
            )
        return list(images)
    if isinstance(item, _ONE_IMAGE):
        return [item]
    kind = _with_article(type(item).__name__)
    raise DatasetError(
        _("{kind} is not a photo. Give a path, the bytes of a photo, a Pillow image or a uint8 array.").format(
            kind=kind
        )
    )


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"
