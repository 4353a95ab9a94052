"""`tellapart predict`: what a model says of photos nobody has labelled."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.options import MaxMissed, ModelDir, Threshold
from tellapart.cli.output import make_console, print_line, print_note, print_skipped
from tellapart.cli.progress import watch_prediction
from tellapart.errors import ConfigError

if TYPE_CHECKING:
    from tellapart.commands.predict import PredictOutputs, PredictSummary


def predict(
    model: ModelDir,
    photos: Annotated[list[str], typer.Argument(help="Photos, and folders and zips of photos.", metavar="SOURCE")],
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every prediction here.", metavar="FILE")] = None,
    grid: Annotated[
        Path | None, typer.Option(help="Draw the first photos with their class here.", metavar="FILE.png")
    ] = None,
    heatmap: Annotated[bool, typer.Option("--heatmap", help="Show in the grid where the model looked.")] = False,
    sort_into: Annotated[
        Path | None, typer.Option(help="Copy each photo into a folder per class in here.", metavar="DIR")
    ] = None,
    not_sure: Annotated[
        float | None,
        typer.Option(
            help="Answer 'not sure' so that at most this share of the other answers is wrong, e.g. 0.05.",
            show_default="always answers",
            metavar="RATE",
        ),
    ] = None,
    none_of_these: Annotated[
        float | None,
        typer.Option(
            help="Answer 'none of these' for photos unlike the training photos. RATE is the share of normal photos that"
            " may be flagged by mistake, e.g. 0.05.",
            show_default="always answers",
            metavar="RATE",
        ),
    ] = None,
    threshold: Threshold = None,
    max_missed: MaxMissed = None,
    limit: Annotated[int, typer.Option(help="Photos to print, and to draw in the grid.", min=0)] = 10,
    submission: Annotated[
        Path | None,
        typer.Option(help="Kaggle's sample file. Its columns and order are kept.", metavar="SAMPLE.csv"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the submission goes.", metavar="FILE")] = None,
) -> None:
    """Classify the photos in SOURCE, in the order given."""
    from tellapart.commands.predict import PredictOutputs, write_predictions

    if (submission is None) != (out is None):
        raise ConfigError("`submission` and `out` go together: the sample file, and where the submission is written.")
    both = (submission, out) if submission is not None and out is not None else None
    outputs = PredictOutputs(csv, grid, heatmap, both, sort_into, limit)
    with watch_prediction() as show:
        summary = write_predictions(
            model,
            photos,
            outputs=outputs,
            on_photo=show,
            not_sure=not_sure,
            none_of_these=none_of_these,
            threshold=threshold,
            max_missed=max_missed,
        )
    _print_summary(summary, outputs)


def _print_summary(summary: "PredictSummary", outputs: "PredictOutputs") -> None:
    from tellapart.commands.predict import describe_answer

    console = make_console()
    if summary.submission is not None and outputs.submission is not None:
        written = summary.submission
        print_line(console, f"Submission with {written.num_rows:,} rows in {outputs.submission[1]} ({written.meaning})")
    for _, item in summary.first[: outputs.limit]:
        print_line(console, f"{item.path}  {describe_answer(item)}")
    parts = ", ".join(f"{name} {num:,}" for name, num in sorted(summary.counts.items()))
    print_line(console, f"{summary.counts.total():,} photos: {parts}")
    for note in summary.notes:
        print_note(console, note)
    if summary.sorted_photos is not None:
        copied = summary.sorted_photos
        kept = f", {copied.num_kept:,} were there already" if copied.num_kept else ""
        print_line(console, f"{copied.num_copied:,} photos copied into {outputs.sort_into}{kept}")
        for path, place in copied.elsewhere[: max(outputs.limit, 1)]:
            print_line(console, f"left in {place}, sorted there before: {path}")
        if copied.elsewhere:
            num = "1 photo was" if len(copied.elsewhere) == 1 else f"{len(copied.elsewhere):,} photos were"
            print_note(
                console,
                f"{num} already in the folder of another class and got no second copy. Move them by hand, or sort into "
                "a new folder.",
            )
        print_skipped(console, "not copied", copied.lost[: max(outputs.limit, 1)], len(copied.lost))
    print_skipped(console, "skipped", summary.first_skipped, summary.num_skipped)
