"""Random geometry for training photos: one affine warp a photo, whatever the number of steps it stands for.

Drawing the warps and applying them are apart, so the random numbers do not depend on threads or batch size.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.config import AugmentConfig

# Swaps the (row, column) axes of a homogeneous matrix into OpenCV's (x, y).
_SWAP_AXES = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def augment(images: NDArray[np.uint8], config: AugmentConfig = AugmentConfig(), *, seed: int = 0) -> NDArray[np.uint8]:
    """Each image warped at random, as a training of the recipe `classic` sees it in one epoch.

    Args:
        images: uint8, shape `(n, height, width, channels)`; not modified.
        config: the ranges.
        seed: decides the warps.
    """
    return warp_images(images, draw_warps(config, len(images), images.shape[1:3], np.random.default_rng(seed)))


def draw_warps(
    config: AugmentConfig, num_images: int, image_size: tuple[int, int], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Random affine maps from output to input pixels, one an image.

    Rotation, shift, shear, zoom and mirror about the centre of the image, composed in the order of Keras'
    `ImageDataGenerator` (keras/src/legacy/preprocessing/image.py) with each step on the axis of its name. Keras itself
    exchanges rows and columns there: its `height_shift_range` moves columns.

    Args:
        config: the ranges.
        num_images: how many to draw; 0 gives an empty array.
        image_size: `(height, width)` in pixels, the unit of the shifts.
        generator: advanced by the draw.

    Returns:
        float64, shape `(num_images, 2, 3)`: `(x_in, y_in) = map @ (x_out, y_out, 1)`.
    """
    height, width = image_size

    def draw(limit: float) -> NDArray[np.float64]:
        return generator.uniform(-limit, limit, num_images)

    angle, shear = np.deg2rad(draw(config.rotation_degrees)), np.deg2rad(draw(config.shear_degrees))
    shift_rows, shift_columns = draw(config.height_shift) * height, draw(config.width_shift) * width
    zoom_rows, zoom_columns = 1.0 + draw(config.zoom), 1.0 + draw(config.zoom)
    is_mirrored = config.horizontal_flip & (generator.random(num_images) < 0.5)

    zero, one = np.zeros(num_images), np.ones(num_images)
    rotation = _matrices([np.cos(angle), -np.sin(angle), zero], [np.sin(angle), np.cos(angle), zero])
    shift = _matrices([one, zero, shift_rows], [zero, one, shift_columns])
    skew = _matrices([one, -np.sin(shear), zero], [zero, np.cos(shear), zero])
    scale = _matrices([zoom_rows, zero, zero], [zero, zoom_columns, zero])
    mirror = _matrices([one, zero, zero], [zero, np.where(is_mirrored, -1.0, 1.0), zero])

    centre = np.eye(3)
    centre[:2, 2] = (height - 1) / 2, (width - 1) / 2
    by_rows = centre @ rotation @ shift @ skew @ scale @ mirror @ np.linalg.inv(centre)
    by_x: NDArray[np.float64] = _SWAP_AXES @ by_rows @ _SWAP_AXES
    return by_x[:, :2, :]


def warp_images(images: NDArray[np.uint8], warps: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The images seen through the warps: bilinear, with the edge pixels repeated outside (`fill_mode="nearest"`).

    Args:
        images: uint8, shape `(n, height, width, channels)`; not modified.
        warps: from `draw_warps`, shape `(n, 2, 3)`.

    Returns:
        uint8, same shape as `images`.
    """
    height, width = images.shape[1:3]
    warped = np.empty_like(images)
    for image, warp, out in zip(images, warps, warped, strict=True):
        result = cv2.warpAffine(
            image,
            warp,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        out[...] = result.reshape(out.shape)
    return warped


def _matrices(first_row: list[NDArray[np.float64]], second_row: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Homogeneous matrices, shape `(n, 3, 3)`, from the entries of their first two rows."""
    matrices = np.zeros((len(first_row[0]), 3, 3))
    matrices[:, 0], matrices[:, 1] = np.stack(first_row, axis=1), np.stack(second_row, axis=1)
    matrices[:, 2, 2] = 1.0
    return matrices
