"""`tellapart train`: from photos to a run folder with a classifier in it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tellapart.cli.output import make_console, print_line
from tellapart.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from tellapart.config import SourceConfig, TrainConfig
    from tellapart.workflow.finish import Run

_STOPPED = 130


def train(
    source: Annotated[
        str, typer.Argument(help="Folder with a folder per class, folder or zip of labelled names, or CSV.")
    ],
    recipe: Annotated[str | None, typer.Option(help="How to train: classic.", show_default="classic")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="runs/SOURCE-RECIPE", metavar="DIR")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(help="Photos to take of each class, chosen by the seed.", show_default="all")
    ] = None,
    image_size: Annotated[
        str | None, typer.Option(help="Pixels, or HEIGHTxWIDTH.", show_default="150", metavar="N")
    ] = None,
    grayscale: Annotated[bool, typer.Option("--grayscale", help="One channel instead of three.")] = False,
    validation: Annotated[
        float | None, typer.Option(help="Share of each class to validate with.", show_default="0.2")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training photos.", show_default="64")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Photos per step.", show_default="32")] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(help="rmsprop, sgd, adam, adamw, adagrad or adadelta.", show_default="rmsprop"),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(show_default="0.0001")] = None,
    no_augment: Annotated[bool, typer.Option("--no-augment", help="Train on the photos as they are.")] = False,
    seed: Annotated[int | None, typer.Option(help="The number all randomness comes from.", show_default="0")] = None,
    labels_csv: Annotated[str | None, typer.Option(help="CSV with a path and a label column.", metavar="FILE")] = None,
    label_pattern: Annotated[
        str | None, typer.Option(help="Regular expression whose group is the label.", metavar="REGEX")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run, killed or finished, up to --epochs.")
    ] = False,
    cache_dir: Annotated[
        str | None,
        typer.Option(help="Folder for decoded photos.", show_default="the user's cache folder", metavar="DIR"),
    ] = None,
) -> None:
    """Train a classifier on SOURCE and leave it in a run folder, with its curves and numbers."""
    from tellapart.config import SourceConfig, TrainConfig

    flags: dict[str, Any] = {
        "recipe": recipe,
        "image_size": None if image_size is None else parse_image_size(image_size),
        "channels": 1 if grayscale else None,
        "validation_fraction": validation,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    if no_augment:
        given["augment"] = None
    source_config = SourceConfig(labels_csv, label_pattern, per_class, cache_dir)
    out = out or default_run_dir(source, recipe or TrainConfig.recipe, resume)
    _train(source, out, _resolve(given, out, resume), source_config, resume)


def parse_image_size(text: str) -> tuple[int, int]:
    """`(height, width)` from `150` or `150x200`.

    Raises:
        ConfigError: the text is neither.
    """
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.strip().isdecimal() for side in sides):
        raise ConfigError(f"--image-size {text!r} is not accepted; pass pixels, as 150, or HEIGHTxWIDTH, as 150x200.")
    return int(sides[0]), int(sides[-1])


def default_run_dir(source: str, recipe: str, resume: bool) -> Path:
    """The folder of a run whose `--out` was not given: `runs/SOURCE-RECIPE`, numbered from the second on.

    Raises:
        DatasetError: the run to resume does not exist.
    """
    name = f"{Path(source).resolve().stem or 'photos'}-{recipe}"
    candidates = [Path("runs") / name, *(Path("runs") / f"{name}-{number}" for number in range(2, 10_000))]
    first_free = next(number for number, path in enumerate(candidates) if not path.exists())
    if not resume:
        return candidates[first_free]
    if first_free == 0:
        raise DatasetError(f"--resume finds no run of {source!r} at {str(candidates[0])!r}; name it with --out.")
    return candidates[first_free - 1]


def _resolve(given: dict[str, Any], out: Path, resume: bool) -> "TrainConfig":
    """The settings: the flags over those of the run to resume, or over the defaults."""
    from tellapart.config import TrainConfig

    if not resume:
        return TrainConfig(**given)
    from tellapart.workflow.run_folder import read_run_file

    return replace(read_run_file(out).config, **given)


def _train(source: str, out: Path, config: "TrainConfig", source_config: "SourceConfig", resume: bool) -> None:
    from tellapart.cli.progress import watch_training
    from tellapart.workflow.train import train as train_photos

    with watch_training() as watcher:
        run = train_photos(source, out, config, source=source_config, resume=resume, watcher=watcher)
    console = make_console()
    for line in describe_run(run):
        print_line(console, line)
    if run.is_stopped:
        print_line(
            console,
            f"stopped after epoch {len(run.history)} of {config.epochs}; the model is usable as it is."
            f" Go on with: tellapart train {source} --out {out} --resume",
        )
        raise typer.Exit(_STOPPED)


def describe_run(run: "Run") -> list[str]:
    """What a person wants to know when a training is over, a line each."""
    validation = run.validation
    low, high = validation.interval_95
    return [
        f"On {validation.num_photos:,} validation photos it was right {validation.accuracy:.1%} of the time"
        f" (95 % interval {low:.1%} to {high:.1%}).",
        f"The model, its curves and its numbers are in {run.run_dir}",
    ]
