"""Photos of two classes that a network of random weights tells apart, as paths."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

NUM_OF_CLASS = 12


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Drawn photos, those of the first class bright and those of the second dark; not to be changed."""
    folder, generator = tmp_path_factory.mktemp("rows"), np.random.default_rng(5)
    written = []
    for number in range(2 * NUM_OF_CLASS):
        pixels = generator.integers(0, 160, (6, 8, 3)) + (90 if number < NUM_OF_CLASS else 0)
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), cv2.resize(pixels.astype(np.uint8), (40, 32), interpolation=cv2.INTER_CUBIC))
        written.append(str(path))
    return written


@pytest.fixture(scope="session")
def names() -> NDArray[np.str_]:
    """The class of each photo."""
    return np.repeat(["bright", "dark"], NUM_OF_CLASS)
