"""`tellapart show`: what a source of photos holds, printed, and as pictures with `--out`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.flags import with_flags
from tellapart.cli.options import ClassLevel, LabelledSource, LabelPattern, LabelsCsv
from tellapart.cli.output import make_console, print_line, print_note, print_table, show_waiting
from tellapart.measure.number_words import count_classes, count_files, count_photos
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.commands.show import ShapeSummary, Show

# Classes that are listed one by one, and how many of the largest, and of the smallest, where there are more.
_MOST_CLASSES, _NUM_AT_ENDS = 60, 10


def show(
    photos: LabelledSource,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help=_("New folder for grid.png, classes.png and skipped.csv. Without it nothing is written.")
        ),
    ] = None,
    labels_csv: LabelsCsv = None,
    label_pattern: LabelPattern = None,
    class_level: ClassLevel = None,
) -> None:
    """Count the photos in SOURCE, and list the files it can't read and why."""
    from tellapart.commands.show import show as show_photos
    from tellapart.commands.show import summarise_shapes

    with show_waiting(_("Checking photos ...")):
        result = show_photos(photos, out, labels_csv=labels_csv, label_pattern=label_pattern, class_level=class_level)
    console = make_console()
    _print_counts(console, result)
    for note in result.photos.notes:
        print_note(console, note)
    _print_shapes(console, summarise_shapes(result.infos))
    _print_skipped(console, result)
    if out is not None:
        print_line(
            console, "\n" + _("Written to {folder}: grid.png, classes.png, skipped.csv, show.json").format(folder=out)
        )


def _print_counts(console: "Console", result: "Show") -> None:
    print_line(
        console,
        _("{source}: {photos}, {files} skipped").format(
            source=result.photos.source, photos=count_photos(len(result.photos)), files=count_files(len(result.skipped))
        ),
    )
    if result.photos.unlabelled_reason is not None:
        print_line(console, _("The photos have no labels. You can use them for predict, not for train."))
        print_line(console, _("  why: {reason}").format(reason=with_flags(result.photos.unlabelled_reason)))
        return
    _print_classes(console, result.counts)


def _print_classes(console: "Console", counts: Mapping[str, int]) -> None:
    """A line for each class, or for the largest and the smallest of them where they are too many to read."""
    rows = [(name, f"{num:,}") for name, num in counts.items()]
    if len(rows) <= _MOST_CLASSES:
        print_table(console, (_("class"), _("photos")), rows)
        return
    ordered = sorted(counts, key=lambda name: -counts[name])
    num_left = len(ordered) - 2 * _NUM_AT_ENDS
    said = ngettext("{num:,} more class", "{num:,} more classes", num_left)
    rows = [(name, f"{counts[name]:,}") for name in (*ordered[:_NUM_AT_ENDS], *ordered[-_NUM_AT_ENDS:])]
    rows.insert(_NUM_AT_ENDS, (f"... {said.format(num=num_left)} ...", ""))
    print_table(console, (_("class"), _("photos")), rows)
    said = _("{classes}, each with {fewest:,} to {most:,} photos. --out writes all of them to show.json.")
    told = said.format(classes=count_classes(len(ordered)), fewest=counts[ordered[-1]], most=counts[ordered[0]])
    print_line(console, told)


def _print_shapes(console: "Console", summary: "ShapeSummary | None") -> None:
    if summary is None:
        return
    rows = [(_("smallest"), _shape_text(summary.smallest), ""), (_("median"), _shape_text(summary.median), "")]
    rows += [(_("largest"), _shape_text(summary.largest), "")]
    rows += [(_("common"), _shape_text(shape), f"{num:,}") for shape, num in summary.commonest]
    print_table(console, (_("size"), _("width x height"), _("photos")), rows)
    said = ngettext("{num:,} different size", "{num:,} different sizes", summary.num_shapes)
    print_line(console, said.format(num=summary.num_shapes))
    formats = ", ".join(f"{name} {num:,}" for name, num in summary.formats.items())
    print_line(console, _("Formats: {formats}").format(formats=formats))


def _print_skipped(console: "Console", result: "Show") -> None:
    from tellapart.photos.names import group_skipped

    for group in group_skipped(result.skipped):
        said = _("Skipped {num:,}: {reason}").format(num=group.num_files, reason=with_flags(group.reason))
        print_line(console, f"\n{said}")
        for path in group.first:
            print_line(console, f"  {path}")
        if group.num_files > len(group.first):
            print_line(console, _("  and {num:,} more").format(num=group.num_files - len(group.first)))


def _shape_text(shape: tuple[int, int]) -> str:
    """Width first, as people read sizes; `shape` is `(height, width)`."""
    return f"{shape[1]:,} x {shape[0]:,}"
