"""`tellapart tune`: better settings for a recipe, found by trying, and what they are worth on new photos."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tellapart.cli.cluster import ClusterFlags, with_cluster_flags
from tellapart.cli.flags import with_flags
from tellapart.cli.options import (
    CacheDir,
    ClassLevel,
    LabelledSource,
    LabelPattern,
    LabelsCsv,
    PerClass,
)
from tellapart.cli.output import make_console, print_line
from tellapart.translation import gettext as _

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.tune.trial_table import TrialRecord
    from tellapart.tune.tuning import Tuning


@with_cluster_flags
def tune(
    photos: LabelledSource,
    recipe: Annotated[str, typer.Option(help=_("Recipe whose settings are tuned."))] = "transfer",
    minutes: Annotated[
        float | None,
        typer.Option(help=_("How long everything takes, the final training included."), show_default="60"),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help=_("Number of settings to try, instead of --minutes."), show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help=_("Folder of the search."), show_default="runs/SOURCE-tune", metavar="DIR")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help=_("Continue an interrupted search, or one with more time or trials."))
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help=_("Epochs of a full trial."), show_default=_("the recipe's own"))
    ] = None,
    image_size: Annotated[
        str | None, typer.Option(help=_("Pixels, or HEIGHTxWIDTH."), show_default=_("tuned"), metavar="N")
    ] = None,
    per_class: PerClass = None,
    validation_fraction: Annotated[
        float,
        typer.Option("--validation", help=_("Share of each class that no trial sees. It tests the winner.")),
    ] = 0.2,
    seed: Annotated[int, typer.Option(help=_("Random seed."))] = 0,
    labels_csv: LabelsCsv = None,
    label_pattern: LabelPattern = None,
    class_level: ClassLevel = None,
    cache_dir: CacheDir = None,
    *,
    cluster: ClusterFlags,
) -> None:
    """Try other settings of a recipe on SOURCE, and train the best of them."""
    from tellapart.cli.memory import keep_freed_memory
    from tellapart.cli.progress import watch_training
    from tellapart.cli.train import default_run_dir, parse_image_size
    from tellapart.tune.tuning import tune_recipe

    settings: dict[str, Any] = {
        "recipe": recipe,
        "epochs": epochs,
        "image_size": None if image_size is None else parse_image_size(image_size),
        "per_class": per_class,
        "validation_fraction": validation_fraction,
        "seed": seed,
        "labels_csv": labels_csv,
        "label_pattern": label_pattern,
        "class_level": class_level,
        "cache_dir": cache_dir,
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    cluster.check()
    tune_any: Any = tune_recipe
    if cluster.engine == "ray":
        from tellapart.distribute.cluster_tuning import tune_on_cluster  # needs Ray

        tune_any, settings["cluster"] = tune_on_cluster, cluster.config()
    out = out or default_run_dir(photos, "tune", resume)
    console = make_console()
    if recipe != "transfer":
        keep_freed_memory()
    try:
        with watch_training() as watcher:
            tuning = tune_any(
                photos,
                out,
                minutes=minutes,
                trials=trials,
                resume=resume,
                watch=lambda record: _print_trial(console, record),
                watcher=watcher,
                **settings,
            )
    except KeyboardInterrupt:
        if (out / "study.json").exists():
            said = _("Finished trials are kept. To continue, run the same command with --resume and --out {folder}.")
            print_line(console, said.format(folder=shlex.quote(str(out))))
        raise
    for line in _describe_tuning(tuning):
        print_line(console, line)


def _print_trial(console: "Console", record: "TrialRecord") -> None:
    from tellapart.cli.progress import format_seconds
    from tellapart.measure.number_words import percent
    from tellapart.tune.trial_table import FAILED, PRUNED

    said = _("trial {number}: accuracy {accuracy}, {duration}, {values}")
    if record.state == PRUNED:
        said = _("trial {number}: ended early at accuracy {accuracy}, {duration}, {values}")
    elif record.state == FAILED:
        said = _("trial {number}: failed ({reason}), {duration}, {values}")
    accuracy = record.validation_accuracy
    print_line(
        console,
        said.format(
            number=record.number,
            accuracy="" if accuracy is None else percent(accuracy),
            duration=format_seconds(record.seconds),
            reason=with_flags(record.reason.rstrip(".")),
            values=_("default settings") if record.is_default else _show_values(record),
        ),
    )


def _show_values(record: "TrialRecord") -> str:
    from tellapart.tune.trial_table import show_value

    return ", ".join(f"{name} {show_value(value)}" for name, value in record.values.items())


def _describe_tuning(tuning: "Tuning") -> list[str]:
    """What a person wants to know when a search is over, a line each."""
    from tellapart.cli.progress import format_seconds
    from tellapart.cli.train import describe_run
    from tellapart.tune.lead import describe_lead

    number, num_all = tuning.best.number, len(tuning.trials)
    said = _("Trial {number} of {num_all} won: {values}")
    lines = [said.format(number=number, num_all=num_all, values=_show_values(tuning.best))]
    if tuning.lead is None:
        lines = [_("The default settings won over {num} others. Use them.").format(num=num_all - 1)]
    else:
        lines += describe_lead(tuning.lead)
    took = _("The search took {duration}. trials.csv and the pictures are in {folder}")
    lines.append(took.format(duration=format_seconds(tuning.seconds), folder=tuning.out_dir))
    return [*lines, *describe_run(tuning.run)]
