"""Where a model looked: its class activation map, drawn over the photo."""

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

# Yellow to red. The warm halves of inferno and turbo were looked at beside it: inferno's yellow core is lost on ginger
# fur and in lamp light, turbo's dark red on brown fur.
_COLOUR_MAP = "autumn_r"
_STRONGEST = 0.55  # opacity of the colour at the maximum; what lies below still shows through
_BRIGHTNESS, _GREYNESS = 0.85, 0.35  # of the photo below
_FLAT = 1e-6  # differences this small beside the maximum are rounding


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
    assert activation.ndim == 2 and activation.size, activation.shape
    values = np.nan_to_num(activation.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    largest = float(values.max())
    if largest <= 0 or largest - float(values.min()) <= _FLAT * largest:
        return image.copy()
    size = (image.shape[1], image.shape[0])
    heat = np.clip(cv2.resize(values / np.float32(largest), size, interpolation=cv2.INTER_CUBIC), 0, 1)
    colours = colormaps[_COLOUR_MAP](heat)[:, :, :3].astype(np.float32) * 255
    # A smooth step: half of the maximum is half of the colour, and weak evidence leaves the photo alone.
    opacity = (_STRONGEST * heat**2 * (3 - 2 * heat))[:, :, np.newaxis]
    quiet = _quieten(image)
    return np.asarray(np.rint(quiet + opacity * (colours - quiet)), np.uint8)


def _quieten(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis].astype(np.float32)
    return np.asarray(_BRIGHTNESS * (image + _GREYNESS * (grey - image)), np.float32)
