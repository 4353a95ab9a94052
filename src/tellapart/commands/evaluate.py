"""`tellapart evaluate`: labelled photos in, how right a model is on those that it has not learnt from out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.photo_pass import look_at, progress_reporter
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.check_up import Checkup, check_up
from tellapart.errors import BundleError, DatasetError
from tellapart.measure.measurement import NEW_PHOTOS, Measurement, Method, measure
from tellapart.measure.number_words import count_photos
from tellapart.measure.scores import Evaluation, Mistake, ModelEvaluation
from tellapart.measure.verdict import compare_with_promise
from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, open_labelled, source_paths
from tellapart.predict.dial import describe_dial
from tellapart.predict.model import Model, load
from tellapart.records import Dial, Prediction, Skipped
from tellapart.report.page import ModelTest
from tellapart.runs.assessment import assess
from tellapart.runs.learnt_photos import KnownPhotos, find_known_photos
from tellapart.runs.outputs import OutputFile, check_output_files, has_page_mark
from tellapart.runs.run_report import make_page
from tellapart.runs.run_tables import METRICS_NAME, read_metrics
from tellapart.settings import SourceSettings, source_config
from tellapart.store import write_file
from tellapart.translation import gettext as _
from tellapart.translation import ngettext
from tellapart.value_checks import find_similar
from tellapart.watcher import Watcher


def evaluate(
    model: Model | str | Path,
    photos: Photos,
    *,
    html: str | Path | None = None,
    watcher: Watcher | None = None,
    **source: Unpack[SourceSettings],
) -> ModelEvaluation:
    """How the model fares on labelled photos that it has not learnt from; the others are left out, and named.

    A photo that is a near copy of one it has learnt from is left out too. Of a source that has a test split, that one
    is meant. Classes are matched by name; the photos may lack some of the model's classes, and may be a single one.

    Args:
        model: the model, or the folder that training made.
        photos: labelled photos, as `open_photos` takes them.
        html: a page to write: the report of a training, for these photos.
        watcher: who is told about the progress.
        source: where the labels are: the fields of `SourceConfig`; `per_class` plays no part.

    Raises:
        BundleError: the folder holds no model that can be used.
        DatasetError: the source cannot be used, has a class the model does not know, no photo that can be read, or
            none that the model has not learnt from.
        OutputError: the page cannot be written there.
    """
    page = None if html is None else Path(html)
    if page is not None:
        check_output_files([OutputFile(page, "html", "a page", has_page_mark)], source_paths(photos))
    model, watcher = model if isinstance(model, Model) else load(model), watcher or Watcher()
    config = source_config(source)
    opened = open_labelled(photos, config, check=False)
    _check_classes(opened.source, opened.class_names, model.class_names)
    seen = look_at(opened, cache_dir=config.cache_dir, watcher=watcher)
    if len(opened) and not len(seen):
        raise _unreadable(opened, seen.photos.skipped)
    known = find_known_photos(model.path, seen)
    rows = _rows_to_test(seen.photos, known)
    checkup, measurement = _measure(model, seen.take(rows), watcher)
    assessed, skipped = assess(checkup, measurement), checkup.photos.skipped
    others = set(range(len(seen))) - set(rows) - known.all
    paths = seen.photos.paths
    evaluation = ModelEvaluation(
        **vars(measurement.evaluation),
        known_paths=tuple(paths[row] for row in sorted(known.all)),
        near_copy_paths=tuple(paths[row] for row in sorted(known.near_copies)),
        other_split_paths=tuple(paths[row] for row in sorted(others)),
        skipped=skipped,
        verdict=assessed.verdict,
        steps=assessed.steps,
        promise=_describe_promise(model.path, measurement.evaluation),
        mistakes=_list_mistakes(checkup.photos.portable(), measurement),
        notes=(
            *opened.notes,
            *known.notes,
            *_describe_validated(len(known.validated.intersection(rows)), len(rows)),
            *_describe_dial(model.dial, measurement),
        ),
    )
    if page is not None:
        watcher.on_stage(_("writing the report"))
        portable = dict(zip(paths, seen.photos.portable().paths, strict=True))
        test = _describe_test(model, evaluation, portable)
        write_file(page, make_page(checkup, measurement, model, _facts_of(model), test=test))
    return evaluation


def _describe_promise(run_dir: Path | None, evaluation: Evaluation) -> str | None:
    """What the training promised beside what came true; `None` where the run does not say, or promised nothing."""
    try:
        metrics = _read_metrics(run_dir)
        low, high = metrics["validation_interval_95"]
        return compare_with_promise((float(low), float(high)), evaluation, int(metrics["num_validation"]))
    except (KeyError, TypeError, ValueError):
        return None


def _read_metrics(run_dir: Path | None) -> dict[str, Any]:
    """The content of `metrics.json`; empty where there is none that can be read."""
    try:
        return read_metrics(run_dir) if run_dir is not None and (run_dir / METRICS_NAME).is_file() else {}
    except BundleError:
        return {}


def _rows_to_test(photos: PhotoSet, known: KnownPhotos) -> list[int]:
    """The photos to measure with: those of the test split where the source has one, else all; none that is known.

    Raises:
        DatasetError: none is left.
    """
    in_test = [row for row, split in enumerate(photos.given_splits) if split == "test"]
    asked = in_test or list(range(len(photos)))
    rows = [row for row in asked if row not in known.all]
    if asked and not rows:
        place = repr(photos.source)
        if in_test:
            place = _("the test split of {source}").format(source=place)
        raise DatasetError(
            _(
                "the model was trained on all {num:,} photos of {place}, or on near-copies of them. "
                "Give photos that the model has not seen."
            ).format(num=len(asked), place=place),
            paths=[photos.source],
        )
    return rows


def _describe_validated(num_validated: int, num_photos: int) -> tuple[str, ...]:
    if not num_validated:
        return ()
    if num_validated == num_photos:
        return (_("The training held out all of these photos, and has already tested the model on them."),)
    said = _("The training held out {num:,} of these photos, and has already tested the model on them.")
    return (said.format(num=num_validated),)


def _measure(model: Model, seen: SeenPhotos, watcher: Watcher) -> tuple[Checkup, Measurement]:
    """How the model does on the photos, and what is to be said of those that it could answer for.

    Raises:
        DatasetError: none can be read.
    """
    photos = seen.photos
    assert photos.labels is not None
    watcher.on_stage(_("testing the model"))
    predictions, report = model.predict(photos), progress_reporter(len(photos), watcher)
    answers: dict[int, tuple[float, ...]] = {}
    for row, item in predictions.items():
        if isinstance(item, Prediction):
            answers[row] = item.probabilities
        report(len(answers), 0)
    if not answers:
        raise _unreadable(photos, predictions.skipped)
    rows = sorted(answers)
    tested = seen.take(rows)
    number_of = [model.class_names.index(name) for name in photos.class_names]
    labels = np.array([number_of[label] for label in photos.labels[rows]], np.int64)
    tested = replace(
        tested,
        photos=replace(tested.photos, labels=labels, class_names=model.class_names, skipped=predictions.skipped),
    )
    watcher.on_stage(_("checking the photos"))
    checkup = check_up(tested, seed=0)
    probabilities: NDArray[np.float32] = np.array([answers[row] for row in rows], np.float32)
    groups, method = checkup.group_numbers, Method(NEW_PHOTOS)
    return checkup, measure(np.arange(len(rows)), labels, probabilities, model.class_names, method, groups)


def _unreadable(photos: PhotoSet, skipped: Sequence[Skipped]) -> DatasetError:
    reason = skipped[0].reason if skipped else _("there are no photos")
    return DatasetError(
        ngettext(
            "the only photo of {source!r} cannot be read: {reason}. Give photos in JPEG, PNG or another common format.",
            "none of the {num_photos:,} photos of {source!r} can be read. The first: {reason}. Give "
            "photos in JPEG, PNG or another common format. `tellapart show` lists the reasons.",
            len(photos),
        ).format(num_photos=len(photos), source=photos.source, reason=reason),
        paths=[item.path for item in skipped],
    )


def _describe_dial(dial: Dial | None, measurement: Measurement) -> tuple[str, ...]:
    """What the threshold of the model does on these photos; all else is measured with the most probable class."""
    if dial is None:
        return ()
    return (
        describe_dial(replace(dial, max_missed=None), measurement.operating),
        _("The accuracy and the table above are those of the most probable class."),
    )


def _list_mistakes(photos: PhotoSet, measurement: Measurement) -> tuple[Mistake, ...]:
    names, best, cards = photos.class_names, measurement.probabilities.max(axis=1), measurement.cards
    wrong = np.flatnonzero(~measurement.is_right)
    wrong = wrong[np.argsort(-best[wrong], kind="stable")]
    _cards, firsts, sizes = np.unique(cards[wrong], return_index=True, return_counts=True)
    size_of = dict(zip(wrong[firsts].tolist(), sizes.tolist(), strict=True))
    labels, predicted = measurement.labels.tolist(), measurement.predicted.tolist()
    return tuple(
        Mistake(photos.paths[place], names[labels[place]], names[predicted[place]], float(best[place]), size_of[place])
        for place in wrong.tolist()
        if place in size_of
    )


def _describe_test(model: Model, evaluation: ModelEvaluation, portable: Mapping[str, str]) -> ModelTest:
    """What the page says of the test itself, the photos that were left out by name.

    Args:
        model, evaluation: what was tested, and how it did.
        portable: from the path of a photo to one that says nothing of this machine.
    """
    near = frozenset(evaluation.near_copy_paths)
    copy, same = _("near-copy of a photo that the model was trained on"), _("the model was trained on it")
    left_out = [Skipped(portable[path], copy if path in near else same) for path in evaluation.known_paths]
    outside = _("not in the test split of the photos")
    left_out += [Skipped(portable[path], outside) for path in evaluation.other_split_paths]
    return ModelTest(
        model_name=_("a model") if model.path is None else model.path.resolve().name,
        promise=evaluation.promise,
        left_out=tuple(left_out),
        notes=evaluation.notes,
    )


def _facts_of(model: Model) -> list[tuple[str, str]]:
    """What the page says of the model; nothing for one without a folder."""
    if model.path is None:
        return []
    metrics = _read_metrics(model.path)
    facts = [(_("model"), model.path.resolve().name)]
    if isinstance(recipe := metrics.get("recipe"), str):
        facts.append((_("recipe"), recipe))
    if isinstance(num := metrics.get("num_train"), int):
        facts.append((_("trained on"), count_photos(num)))
    return facts


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
        "next_steps": list(fields["steps"]),
        "promise": evaluation.promise,
        "mistakes": list(fields["mistakes"]),
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
    similar = find_similar(unknown[0], known)
    found = ngettext(
        "{source!r} has the class {unknown}, which the model does not know.",
        "{source!r} has the classes {unknown}, which the model does not know.",
        len(unknown),
    ).format(source=source, unknown=name_some(unknown))
    legal = _("The model knows {known}.").format(known=name_some(known, 20))
    hint = _("Did you mean {known!r} by {unknown!r}?").format(known=similar, unknown=unknown[0])
    what_to_do = _("Rename the classes, or leave these photos out.")
    raise DatasetError(
        " ".join([found, legal, *([] if similar is None else [hint]), what_to_do]),
        paths=[source],
    )
