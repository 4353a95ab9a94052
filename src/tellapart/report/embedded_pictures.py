"""The photos of one page: small JPEG files, each embedded once however often it is shown.

Only encodes; decoding is `images/gate.py`'s. The page refers to a picture by its id, so that a photo that appears as a
copy, as a suspect and as a mistake costs its bytes once.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.report.report_data import ReportPhoto

_Pixels = NDArray[np.uint8]

# A page of 5 MB, less what is not a picture. Photos of 200 pixels take some 9 kB each: 450 of them fit.
MOST_PICTURE_BYTES = 4_200_000
_LONGEST_SIDE, _SHORTEST_SIDE = 200, 48
_QUALITY = 76
_ROUNDS = 4


@dataclass(frozen=True)
class ShownPhoto:
    """A photo where the page shows it.

    Attributes:
        row: its number among the photos of the report.
        picture_id: of the picture that is embedded once.
        height, width: in units of the drawing; only their ratio matters.
        name: its path within the source.
        path, content, class_name: as in `ReportPhoto`.
    """

    row: int
    picture_id: str
    height: int
    width: int
    name: str
    path: str
    content: str
    class_name: str | None


@dataclass(frozen=True)
class Picture:
    """An embedded picture: its id, its size in units of the drawing, and the JPEG file as a data URI."""

    picture_id: str
    height: int
    width: int
    uri: str


class Album:
    """Collects what a page shows, then embeds it.

    Args:
        source: what the photos were read from; their names are shown without it.
        photos: by row; `show` takes from them.
        heatmaps: by row; `show_heatmap` takes from them.
    """

    def __init__(self, source: str, photos: Mapping[int, ReportPhoto], heatmaps: Mapping[int, _Pixels]) -> None:
        self.source = source
        self.photos = photos
        self.heatmaps = heatmaps
        self._images: dict[str, _Pixels] = {}
        self._ids: dict[str, str] = {}

    def show(self, row: int) -> ShownPhoto:
        """The photo of that row, which the page now holds; photos of the same content share one picture."""
        photo = self.photos[row]
        picture_id = self._ids.setdefault(photo.content, f"p{row}")
        image = self._images.setdefault(picture_id, photo.image)
        height, width = image.shape[:2]
        name = photo.path.removeprefix(self.source).lstrip("/\\") or photo.path
        return ShownPhoto(row, picture_id, height, width, name, photo.path, photo.content, photo.class_name)

    def show_heatmap(self, row: int) -> str | None:
        """The id of the heat map of that row, which the page now holds; `None` where there is none."""
        if row not in self.heatmaps:
            return None
        self._images.setdefault(f"h{row}", self.heatmaps[row])
        return f"h{row}"

    def pictures(self) -> tuple[Picture, ...]:
        """All that was shown, encoded; where that would be more than `MOST_PICTURE_BYTES`, smaller and smaller."""
        side, uris = _LONGEST_SIDE, self._encode(_LONGEST_SIDE)
        for _ in range(_ROUNDS):
            num_bytes = sum(map(len, uris.values()))
            if num_bytes <= MOST_PICTURE_BYTES or side == _SHORTEST_SIDE:
                break
            side = max(_SHORTEST_SIDE, int(side * 0.95 * math.sqrt(MOST_PICTURE_BYTES / num_bytes)))
            uris = self._encode(side)
        return tuple(
            Picture(key, self._images[key].shape[0], self._images[key].shape[1], uri) for key, uri in uris.items()
        )

    def _encode(self, longest_side: int) -> dict[str, str]:
        return {key: jpeg_uri(image, longest_side) for key, image in self._images.items()}


def jpeg_uri(image: _Pixels, longest_side: int) -> str:
    """The image as a data URI of a JPEG file, shrunk to `longest_side` pixels where it is larger.

    Args:
        image: uint8 RGB, shape `(height, width, 3)`; not modified.
        longest_side: in pixels.
    """
    height, width = image.shape[:2]
    scale = longest_side / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    settings = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    is_encoded, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    assert is_encoded
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
