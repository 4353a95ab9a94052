"""`tellapart evaluate`: labelled photos in, how right a model is on those that it has not learnt from out."""

import difflib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import BundleError, DatasetError
from tellapart.measure.metrics import evaluate_probabilities
from tellapart.measure.scores import Evaluation, ModelEvaluation
from tellapart.measure.verdict import compare_with_promise, judge
from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, open_labelled
from tellapart.predict.model import Model, load
from tellapart.records import Prediction, Skipped
from tellapart.runs.learnt_photos import find_known_photos
from tellapart.runs.run_tables import METRICS_NAME, read_metrics
from tellapart.settings import SourceSettings, source_config


def evaluate(model: Model | str | Path, photos: Photos, **source: Unpack[SourceSettings]) -> ModelEvaluation:
    """How the model fares on labelled photos that it has not learnt from; the others are left out, and named.

    A photo that is a near copy of one it has learnt from is left out too. Of a source that has a test split, that one
    is meant. Classes are matched by name; the photos may lack some of the model's
    classes, and may be a single one.

    Args:
        model: the model, or the folder that training made.
        photos: labelled photos, as `open_photos` takes them.
        source: where the labels are: the fields of `SourceConfig`; `per_class` plays no part.

    Raises:
        BundleError: the folder holds no model that can be used.
        DatasetError: the source cannot be used, has a class the model does not know, no photo that can be read, or
            none that the model has not learnt from.
    """
    model = model if isinstance(model, Model) else load(model)
    opened = open_labelled(photos, source_config(source), check=False)
    _check_classes(opened.source, opened.class_names, model.class_names)
    known = find_known_photos(model.path, opened)
    left_out = known.learnt | known.near_copies
    asked = _rows_of_test_split(opened)
    rows = [row for row in asked if row not in left_out]
    if asked and not rows:
        place = repr(opened.source) if len(asked) == len(opened) else f"the test split of {opened.source!r}"
        raise DatasetError(
            f"the model was trained on all {len(asked):,} photos of {place}, or on near copies of them, so nothing is"
            " left to measure it with. Give photos that it has not seen.",
            paths=[opened.source],
        )
    evaluation, skipped = _measure(model, opened.take(rows), known.groups[rows])
    others = set(range(len(opened))) - set(asked) - left_out
    return ModelEvaluation(
        **vars(evaluation),
        known_paths=tuple(opened.paths[row] for row in sorted(left_out)),
        near_copy_paths=tuple(opened.paths[row] for row in sorted(known.near_copies)),
        other_split_paths=tuple(opened.paths[row] for row in sorted(others)),
        skipped=skipped,
        verdict=judge(evaluation),
        promise=_describe_promise(model.path, evaluation),
        notes=(*opened.notes, *known.notes, *_describe_validated(len(known.validated.intersection(rows)), len(rows))),
    )


def _describe_promise(run_dir: Path | None, evaluation: Evaluation) -> str | None:
    """What the training promised beside what came true; `None` where the run does not say, or promised nothing."""
    try:
        metrics = read_metrics(run_dir) if run_dir is not None and (run_dir / METRICS_NAME).is_file() else {}
        low, high = metrics["validation_interval_95"]
        return compare_with_promise((float(low), float(high)), evaluation)
    except (BundleError, KeyError, TypeError, ValueError):
        return None


def _rows_of_test_split(photos: PhotoSet) -> list[int]:
    """The photos to measure with: those of the test split where the source has one, else all."""
    in_test = [row for row, split in enumerate(photos.given_splits) if split == "test"]
    return in_test or list(range(len(photos)))


def _describe_validated(num_validated: int, num_photos: int) -> tuple[str, ...]:
    if not num_validated:
        return ()
    which = "All of these photos" if num_validated == num_photos else f"{num_validated:,} of these photos"
    return (f"{which} were held out by the training, which has already measured the model on them.",)


def _measure(model: Model, photos: PhotoSet, groups: NDArray[np.int64]) -> tuple[Evaluation, tuple[Skipped, ...]]:
    """How the model does on the photos, and what of them cannot be used.

    Raises:
        DatasetError: none can be read.
    """
    assert photos.labels is not None
    numbers = [model.class_names.index(photos.class_names[label]) for label in photos.labels]
    predictions = model.predict(photos)
    answers = {row: item.probabilities for row, item in predictions.items() if isinstance(item, Prediction)}
    skipped = predictions.skipped
    if not answers:
        raise DatasetError(
            f"none of the {len(photos):,} photos of {photos.source!r} can be read, the first because: "
            f"{skipped[0].reason if skipped else 'there are none'}. Give photos in JPEG, PNG or another common format. "
            "`tellapart show` lists the reasons.",
            paths=[item.path for item in skipped],
        )
    labels, probabilities = np.array([numbers[row] for row in answers]), np.array(list(answers.values()))
    return evaluate_probabilities(labels, probabilities, model.class_names, groups[list(answers)]), skipped


def evaluation_to_json(evaluation: ModelEvaluation) -> dict[str, Any]:
    """The evaluation as a dict that `store.to_json_bytes` takes; an undefined precision or recall is `None`."""
    fields = asdict(evaluation)
    return {
        "accuracy": fields["accuracy"],
        "interval_95": list(fields["interval_95"]),
        "num_photos": fields["num_photos"],
        "num_skipped": len(evaluation.skipped),
        "num_known": evaluation.num_known,
        "num_near_copies": len(evaluation.near_copy_paths),
        "num_other_splits": len(evaluation.other_split_paths),
        "verdict": evaluation.verdict.word,
        "reasons": list(evaluation.verdict.reasons),
        "promise": evaluation.promise,
        "num_groups": evaluation.num_groups,
        "balanced_accuracy": evaluation.balanced_accuracy,
        "balanced_interval_95": list(evaluation.balanced_interval_95),
        "macro_f1": evaluation.macro_f1,
        "constant_class": evaluation.constant_class,
        "constant_accuracy": evaluation.constant_accuracy,
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
