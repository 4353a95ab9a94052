"""The pictures of one page: small photos, larger copies of some, and where a model looked, drawn over them.

Decoding is `images/gate.py`'s. Each picture is embedded once as a JPEG file, and the page refers to it by its id, so
that a photo that appears as a copy, as a suspect and as a mistake costs its bytes once.
"""

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.images.preprocess import THUMBNAIL_LONGEST_SIDE, shrink_image

_Pixels = NDArray[np.uint8]
_Key = TypeVar("_Key", str, int)


# A page of 5 MB, less what is not a picture. Photos of 200 pixels take some 9 kB each: 450 of them fit.
MOST_PICTURE_BYTES = 4_200_000
_SHORTEST_SIDE = 48
_QUALITY = 76
# The larger copies, which a click opens: of so many bytes together, so that a page stays well below 15 MB.
LARGE_SIDE, MOST_LARGE_BYTES, _SMALLEST_LARGE_SIDE = 1024, 7_500_000, 320
_LARGE_QUALITY = 80
# Parts of large photos pixel by pixel, for a scratch that no smaller copy shows. They become narrower where they would
# be too many bytes, never coarser. A photo has one where it is larger than its copy by this factor.
DETAIL_SIDE, MOST_DETAIL_BYTES, _SMALLEST_DETAIL_SIDE = 640, 1_800_000, 160
LEAST_DETAIL_GAIN = 1.25
_MAP_SIDE = 64
_ROUNDS = 4
# Yellow to red, RGB. The warm halves of inferno and turbo were looked at beside it: inferno's yellow core is lost on
# ginger fur and in lamp light, turbo's dark red on brown fur.
_WEAK, _STRONG = np.array([255, 255, 0], np.float32), np.array([255, 0, 0], np.float32)
_STRONGEST = 0.55  # opacity of the colour at the maximum; what lies below still shows through
_BRIGHTNESS, _GREYNESS = 0.85, 0.35  # of the photo below
_FLAT = 1e-6  # differences this small beside the maximum are rounding
FEWEST_PLACES = 3  # a map of fewer places a side says as good as nothing


@dataclass(frozen=True, eq=False)
class ReportPhoto:
    """A photo that the report shows.

    Attributes:
        path: as its owner would recognise it.
        content: BLAKE2b of its bytes, 40 hexadecimal digits.
        class_name: its label; `None` without one.
        image: uint8 RGB, shape `(height, width, 3)`, some `THUMBNAIL_LONGEST_SIDE` pixels at its longer side.
        large: likewise, at most `LARGE_SIDE` pixels; `None` where a click enlarges `image`.
        detail: a part of the photo at its own resolution, where the model looked; `None` where `large` shows as much.
    """

    path: str
    content: str
    class_name: str | None
    image: _Pixels = field(repr=False)
    large: _Pixels | None = field(default=None, repr=False)
    detail: _Pixels | None = field(default=None, repr=False)


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
        maps: by row, activation maps of the class that was answered, as for `overlay_map`; `show_heatmap` draws them.
    """

    def __init__(self, source: str, photos: Mapping[int, ReportPhoto], maps: Mapping[int, NDArray[np.float32]]) -> None:
        self.source = source
        self.photos = photos
        self.maps = maps
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
        """The id of the heat map of that row, which the page now holds; `None` where there is nothing to see."""
        if self.map_state(row) != "clear":
            return None
        self._images.setdefault(f"h{row}", overlay_map(self.photos[row].image, self.maps[row]))
        return f"h{row}"

    def map_state(self, row: int) -> str:
        """`none` without a map; `coarse`, `flat` or `clear`, see `judge_map`, with one."""
        return judge_map(self.maps[row]) if row in self.maps else "none"

    def pictures(self) -> tuple[Picture, ...]:
        """All that was shown, encoded; where that would be more than `MOST_PICTURE_BYTES`, smaller and smaller."""
        uris = _encode_within(self._images, MOST_PICTURE_BYTES, THUMBNAIL_LONGEST_SIDE, _SHORTEST_SIDE, _QUALITY)
        return tuple(
            Picture(key, self._images[key].shape[0], self._images[key].shape[1], uri) for key, uri in uris.items()
        )

    def large_pictures(self) -> dict[int, str]:
        """By row, the larger copies there are, as data URIs; smaller if more than `MOST_LARGE_BYTES`."""
        large = {row: photo.large for row, photo in self.photos.items() if photo.large is not None}
        return _encode_within(large, MOST_LARGE_BYTES, LARGE_SIDE, _SMALLEST_LARGE_SIDE, _LARGE_QUALITY)

    def details(self) -> dict[int, str]:
        """By row, the parts at full resolution, as data URIs; narrower if more than `MOST_DETAIL_BYTES`."""
        details = {row: photo.detail for row, photo in self.photos.items() if photo.detail is not None}
        limits = (MOST_DETAIL_BYTES, DETAIL_SIDE, _SMALLEST_DETAIL_SIDE, _LARGE_QUALITY)
        return _encode_within(details, *limits, reduce=cut_middle)


def _encode_within(
    images: Mapping[_Key, _Pixels],
    most_bytes: int,
    largest_side: int,
    smallest_side: int,
    quality: int,
    reduce: Callable[[_Pixels, int], _Pixels] = shrink_image,
) -> dict[_Key, str]:
    """The images as data URIs of at most so many characters together, smaller and smaller until they fit."""

    def encode(side: int) -> dict[_Key, str]:
        return {key: _jpeg_uri(reduce(image, side), quality) for key, image in images.items()}

    side = largest_side
    uris = encode(side)
    for _ in range(_ROUNDS):
        num_bytes = sum(map(len, uris.values()))
        if num_bytes <= most_bytes or side == smallest_side:
            break
        side = max(smallest_side, int(side * 0.95 * math.sqrt(most_bytes / num_bytes)))
        uris = encode(side)
    return uris


def _jpeg_uri(image: _Pixels, quality: int) -> str:
    """The image as a data URI of a JPEG file of a quality from 1 to 100."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    is_encoded, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    assert is_encoded
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def cut_middle(image: _Pixels, side: int) -> _Pixels:
    """The middle of the image at its own resolution, at most `side` pixels a side."""
    height, width = image.shape[:2]
    top, left = max(0, height - side) // 2, max(0, width - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def cut_detail(image: _Pixels, activation: NDArray[np.float32], side: int = DETAIL_SIDE) -> _Pixels:
    """The part of the photo around the place where a map is highest, pixel by pixel.

    Args:
        image: uint8 RGB, shape `(height, width, 3)`, at its own resolution; not modified.
        activation: as for `overlay_map`; one that `judge_map` calls clear.
        side: longest side of the part, in pixels.

    Returns:
        uint8 RGB, `side` pixels a side or what the photo has, all within the photo.
    """
    height, width = image.shape[:2]
    values = np.nan_to_num(activation.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    corners = []
    for place, num_places, size in ((row, values.shape[0], height), (column, values.shape[1], width)):
        middle = round((int(place) + 0.5) / num_places * size)
        corners.append(min(max(0, middle - side // 2), max(0, size - side)))
    top, left = corners
    return image[top : top + side, left : left + side].copy()


def judge_map(activation: NDArray[np.float32]) -> str:
    """Whether a map shows anything: `clear`, or `coarse` where it has too few places, or `flat` where all are alike."""
    if min(activation.shape) < FEWEST_PLACES:
        return "coarse"
    return "flat" if _colour_map(activation, *activation.shape) is None else "clear"


def overlay_map(image: NDArray[np.uint8], activation: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The photo with the places that speak for the class in warm colours, the others slightly dimmed and greyed.

    The class activation map (Zhou et al. 2016, "Learning Deep Features for Discriminative Localization", equation 2)
    says for every position how much it adds to the logit of one class. It is resized to the photo bicubic and scaled
    from 0 to its own maximum. Negative values, evidence against the class, are clipped to 0, so that colour always
    means evidence for it. The colour is relative: it says where the evidence is in this photo, not how much there is. A
    map that is the same everywhere, or nowhere above 0, points at nothing and gives the photo as it is.

    Args:
        image: uint8 RGB, shape `(height, width, 3)`; not modified.
        activation: float32, shape `(map_height, map_width)`, spread over the whole photo; not modified. A value that is
            not finite counts as 0.

    Returns:
        uint8 RGB, shape `(height, width, 3)`.
    """
    assert image.ndim == 3 and image.shape[2] == 3, image.shape
    warmth = _colour_map(activation, image.shape[0], image.shape[1])
    if warmth is None:
        return image.copy()
    colours, opacity = warmth
    pale = _dim(image)
    return np.asarray(np.rint(pale + opacity * (colours - pale)), np.uint8)


def map_uri(activation: NDArray[np.float32]) -> str | None:
    """The colours of `overlay_map` as a data URI of a square PNG file with opacity, to be stretched over the photo.

    `None` for a map that points at nothing.
    """
    warmth = _colour_map(activation, _MAP_SIDE, _MAP_SIDE)
    if warmth is None:
        return None
    colours, opacity = warmth
    pixels = np.rint(np.concatenate([colours[:, :, ::-1], 255 * opacity], axis=2)).astype(np.uint8)
    is_encoded, data = cv2.imencode(".png", pixels)
    assert is_encoded
    return f"data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}"


def _colour_map(
    activation: NDArray[np.float32], height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Colours, RGB in `[0, 255]`, and their opacity in `[0, 1]`, `(height, width, 3)` and `(height, width, 1)`."""
    assert activation.ndim == 2 and activation.size, activation.shape
    values = np.nan_to_num(activation.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    largest = float(values.max())
    if largest <= 0 or largest - float(values.min()) <= _FLAT * largest:
        return None
    scaled = cv2.resize(values / np.float32(largest), (width, height), interpolation=cv2.INTER_CUBIC)
    heat = np.clip(np.asarray(scaled, np.float32), 0, 1)
    colours = _WEAK + heat[:, :, np.newaxis] * (_STRONG - _WEAK)
    # A smooth step: half of the maximum is half of the colour, and weak evidence leaves the photo alone.
    return colours, (_STRONGEST * heat**2 * (3 - 2 * heat))[:, :, np.newaxis]


def _dim(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis].astype(np.float32)
    return np.asarray(_BRIGHTNESS * (image + _GREYNESS * (grey - image)), np.float32)
