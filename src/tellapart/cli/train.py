"""`tellapart train`: from photos to a run folder with a classifier in it."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tellapart.cli.cluster import ListFlags, require_list, with_cluster_flags
from tellapart.cli.flags import with_flags
from tellapart.cli.options import (
    SOURCE_HELP,
    CacheDir,
    ClassLevel,
    LabelPattern,
    LabelsCsv,
    MaxMissed,
    PerClass,
    Threshold,
)
from tellapart.cli.output import make_console, print_line
from tellapart.cli.stopping import exit_code
from tellapart.errors import ConfigError, DatasetError
from tellapart.translation import gettext as _

if TYPE_CHECKING:
    from tellapart.measure.scores import Verdict
    from tellapart.runs.job import Run

# Photos measured on from which a guess at what more time brings is more than a guess.
_ENOUGH_TO_ESTIMATE = 100
_TRANSFER_PANEL = _("Recipes transfer and finetune")
_SCRATCH_PANEL = _("Recipe scratch")
_FROM_SCRATCH_PANEL = _("Recipes scratch and classic")
_TIMED_PANEL = _("Recipes finetune and scratch")
_FINETUNE_PANEL = _("Recipe finetune")
_CLASSIC_PANEL = _("Recipe classic")


@with_cluster_flags
def train(
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            help=_("{source} Not needed with --resume.").format(source=SOURCE_HELP),
            metavar="SOURCE",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help=_(
                "transfer: a head on a pretrained backbone, in seconds. finetune: its last layers are trained too, if"
                " that pays, in minutes. scratch: a modern network trained from scratch, in minutes. classic: the"
                " article's network and settings."
            ),
            show_default=_("transfer, with --minutes finetune"),
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help=_("Folder of the run."), show_default="runs/SOURCE-RECIPE", metavar="DIR")
    ] = None,
    per_class: PerClass = None,
    validation_fraction: Annotated[
        float | None,
        typer.Option(
            "--validation",
            help=_("Share of each class to validate with."),
            show_default=_("0.2, transfer below 1,000 photos: cross-validation"),
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help=_("Random seed."), show_default="0")] = None,
    labels_csv: LabelsCsv = None,
    label_pattern: LabelPattern = None,
    class_level: ClassLevel = None,
    resume: Annotated[
        bool, typer.Option("--resume", help=_("Continue an interrupted or finished run up to --epochs."))
    ] = False,
    photos_now: Annotated[
        list[str] | None,
        typer.Option(
            "--photos",
            help=_("With --resume: where the photos are now, if they were moved."),
            show_default=_("where they were"),
            metavar="SOURCE",
        ),
    ] = None,
    cache_dir: CacheDir = None,
    progress: Annotated[
        Path | None,
        typer.Option(help=_("Write how far the training is to a JSON file, for other programs."), metavar="FILE"),
    ] = None,
    threshold: Threshold = None,
    max_missed: MaxMissed = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help=_("efficientnet-lite0, -lite1, -lite2, an ONNX file, or hf:OWNER/NAME."),
            show_default=_("chosen by --eyes"),
            rich_help_panel=_TRANSFER_PANEL,
        ),
    ] = None,
    eyes: Annotated[
        str | None,
        typer.Option(
            help=_(
                "auto, quick, best, or a network such as efficientnet-lite0@288. auto tries a mirrored view and a"
                " larger network on some of your photos. quick takes the smallest network. best tries more."
            ),
            show_default="auto",
            rich_help_panel=_TRANSFER_PANEL,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help=_("Number of folds."), show_default="5", rich_help_panel=_TRANSFER_PANEL),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help=_("How long the whole training takes, instead of --epochs or --steps."),
            show_default=_("finetune: 1,200 steps, scratch: by the number of photos"),
            rich_help_panel=_TIMED_PANEL,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help=_("Updates of each of the three trainings."), show_default="600", rich_help_panel=_FINETUNE_PANEL
        ),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help=_("Treat mirrored photos as the same class."),
            show_default="flip",
            rich_help_panel=_TIMED_PANEL,
        ),
    ] = None,
    rotations: Annotated[
        bool,
        typer.Option(
            "--rotations", help=_("Treat photos turned by any angle as the same class."), rich_help_panel=_SCRATCH_PANEL
        ),
    ] = False,
    image_size: Annotated[
        str | None,
        typer.Option(
            help=_("Pixels, or HEIGHTxWIDTH."),
            show_default=_("classic: 150, scratch: by the time there is"),
            metavar="N",
            rich_help_panel=_FROM_SCRATCH_PANEL,
        ),
    ] = None,
    grayscale: Annotated[
        bool,
        typer.Option("--grayscale", help=_("One channel instead of three."), rich_help_panel=_FROM_SCRATCH_PANEL),
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            help=_("Passes over the training photos."),
            show_default=_("classic: 64, scratch: by the number of photos"),
            rich_help_panel=_FROM_SCRATCH_PANEL,
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help=_("Photos per step."), show_default="32", rich_help_panel=_CLASSIC_PANEL)
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help=_("rmsprop, sgd, adam, adamw, adagrad or adadelta."),
            show_default="rmsprop",
            rich_help_panel=_CLASSIC_PANEL,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help=_("Step size."), show_default="0.0001", rich_help_panel=_CLASSIC_PANEL),
    ] = None,
    no_augment: Annotated[
        bool,
        typer.Option("--no-augment", help=_("Train on the photos as they are."), rich_help_panel=_CLASSIC_PANEL),
    ] = False,
    label_column: Annotated[
        str | None,
        typer.Option(
            help=_("Column with the labels of the list (--engine ray)."), show_default="label", metavar="NAME"
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            help=_("Photos of the list that are checked, choose the head and test it (--engine ray)."),
            show_default="25000",
            metavar="N",
        ),
    ] = None,
    *,
    cluster: ListFlags,
) -> None:
    """Train a classifier on SOURCE and write it to a run folder, with a report."""
    from tellapart.settings import chosen_recipe

    settings: dict[str, Any] = {
        "recipe": recipe,
        "validation_fraction": validation_fraction,
        "seed": seed,
        "backbone": backbone,
        "eyes": eyes,
        "folds": folds,
        "image_size": None if image_size is None else parse_image_size(image_size),
        "channels": 1 if grayscale else None,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "minutes": minutes,
        "steps": steps,
        "flip": flip,
        "rotations": rotations or None,
        "labels_csv": labels_csv,
        "label_pattern": label_pattern,
        "class_level": class_level,
        "per_class": per_class,
        "cache_dir": cache_dir,
        "threshold": threshold,
        "max_missed": max_missed,
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    if no_augment:
        settings["augment"] = None
    sources = choose_sources(photos, photos_now, out, resume)
    out = out or default_run_dir(sources or [""], str(chosen_recipe(settings)), resume)
    of_list = {"label_column": label_column, "sample": sample}
    cluster.check(ray=of_list)
    if cluster.engine == "ray":
        require_list(sources or [], out)
        of_list["uri_column"] = cluster.uri_column
        settings |= {name: value for name, value in of_list.items() if value is not None}
        settings["cluster"] = cluster.config()
    _train(sources, out, resume, settings, progress)


def choose_sources(
    photos: list[str] | None, photos_now: list[str] | None, out: Path | None, resume: bool
) -> list[str] | None:
    """Where the photos are: as given in either way, or `None` for those of the run that is resumed.

    Raises:
        ConfigError: they are given twice or not at all.
    """
    if photos_now and (photos or not resume):
        said = _("`photos_now` works only with `resume`. Leave `photos_now` out.")
        if photos:
            said = _("SOURCE already says where the photos are. Leave `photos_now` out.")
        raise ConfigError(said, field="photos_now")
    if not (photos or photos_now) and not (resume and out is not None):
        said = _("SOURCE is missing. Give the photos to train on.")
        if resume:
            said = _("SOURCE is missing. Give the photos to train on, or the folder of the run with `out`.")
        raise ConfigError(said, field="photos")
    return photos or photos_now


def parse_image_size(text: str) -> tuple[int, int]:
    """`(height, width)` from `150` or `150x200`.

    Raises:
        ConfigError: the text is neither.
    """
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.strip().isdecimal() for side in sides):
        raise ConfigError(
            _("`image_size` {text!r} is not a size. Give pixels, as 150, or HEIGHTxWIDTH, as 150x200.").format(
                text=text
            ),
            field="image_size",
            value=text,
        )
    return int(sides[0]), int(sides[-1])


def default_run_dir(sources: Sequence[str], recipe: str, resume: bool) -> Path:
    """The folder of a run whose `--out` was not given: `runs/SOURCE-RECIPE`, numbered from the second on.

    `runs` lies in the working folder; where that is among the photos, it lies beside them.

    Raises:
        DatasetError: the run to resume does not exist.
    """
    from tellapart.runs.outputs import is_inside

    places = [Path(os.path.abspath(source)) for source in sources]
    name = f"{places[0].stem or 'photos'}-{recipe}"
    runs = Path("runs")
    for place in places:
        if place.is_dir() and is_inside(runs, place):
            runs = Path(os.path.relpath(place.parent / "runs"))
    candidates = [runs / name, *(runs / f"{name}-{number}" for number in range(2, 10_000))]
    first_free = next(number for number, path in enumerate(candidates) if not path.exists())
    if not resume:
        return candidates[first_free]
    if first_free == 0:
        raise DatasetError(
            _("`resume` finds no run of {source!r} at {folder!r}. Give the folder of the run with `out`.").format(
                source=sources[0], folder=str(candidates[0])
            )
        )
    return candidates[first_free - 1]


def _train(source: list[str] | None, out: Path, resume: bool, settings: dict[str, Any], progress: Path | None) -> None:
    from tellapart.cli.memory import keep_freed_memory
    from tellapart.cli.progress import watch_training
    from tellapart.live.progress_file import ProgressFile, check_progress_path
    from tellapart.runs.run_folder import read_run_file
    from tellapart.runs.train import train as train_photos
    from tellapart.settings import chosen_recipe

    if resume or chosen_recipe(settings) != "transfer":
        keep_freed_memory()
    if progress is not None:
        check_progress_path(progress, source or [])
    train_any: Any = train_photos
    photos: Any = source
    if source is not None and "cluster" in settings:
        from tellapart.distribute.cluster_training import train_on_cluster  # needs Ray

        train_any, photos = train_on_cluster, source[0]
    with ProgressFile(progress) as told, watch_training() as watcher:
        run = train_any(photos, out, resume=resume, watcher=told.watch(watcher), **settings)
        told.is_stopped = run.is_stopped
    config = read_run_file(out).config
    console = make_console()
    for line in describe_run(run):
        print_line(console, line)
    is_known = run.validation is not None and run.validation.num_photos >= _ENOUGH_TO_ESTIMATE
    if config.recipe == "scratch" and not run.is_stopped and is_known:
        print_line(console, describe_more(run))
    if run.is_stopped:
        said = _("Stopped after epoch {epoch}. You can use the model as it is. To continue: {command}")
        num_epochs = config.epochs if config.recipe == "classic" else None
        if num_epochs is not None:
            said = _(
                "Stopped after epoch {epoch} of {num_epochs}. You can use the model as it is. To continue: {command}"
            )
        if config.recipe == "finetune":
            said = _("Stopped. You can use the model as it is. To continue: {command}")
        command = f"tellapart train --out {shlex.quote(str(out))} --resume"
        print_line(console, said.format(epoch=len(run.history), num_epochs=num_epochs, command=command))
        raise typer.Exit(exit_code())


def describe_run(run: "Run") -> list[str]:
    """What a person wants to know when a training is over, a line each: the verdict first."""
    from tellapart.measure.number_words import count_photos
    from tellapart.measure.verdict import describe_accuracy

    lines = [] if run.verdict is None else describe_verdict(run.verdict)
    if run.validation is not None:
        photos = count_photos(run.validation.num_photos)
        if run.is_cross_validated:
            tested = _("Tested by cross-validation. The saved model was trained on all photos.")
        else:
            tested = _("Tested on {photos} that were kept out of the training.").format(photos=photos)
        lines.append(f"{describe_accuracy(run.validation, is_approximate=run.is_cross_validated)} {tested}")
    folder = shlex.quote(str(run.run_dir))
    if run.steps:
        title, action = run.steps[0].title, with_flags(run.steps[0].action)
        lines.append(_("Do this first: {title}. {action}").format(title=title, action=action))
    if run.verdict is not None and run.verdict.colour != "red":
        lines.append(_("Classify new photos: {command}").format(command=f"tellapart predict {folder} PHOTOS"))
    return [
        *lines,
        _("Model and numbers: {path}").format(path=run.run_dir),
        _("Report: {path}").format(path=run.run_dir / "report.html"),
    ]


def describe_verdict(verdict: "Verdict") -> list[str]:
    """The verdict on a model, a line each."""
    why = [f"  {reason}" for reason in verdict.reasons if reason != verdict.sentence]
    said = _("Verdict: {word}. {advice}").format(word=_(verdict.word), advice=verdict.advice)
    return [said, verdict.sentence, *why]


def describe_more(run: "Run") -> str:
    """What a longer training from scratch may be worth."""
    from tellapart.measure.number_words import percent
    from tellapart.training.plan import expect_from_more

    assert run.validation is not None
    accuracy = run.validation.accuracy
    if accuracy == 1.0:
        return _("A longer training cannot do better on these photos.")
    num = run.validation.num_photos
    twice, four_times = (percent(expect_from_more(accuracy, times), num) for times in (2, 4))
    return _(
        "The training took {minutes:.1f} minutes. Expect about {twice} with twice the --minutes and about {four_times}"
        " with four times the --minutes. This estimate comes from other photos (docs/how-it-works/from-scratch.md)."
    ).format(minutes=run.seconds / 60, twice=twice, four_times=four_times)
