"""First filters for a network that is trained from scratch, read off the photos instead of learnt from them."""

import numpy as np
from numpy.typing import NDArray

_PATCHES_A_PHOTO = 60
# Added to every variance, on the scale of pixels in [-1, 1]: directions with less than this are noise or compression.
_LEAST_VARIANCE = 2e-3


def whitening_filters(images: NDArray[np.uint8], size: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Filters whose answers on patches of the photos are uncorrelated and of about unit variance.

    The principal directions of the patches over the square root of their variance (Coates and Ng 2012, "Learning
    feature representations with k-means", section 3), the strongest first.

    Args:
        images: uint8, shape `(n, height, width, channels)`, at least one; not modified.
        size: height and width of a filter, at most those of the images.
        generator: draws the patches.

    Returns:
        float32, shape `(size, size, channels, size * size * channels)`, for pixels scaled to `[-1, 1]`.
    """
    height, width, channels = images.shape[1:]
    patches = np.empty((len(images), _PATCHES_A_PHOTO, size, size, channels), np.uint8)
    for image, made in zip(images, patches, strict=True):
        tops = generator.integers(0, height - size + 1, _PATCHES_A_PHOTO)
        lefts = generator.integers(0, width - size + 1, _PATCHES_A_PHOTO)
        for patch, top, left in zip(made, tops, lefts, strict=True):
            patch[...] = image[top : top + size, left : left + size]
    scaled = patches.reshape(-1, size * size * channels).astype(np.float64) / 127.5 - 1
    scaled -= scaled.mean(axis=0)
    variances, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    filters = (directions / np.sqrt(np.maximum(variances, 0) + _LEAST_VARIANCE))[:, ::-1]
    # The sign of a direction is the linear algebra library's choice; fixed here, so that every machine gets the same.
    signs = np.sign(filters[np.abs(filters).argmax(axis=0), np.arange(filters.shape[1])])
    signed: NDArray[np.float64] = filters * signs
    return signed.reshape(size, size, channels, -1).astype(np.float32)
