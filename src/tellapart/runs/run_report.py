"""`tellapart report`, and the last file of every training: one page with all that was found and measured."""

import csv
import datetime
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tellapart.backbones.embedder import start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.check_up import Checkup, check_up, checkup_to_json
from tellapart.config import SourceConfig, TransferConfig
from tellapart.errors import BundleError, DatasetError
from tellapart.images.preprocess import format_size
from tellapart.photos.decisions import apply_own_decisions
from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import open_any_photos
from tellapart.predict.bundle import read_bundle
from tellapart.predict.predictor import Predictor, load
from tellapart.records import CurvePoint, LearningCurve, Skipped
from tellapart.report.report_data import Report, ReportPhoto, Results
from tellapart.runs.job import RunFile
from tellapart.runs.measurement import PREDICTIONS_NAME, Outcome
from tellapart.runs.report_results import Measured, make_results
from tellapart.runs.run_folder import METRICS_NAME, SKIPPED_NAME, SPLIT_NAME, read_run_file
from tellapart.store import to_json_bytes, write_file
from tellapart.watcher import Watcher

REPORT_NAME, CHECK_NAME = "report.html", "check.json"
# Shown in place of a photo that could be read when it was looked at, and no longer.
_GONE = np.full((48, 64, 3), 200, np.uint8)


def make_page(checkup: Checkup, results: Results | None = None, facts: Iterable[tuple[str, str]] = ()) -> bytes:
    """The page of a check-up, with the results of a training where there are any."""
    from tellapart.report.page import render_report

    photos = checkup.photos
    return render_report(
        Report(
            source=photos.source,
            made_on=datetime.date.today().isoformat(),
            class_counts=photos.counts(),
            num_photos=len(photos),
            skipped=photos.skipped,
            findings=checkup.findings,
            suspects=checkup.suspects,
            photos=_show(checkup, results),
            results=results,
            facts=tuple(facts),
            clear=checkup.clear,
        )
    )


def write_report(
    run_dir: Path, checkup: Checkup, measured: Measured | None, predictor: Predictor, metrics: dict[str, Any]
) -> None:
    """Writes `report.html` and `check.json`.

    Args:
        run_dir: folder of the run.
        checkup: of its photos.
        measured: what is known of the model; `None` where nothing could be measured.
        predictor: the model.
        metrics: the content of `metrics.json`.

    Raises:
        OutputError: a file cannot be written.
    """
    results = None if measured is None else make_results(measured, checkup, predictor)
    write_file(run_dir / CHECK_NAME, to_json_bytes(checkup_to_json(checkup)))
    write_file(run_dir / REPORT_NAME, make_page(checkup, results, _describe_training(metrics)))


def _describe_training(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """What the report says about how the model was made."""
    facts = [("recipe", metrics["recipe"])]
    if "backbone" in metrics["config"]:
        facts.append(("backbone", metrics["config"]["backbone"]))
    facts.append(("photos it learnt from", f"{metrics['num_train']:,}"))
    facts.append(("photos it was measured on", f"{metrics['num_validation']:,}"))
    if "num_epochs" in metrics:
        facts.append(("epochs", f"{metrics['num_epochs']:,}"))
        facts.append(("minutes of training", f"{metrics['train_seconds'] / 60:.1f}"))
    if "plan" in metrics:
        sizes = [format_size(phase["image_size"]) for phase in metrics["plan"]["phases"]]
        facts.append(("pixels of what it learnt from", ", then ".join(sizes)))
    if metrics["config"].get("image_size") is not None:
        facts.append(("pixels it predicts at", format_size(metrics["config"]["image_size"])))
    if metrics.get("temperature", 1.0) != 1.0:
        how = f"set by the photos it was measured on, for each by the others (temperature {metrics['temperature']:.2f})"
        facts.append(("how sure it may be", how))
    facts.append(("parameters", f"{metrics['num_parameters']:,}"))
    versions = metrics["versions"]
    facts += [(name, str(versions[name])) for name in ("tellapart", "python") if name in versions]
    return facts


def _show(checkup: Checkup, results: Results | None) -> dict[int, ReportPhoto]:
    """The photos that the page refers to, with a small image each; grey where a photo is gone by now."""
    photos = checkup.photos
    rows = list(dict.fromkeys(_mentioned(checkup, results)))
    images = checkup.seen.thumbnails(rows)
    labels, names = photos.labels, photos.class_names
    return {
        row: ReportPhoto(
            photos.paths[row],
            checkup.seen.digests[row],
            None if labels is None else names[labels[row]],
            images.get(row, _GONE),
        )
        for row in rows
    }


def _mentioned(checkup: Checkup, results: Results | None) -> Iterable[int]:
    """Rows of photos, some of them more than once."""
    yield from (suspect.row for suspect in checkup.suspects)
    yield from (row for finding in checkup.findings for rows in finding.examples for row in rows)
    if results is not None:
        yield from (one.row for one in (*results.mistakes, *results.unsure))
        yield from (row for rows in results.examples.values() for row in rows)


def report_again(run_dir: Path, cache_dir: str | None = None, watcher: Watcher | None = None) -> Path:
    """The page of a run: the one that is there, or one made anew from its tables and its photos.

    Raises:
        BundleError: the folder holds no run, or none that was finished.
        DatasetError: the page is gone and the photos have changed since the training.
        OutputError: it cannot be written.
    """
    path = run_dir / REPORT_NAME
    if path.exists():
        return path
    run = read_run_file(run_dir)
    predictor = load(run_dir)
    watcher = watcher or Watcher()
    photos, _ = open_any_photos(run.source, SourceConfig(cache_dir=cache_dir))
    decided = apply_own_decisions(photos, watcher)
    seen = _look_again(decided.photos, run, run_dir, cache_dir, watcher)
    checkup = check_up(seen, run.config.seed, decided.confirmed)
    metrics = _read_metrics(run_dir)
    write_report(run_dir, checkup, _measure_again(run_dir, checkup, metrics), predictor, metrics)
    return path


def _look_again(photos: PhotoSet, run: RunFile, run_dir: Path, cache_dir: str | None, watcher: Watcher) -> SeenPhotos:
    """The photos of a run as its `split.csv` names them.

    Raises:
        DatasetError: some of them are gone.
    """
    rows = _read_table(run_dir / SPLIT_NAME)
    places = {path: row for row, path in enumerate(photos.paths)}
    gone = [row["path"] for row in rows if row["path"] not in places]
    if gone:
        raise DatasetError(
            f"{len(gone):,} of the {len(rows):,} photos of {str(run_dir)!r} are no longer in {run.source!r}, such as "
            f"{name_some(gone)}; the report needs them. Put them back, or train again with another --out."
        )
    names = read_bundle(run_dir).class_names
    kept = replace(
        photos.take([places[row["path"]] for row in rows]),
        labels=np.array([names.index(row["class"]) for row in rows], np.int64),
        class_names=names,
        skipped=tuple(Skipped(row["path"], row["reason"]) for row in _read_table(run_dir / SKIPPED_NAME)),
    )
    if isinstance(run.config, TransferConfig):
        eyes = [Eye(start_backbone(run.config.backbone, cache_dir, watcher).embedder)]
        return look_at(kept, eyes, cache_dir=cache_dir, watcher=watcher)
    return look_at(kept, cache_dir=cache_dir, watcher=watcher)


def _measure_again(run_dir: Path, checkup: Checkup, metrics: dict[str, Any]) -> Measured | None:
    """What `predictions.csv` and `metrics.json` say; `None` where nothing could be measured."""
    if metrics["validation_accuracy"] is None:
        return None
    rows = _read_table(run_dir / PREDICTIONS_NAME)
    places = {path: row for row, path in enumerate(checkup.photos.paths)}
    names = checkup.photos.class_names
    outcome = Outcome(
        checkup.photos.take([places[row["path"]] for row in rows]),
        tuple(row["content"] for row in rows),
        np.array([[float(row[f"p_{name}"]) for name in names] for row in rows], np.float32),
    )
    return Measured(
        recipe=metrics["recipe"],
        outcome=outcome,
        evaluation=outcome.evaluate(),
        method=metrics["validation_method"],
        num_repeats=metrics["num_repeats"],
        curve=_read_curve(metrics["learning_curve"]),
        leak_accuracy=metrics["leak_accuracy"],
    )


def _read_curve(value: dict[str, Any] | None) -> LearningCurve | None:
    """The learning curve as `metrics.json` holds it."""
    if value is None:
        return None
    return LearningCurve(
        measured=tuple((int(number), float(error)) for number, error in value["measured"]),
        fitted=tuple(CurvePoint(**point) for point in value["fitted"]),
        exponent_95=(float(value["exponent_95"][0]), float(value["exponent_95"][1])),
        sentence=str(value["sentence"]),
    )


def _read_metrics(run_dir: Path) -> dict[str, Any]:
    try:
        metrics: dict[str, Any] = json.loads((run_dir / METRICS_NAME).read_bytes())
    except (OSError, ValueError) as exc:
        raise _unreadable(run_dir / METRICS_NAME, exc) from exc
    return metrics


def _read_table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            return list(csv.DictReader(file))
    except (OSError, csv.Error) as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, exc: Exception) -> BundleError:
    return BundleError(
        f"{str(path)!r} cannot be read ({exc}), and without it the report cannot be made anew; train again with "
        "another --out."
    )
