"""`tellapart compare`: several recipes on one split, side by side, with a test of whether the difference is chance."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np

from tellapart.config import (
    RECIPE_CONFIGS,
    ClassicConfig,
    FinetuneConfig,
    RecipeConfig,
    ScratchConfig,
    SourceConfig,
    TransferConfig,
)
from tellapart.errors import ConfigError, DatasetError
from tellapart.file_set import write_files
from tellapart.measure.mcnemar import compare_paired
from tellapart.measure.scores import Comparison, PairedTest, RecipeResult
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, open_labelled, source_paths
from tellapart.predict.bundle import MODEL_FILE
from tellapart.predict.model import Model, load
from tellapart.report.comparison import draw_comparison
from tellapart.report.figures import figure_png
from tellapart.runs.job import Run
from tellapart.runs.outputs import check_dir, check_outside, claim_dir
from tellapart.runs.run_folder import RUN_FILE_NAME
from tellapart.runs.train import train
from tellapart.settings import CompareSettings, source_config, split_settings
from tellapart.store import to_csv_bytes, to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.value_checks import check_choice
from tellapart.watcher import Watcher

MARKER_NAME, TABLE_NAME, FIGURE_NAME = "comparison.json", "comparison.csv", "comparison.png"
# Photos that the prediction speed is measured on, and how often; the fastest counts, as other work only slows it.
_NUM_TIMED_PHOTOS = 256
_NUM_TIMINGS = 3


@dataclass(frozen=True)
class CompareConfig:
    """What is compared, and on what.

    Attributes:
        recipes: at least two different names of `RECIPE_CONFIGS`.
        epochs: of the recipes that train in epochs; `None` is each one's own number.
        validation_fraction: share of each class that all are measured on, strictly between 0 and 1.
        seed: decides the split, and all else that is random.
    """

    recipes: tuple[str, ...] = ("classic", "transfer")
    epochs: int | None = None
    validation_fraction: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for recipe in self.recipes:
            check_choice("recipes", recipe, tuple(RECIPE_CONFIGS))
        if len(set(self.recipes)) < 2 or len(set(self.recipes)) != len(self.recipes):
            raise ConfigError(
                _(
                    "`recipes` {recipes!r} are not two different recipes. Give at least two of {known}, "
                    "separated by commas, such as classic,transfer."
                ).format(recipes=",".join(self.recipes), known=", ".join(RECIPE_CONFIGS)),
                field="recipes",
                value=self.recipes,
            )
        for recipe in self.recipes:
            self.train_config(recipe)

    def train_config(self, recipe: str) -> RecipeConfig:
        """How the recipe is trained."""
        if recipe == "transfer":
            return TransferConfig(validation_fraction=self.validation_fraction, seed=self.seed)
        if recipe == "finetune":
            return FinetuneConfig(validation_fraction=self.validation_fraction, seed=self.seed)
        if recipe == "scratch":
            return ScratchConfig(validation_fraction=self.validation_fraction, seed=self.seed, epochs=self.epochs)
        config = ClassicConfig(validation_fraction=self.validation_fraction, seed=self.seed)
        return config if self.epochs is None else replace(config, epochs=self.epochs)


def compare(
    photos: Photos,
    out: str | Path,
    *,
    watch: Callable[[str], Watcher] = lambda recipe: Watcher(),
    **settings: Unpack[CompareSettings],
) -> Comparison:
    """How the recipes fare on the same validation photos; a run of each in `out`, with a table and a figure.

    A comparison that was stopped goes on where it was: runs that are finished are not trained again.

    Args:
        photos: labelled photos, as `open_photos` takes them.
        out: new, empty, or the folder of an earlier comparison of the same photos and settings.
        settings: what is compared, how labels are found and how many photos are taken: the fields of `CompareConfig`
            and of `SourceConfig`.
        watch: from the name of a recipe to who is told how its training goes.

    Raises:
        ConfigError, DatasetError: as for `train`.
        OutputError: the folder is not ours, or cannot be written.
        KeyboardInterrupt: the user stopped it.
    """
    of_comparison, of_source = split_settings(settings, CompareSettings)
    config, source, out_dir = CompareConfig(**of_comparison), source_config(of_source), Path(out)
    for named in source_paths(photos):
        check_outside(out_dir, named)
    check_dir(out_dir, MARKER_NAME)
    opened = open_labelled(photos, source)
    claim_dir(out_dir, MARKER_NAME)
    described = {"kind": "tellapart comparison", "config": asdict(config)}
    if not (out_dir / MARKER_NAME).exists():
        write_file(out_dir / MARKER_NAME, to_json_bytes(described))
    runs: dict[str, Run] = {}
    for recipe in config.recipes:
        told = replace(opened, notes=()) if runs else opened  # what is to be said of the photos is said once
        runs[recipe] = _train_one(recipe, told, out_dir, config, source, watch)
    paths = [run.validation_paths for run in runs.values()]
    if any(other != paths[0] for other in paths[1:]):
        raise DatasetError(
            _(
                "the photos of {source!r} changed during the training, so each recipe was tested on "
                "other photos. Compare again with another `out` than {out_dir!r}."
            ).format(source=opened.source, out_dir=str(out_dir)),
            paths=[opened.source],
        )
    comparison = Comparison(
        tuple(_measure(recipe, run, opened) for recipe, run in runs.items()),
        tuple(_test(first, second, runs) for first, second in itertools.combinations(runs, 2)),
    )
    files = {
        TABLE_NAME: to_csv_bytes(comparison_rows(comparison)),
        FIGURE_NAME: figure_png(draw_comparison(comparison)),
        MARKER_NAME: to_json_bytes(described | asdict(comparison)),
    }
    write_files(out_dir, files, last=MARKER_NAME)
    return comparison


def _train_one(
    recipe: str,
    photos: PhotoSet,
    out_dir: Path,
    config: CompareConfig,
    source: SourceConfig,
    watch: Callable[[str], Watcher],
) -> Run:
    run_dir = out_dir / recipe
    is_begun, watcher = (run_dir / RUN_FILE_NAME).exists(), watch(recipe)
    run = train(photos, run_dir, config=config.train_config(recipe), source=source, resume=is_begun, watcher=watcher)
    if run.is_stopped:
        raise KeyboardInterrupt
    if run.num_found_in_cache:
        watcher.on_note(
            _(
                "The embeddings of {num:,} photos came from an earlier run. The training time of "
                "{recipe} leaves them out."
            ).format(num=run.num_found_in_cache, recipe=recipe)
        )
    return run


def _measure(recipe: str, run: Run, photos: PhotoSet) -> RecipeResult:
    assert run.validation is not None
    rows = {path: row for row, path in enumerate(photos.paths)}
    timed = photos.take([rows[path] for path in run.validation_paths[:_NUM_TIMED_PHOTOS]])
    predictor = load(run.run_dir)
    seconds = min(_time_prediction(predictor, timed) for _unused in range(_NUM_TIMINGS))
    return RecipeResult(
        recipe=recipe,
        validation=run.validation,
        train_seconds=run.seconds,
        photos_per_second=len(timed) / seconds,
        model_bytes=(run.run_dir / MODEL_FILE).stat().st_size,
    )


def _time_prediction(predictor: Model, photos: PhotoSet) -> float:
    """Seconds from files to answers."""
    started = time.perf_counter()
    for _unused in predictor.predict(replace(photos, skipped=())):
        pass
    return time.perf_counter() - started


def _test(first: str, second: str, runs: dict[str, Run]) -> PairedTest:
    one, other = runs[first], runs[second]
    return compare_paired(
        first, second, np.array(one.is_right), np.array(other.is_right), np.array(one.validation_groups)
    )


def comparison_rows(comparison: Comparison) -> list[Sequence[object]]:
    """The table: a header, then a row a recipe."""
    header = [
        "recipe", "validation_accuracy", "low_95", "high_95", "validation_log_loss", "num_validation", "train_seconds",
        "photos_per_second", "model_bytes",
    ]  # fmt: skip
    rows: list[Sequence[object]] = [header]
    for result in comparison.results:
        validation = result.validation
        rows.append(
            [
                result.recipe, f"{validation.accuracy:.6g}", *(f"{end:.6g}" for end in validation.interval_95),
                f"{validation.log_loss:.6g}", validation.num_photos, f"{result.train_seconds:.1f}",
                f"{result.photos_per_second:.1f}", result.model_bytes,
            ]
        )  # fmt: skip
    return rows
