"""`tellapart evaluate`: how right a model is on labelled photos it has never seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.flags import with_flags
from tellapart.cli.options import CacheDir, ClassLevel, LabelPattern, LabelsCsv, ModelDir
from tellapart.cli.output import make_console, print_line, print_note, print_skipped, print_table, visible
from tellapart.translation import gettext as _

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.measure.scores import Evaluation, Mistake, ModelEvaluation


def evaluate(
    model: ModelDir,
    photos: Annotated[
        list[str], typer.Argument(help=_("Labelled photos that the model has never seen."), metavar="SOURCE")
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help=_("Write the report for these photos here."), metavar="FILE")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help=_("Write the numbers here."), metavar="FILE")] = None,
    limit: Annotated[int, typer.Option(help=_("Mistakes to print."), min=0)] = 10,
    labels_csv: LabelsCsv = None,
    label_pattern: LabelPattern = None,
    class_level: ClassLevel = None,
    cache_dir: CacheDir = None,
) -> None:
    """Measure the model in MODEL_DIR on the labelled photos in SOURCE that it was not trained on."""
    from tellapart.cli.progress import watch_training
    from tellapart.commands.evaluate import evaluate as evaluate_photos
    from tellapart.commands.evaluate import evaluation_to_json
    from tellapart.runs.outputs import OutputFile, check_output_files, has_keys, has_page_mark
    from tellapart.store import to_json_bytes, write_file

    is_own = has_keys("accuracy", "num_skipped", "per_class", "confusion_matrix")
    files = [] if html is None else [OutputFile(html, "html", _("a report"), has_page_mark)]
    files += [] if json is None else [OutputFile(json, "json", _("an evaluation"), is_own)]
    check_output_files(files, [*photos, labels_csv])
    with watch_training() as watcher:
        result = evaluate_photos(
            model,
            photos,
            html=html,
            watcher=watcher,
            labels_csv=labels_csv,
            label_pattern=label_pattern,
            class_level=class_level,
            cache_dir=cache_dir,
        )
    if json is not None:
        write_file(json, to_json_bytes(evaluation_to_json(result)))
    console = make_console()
    _print_verdict(console, result)
    for line in _describe_left_out(result):
        print_line(console, line)
    for note in result.notes:
        print_note(console, note)
    _print_classes(console, result)
    _print_mistakes(console, result.mistakes, limit)
    print_skipped(console, _("skipped"), result.skipped[:1], len(result.skipped))
    if html is not None:
        print_line(console, _("Report: {path}").format(path=html))


def _print_verdict(console: "Console", result: "ModelEvaluation") -> None:
    from tellapart.cli.train import describe_verdict
    from tellapart.measure.number_words import count_photos
    from tellapart.measure.verdict import describe_accuracy

    for line in describe_verdict(result.verdict):
        print_line(console, line)
    tested = _("Tested on {photos} that the model was not trained on.")
    print_line(console, f"{describe_accuracy(result)} {tested.format(photos=count_photos(result.num_photos))}")
    print_line(console, result.promise or _("The model does not say what its training promised."))
    if result.steps:
        title, action = result.steps[0].title, with_flags(result.steps[0].action)
        print_line(console, _("Do this first: {title}. {action}").format(title=title, action=action))


def _print_mistakes(console: "Console", mistakes: "Sequence[Mistake]", limit: int) -> None:
    """Prints the surest mistakes, a line each; copies share one."""
    from tellapart.measure.number_words import percent

    shown = mistakes[:limit]
    if not shown:
        return
    print_line(console, "\n" + _("Mistakes, the surest first:"))
    for one in shown:
        said = _("  {path}: is {label}, said {answer} ({share})")
        if one.num_photos > 1:
            said = _("  {path}: is {label}, said {answer} ({share}), {num} copies or photos of one burst")
        print_line(
            console,
            said.format(
                path=visible(one.path),
                label=one.class_name,
                answer=one.predicted_class,
                share=percent(one.probability),
                num=one.num_photos,
            ),
        )
    if len(mistakes) > limit:
        print_line(console, _("  and {num:,} more").format(num=len(mistakes) - limit))


def _describe_left_out(result: "ModelEvaluation") -> list[str]:
    """Which photos took no part, a line each."""
    from tellapart.measure.number_words import count_photos
    from tellapart.photos.names import list_some

    near = frozenset(result.near_copy_paths)
    said = (
        (
            [path for path in result.known_paths if path not in near],
            _("{photos} left out, because the model was trained on them: {names}"),
        ),
        (result.near_copy_paths, _("{photos} left out as near-copies of photos it was trained on: {names}")),
        (result.other_split_paths, _("{photos} left out, because they are not in the test split: {names}")),
    )
    return [
        text.format(photos=count_photos(len(paths)), names=list_some([visible(path) for path in paths], 3))
        for paths, text in said
        if paths
    ]


def _print_classes(console: "Console", result: "Evaluation") -> None:
    from tellapart.measure.number_words import percent, percent_range

    rows = [
        (
            score.class_name,
            f"{score.num_photos:,}",
            "-" if score.recall is None else percent(score.recall, score.num_photos),
            "-" if score.recall_interval_95 is None else percent_range(score.recall_interval_95, score.num_photos),
            "-" if score.precision is None else percent(score.precision, score.num_photos),
        )
        for score in result.per_class
    ]
    print_table(
        console, (_("class"), _("photos"), _("found (recall)"), _("95% interval"), _("right (precision)")), rows
    )
    names = [score.class_name for score in result.per_class]
    if len(names) <= 12:
        matrix = zip(names, result.confusion_matrix, strict=True)
        print_line(console, "\n" + _("Rows: what the photo is. Columns: what the model says."))
        print_table(console, ("", *names), [(name, *(f"{num:,}" for num in row)) for name, row in matrix])
