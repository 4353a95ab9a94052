"""`tellapart fix`: a cleaned copy of a collection, as decided in the report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.options import ClassLevel, LabelledSource, LabelPattern, LabelsCsv
from tellapart.cli.output import make_console, print_line, print_note, print_skipped

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.commands.fix import FixSummary

_SHOWN_SKIPPED = 5


def fix(
    photos: LabelledSource,
    out: Annotated[Path, typer.Option(help=_("Folder for the cleaned copy, outside of SOURCE."), metavar="DIR")],
    decisions: Annotated[
        Path | None,
        typer.Option(
            help=_("The file downloaded from the report. Its name is enough if it is in your downloads or in SOURCE."),
            metavar="FILE.csv",
        ),
    ] = None,
    drop_copies: Annotated[
        bool, typer.Option("--drop-copies", help=_("Copy only one of the byte-identical photos of a class."))
    ] = False,
    labels_csv: LabelsCsv = None,
    label_pattern: LabelPattern = None,
    class_level: ClassLevel = None,
) -> None:
    """Copy the photos in SOURCE into a folder per class, with your decisions applied. SOURCE stays as it is."""
    from tellapart.cli.progress import watch_prediction
    from tellapart.commands.fix import fix as fix_photos

    with watch_prediction() as show:
        summary = fix_photos(
            photos,
            out,
            decisions=decisions,
            drop_copies=drop_copies,
            on_photo=show,
            labels_csv=labels_csv,
            label_pattern=label_pattern,
            class_level=class_level,
        )
    _print_summary(make_console(), summary, ", ".join(photos), out)


def _print_summary(console: "Console", summary: "FixSummary", source: str, out: Path) -> None:
    classes = ", ".join(f"{name} {num:,}" for name, num in summary.counts.items())
    photos = "1 photo" if summary.num_photos == 1 else f"{summary.num_photos:,} photos"
    there = f" ({summary.num_there:,} were there already)" if summary.num_there else ""
    print_line(console, f"{photos} in {out}{there}: {classes}")
    decided = (summary.num_kept, summary.num_moved, summary.num_removed)
    if any(decided):
        kept, moved, removed = (f"{number:,}" for number in decided)
        print_line(console, f"By your decisions: {kept} kept, {moved} moved to another class, {removed} removed")
    if summary.num_copies:
        print_line(console, f"Byte-identical copies within a class left out: {summary.num_copies:,}")
    for note in summary.notes:
        print_note(console, note)
    print_skipped(console, "not copied", summary.skipped[:_SHOWN_SKIPPED], len(summary.skipped))
    print_line(console, f"Nothing was changed in {source}")
