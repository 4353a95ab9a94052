"""How a photo becomes what the network takes, in plain NumPy. Copy it freely.

Give it an upright RGB photo: apply the EXIF orientation before. Give the result to the model as it is.
"""

import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH, IS_GREY, HAS_ONE_FACTOR = 24, 20, False, False


def preprocess(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image at the size of the network: uint8, shape `(HEIGHT, WIDTH, 3)`, or `(HEIGHT, WIDTH, 1)` if `IS_GREY`.

    Args:
        image: uint8 RGB, shape `(any height, any width, 3)`; not modified.
    """
    rows, columns = max(1, image.shape[0] // HEIGHT), max(1, image.shape[1] // WIDTH)
    if HAS_ONE_FACTOR:
        rows = columns = min(rows, columns)
    if max(rows, columns) >= 2:
        image = shrink(image, image.shape[0] // rows, image.shape[1] // columns)
    if image.shape[:2] != (HEIGHT, WIDTH):
        down, across = cubic(image.shape[0], HEIGHT), cubic(image.shape[1], WIDTH)
        narrow = np.einsum("xj,ijc->ixc", across, image.astype(np.float64), optimize=True)
        sums = np.einsum("yi,ixc->yxc", down, narrow, optimize=True)
        image = np.clip(np.rint(sums), 0, 255).astype(np.uint8)
    return (image @ np.array([[9798], [19235], [3735]]) + 2**14 >> 15).astype(np.uint8) if IS_GREY else image


def shrink(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The mean of the block of pixels below each new pixel; a pixel at the edge of a block counts by its share."""
    down, across = shares(image.shape[0], height), shares(image.shape[1], width)
    narrow = np.einsum("xj,ijc->ixc", across, image.astype(np.float64), optimize=True)
    sums = np.einsum("yi,ixc->yxc", down, narrow, optimize=True)
    is_two_by_two = image.shape[:2] == (2 * height, 2 * width)  # a mean of n.5 then goes up, else to the even number
    means = sums * height * width / (image.shape[0] * image.shape[1])
    return np.asarray(np.floor(means + 0.5) if is_two_by_two else np.rint(means), np.uint8)


def shares(size: int, new_size: int) -> NDArray[np.float64]:
    """How much of each old pixel lies below each new one: shape `(new_size, size)`."""
    edges = np.arange(new_size + 1) * (size / new_size)
    old = np.arange(size)
    return np.asarray(np.clip(np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old), 0, 1))


def cubic(size: int, new_size: int) -> NDArray[np.float64]:
    """Weights of a cubic through 4 pixels (a = -0.75): shape `(new_size, size)`."""
    places = ((np.arange(new_size) + 0.5) * (size / new_size) - 0.5).astype(np.float32)
    first = np.floor(places).astype(int)
    x, a, one = places - first.astype(np.float32), np.float32(-0.75), np.float32(1)
    w0 = ((a * (x + one) - 5 * a) * (x + one) + 8 * a) * (x + one) - 4 * a
    w1 = ((a + 2) * x - (a + 3)) * x * x + one
    w2 = ((a + 2) * (one - x) - (a + 3)) * (one - x) * (one - x) + one
    weights = np.zeros((new_size, size))
    for offset, weight in enumerate((w0, w1, w2, one - w0 - w1 - w2)):
        np.add.at(weights, (np.arange(new_size), np.clip(first - 1 + offset, 0, size - 1)), weight)
    return weights
