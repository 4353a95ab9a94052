"""`tellapart report`, and the last file of every training: one page with all that was found and measured."""

import datetime
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tellapart.backbones.embedder import start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.check_up import Checkup, check_up, checkup_to_json
from tellapart.config import DEFAULT_BACKBONE, QUICK_BACKBONE, SourceConfig, TransferConfig
from tellapart.decisions.decisions import apply_own_decisions
from tellapart.errors import DatasetError
from tellapart.images.preprocess import PreprocessSpec, format_size
from tellapart.measure.measurement import Measurement
from tellapart.measure.next_steps import rank_steps
from tellapart.photos.loading import digest_photos, stream_collection
from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, open_any_photos, source_paths
from tellapart.predict.model import Model, load
from tellapart.records import EpochRecord, LabelSuspect, Skipped
from tellapart.report.checkup_section import rows_to_show
from tellapart.report.model_section import answer_rows, shown_rows
from tellapart.report.page import ModelTest, Report, render_report
from tellapart.report.pictures import ReportPhoto
from tellapart.runs.assessment import assess
from tellapart.runs.job import Run
from tellapart.runs.report_photos import GONE, gather_photos
from tellapart.runs.run_folder import RunFile, read_run_file, remembered_photos
from tellapart.runs.run_tables import (
    DAMAGE,
    METRICS_NAME,
    SKIPPED_NAME,
    SPLIT_NAME,
    read_metrics,
    read_predictions,
    read_rows,
    unreadable,
)
from tellapart.store import check_writable, to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.translation import ngettext
from tellapart.untrusted import text_of
from tellapart.watcher import Watcher

REPORT_NAME, CHECK_NAME, CURVES_NAME = "report.html", "check.json", "curves.png"
_SMALL = PreprocessSpec((8, 8))
# Suspected labels that a click shows large, at most.
_MOST_ENLARGED = 48


def make_page(
    checkup: Checkup,
    measurement: Measurement | None = None,
    predictor: Model | None = None,
    facts: Iterable[tuple[str, str]] = (),
    missing: Sequence[ReportPhoto] = (),
    test: ModelTest | None = None,
) -> bytes:
    """The page of a check-up, with the numbers of a training or of a test where there are any.

    Args:
        checkup: of the photos that are there.
        measurement: of the model; its rows are those of the photos, and of `missing` behind them.
        predictor: the model, which says where it looked; `None` where only photos were checked.
        facts: about the training: what, and how much.
        missing: photos of the training that are no longer there.
        test: what is said of a test on new photos besides; `None` for any other page.
    """
    photos = checkup.photos.portable()
    checkup = replace(checkup, seen=replace(checkup.seen, photos=photos))
    skipped = photos.skipped
    assessed = None if predictor is None else assess(checkup, measurement)
    steps = rank_steps(None, None, checkup.findings, len(photos), num_skipped=len(skipped))
    rows = rows_to_show(checkup.findings, checkup.suspects)
    enlarged = [] if measurement is None else answer_rows(measurement)
    enlarged += [suspect.row for suspect in checkup.suspects[:_MOST_ENLARGED]]
    if measurement is not None:
        rows += shown_rows(measurement)
    shown, maps = gather_photos(checkup, rows, enlarged, measurement, predictor)
    return render_report(
        Report(
            # The page may travel, and where the photos are on this machine is nobody's business.
            source=", ".join(os.path.basename(os.path.abspath(source)) for source in source_paths(photos)),
            made_on=datetime.date.today().isoformat(),
            class_counts=photos.counts(),
            num_photos=len(photos),
            skipped=skipped,
            findings=checkup.findings,
            suspects=checkup.suspects if measurement is None else _as_measured(checkup.suspects, measurement),
            photos=shown | dict(enumerate(missing, start=len(photos))),
            measurement=measurement,
            maps=maps,
            has_maps=predictor is None or predictor.has_activation_maps,
            facts=tuple(facts),
            clear=checkup.clear,
            figures=checkup.figures,
            verdict=None if assessed is None else assessed.verdict,
            steps=steps if assessed is None else assessed.steps,
            test=test,
            dial=None if predictor is None else predictor.dial,
        )
    )


def write_report(
    run_dir: Path, checkup: Checkup, measurement: Measurement | None, predictor: Model, metrics: dict[str, Any]
) -> None:
    """Writes `check.json` and `report.html`.

    Args:
        run_dir: folder of the run.
        checkup: of its photos.
        measurement: of its model; `None` where nothing could be measured.
        predictor: the model.
        metrics: the content of `metrics.json`.

    Raises:
        OutputError: a file cannot be written.
    """
    write_file(run_dir / CHECK_NAME, to_json_bytes(checkup_to_json(checkup)))
    write_file(run_dir / REPORT_NAME, make_page(checkup, measurement, predictor, _describe_training(metrics)))


def write_curves(run_dir: Path, history: Sequence[EpochRecord]) -> None:
    """Writes `curves.png`, where anything was trained in epochs.

    Raises:
        OutputError: the file cannot be written.
    """
    if not history:
        return
    from tellapart.report.curves import draw_curves
    from tellapart.report.figures import figure_png

    write_file(run_dir / CURVES_NAME, figure_png(draw_curves(history)))


def rebuild_report(
    run: Run | str | Path,
    *,
    photos: Photos | None = None,
    cache_dir: str | None = None,
    watcher: Watcher | None = None,
) -> Path:
    """The page of a run: the one that is there, or one made again from its tables and its photos.

    Photos are known by their content, wherever they are now and whatever they are called. Photos that are gone are
    grey, and a note says how many they are.

    Args:
        run: what `train` gave, or its folder.
        photos: where the photos of the run are now; `None` is where they were.
        cache_dir: folder of what was computed from photos; `None` is the user's own.
        watcher: who is told about the progress.

    Returns:
        The path of `report.html` in the folder.

    Raises:
        BundleError: the folder holds no run, or none that was finished.
        DatasetError: the photos are gone altogether.
        OutputError: it cannot be written.
    """
    run_dir = run.run_dir if isinstance(run, Run) else Path(run)
    path = run_dir / REPORT_NAME
    if path.exists():
        return path
    run_file = read_run_file(run_dir)
    check_writable(path)
    predictor, watcher = load(run_dir), watcher or Watcher()
    metrics, split = read_metrics(run_dir), read_rows(run_dir / SPLIT_NAME, "path", "class", "content")
    try:
        facts = _describe_training(metrics)
    except DAMAGE as exc:
        raise unreadable(run_dir / METRICS_NAME, exc) from exc
    named = remembered_photos(run_dir, run_file) if photos is None else photos
    found = open_any_photos(named, SourceConfig(cache_dir=cache_dir, **run_file.labels))
    decided = apply_own_decisions(found, watcher)
    there = _photos_of_run(run_dir, decided.photos, split, predictor.class_names)
    if not len(there):
        raise DatasetError(
            ngettext(
                "the only photo of {folder!r} is no longer in {source!r}, and the report needs it. Say where it is now"
                " with `photos`.",
                "none of the {num:,} photos of {folder!r} is in {source!r} any more, and the report needs them. Say"
                " where they are now with `photos`.",
                len(split),
            ).format(num=len(split), folder=str(run_dir), source=found.source),
            paths=source_paths(found),
        )
    seen = _look_again(there, run_file, cache_dir, watcher)
    watcher.on_stage(_("checking the photos"))
    checkup = check_up(seen, run_file.config.seed, decided.confirmed)
    watcher.on_stage(_("writing the report"))
    row_of_path = {path: row for row, path in enumerate(checkup.photos.paths)}
    missing = [row for row in split if row["path"] not in row_of_path]
    if missing:
        watcher.on_note(
            _(
                "{num_missing:,} of {num:,} photos of {folder!r} are no longer in {source!r}, such as {names}. The"
                " report shows them in grey."
            ).format(
                num_missing=len(missing),
                num=len(split),
                folder=str(run_dir),
                source=found.source,
                names=name_some([row["path"] for row in missing]),
            )
        )
    row_of_path |= {row["path"]: len(checkup.photos) + number for number, row in enumerate(missing)}
    measurement = read_predictions(run_dir, row_of_path, predictor.class_names, metrics)
    grey = [ReportPhoto(row["path"], row["content"], row["class"], GONE) for row in missing]
    write_file(run_dir / CHECK_NAME, to_json_bytes(checkup_to_json(checkup)))
    write_file(path, make_page(checkup, measurement, predictor, facts, grey))
    return path


def _describe_eyes(eyes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was tried to choose the backbone, and what an answer costs."""
    facts = []
    if eyes.get("cost") is not None:
        said = _("{times:.1f} times that of {name}").format(times=eyes["cost"], name=QUICK_BACKBONE)
        facts.append((_("time for an answer"), said))
    for tried in eyes.get("tried", []):
        said = _("log loss {log_loss:.3f}")
        if tried["gain"] is not None and tried["gain"] > 0:
            said = _("log loss {log_loss:.3f}, {gain:.3f} less than the one before (standard error {error:.3f})")
        elif tried["gain"] is not None:
            said = _("log loss {log_loss:.3f}, {gain:.3f} more than the one before (standard error {error:.3f})")
        numbers = said.format(
            log_loss=tried["log_loss"], gain=abs(tried["gain"] or 0), error=tried["standard_error"] or 0
        )
        title = _("tried on {num:,} photos: {name}").format(num=eyes["num_photos"], name=tried["name"])
        facts.append((title, numbers))
    return facts


def _describe_sample(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How many photos a list has, and which of them the head learnt from, where the run is of a sample of a list."""
    sample = metrics.get("sample")
    if sample is None:
        return []
    facts = [(_("photos in the list"), f"{sample['num_listed']:,}")]
    if sample["num_streamed"]:
        is_used = any(name.startswith("LDA") for name in metrics["head"]["chosen"])
        said = _("{num:,}, all outside of the sample") if is_used else _("{num:,}, but the head does without LDA")
        facts.append((_("photos in the sample"), f"{sample['num_sampled']:,}"))
        facts.append((_("photos that LDA learned from"), said.format(num=sample["num_streamed"])))
    return facts


def _describe_training(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """What the report says about how the model was made."""
    facts = [(_("recipe"), text_of(metrics["recipe"]))]
    if "backbone" in metrics["config"]:
        facts.append((_("backbone"), text_of(metrics["config"]["backbone"])))
        facts += _describe_eyes(metrics.get("eyes", {}))
    if "fine_tuning" in metrics:
        facts.append((_("fine-tuning"), text_of(metrics["fine_tuning"]["sentence"])))
    facts += _describe_sample(metrics)
    facts.append((_("photos for training"), f"{metrics['num_train']:,}"))
    facts.append((_("photos for testing"), f"{metrics['num_validation']:,}"))
    if "num_epochs" in metrics:
        facts.append((_("epochs"), f"{metrics['num_epochs']:,}"))
        facts.append((_("minutes of training"), f"{metrics['train_seconds'] / 60:.1f}"))
    if "plan" in metrics:
        sizes = [format_size(phase["image_size"]) for phase in metrics["plan"]["phases"]]
        facts.append((_("training image size, in pixels"), _(", then ").join(sizes)))
    if metrics["config"].get("image_size") is not None:
        facts.append((_("prediction image size, in pixels"), format_size(metrics["config"]["image_size"])))
    if metrics.get("temperature", 1.0) != 1.0:
        how = _("calibrated on the held-out photos (temperature {value:.2f})").format(value=metrics["temperature"])
        facts.append((_("probabilities"), how))
    facts.append((_("parameters"), f"{metrics['num_parameters']:,}"))
    versions = metrics["versions"]
    facts += [(name, str(versions[name])) for name in ("tellapart", "python") if name in versions]
    return facts


def _as_measured(suspects: Sequence[LabelSuspect], measurement: Measurement) -> tuple[LabelSuspect, ...]:
    """The suspects with the probabilities that the rest of the page has for these photos, where it has any."""
    place_of_row = {int(row): place for place, row in enumerate(measurement.rows)}
    return tuple(
        replace(
            one,
            label_probability=float(measurement.probabilities[place_of_row[one.row], one.label]),
            suggested_probability=float(measurement.probabilities[place_of_row[one.row], one.suggested_label]),
        )
        if one.row in place_of_row
        else one
        for one in suspects
    )


def _photos_of_run(
    run_dir: Path, photos: PhotoSet, split: Sequence[Mapping[str, str]], class_names: tuple[str, ...]
) -> PhotoSet:
    """The photos of a run as its `split.csv` names them, found by their content, without those that are gone."""
    rows_of = _by_content(digest_photos(photos))
    found: dict[int, int] = {}
    for content, numbers in _by_content(row["content"] for row in split).items():
        # Of copies, those belong together that are called most alike.
        pairs = [(number, row) for number in numbers for row in rows_of.get(content, [])]
        pairs.sort(key=lambda pair: -_shared_end(split[pair[0]]["path"], photos.paths[pair[1]]))
        taken: set[int] = set()
        for number, row in pairs:
            if number not in found and row not in taken:
                found[number] = row
                taken.add(row)
    there = [split[number] for number in sorted(found)]
    try:
        labels = [class_names.index(row["class"]) for row in there]
    except ValueError as exc:
        raise unreadable(run_dir / SPLIT_NAME, exc) from exc
    return replace(
        photos.take([found[number] for number in sorted(found)]),
        paths=tuple(row["path"] for row in there),
        labels=np.array(labels, np.int64),
        class_names=class_names,
        skipped=_skipped_of_run(run_dir, photos),
    )


def _skipped_of_run(run_dir: Path, photos: PhotoSet) -> tuple[Skipped, ...]:
    """The files that `skipped.csv` names; the reason is told anew where the file is there, in today's language."""
    rows = read_rows(run_dir / SKIPPED_NAME, "path", "reason")
    portable = photos.portable()
    reasons = {item.path: item.reason for item in portable.skipped}
    unknown = {row["path"] for row in rows} - reasons.keys()
    places = [place for place, path in enumerate(portable.paths) if path in unknown]
    for number, item in stream_collection(photos.take(places), _SMALL, photos.limits):
        if isinstance(item, Skipped):
            reasons[portable.paths[places[number]]] = item.reason
    return tuple(Skipped(row["path"], reasons.get(row["path"], row["reason"])) for row in rows)


def _by_content(digests: Iterable[str | Skipped]) -> dict[str, list[int]]:
    """Content to the places that have it; what cannot be read has none."""
    places: dict[str, list[int]] = {}
    for place, digest in enumerate(digests):
        if not isinstance(digest, Skipped):
            places.setdefault(digest, []).append(place)
    return places


def _shared_end(path: str, other: str) -> int:
    """How many characters two paths have in common, counted from the end."""
    ends = zip(reversed(path), reversed(other), strict=False)
    return sum(1 for _pair in itertools.takewhile(lambda pair: pair[0] == pair[1], ends))


def _look_again(photos: PhotoSet, run: RunFile, cache_dir: str | None, watcher: Watcher) -> SeenPhotos:
    eyes: list[Eye] = []
    if isinstance(run.config, TransferConfig):
        backbone = run.config.backbone or DEFAULT_BACKBONE
        eyes.append(Eye(start_backbone(backbone, cache_dir, watcher).embedder))
    return look_at(photos, eyes, cache_dir=cache_dir, watcher=watcher)
