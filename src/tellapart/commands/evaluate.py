"""`tellapart evaluate`: labelled photos in, how right a model is out, and which of them it has learnt from."""

import csv
import difflib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from tellapart.errors import DatasetError
from tellapart.measure.metrics import evaluate_probabilities
from tellapart.photos.loading import digest_photos
from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, open_labelled
from tellapart.predict.model import Model, load
from tellapart.records import Evaluation, ModelEvaluation, Prediction
from tellapart.runs.run_tables import SPLIT_NAME
from tellapart.settings import SourceSettings, source_config


def evaluate(model: Model | str | Path, photos: Photos, **source: Unpack[SourceSettings]) -> ModelEvaluation:
    """How the model fares on labelled photos, and which of them it has learnt from.

    Classes are matched by name; the photos may lack some of the model's classes, and may be a single one.

    Args:
        model: the model, or the folder that training made.
        photos: labelled photos, as `open_photos` takes them.
        source: where the labels are: the fields of `SourceConfig`; `per_class` plays no part.

    Raises:
        BundleError: the folder holds no model that can be used.
        DatasetError: the source cannot be used, has a class the model does not know, or no photo that can be read.
    """
    model = model if isinstance(model, Model) else load(model)
    opened = open_labelled(photos, source_config(source), check=False)
    _check_classes(opened.source, opened.class_names, model.class_names)
    assert opened.labels is not None
    numbers = [model.class_names.index(opened.class_names[label]) for label in opened.labels]
    predictions = model.predict(opened)
    answers = {row: item.probabilities for row, item in predictions.items() if isinstance(item, Prediction)}
    skipped = predictions.skipped
    if not answers:
        raise DatasetError(
            f"none of the {len(opened):,} photos of {opened.source!r} can be read, the first because: "
            f"{skipped[0].reason if skipped else 'there are none'}. Give photos in JPEG, PNG or another common format. "
            "`tellapart show` lists the reasons.",
            paths=[item.path for item in skipped],
        )
    known = _find_learnt(opened, model.path)

    def measure(rows: list[int]) -> Evaluation:
        labels, probabilities = np.array([numbers[row] for row in rows]), np.array([answers[row] for row in rows])
        return evaluate_probabilities(labels, probabilities, model.class_names)

    unknown = [row for row in answers if row not in known]
    return ModelEvaluation(
        **vars(measure(list(answers))),
        known_paths=tuple(opened.paths[row] for row in answers if row in known),
        on_unknown=measure(unknown) if unknown else None,
        skipped=skipped,
    )


def _find_learnt(photos: PhotoSet, run: Path | None) -> frozenset[int]:
    """Rows of the photos that the model was trained on, by content; none where the run does not say."""
    if run is None or not (run / SPLIT_NAME).is_file():
        return frozenset()
    try:
        with (run / SPLIT_NAME).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            learnt = {row["content"] for row in csv.DictReader(file) if row["split"] == "train"}
    except (OSError, KeyError, csv.Error):
        return frozenset()
    return frozenset(row for row, digest in enumerate(digest_photos(photos)) if digest in learnt)


def evaluation_to_json(evaluation: ModelEvaluation) -> dict[str, Any]:
    """The evaluation as a dict that `store.to_json_bytes` takes; an undefined precision or recall is `None`."""
    fields = asdict(evaluation)
    return {
        "accuracy": fields["accuracy"],
        "interval_95": list(fields["interval_95"]),
        "num_photos": fields["num_photos"],
        "num_skipped": len(evaluation.skipped),
        "num_known": evaluation.num_known,
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
        f"{source!r} has the {words} {name_some(unknown)}, which the model does not know. It knows "
        f"{name_some(known, 20)}.{hint} Rename the classes, or leave these photos out.",
        paths=[source],
    )
