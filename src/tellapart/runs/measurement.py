"""What every training says about its validation photos: the figures, a row a photo, and two pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.images.gate import decode_image
from tellapart.measure.metrics import evaluate_probabilities
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Evaluation
from tellapart.store import to_csv_bytes, write_file

PREDICTIONS_NAME, CONFUSION_NAME, MISTAKES_NAME = "predictions.csv", "confusion.png", "mistakes.png"
_NUM_MISTAKES = 20
_GRID_SIZE = (240, 240)


@dataclass(frozen=True)
class Outcome:
    """What a model says of labelled photos it has not learnt from.

    Attributes:
        photos: the photos, with their labels.
        digests: content of each, hexadecimal.
        probabilities: float32, shape `(len(photos), num_classes)`.
    """

    photos: PhotoSet
    digests: tuple[str, ...]
    probabilities: NDArray[np.float32]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The labels, int64, shape `(len(photos),)`."""
        assert self.photos.labels is not None
        return self.photos.labels

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether the most probable class is the label, shape `(len(photos),)`."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels)

    def evaluate(self) -> Evaluation:
        """The figures.

        Raises:
            DatasetError: there are no photos, or a probability is not one.
        """
        return evaluate_probabilities(self.labels, self.probabilities, self.photos.class_names)


def write_outcome(run_dir: Path, outcome: Outcome, evaluation: Evaluation) -> None:
    """Writes `predictions.csv`, `confusion.png` and, where there are mistakes, `mistakes.png`, the surest first.

    Raises:
        OutputError: a file cannot be written.
    """
    from tellapart.report.confusion import draw_confusion
    from tellapart.report.figures import figure_png

    write_file(run_dir / PREDICTIONS_NAME, to_csv_bytes(_prediction_rows(outcome)))
    write_file(run_dir / CONFUSION_NAME, figure_png(draw_confusion(evaluation)))
    _write_mistakes(run_dir / MISTAKES_NAME, outcome)


def _prediction_rows(outcome: Outcome) -> list[list[object]]:
    """A header, then what the model said of each photo; with 9 digits, which say exactly which float32 it was."""
    names = outcome.photos.class_names
    rows: list[list[object]] = [
        ["path", "content", "class", "predicted_class", "probability", *(f"p_{name}" for name in names)]
    ]
    described = zip(outcome.photos.paths, outcome.digests, outcome.labels.tolist(), outcome.probabilities, strict=True)
    for path, digest, label, probabilities in described:
        best = int(probabilities.argmax())
        numbers = [f"{value:.9g}" for value in (probabilities[best], *probabilities)]
        rows.append([path, digest, names[label], names[best], *numbers])
    return rows


def _write_mistakes(path: Path, outcome: Outcome) -> None:
    """The grid of the photos the model was surest about and wrong; no file, and none left, when it was always right."""
    from tellapart.report.figures import figure_png
    from tellapart.report.grid import draw_grid

    best = outcome.probabilities.max(axis=1)
    wrong = np.flatnonzero(~outcome.is_right)
    wrong = wrong[np.argsort(-best[wrong], kind="stable")][:_NUM_MISTAKES]
    if not len(wrong):
        path.unlink(missing_ok=True)
        return
    names, photos = outcome.photos.class_names, outcome.photos
    images = [decode_image(photos.read(int(row)), photos.limits, at_least=_GRID_SIZE) for row in wrong]
    answers = outcome.probabilities[wrong].argmax(axis=1)
    titles = [
        f"{names[outcome.labels[row]]}, said {names[answer]} {best[row]:.2f}"
        for row, answer in zip(wrong, answers, strict=True)
    ]
    write_file(path, figure_png(draw_grid(images, titles)))
