"""The folder `preprocessing/` of an export: the resize of this package for other programs, without this package."""

from pathlib import Path

from tellapart.images.preprocess import PreprocessSpec
from tellapart.store import write_file

_PYTHON = '''"""What a photo is turned into for this model: upright RGB pixels in, its image out. Needs NumPy."""

import numpy as np

HEIGHT, WIDTH, CHANNELS = {height}, {width}, {channels}
# Whether both directions are reduced by the smaller of their factors, as models of earlier versions want it.
SAME_FACTOR = {same_factor}


def preprocess(image):
    """The image, uint8 (h, w, 3), at the size and with the channels of the model, uint8."""
    rows, columns = max(1, image.shape[0] // HEIGHT), max(1, image.shape[1] // WIDTH)
    if SAME_FACTOR:
        rows = columns = min(rows, columns)
    if max(rows, columns) >= 2:
        image = resize(image, image.shape[0] // rows, image.shape[1] // columns, area_weights)
    if image.shape[:2] != (HEIGHT, WIDTH):
        image = resize(image, HEIGHT, WIDTH, bicubic_weights)
    if CHANNELS == 1:
        image = np.rint(image @ np.array([0.299, 0.587, 0.114]))[:, :, None].astype(np.uint8)
    return image


def resize(image, height, width, weights):
    """The image at this size: a weighted sum of rows and one of columns."""
    values = np.tensordot(weights(height, image.shape[0]), image.astype(np.float64), 1)
    values = np.tensordot(weights(width, image.shape[1]), values, (1, 1)).transpose(1, 0, 2)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def area_weights(size, old_size):
    """The share of each old pixel in each new one, `(size, old_size)`."""
    edges = np.arange(size + 1) * (old_size / size)
    starts = np.arange(old_size)
    covered = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return np.maximum(covered, 0) * (size / old_size)


def bicubic_weights(size, old_size):
    """Keys' kernel with a = -0.75 on 4 old pixels, those of the edge repeated, `(size, old_size)`."""
    places = (np.arange(size) + 0.5) * (old_size / size) - 0.5
    found = np.zeros((size, old_size))
    for step in (-1, 0, 1, 2):
        x = np.abs(places - np.floor(places) - step)
        near, far = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
        pixels = np.clip(np.floor(places).astype(int) + step, 0, old_size - 1)
        np.add.at(found, (np.arange(size), pixels), np.where(x <= 1, near, far))
    return found
'''


def write_preprocessing(folder: Path, spec: PreprocessSpec) -> None:
    """The folder, which exists, holds `preprocess.py`.

    Raises:
        OutputError: a file cannot be written.
    """
    (height, width), same_factor = spec.image_size, spec.decoder < 3
    text = _PYTHON.format(height=height, width=width, channels=spec.channels, same_factor=same_factor)
    write_file(folder / "preprocess.py", text.encode())
