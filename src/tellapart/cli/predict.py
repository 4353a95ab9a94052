"""`tellapart predict`: what a model says of photos nobody has labelled."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.cluster import ListFlags, print_job, require_list, with_cluster_flags
from tellapart.cli.options import MaxMissed, ModelDir, Threshold
from tellapart.cli.output import list_classes, make_console, print_line, print_note, print_skipped
from tellapart.cli.progress import watch_prediction
from tellapart.errors import ConfigError
from tellapart.measure.number_words import count_photos
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

if TYPE_CHECKING:
    from tellapart.commands.predict import PredictOutputs, PredictSummary


@with_cluster_flags
def predict(
    model: ModelDir,
    photos: Annotated[list[str], typer.Argument(help=_("Photos, and folders and zips of photos."), metavar="SOURCE")],
    csv: Annotated[Path | None, typer.Option("--csv", help=_("Write every prediction here."), metavar="FILE")] = None,
    grid: Annotated[
        Path | None, typer.Option(help=_("Draw the first photos with their class here."), metavar="FILE.png")
    ] = None,
    heatmap: Annotated[bool, typer.Option("--heatmap", help=_("Show in the grid where the model looked."))] = False,
    sort_into: Annotated[
        Path | None, typer.Option(help=_("Copy each photo into a folder per class in here."), metavar="DIR")
    ] = None,
    not_sure: Annotated[
        float | None,
        typer.Option(
            help=_("Answer 'not sure' so that at most this share of the other answers is wrong, e.g. 0.05."),
            show_default=_("always answers"),
            metavar="RATE",
        ),
    ] = None,
    none_of_these: Annotated[
        float | None,
        typer.Option(
            help=_(
                "Answer 'none of these' for photos unlike the training photos. RATE is the share of normal photos that"
                " may be flagged by mistake, e.g. 0.05."
            ),
            show_default=_("always answers"),
            metavar="RATE",
        ),
    ] = None,
    threshold: Threshold = None,
    max_missed: MaxMissed = None,
    limit: Annotated[int, typer.Option(help=_("Photos to print, and to draw in the grid."), min=0)] = 10,
    submission: Annotated[
        Path | None,
        typer.Option(help=_("Kaggle's sample file. Its columns and order are kept."), metavar="SAMPLE.csv"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help=_("Where the submission goes. With --engine ray, the folder of the answers."), metavar="PATH"
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            help=_(
                "float32, or int8: answer by the run's export to onnx-int8, if it was proved right and faster on this"
                " machine."
            ),
            show_default="float32",
            metavar="RUNTIME",
        ),
    ] = None,
    *,
    cluster: ListFlags,
) -> None:
    """Classify the photos in SOURCE, in the order given."""
    files = {"csv": csv, "grid": grid, "sort_into": sort_into, "submission": submission}
    cluster.check({**files, "heatmap": heatmap, "runtime": runtime})
    if cluster.engine == "ray":
        from tellapart.distribute.predicting import predict_list  # needs Ray

        source, folder = require_list(photos, out)
        with watch_prediction() as show:
            done = predict_list(
                model,
                source,
                folder,
                uri_column=cluster.uri_column,
                cluster=cluster.config(),
                on_photo=show,
                not_sure=not_sure,
                none_of_these=none_of_these,
                threshold=threshold,
                max_missed=max_missed,
            )
        print_job(done.summary, folder, done.counts)
        return
    from tellapart.commands.predict import PredictOutputs, write_predictions

    if (submission is None) != (out is None):
        raise ConfigError(
            _("give `submission` and `out` together: the sample file, and where to write the submission.")
        )
    both = (submission, out) if submission is not None and out is not None else None
    outputs = PredictOutputs(csv, grid, heatmap, both, sort_into, limit)
    with watch_prediction() as show:
        summary = write_predictions(
            model,
            photos,
            outputs=outputs,
            runtime=runtime or "float32",
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
        said = _("Submission with {num_rows:,} rows in {path} ({meaning})")
        print_line(
            console,
            said.format(num_rows=written.num_rows, path=outputs.submission[1], meaning=written.meaning),
        )
    for _row, item in summary.first[: outputs.limit]:
        print_line(console, f"{item.path}  {describe_answer(item)}")
    parts = list_classes(dict(sorted(summary.counts.items())))
    said = _("{photos}: {classes}").format(photos=count_photos(summary.counts.total()), classes=parts)
    print_line(console, said)
    for note in summary.notes:
        print_note(console, note)
    if summary.sorted_photos is not None:
        copied = summary.sorted_photos
        said = _("{photos} copied into {folder}")
        if copied.num_kept:
            said = _("{photos} copied into {folder}, {num_there:,} were there already")
        photos = count_photos(copied.num_copied)
        print_line(console, said.format(photos=photos, folder=outputs.sort_into, num_there=copied.num_kept))
        for path, place in copied.elsewhere[: max(outputs.limit, 1)]:
            print_line(console, _("left in {folder}, sorted there before: {path}").format(folder=place, path=path))
        if copied.elsewhere:
            said = ngettext(
                "{num:,} photo was already in the folder of another class and was not copied again. Move it by hand, or"
                " sort into a new folder.",
                "{num:,} photos were already in the folder of another class and were not copied again. Move them by"
                " hand, or sort into a new folder.",
                len(copied.elsewhere),
            )
            print_note(console, said.format(num=len(copied.elsewhere)))
        print_skipped(console, _("not copied"), copied.lost[: max(outputs.limit, 1)], len(copied.lost))
    print_skipped(console, _("skipped"), summary.first_skipped, summary.num_skipped)
