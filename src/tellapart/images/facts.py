"""What can be said of one photo without a network: size, camera, light, sharpness, its border and a thumbnail.

All of it comes from one decoding at reduced size. `backbones/photo_pass.py` keeps it as JSON. Comparing photos with one
another is `duplicates.py`'s, judging a collection the check-up's.
"""

import base64
import json
import math
from dataclasses import asdict, dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.config import ImageLimits
from tellapart.formats.exif import read_shot
from tellapart.images.gate import Decoded, decode_photo
from tellapart.images.preprocess import DECODER_VERSION

# Side of the thumbnail, and of its colours, in cells.
THUMBNAIL_SIDE, CHROMA_SIDE = 48, 8
# `(height, width)` that a photo is decoded at, at least: that of the usual backbones, which so share the decoding.
FACTS_SIZE = (224, 224)
# Raised when what is computed or its layout changes, so that what an earlier version left in a store is not used.
_FACTS_VERSION = 3
FACTS_KIND = f"facts {_FACTS_VERSION}, decoder {DECODER_VERSION}"

_PIXELS = NDArray[np.uint8]

# Shorter side that sharpness is measured at: below what networks see, so that it says what they can see.
_DETAIL_SIDE = 192
# Cells of the thumbnail that count as its rim: 4 % of its side.
_RIM_CELLS = 2
# Grey levels within which a line of the thumbnail counts as a part of a frame of one colour.
_FRAME_RANGE, _FRAME_STEP = 8, 4
# Difference of neighbours, in grey levels, that is noise.
_STEP_NOISE = 0.5
# Grey levels within which a pixel is of the ground, and within which its neighbours are as it is.
_GROUND_RANGE, _NO_RELIEF = 8, 1
# Below this are 3 in 5,448 ordinary photos, and 9 in 10 of those blurred by 1 % of their shorter side.
BLURRED = 1.0


@dataclass(frozen=True, eq=False)
class PhotoFacts:
    """What is known of one photo.

    Attributes:
        format: as `gate.sniff_format` names it.
        height, width: in pixels, as displayed.
        has_exif_rotation: whether its EXIF says that it is to be turned or mirrored; this is already done here.
        num_bytes: size of the file.
        camera: maker and model; `None` where they are not told.
        captured_at: seconds from 1970 by the camera's clock; `None` where no time is told.
        brightness: mean luma, in `[0, 1]`.
        contrast: standard deviation of luma, in `[0, 0.5]`.
        sharpness: about 1 without a sharp edge, more with; see `measure_sharpness`.
        flatness: share of what is on the ground that is of one level, in `[0, 1]`; see `measure_flatness`.
        border: float32, shape `(20,)`, in `[0, 1]`: for the top, bottom, left and right rim the mean of red, green and
            blue and the standard deviation of luma; then how far a frame of one colour reaches in from each side, as a
            share of it.
        thumbnail: luma, uint8 `(48, 48)`, squeezed to a square.
        chroma: Cr and Cb, uint8 `(8, 8, 2)`, squeezed to a square.
    """

    format: str
    height: int
    width: int
    has_exif_rotation: bool
    num_bytes: int
    camera: str | None
    captured_at: float | None
    brightness: float
    contrast: float
    sharpness: float
    flatness: float
    border: NDArray[np.float32] = field(repr=False)
    thumbnail: NDArray[np.uint8] = field(repr=False)
    chroma: NDArray[np.uint8] = field(repr=False)

    @property
    def is_blurred(self) -> bool:
        """Whether no edge on the photo is sharp."""
        return self.sharpness < BLURRED

    def to_bytes(self) -> bytes:
        """All facts as JSON."""
        values = asdict(self) | {"border": self.border.tolist()}
        for name in ("thumbnail", "chroma"):
            values[name] = base64.b64encode(values[name].tobytes()).decode()
        return json.dumps(values, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "PhotoFacts":
        """The facts that `to_bytes` wrote, and nothing else."""
        values = json.loads(data)
        shapes = {"thumbnail": (THUMBNAIL_SIDE, THUMBNAIL_SIDE), "chroma": (CHROMA_SIDE, CHROMA_SIDE, 2)}
        for name, shape in shapes.items():
            values[name] = np.frombuffer(base64.b64decode(values[name]), np.uint8).reshape(shape)
        return cls(**values | {"border": np.array(values["border"], np.float32)})


def facts_of(data: bytes, limits: ImageLimits = ImageLimits()) -> PhotoFacts:
    """What can be said of the photo in `data`.

    Args:
        data: the whole file.
        limits: the largest photo that is decoded.

    Raises:
        ImageError: the bytes are not a photo that can be used.
    """
    return measure_facts(decode_photo(data, limits, at_least=FACTS_SIZE), len(data))


def measure_facts(decoded: Decoded, num_bytes: int) -> PhotoFacts:
    """What can be said of a photo that was decoded with `FACTS_SIZE`, or at full size.

    Args:
        decoded: the photo; not modified.
        num_bytes: size of its file.
    """
    image = decoded.image
    factor = min(image.shape[:2]) // _DETAIL_SIDE
    if factor >= 2:  # what is no JPEG comes at full size
        size = (image.shape[1] // factor, image.shape[0] // factor)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    mean, deviation = cv2.meanStdDev(luma)
    thumbnail = _squeeze(luma, THUMBNAIL_SIDE)
    # Averaging all pixels in colour takes as long as decoding a small photo; colours are only compared in the large.
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    colours = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    shot = read_shot(decoded.exif)
    return PhotoFacts(
        format=decoded.info.format,
        height=decoded.info.height,
        width=decoded.info.width,
        has_exif_rotation=decoded.orientation != 1,
        num_bytes=num_bytes,
        camera=shot.camera,
        captured_at=shot.captured_at,
        brightness=float(mean[0, 0]) / 255,
        contrast=float(deviation[0, 0]) / 255,
        sharpness=measure_sharpness(luma),
        flatness=measure_flatness(luma),
        border=_describe_border(colours, thumbnail),
        thumbnail=thumbnail,
        chroma=_chroma(colours),
    )


def _squeeze(image: _PIXELS, side: int) -> _PIXELS:
    """The image as a square of `side` cells, each the mean of what it covers."""
    height, width = (max(length, side) for length in image.shape[:2])
    if (height, width) != image.shape[:2]:  # averaging is only done where nothing is enlarged
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    while min(height, width) >= 4 * side and height % 2 == width % 2 == 0:  # many times faster than other ratios
        height, width = height // 2, width // 2
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _chroma(colours: _PIXELS) -> _PIXELS:
    """Cr and Cb of a square of colours, uint8 `(8, 8, 2)`."""
    few = cv2.cvtColor(_squeeze(colours, CHROMA_SIDE), cv2.COLOR_RGB2YCrCb)
    return np.ascontiguousarray(np.asarray(few, np.uint8)[:, :, 1:])


def measure_sharpness(luma: NDArray[np.uint8]) -> float:
    """How steep the edges are, whatever their contrast: about 1 where light changes slowly, 1.4 at hard edges.

    Twice the root mean square difference of neighbours over that of pixels two apart: on a slope the latter is twice as
    large, at a step as large for twice as many. Ordinary photos have 1.0 to 1.4. Among 360 of them and the same blurred
    by 1 % of their shorter side it tells which is which with an area under the curve of 0.9997, as do percentiles of
    the Laplacian, which take ten times as long; the variance of the Laplacian has 0.990 (2026-11-24).

    Args:
        luma: uint8 `(height, width)`; not modified.
    """
    near, far = (_step_energy(luma, step) for step in (1, 2))
    return 2 * math.sqrt(near) / (math.sqrt(far) + _STEP_NOISE)


def measure_flatness(luma: _PIXELS) -> float:
    """The share of what is not the ground that has no relief at all, in `[0, 1]`; 0 where there is nothing else.

    What is drawn is flat but for its edges, and what is photographed has light, shade and noise, however plain the
    ground that it lies on. Of drawn masks, saved as PNG or as JPEG with quality 75, nine in ten have more than 0.77;
    of small dark things on plain ground, photographed with noise of one grey level or more, nine in ten less than 0.72
    (30 each, 2026-11-28).

    Args:
        luma: uint8 `(height, width)`; not modified. Its commonest level is the ground.
    """
    ground = int(np.bincount(luma.reshape(-1), minlength=256).argmax())
    is_thing = cv2.absdiff(luma, np.full_like(luma, ground)) > _GROUND_RANGE
    square = np.ones((3, 3), np.uint8)
    inside = cv2.erode(is_thing.astype(np.uint8), square) > 0
    if not inside.any():
        return 0.0
    relief = cv2.subtract(cv2.dilate(luma, square), cv2.erode(luma, square))
    return float((relief[inside] <= _NO_RELIEF).mean())


def _step_energy(luma: _PIXELS, step: int) -> float:
    """Mean squared difference of pixels so many apart, downwards plus across; 0 where there are none."""
    energy = 0.0
    for ahead, behind in ((luma[step:], luma[:-step]), (luma[:, step:], luma[:, :-step])):
        energy += cv2.norm(ahead, behind, cv2.NORM_L2SQR) / ahead.size if ahead.size else 0.0
    return energy


def _describe_border(colours: _PIXELS, thumbnail: _PIXELS) -> NDArray[np.float32]:
    """The rim of squares of colours and of luma, and how far a frame reaches in; see `PhotoFacts.border`."""
    border: list[float] = []
    ends = (slice(None, _RIM_CELLS), slice(-_RIM_CELLS, None))
    for place in (*((end, slice(None)) for end in ends), *((slice(None), end) for end in ends)):
        border += [level / 255 for level in cv2.mean(colours[place])[:3]]
        border.append(float(cv2.meanStdDev(thumbnail[place])[1][0, 0]) / 255)
    for lines in (thumbnail, np.ascontiguousarray(thumbnail.T)):
        border += [_frame_reach(lines), _frame_reach(lines[::-1])]
    return np.array(border, np.float32)


def _frame_reach(lines: _PIXELS) -> float:
    """The share of lines, from the first on, that are of one shade with it, up to one that is not."""
    first_middle = 0.0
    for number, line in enumerate(lines):
        low, high, *_ = cv2.minMaxLoc(line)
        middle = (low + high) / 2
        first_middle = first_middle if number else middle
        if high - low > _FRAME_RANGE or abs(middle - first_middle) > _FRAME_STEP:
            return number / len(lines)
    return 1.0
