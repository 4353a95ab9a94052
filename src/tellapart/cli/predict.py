"""`tellapart predict`: what a model says of photos nobody has labelled."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.output import make_console, print_line
from tellapart.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.records import Prediction, Skipped


def predict(
    model_dir: Annotated[Path, typer.Argument(help="Folder that `tellapart train` made.")],
    sources: Annotated[list[str], typer.Argument(help="Photos, and folders and zips of photos.", metavar="SOURCE...")],
    csv_path: Annotated[Path | None, typer.Option("--csv", help="Write every prediction here.", metavar="FILE")] = None,
    grid: Annotated[
        Path | None, typer.Option(help="Draw the first photos with their class here.", metavar="FILE.png")
    ] = None,
    limit: Annotated[int, typer.Option(help="Photos to print, and to draw in the grid.", min=0)] = 10,
    submission: Annotated[
        Path | None,
        typer.Option(help="Kaggle's sample file; its columns and order are kept.", metavar="SAMPLE.csv"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the submission goes.", metavar="FILE")] = None,
) -> None:
    """Say what is on the photos of SOURCE, in the order given."""
    from tellapart.workflow.predict import open_model, predict_photos, write_predictions_csv, write_predictions_grid

    if (submission is None) != (out is None):
        raise ConfigError("--submission and --out go together: the sample file, and where the submission is written.")
    predictor, photos = open_model(model_dir, sources)
    results = predict_photos(predictor, photos)
    console = make_console()
    if csv_path is not None:
        write_predictions_csv(csv_path, results, predictor.class_names)
    if grid is not None:
        write_predictions_grid(grid, photos, results, max(1, limit))
    if submission is not None and out is not None:
        from tellapart.workflow.submission import write_submission

        written = write_submission(submission, out, results, predictor.class_names)
        print_line(console, f"Submission with {written.num_rows:,} rows in {out} ({written.meaning})")
    _print_results(console, results, limit)


def _print_results(console: "Console", results: "Sequence[Prediction | Skipped]", limit: int) -> None:
    from tellapart.records import Prediction, Skipped

    predictions = [item for item in results if isinstance(item, Prediction)]
    skipped = [item for item in results if isinstance(item, Skipped)]
    for item in predictions[:limit]:
        print_line(console, f"{item.path}  {item.predicted_class} {item.probability:.2f}")
    counts = Counter(item.predicted_class for item in predictions)
    parts = ", ".join(f"{name} {num:,}" for name, num in sorted(counts.items()))
    print_line(console, f"{len(predictions):,} photos: {parts}" if parts else "no photo could be read")
    for skip in skipped[: max(limit, 1)]:
        print_line(console, f"skipped {skip.path}: {skip.reason}")
    if len(skipped) > max(limit, 1):
        print_line(console, f"skipped {len(skipped) - max(limit, 1):,} more")
