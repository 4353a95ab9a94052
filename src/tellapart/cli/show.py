"""`tellapart show`: what a source of photos holds, printed, and as pictures with `--out`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.flags import with_flags
from tellapart.cli.options import ClassLevel, LabelledSource, LabelPattern, LabelsCsv
from tellapart.cli.output import make_console, print_line, print_note, print_table, show_waiting

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.commands.show import ShapeSummary, Show


def show(
    photos: LabelledSource,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="New folder for grid.png, classes.png and skipped.csv. Without it nothing is written."
        ),
    ] = None,
    labels_csv: LabelsCsv = None,
    label_pattern: LabelPattern = None,
    class_level: ClassLevel = None,
) -> None:
    """Count the photos in SOURCE, and list the files it can't read and why."""
    from tellapart.commands.show import show as show_photos
    from tellapart.commands.show import summarise_shapes

    with show_waiting("Checking photos ..."):
        result = show_photos(photos, out, labels_csv=labels_csv, label_pattern=label_pattern, class_level=class_level)
    console = make_console()
    _print_counts(console, result)
    for note in result.photos.notes:
        print_note(console, note)
    _print_shapes(console, summarise_shapes(result.infos))
    _print_skipped(console, result)
    if out is not None:
        print_line(console, f"\nWritten to {out}: grid.png, classes.png, skipped.csv, show.json")


def _print_counts(console: "Console", result: "Show") -> None:
    print_line(console, f"{result.photos.source}: {len(result.photos):,} photos, {len(result.skipped):,} files skipped")
    if result.photos.unlabelled_reason is not None:
        print_line(console, "The photos are unlabelled: usable for predict, not for train.")
        print_line(console, f"  why: {with_flags(result.photos.unlabelled_reason)}")
        return
    print_table(console, ("class", "photos"), [(name, f"{num:,}") for name, num in result.counts.items()])


def _print_shapes(console: "Console", summary: "ShapeSummary | None") -> None:
    if summary is None:
        return
    rows = [("smallest", _shape_text(summary.smallest), ""), ("median", _shape_text(summary.median), "")]
    rows += [("largest", _shape_text(summary.largest), "")]
    rows += [("common", _shape_text(shape), f"{num:,}") for shape, num in summary.commonest]
    print_table(console, ("size", "width x height", "photos"), rows)
    print_line(console, f"{summary.num_shapes:,} different size{'s' * (summary.num_shapes != 1)}")
    print_line(console, "Formats: " + ", ".join(f"{name} {num:,}" for name, num in summary.formats.items()))


def _print_skipped(console: "Console", result: "Show") -> None:
    from tellapart.photos.names import group_skipped

    for group in group_skipped(result.skipped):
        print_line(console, f"\nSkipped {group.num_files:,}: {with_flags(group.reason)}")
        for path in group.first:
            print_line(console, f"  {path}")
        if group.num_files > len(group.first):
            print_line(console, f"  and {group.num_files - len(group.first):,} more")


def _shape_text(shape: tuple[int, int]) -> str:
    """Width first, as people read sizes; `shape` is `(height, width)`."""
    return f"{shape[1]:,} x {shape[0]:,}"
