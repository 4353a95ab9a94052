"""What a report says of a model: `Outcome` in, `Results` out, with its mistakes, its doubts and where it looked."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.check_up import Checkup
from tellapart.measure.reliability import measure_reliability
from tellapart.measure.selective import selective_points
from tellapart.photos.loading import stream_images
from tellapart.photos.photoset import PhotoSet
from tellapart.predict.predictor import Predictor
from tellapart.records import Evaluation, LearningCurve, Skipped
from tellapart.report.heatmap import overlay_map
from tellapart.report.report_data import Answer, Results
from tellapart.runs.measurement import Outcome

# Photos shown of each kind, at most; and for a cell of the confusion matrix, of which only so many get any.
_NUM_MISTAKES, _NUM_UNSURE = 24, 12
_NUM_EXAMPLES, _NUM_CELLS = 6, 40


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of a training, besides what the photos say.

    Attributes:
        recipe: its name.
        outcome: what the model said of photos it had not seen.
        evaluation: the figures of it.
        method: `hold-out` or `cross-validation`.
        num_repeats: cross-validations that the probabilities are the mean of; 1 for a hold-out.
        curve: whether more photos would help, where that was measured.
        leak_accuracy: what the accuracy would have looked like with copies on both sides, where there are some.
    """

    recipe: str
    outcome: Outcome
    evaluation: Evaluation
    method: str
    num_repeats: int = 1
    curve: LearningCurve | None = None
    leak_accuracy: float | None = None


def make_results(measured: Measured, checkup: Checkup, predictor: Predictor | None) -> Results:
    """All that the report shows of a model.

    Args:
        measured: the training.
        checkup: of the photos it learnt from and was measured on; rows are those of its photos.
        predictor: the model, for heat maps; `None` leaves them out.
    """
    outcome = measured.outcome
    rows = rows_of(checkup.photos, outcome.photos)
    answers = _answers(outcome, rows)
    mistakes = sorted((one for one in answers if one.label != one.predicted), key=lambda one: -one.probability)
    unsure = sorted(answers, key=lambda one: one.probability)[:_NUM_UNSURE]
    shown = mistakes[:_NUM_MISTAKES]
    maps = {} if predictor is None else _draw_heatmaps(predictor, checkup.seen, [*shown, *unsure])
    return Results(
        recipe=measured.recipe,
        evaluation=measured.evaluation,
        method=measured.method,
        num_repeats=measured.num_repeats,
        reliability=measure_reliability(outcome.labels, outcome.probabilities),
        selective=selective_points(outcome.labels, outcome.probabilities),
        curve=measured.curve,
        leak_accuracy=measured.leak_accuracy,
        mistakes=tuple(shown),
        unsure=tuple(unsure),
        examples=_examples(answers),
        heatmaps=maps,
    )


def measured_to_json(measured: Measured | None) -> dict[str, Any]:
    """The part of `metrics.json` that every recipe writes about photos the model had not seen."""
    if measured is None:
        return {
            **dict.fromkeys(("validation_accuracy", "validation_interval_95", "validation_log_loss")),
            **dict.fromkeys(("validation_brier", "validation_method", "num_repeats", "learning_curve")),
            "leak_accuracy": None,
            "num_validation": 0,
        }
    evaluation, outcome = measured.evaluation, measured.outcome
    return {
        "validation_accuracy": evaluation.accuracy,
        "validation_interval_95": list(evaluation.interval_95),
        "validation_log_loss": evaluation.log_loss,
        "validation_brier": measure_reliability(outcome.labels, outcome.probabilities).brier,
        "validation_method": measured.method,
        "num_validation": evaluation.num_photos,
        "num_repeats": measured.num_repeats,
        "learning_curve": None if measured.curve is None else asdict(measured.curve),
        "leak_accuracy": measured.leak_accuracy,
    }


def rows_of(photos: PhotoSet, some: PhotoSet) -> NDArray[np.int64]:
    """The rows that the photos of `some` have in `photos`, by path."""
    places = {path: row for row, path in enumerate(photos.paths)}
    return np.array([places[path] for path in some.paths], np.int64)


def _answers(outcome: Outcome, rows: NDArray[np.int64]) -> list[Answer]:
    predicted = outcome.probabilities.argmax(axis=1)
    best = outcome.probabilities.max(axis=1)
    return [
        Answer(int(row), int(label), int(answer), float(probability))
        for row, label, answer, probability in zip(rows, outcome.labels, predicted, best, strict=True)
    ]


def _examples(answers: list[Answer]) -> dict[tuple[int, int], tuple[int, ...]]:
    """Rows of some photos of each cell of the confusion matrix; the cells with the most mistakes, then the others."""
    cells: dict[tuple[int, int], list[Answer]] = defaultdict(list)
    for one in answers:
        cells[one.label, one.predicted].append(one)
    order = sorted(cells, key=lambda cell: (cell[0] == cell[1], -len(cells[cell])))[:_NUM_CELLS]
    return {
        cell: tuple(one.row for one in sorted(cells[cell], key=lambda one: -one.probability)[:_NUM_EXAMPLES])
        for cell in order
    }


def _draw_heatmaps(predictor: Predictor, seen: SeenPhotos, answers: list[Answer]) -> dict[int, NDArray[np.uint8]]:
    """Where the model looked, drawn over the small image of each photo that can be read."""
    if not predictor.has_activation_maps or not answers:
        return {}
    predicted = {one.row: one.predicted for one in answers}
    rows = list(predicted)
    photos = seen.photos
    found = stream_images(photos.take(rows), predictor.preprocess, photos.limits)
    images = {row: image for row, image in zip(rows, found, strict=True) if not isinstance(image, Skipped)}
    small = seen.thumbnails(list(images))
    if not small:
        return {}
    maps = predictor.activation_maps(np.stack([images[row] for row in small]))
    return {row: overlay_map(small[row], one[predicted[row]]) for row, one in zip(small, maps, strict=True)}
