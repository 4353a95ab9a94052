"""`tellapart fix`: a cleaned copy of a collection, as decided in the report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.options import ClassLevel, LabelledSource, LabelPattern, LabelsCsv
from tellapart.cli.output import list_classes, make_console, print_line, print_note, print_skipped
from tellapart.measure.number_words import count_photos
from tellapart.translation import gettext as _

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
    classes = list_classes(summary.counts)
    said = _("{photos} in {folder}: {classes}")
    if summary.num_there:
        said = _("{photos} in {folder} ({num_there:,} were there already): {classes}")
    photos = count_photos(summary.num_photos)
    print_line(console, said.format(photos=photos, folder=out, num_there=summary.num_there, classes=classes))
    decided = (summary.num_kept, summary.num_moved, summary.num_removed)
    if any(decided):
        said = _("Your decisions: {kept:,} kept, {moved:,} moved to another class, {removed:,} removed")
        print_line(console, said.format(kept=decided[0], moved=decided[1], removed=decided[2]))
    if summary.num_copies:
        print_line(console, _("Identical copies left out: {num:,}").format(num=summary.num_copies))
    for note in summary.notes:
        print_note(console, note)
    print_skipped(console, _("not copied"), summary.skipped[:_SHOWN_SKIPPED], len(summary.skipped))
    print_line(console, _("Nothing was changed in {source}").format(source=source))
