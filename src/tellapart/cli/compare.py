"""`tellapart compare`: which recipe is better on these photos, and whether the difference could be chance."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.options import CacheDir, ClassLevel, LabelledSource, LabelPattern, LabelsCsv, PerClass
from tellapart.cli.output import make_console, print_line, print_table
from tellapart.translation import gettext as _

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.measure.scores import Comparison
    from tellapart.watcher import Watcher


def compare(
    photos: LabelledSource,
    recipes: Annotated[str, typer.Option(help=_("Recipes to compare, comma-separated."))] = "classic,transfer",
    out: Annotated[
        Path | None, typer.Option(help=_("Folder of the runs."), show_default="runs/SOURCE-compare", metavar="DIR")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help=_("Epochs of the recipes that train in epochs."), show_default=_("each recipe's own")),
    ] = None,
    per_class: PerClass = None,
    validation_fraction: Annotated[
        float, typer.Option("--validation", help=_("Share of each class to measure all recipes on."))
    ] = 0.2,
    seed: Annotated[int, typer.Option(help=_("Random seed."))] = 0,
    labels_csv: LabelsCsv = None,
    label_pattern: LabelPattern = None,
    class_level: ClassLevel = None,
    cache_dir: CacheDir = None,
) -> None:
    """Train several recipes on the same split of SOURCE and compare them, with a significance test."""
    from tellapart.cli.memory import keep_freed_memory
    from tellapart.cli.progress import watch_training
    from tellapart.cli.train import default_run_dir
    from tellapart.commands.compare import FIGURE_NAME
    from tellapart.commands.compare import compare as compare_recipes
    from tellapart.measure.mcnemar import describe_test

    out = out or default_run_dir(photos, "compare", resume=False)
    console = make_console()
    keep_freed_memory()
    with watch_training() as watcher:
        result = compare_recipes(
            photos,
            out,
            watch=lambda recipe: _announce(console, recipe, watcher),
            recipes=tuple(name.strip() for name in recipes.split(",")),
            epochs=epochs,
            validation_fraction=validation_fraction,
            seed=seed,
            per_class=per_class,
            labels_csv=labels_csv,
            label_pattern=label_pattern,
            class_level=class_level,
            cache_dir=cache_dir,
        )
    _print_table(console, result)
    for test in result.tests:
        print_line(console, describe_test(test))
    print_line(console, _("The runs and the picture {name} are in {folder}").format(name=FIGURE_NAME, folder=out))


def _announce(console: "Console", recipe: str, watcher: "Watcher") -> "Watcher":
    """The watcher, after a line that says which recipe is next."""
    print_line(console, f"{recipe}:")
    return watcher


def _print_table(console: "Console", result: "Comparison") -> None:
    from tellapart.cli.progress import format_seconds
    from tellapart.measure.number_words import percent, percent_range

    headers = (
        *(_("recipe"), _("accuracy"), _("95% interval"), _("log loss"), _("training"), _("photos/s"), _("model size")),
    )
    rows = []
    for one in result.results:
        num = one.validation.num_photos
        rows.append(
            (
                one.recipe,
                percent(one.validation.accuracy, num),
                percent_range(one.validation.interval_95, num),
                f"{one.validation.log_loss:.3f}",
                format_seconds(one.train_seconds),
                f"{one.photos_per_second:,.0f}",
                f"{one.model_bytes / 1e6:.1f} MB",
            )
        )
    num_photos = result.results[0].validation.num_photos
    print_line(console, _("On the same {num:,} validation photos:").format(num=num_photos))
    print_table(console, headers, rows)
