"""Random crops of training photos for the residual network: one warp and one colour pass a photo.

A crop is of any place and size, turned a little, mirrored every other epoch, and in another light. As in `augment.py`,
drawing the numbers and applying them are apart.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.config import CropConfig

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
# A crop that is shrunk more than this is averaged down first: bilinear interpolation looks at 2x2 pixels only.
_MOST_SHRINKING = 1.5
# Contrast turns about the mean brightness, which every eighth pixel of every eighth row tells well enough.
_MEAN_STEP = 8
_ERASED_AREA = (0.02, 0.2)
_ERASED_ASPECT = (0.3, 3.3)


@dataclass(frozen=True)
class Views:
    """What was drawn for a number of photos.

    Attributes:
        warps: float64, shape `(n, 2, 3)`: `(x_in, y_in) = warp @ (x_out, y_out, 1)`, in pixels of the photo and of the
            view.
        colours: brightness, contrast and saturation factors, float64, shape `(n, 3)`.
        patches: what is painted over, as fractions of the view: top, left, height, width, float64, shape `(n, 4)`; a
            height of 0 leaves the view whole.
        paints: uint8, shape `(n, 3)`, the colour of each patch.
    """

    warps: NDArray[np.float64]
    colours: NDArray[np.float64]
    patches: NDArray[np.float64]
    paints: NDArray[np.uint8]

    def take(self, rows: slice) -> "Views":
        """Those of some photos."""
        return Views(self.warps[rows], self.colours[rows], self.patches[rows], self.paints[rows])


def draw_views(
    config: CropConfig,
    is_mirrored: NDArray[np.bool_],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    generator: np.random.Generator,
) -> Views:
    """A random view for each photo (`RandomResizedCrop` of Szegedy et al. 2015, with a rotation).

    Args:
        config: the ranges.
        is_mirrored: which of the photos are mirrored, shape `(n,)`; the number of photos is taken from here.
        sizes: `(height, width)` of the photos, and that of the views.
        generator: advanced by the draw.
    """
    num_views = len(is_mirrored)
    (height, width), (out_height, out_width) = sizes
    area = generator.uniform(config.least_area, 1, num_views)
    stretch = np.exp(generator.uniform(-math.log(config.aspect), math.log(config.aspect), num_views))
    crop_width, crop_height = np.minimum(1, np.sqrt(area * stretch)), np.minimum(1, np.sqrt(area / stretch))
    centre_x = (crop_width / 2 + generator.random(num_views) * (1 - crop_width)) * width - 0.5
    centre_y = (crop_height / 2 + generator.random(num_views) * (1 - crop_height)) * height - 0.5
    angle = np.deg2rad(generator.uniform(-config.rotation_degrees, config.rotation_degrees, num_views))
    scale_x = crop_width * width / out_width * np.where(is_mirrored, -1, 1)
    scale_y = crop_height * height / out_height
    warps = np.empty((num_views, 2, 3))
    # The crop is a turned rectangle of the cached image's pixels, whose right angles stay right in any photo's shape.
    warps[:, 0, 0], warps[:, 0, 1] = np.cos(angle) * scale_x, -np.sin(angle) * scale_y
    warps[:, 1, 0], warps[:, 1, 1] = np.sin(angle) * scale_x, np.cos(angle) * scale_y
    middle = np.array([(out_width - 1) / 2, (out_height - 1) / 2])
    warps[:, :, 2] = np.stack([centre_x, centre_y], axis=1) - warps[:, :, :2] @ middle
    c = config.colour
    colours = generator.uniform([1 - c, 1 - c, 1 - c * 4 / 3], [1 + c, 1 + c, 1 + c * 4 / 3], (num_views, 3))
    return Views(warps, np.maximum(colours, 0), *_draw_patches(config.erase, num_views, generator))


def _draw_patches(
    probability: float, num_views: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Rectangles to paint over (random erasing, Zhong et al. 2020), and their colours."""
    is_erased = generator.random(num_views) < probability
    area = generator.uniform(*_ERASED_AREA, num_views)
    aspect = np.exp(generator.uniform(math.log(_ERASED_ASPECT[0]), math.log(_ERASED_ASPECT[1]), num_views))
    sides = np.minimum(1, np.stack([np.sqrt(area * aspect), np.sqrt(area / aspect)], axis=1))
    corners = generator.random((num_views, 2)) * (1 - sides)
    patches = np.concatenate([corners, sides], axis=1) * is_erased[:, np.newaxis]
    return patches, generator.integers(0, 256, (num_views, 3), dtype=np.uint8)


def make_views(
    images: NDArray[np.uint8], views: Views, image_size: tuple[int, int], *, in_colour: bool
) -> NDArray[np.uint8]:
    """The photos through the views: bilinear, mirrored at the edges.

    Args:
        images: uint8, shape `(n, height, width, channels)`; not modified.
        views: from `draw_views`, of as many photos and of these sizes.
        image_size: `(height, width)` of the result.
        in_colour: whether colours are changed and patches painted; else only the geometry.

    Returns:
        uint8, shape `(n, *image_size, channels)`.
    """
    height, width = image_size
    made = np.empty((len(images), height, width, images.shape[3]), np.uint8)
    shrinking = np.sqrt(np.abs(np.linalg.det(views.warps[:, :, :2])))
    for image, warp, factor, view in zip(images, views.warps, shrinking, made, strict=True):
        source, warp_of_source = _shrink(image, warp, factor)
        cv2.warpAffine(
            source,
            warp_of_source,
            (width, height),
            dst=view,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    if not in_colour:
        return made
    made = _recolour(made, views.colours)
    for row in np.flatnonzero(views.patches[:, 2] > 0):
        top, left, patch_height, patch_width = np.round(views.patches[row] * [height, width, height, width])
        patch = made[row, int(top) : int(top + patch_height), int(left) : int(left + patch_width)]
        patch[...] = views.paints[row][: patch.shape[-1]]
    return made


@contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """While it is open, OpenCV does not wake a second thread for a view, which costs more than it saves."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _shrink(
    image: NDArray[np.uint8], warp: NDArray[np.float64], shrinking: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The photo averaged down by a whole factor where the view shows much less of it, and the warp for what is left."""
    factor = math.ceil(shrinking / _MOST_SHRINKING) if shrinking > _MOST_SHRINKING else 1
    height, width = image.shape[0] // factor, image.shape[1] // factor
    if factor == 1 or min(height, width) < 2:
        return image, warp
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    scales = np.array([width / image.shape[1], height / image.shape[0]])
    scaled = warp * scales[:, np.newaxis]
    scaled[:, 2] += 0.5 * scales - 0.5
    return np.asarray(small, np.uint8), scaled


def _recolour(images: NDArray[np.uint8], factors: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The images with other brightness, contrast and saturation, each in one linear map of its channels."""
    channels = images.shape[3]
    brightness, contrast, saturation = factors.T[:, :, np.newaxis, np.newaxis]
    means = images[:, ::_MEAN_STEP, ::_MEAN_STEP].mean((1, 2, 3), keepdims=True)[..., 0]
    grey = _LUMA if channels == 3 else np.ones(1)
    mixing = brightness * contrast * (saturation * np.eye(channels) + (1 - saturation) * grey)
    offsets = np.repeat(means * brightness * (1 - contrast), channels, axis=1)
    changed = np.empty_like(images)
    for image, colour_map, out in zip(images, np.concatenate([mixing, offsets], axis=2), changed, strict=True):
        cv2.transform(image, colour_map, dst=out)
    return changed
