"""`tellapart evaluate`: labelled photos a model has never seen in, how right it is out."""

import difflib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tellapart.config import SourceConfig
from tellapart.errors import DatasetError
from tellapart.measure.metrics import evaluate_probabilities
from tellapart.photos.names import name_some
from tellapart.photos.sources import open_photos
from tellapart.predict.model import load
from tellapart.records import Evaluation, Prediction, Skipped


def evaluate(
    model_dir: str | Path, source: str | Path, config: SourceConfig = SourceConfig()
) -> tuple[Evaluation, tuple[Skipped, ...]]:
    """How the model fares on the labelled photos of `source`, and the files that did not take part.

    Classes are matched by name; the source may lack some of the model's classes, and may hold a single photo.

    Args:
        model_dir: the folder that training made.
        source: a folder, zip or CSV of labelled photos.
        config: where the labels are; `per_class` is not applied.

    Raises:
        BundleError: the folder holds no model that can be used.
        DatasetError: the source cannot be used, has a class the model does not know, or no photo that can be read.
    """
    predictor = load(model_dir)
    photos = open_photos(source, config, check=False)
    _check_classes(str(source), photos.class_names, predictor.class_names)
    assert photos.labels is not None
    true_classes = [photos.class_names[label] for label in photos.labels]

    predictions = predictor.predict(photos)
    pairs = [
        (predictor.class_names.index(true_classes[row]), result.probabilities)
        for row, result in predictions.items()
        if isinstance(result, Prediction)
    ]
    skipped = predictions.skipped
    if not pairs:
        raise DatasetError(
            f"none of the {len(true_classes):,} photos of {str(source)!r} can be read, the first because: "
            f"{skipped[0].reason if skipped else 'there are none'}. Photos in JPEG, PNG and other common formats are "
            "accepted; check them with `tellapart show`."
        )
    labels, probabilities = zip(*pairs, strict=True)
    return evaluate_probabilities(np.array(labels), np.array(probabilities), predictor.class_names), skipped


def evaluation_to_json(evaluation: Evaluation, num_skipped: int) -> dict[str, Any]:
    """The evaluation as a dict that `store.to_json_bytes` takes; an undefined precision or recall is `None`."""
    fields = asdict(evaluation)
    return {
        "accuracy": fields["accuracy"],
        "interval_95": list(fields["interval_95"]),
        "num_photos": fields["num_photos"],
        "num_skipped": num_skipped,
        "log_loss": fields["log_loss"],
        "class_names": [score.class_name for score in evaluation.per_class],
        "per_class": list(fields["per_class"]),
        "confusion_matrix": [list(row) for row in evaluation.confusion_matrix],
    }


def _check_classes(source: str, found: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in found if name not in known]
    if not unknown:
        return
    by_lower = {name.lower(): name for name in known}
    nearest = difflib.get_close_matches(unknown[0].lower(), by_lower, n=1)
    hint = f" Did you mean {by_lower[nearest[0]]!r} by {unknown[0]!r}?" if nearest else ""
    words = "class" if len(unknown) == 1 else "classes"
    raise DatasetError(
        f"{source!r} has the {words} {name_some(unknown)}, which the model does not know; accepted: "
        f"{name_some(known, 20)}.{hint} Rename the labels, or leave these photos out."
    )
