"""`tellapart train`: from photos to a run folder with a classifier in it, or the continuation of one.

`train_job` tells the whole story; what is particular to a recipe is in `head_recipe.py`, `finetune_recipe.py` and
`network_recipe.py`.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

from tellapart.checkup.check_up import Checkup
from tellapart.config import DialConfig, FinetuneConfig, RecipeConfig, ScratchConfig, SourceConfig, TransferConfig
from tellapart.decisions.decisions import apply_own_decisions
from tellapart.errors import BundleError, ConfigError, DependencyError, OutputError
from tellapart.installation import install_extra
from tellapart.measure.measurement import measurement_to_json
from tellapart.measure.splits import Split
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, open_labelled, source_paths
from tellapart.predict.bundle import read_bundle, write_bundle
from tellapart.predict.dial import check_dial_class, choose_dial, describe_dial
from tellapart.predict.model import Model
from tellapart.records import PreparedRecord
from tellapart.runs.assessment import assess
from tellapart.runs.job import Fitted, Recipe, Run, TrainJob
from tellapart.runs.learnt_photos import write_fingerprints
from tellapart.runs.outputs import check_outside
from tellapart.runs.run_folder import (
    RUN_FILE_NAME,
    RunFile,
    begin_run,
    check_same_settings,
    claimed,
    finish_run_file,
    read_run_file,
    remembered_photos,
)
from tellapart.runs.run_tables import METRICS_NAME, write_predictions, write_skipped, write_split
from tellapart.settings import TrainSettings, recipe_config, source_config, split_dial, split_settings
from tellapart.store import remove_partials, to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.watcher import Watcher


def train(
    photos: Photos | None,
    out: str | Path,
    *,
    config: RecipeConfig | None = None,
    source: SourceConfig = SourceConfig(),
    resume: bool = False,
    watcher: Watcher | None = None,
    **settings: Unpack[TrainSettings],
) -> Run:
    """A trained classifier in the folder `out`, with its pictures and numbers.

    A `KeyboardInterrupt` stops a training in epochs at the last finished one and leaves a folder that is as usable as
    that of a finished run, and can be resumed.

    Args:
        photos: labelled photos, as `open_photos` takes them; `None` with `resume` takes those of the run from
            where they were.
        out: folder of the run; new, empty, or an earlier run to resume.
        config: how to train: a head on the embeddings of a frozen backbone (`TransferConfig`), the same with its last
            blocks fine-tuned where that pays (`FinetuneConfig`), the residual network from scratch (`ScratchConfig`),
            or the article's network (`ClassicConfig`); `None` is `TransferConfig()`, with `minutes` among the settings
            `FinetuneConfig()`, and with `resume` the settings of the run.
        source: how labels are found and how many photos are taken.
        resume: go on with the run in `out`, killed or finished, up to `epochs` where there are epochs.
        watcher: who is told about the progress.
        settings: the fields of the configs by themselves, as `recipe="scratch", minutes=5, cache_dir="cache"`; they
            replace those of `config` and `source`. `threshold={"cracked": 0.2}` or `max_missed={"cracked": 0.02}` sets
            the dial of the model.

    Raises:
        ConfigError: a setting has a wrong value, names no class, or differs from those of the run to resume.
        DatasetError: the photos cannot be used, or differ from those of the run to resume.
        BundleError: there is no run to resume, or it is damaged; or the backbone cannot be used.
        DependencyError: a package that the training needs is not installed.
        OutputError: `out` is not ours, another training writes into it, or it cannot be written.
        KeyboardInterrupt: the user stopped it before there was anything to keep.
    """
    started, run_dir = time.perf_counter(), Path(out)
    watcher = watcher or Watcher()
    dial, others = split_dial(settings)
    of_recipe, of_source = split_settings(others)
    source = source_config(of_source, source)
    if not resume:  # a mistake in a setting is told before one in a folder
        config, of_recipe = recipe_config(of_recipe, config), {}
    if photos is None:
        if not resume:
            raise ConfigError(_("`photos` is missing. Give the photos to train on."), field="photos")
        photos = remembered_photos(run_dir, read_run_file(run_dir))
    for named in source_paths(photos):
        check_outside(run_dir, Path(named))
    with claimed(run_dir):
        config, resumed = _recipe_settings(run_dir, config, of_recipe, resume)
        if resumed is not None:
            labels = resumed.labels if source.label_setting is None else {}
            source = replace(source, per_class=resumed.per_class, **labels)
            dial = _dial_to_keep(run_dir, resumed) if dial == DialConfig() else dial
        # A head can be learnt from a single photo of a class; that its accuracy is then unknown is said later.
        is_checked = not isinstance(config, TransferConfig) and not isinstance(photos, PhotoSet)
        opened = open_labelled(photos, source, check=is_checked)
        for note in opened.notes:
            watcher.on_note(note)
        check_dial_class(dial, opened.class_names)
        decided = apply_own_decisions(opened, watcher)
        job = TrainJob(decided.photos, run_dir, config, source, resumed, watcher, started, decided.confirmed, dial)
        with open_recipe(job) as recipe:
            return train_job(job, recipe)


def train_job(job: TrainJob, recipe: Recipe) -> Run:
    """The story of a training: look, check up, split, fit and measure, save, report.

    Args:
        job: its folder is claimed.
        recipe: open.

    Raises:
        DatasetError, ConfigError, TellapartError, KeyboardInterrupt: as the parts of a `Recipe` do.
    """
    checkup = recipe.look()
    photos = checkup.photos
    split = recipe.split(checkup)
    run_file = replace(recipe.run_file(checkup), dial=job.dial)
    begin_run(job.run_dir, run_file, job.resumed)
    portable = photos.portable()
    _write_parts(job.run_dir, portable, checkup, split)
    write_skipped(job.run_dir, portable.skipped)
    numbers = (len(photos.skipped), len(split.train), len(split.validation))
    job.watcher.on_prepared(PreparedRecord(photos.counts(), *numbers))
    job.watcher.on_checked(checkup.findings)
    fitted = _with_dial(job, recipe.fit(checkup, split))
    if fitted.split is not None:
        split = fitted.split
        _write_parts(job.run_dir, portable, checkup, split)
    assessment = assess(checkup, fitted.measurement)
    metrics = _metrics(run_file.config, checkup, split, fitted) | assessment.to_json()
    job.watcher.on_stage(_("writing the model"))
    # First what cannot be made again without training again; what fails after the bundle costs no more than itself.
    write_bundle(job.run_dir, fitted.bundle)
    write_file(job.run_dir / METRICS_NAME, to_json_bytes(metrics))
    if fitted.measurement is not None:
        write_predictions(job.run_dir, portable, checkup.seen.digests, fitted.measurement)
    for name, content in fitted.make_files().items():
        write_file(job.run_dir / name, content)
    finish_run_file(job.run_dir, run_file, fitted.is_stopped)
    _report(job, checkup, fitted, metrics)
    measurement = fitted.measurement
    return Run(
        run_dir=job.run_dir,
        validation=None if measurement is None else measurement.evaluation,
        validation_paths=() if measurement is None else tuple(photos.paths[row] for row in measurement.rows),
        is_right=() if measurement is None else tuple(measurement.is_right.tolist()),
        validation_groups=() if measurement is None else tuple(measurement.groups.tolist()),
        is_cross_validated=measurement is not None and measurement.method.is_cross_validated,
        skipped=photos.skipped,
        seconds=fitted.seconds_before + time.perf_counter() - job.started,
        num_found_in_cache=metrics.get("num_found_in_cache", 0),
        history=fitted.history,
        is_stopped=fitted.is_stopped,
        verdict=assessment.verdict,
        steps=assessment.steps,
        dial=fitted.bundle.dial,
    )


def _write_parts(run_dir: Path, portable: PhotoSet, checkup: Checkup, split: Split) -> None:
    """Which photos train and which are held out, and the fingerprints by which they are known again."""
    write_split(run_dir, portable, split, checkup.seen.digests, checkup.group_numbers)
    write_fingerprints(run_dir, checkup, split)


def check_can_train(*, is_tuned: bool = False) -> None:
    """Nothing, if the packages that the default recipe needs are installed.

    Args:
        is_tuned: whether those that fine-tuning needs have to be there as well.

    Raises:
        DependencyError: one is not.
    """
    try:
        import tellapart.runs.head_recipe

        if is_tuned:
            import tellapart.runs.finetune_recipe  # noqa: F401
    except ModuleNotFoundError as exc:
        raise DependencyError(
            _("training needs {name}, which is not installed. Install it with: {command}").format(
                name=exc.name, command=install_extra("train")
            ),
            name=exc.name,
        ) from exc


@contextmanager
def open_recipe(job: TrainJob) -> Iterator[Recipe]:
    """The recipe of a job; while it is open, what the libraries draw at random follows from the seed."""
    if isinstance(job.config, TransferConfig):
        check_can_train(is_tuned=isinstance(job.config, FinetuneConfig))
        if isinstance(job.config, FinetuneConfig):
            from tellapart.runs.finetune_recipe import FinetuneRecipe

            yield FinetuneRecipe(job)
            return
        from tellapart.runs.head_recipe import HeadRecipe

        yield HeadRecipe(job)
        return
    # Keras and PyTorch take seconds to load, which a head does without.
    from tellapart.networks.backend import reproducible
    from tellapart.runs.network_recipe import NetworkRecipe

    with reproducible(job.config.seed):
        yield NetworkRecipe(job)


def _with_dial(job: TrainJob, fitted: Fitted) -> Fitted:
    """The model with the dial that was asked for; where it cannot be had, a note says why, and the model stays."""
    bundle = fitted.bundle
    try:
        dial = choose_dial(job.dial, bundle.class_names, bundle.operating)
    except ConfigError as exc:
        job.watcher.on_note(_("{reason} The model answers with the most probable class.").format(reason=exc))
        return fitted
    if dial is None:
        return fitted
    job.watcher.on_note(describe_dial(dial, bundle.operating))
    bundle = replace(bundle, dial=dial)
    return replace(fitted, bundle=bundle, predictor=Model(bundle))


def _dial_to_keep(run_dir: Path, resumed: RunFile) -> DialConfig:
    """The dial of a run that goes on: that of its model, and before there is one that of its settings."""
    try:
        stored = read_bundle(run_dir).dial
    except BundleError:
        return resumed.dial
    if stored is None:
        return DialConfig()
    if stored.max_missed is None:
        return DialConfig(threshold={stored.class_name: stored.threshold})
    return DialConfig(max_missed={stored.class_name: stored.max_missed})


def _metrics(config: RecipeConfig, checkup: Checkup, split: Split, fitted: Fitted) -> dict[str, Any]:
    """The content of `metrics.json`."""
    return {
        "recipe": config.recipe,
        **measurement_to_json(fitted.measurement),
        "num_train": len(split.train),
        "num_skipped": len(checkup.photos.skipped),
        "class_names": list(checkup.photos.class_names),
        **_without_folders(fitted.metrics),
        "config": _without_folders(asdict(config)),
        "versions": fitted.bundle.versions,
    }


def _without_folders(value: Any) -> Any:
    """The same without where a file, such as a backbone of one's own, is on this machine: only its name."""
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(item) for item in value]
    return os.path.basename(value) if isinstance(value, str) and os.path.isabs(value) else value


def _report(job: TrainJob, checkup: Checkup, fitted: Fitted, metrics: dict[str, Any]) -> None:
    """Writes the check-up, the page and the curves; where that fails the run stays as usable as it is."""
    from tellapart.runs.run_report import write_curves, write_report

    job.watcher.on_stage(_("writing the report"))
    try:
        write_report(job.run_dir, checkup, fitted.measurement, fitted.predictor, metrics)
        write_curves(job.run_dir, fitted.history)
    except Exception as exc:  # whatever it is, hours of training are worth more than a picture
        job.watcher.on_note(
            _(
                "the report could not be made: {error}. The model is complete. Make the report with"
                " `tellapart report {folder}`."
            ).format(error=str(exc) or type(exc).__name__, folder=job.run_dir)
        )


def _recipe_settings(
    run_dir: Path, config: RecipeConfig | None, settings: Mapping[str, Any], resume: bool
) -> tuple[RecipeConfig, RunFile | None]:
    """The settings to train with, and what the run to resume says of itself, if one is."""
    if not resume:
        if (run_dir / RUN_FILE_NAME).exists():
            raise OutputError(
                _("there is a run in {folder!r} already. Give `resume=True` to continue it, or another `out`.").format(
                    folder=str(run_dir)
                ),
                path=run_dir,
            )
        return recipe_config(settings, config), None
    stored = read_run_file(run_dir)
    remove_partials(run_dir)
    config = _as_decided(recipe_config(settings, config or stored.config), stored.config)
    check_same_settings(stored.config, config)
    return config, stored


def _as_decided(config: RecipeConfig, stored: RecipeConfig) -> RecipeConfig:
    """`config` with what was left to the recipe as the run has decided it."""
    if isinstance(config, TransferConfig) and isinstance(stored, TransferConfig) and config.backbone is None:
        return replace(config, backbone=stored.backbone, eyes="auto")
    if not isinstance(config, ScratchConfig) or not isinstance(stored, ScratchConfig):
        return config
    return replace(config, image_size=config.image_size or stored.image_size)
