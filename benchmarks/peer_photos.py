"""What the peers share: photos read the way tutorials read them, on the split that tellapart wrote, and the clock.

Needs OpenCV and numpy only, so that it runs in any environment.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

SIDE = 224
BATCH_SIZE = 32
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Photos:
    """Paths and labels of one side of the split."""

    paths: list[str]
    labels: np.ndarray


def read_split(split_csv: Path) -> tuple[Photos, Photos]:
    """The train and the validation photos that `split.csv` of a run names."""
    with split_csv.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["class"] for row in rows})
    sides = []
    for side in ("train", "validation"):
        chosen = [row for row in rows if row["split"] == side]
        labels = np.array([names.index(row["class"]) for row in chosen], np.int64)
        sides.append(Photos([row["path"] for row in chosen], labels))
    return sides[0], sides[1]


def read_images(paths: list[str]) -> np.ndarray:
    """RGB photos, uint8, shape `(n, SIDE, SIDE, 3)`, read one after the other with OpenCV."""
    images = np.empty((len(paths), SIDE, SIDE, 3), np.uint8)
    for row, path in enumerate(paths):
        image = cv2.imread(path)
        images[row] = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[:, :, ::-1]
    return images
