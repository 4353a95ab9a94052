"""`tellapart evaluate`: how right a model is on labelled photos it has never seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.flags import with_flags
from tellapart.cli.options import ClassLevel, LabelPattern, LabelsCsv, ModelDir
from tellapart.cli.output import make_console, print_line, print_note, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.measure.scores import Evaluation, ModelEvaluation


def evaluate(
    model: ModelDir,
    photos: Annotated[
        list[str], typer.Argument(help="Labelled photos that the model has never seen.", metavar="SOURCE")
    ],
    json: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.", metavar="FILE")] = None,
    labels_csv: LabelsCsv = None,
    label_pattern: LabelPattern = None,
    class_level: ClassLevel = None,
) -> None:
    """Measure the model in MODEL_DIR on the labelled photos in SOURCE that it was not trained on."""
    from tellapart.cli.train import describe_verdict
    from tellapart.commands.evaluate import evaluate as evaluate_photos
    from tellapart.commands.evaluate import evaluation_to_json
    from tellapart.measure.verdict import describe_accuracy
    from tellapart.runs.outputs import OutputFile, check_output_files, has_keys
    from tellapart.store import to_json_bytes, write_file

    if json is not None:
        is_own = has_keys("accuracy", "num_skipped", "per_class", "confusion_matrix")
        check_output_files([OutputFile(json, "json", "an evaluation", is_own)], [*photos, labels_csv])
    result = evaluate_photos(model, photos, labels_csv=labels_csv, label_pattern=label_pattern, class_level=class_level)
    if json is not None:
        write_file(json, to_json_bytes(evaluation_to_json(result)))
    console = make_console()
    for line in (*describe_verdict(result.verdict), describe_accuracy(result), result.promise):
        print_line(console, line or "Training promised nothing to compare this with.")
    for line in _describe_left_out(result):
        print_line(console, line)
    for note in result.notes:
        print_note(console, note)
    _print_classes(console, result)
    if skipped := result.skipped:
        reason = with_flags(skipped[0].reason)
        print_line(console, f"{len(skipped):,} files skipped, the first: {skipped[0].path}: {reason}")


def _describe_left_out(result: "ModelEvaluation") -> list[str]:
    """Which photos took no part, a line each."""
    lines: list[str] = []
    if result.num_known:
        near = len(result.near_copy_paths)
        copies = f" ({near:,} of them near copies)" if near else ""
        photos = "1 photo was" if result.num_known == 1 else f"{result.num_known:,} photos were"
        lines.append(f"{photos} left out, because the model was trained on them{copies}.")
    if result.other_split_paths:
        num = len(result.other_split_paths)
        photos = "1 photo was" if num == 1 else f"{num:,} photos were"
        lines.append(f"{photos} left out, because SOURCE has a test split and they are not in it.")
    return lines


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
    print_table(console, ("class", "photos", "found (recall)", "95% interval", "right (precision)"), rows)
    names = [score.class_name for score in result.per_class]
    if len(names) <= 12:
        matrix = zip(names, result.confusion_matrix, strict=True)
        print_line(console, "\nRows: what it is; columns: what the model says")
        print_table(console, ("", *names), [(name, *(f"{num:,}" for num in row)) for name, row in matrix])
