"""`tellapart check`: what is wrong with photos, before anything is learnt from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tellapart.cli.flags import with_flags
from tellapart.cli.options import CacheDir, ClassLevel, LabelledSource, LabelPattern, LabelsCsv
from tellapart.cli.output import list_classes, make_console, print_line, visible
from tellapart.errors import ConfigError, DatasetError
from tellapart.measure.number_words import count_photos
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.checkup.check_up import Checkup
    from tellapart.records import Finding

# Photos named for each finding on the terminal; the page shows more, and the JSON file all.
_NUM_NAMED = 3


def check(
    photos: LabelledSource,
    html: Annotated[
        Path | None, typer.Option("--html", help=_("Write a page with the photos themselves."), metavar="FILE")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help=_("Write everything that was found."), metavar="FILE")
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", help=_("Move a threshold, such as dark=0.1. Repeat for more."), metavar="NAME=VALUE"),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help=_("Exit with code 2 if there are problems."))] = False,
    labels_csv: LabelsCsv = None,
    label_pattern: LabelPattern = None,
    class_level: ClassLevel = None,
    cache_dir: CacheDir = None,
) -> None:
    """Check the photos in SOURCE for copies, wrong labels and odd photos. Nothing is changed."""
    from tellapart.checkup.check_up import check as check_photos
    from tellapart.checkup.check_up import checkup_to_json
    from tellapart.cli.progress import watch_training
    from tellapart.runs.outputs import OutputFile, check_output_files, has_keys, has_page_mark
    from tellapart.runs.run_report import make_page
    from tellapart.store import to_json_bytes, write_file

    thresholds = _parse_thresholds(set or [])
    own_json = has_keys("source", "counts", "findings", "label_suspects")
    pages = [] if html is None else [OutputFile(html, "html", _("a report"), has_page_mark)]
    lists = [] if json is None else [OutputFile(json, "json", _("a list of findings"), own_json)]
    check_output_files([*pages, *lists], [*photos, labels_csv])
    with watch_training() as watcher:
        checkup = check_photos(
            photos,
            labels_csv=labels_csv,
            label_pattern=label_pattern,
            class_level=class_level,
            cache_dir=cache_dir,
            watcher=watcher,
            **thresholds,
        )
    console = make_console()
    _print_checkup(console, checkup)
    if html is not None:
        write_file(html, make_page(checkup))
        print_line(console, _("Open {path} to see the photos.").format(path=html))
    if json is not None:
        write_file(json, to_json_bytes(checkup_to_json(checkup)))
    problems = [finding for finding in checkup.findings if finding.is_problem]
    if strict and problems:
        raise DatasetError(
            ngettext(
                "{num} problem in {source!r}. The first one: {title}. See the photos with --html, fix them with"
                " `tellapart fix`, or leave --strict out.",
                "{num} problems in {source!r}. The first one: {title}. See the photos with --html, fix them with"
                " `tellapart fix`, or leave --strict out.",
                len(problems),
            ).format(num=len(problems), source=", ".join(photos), title=problems[0].title)
        )


def _parse_thresholds(given: Sequence[str]) -> dict[str, Any]:
    """The thresholds that `--set` names, checked before a photo is read."""
    from tellapart.checkup.thresholds import THRESHOLDS, CheckConfig
    from tellapart.settings import check_names

    values: dict[str, Any] = {}
    for text in given:
        name, _equals, number = (part.strip() for part in text.partition("="))
        check_names([name], THRESHOLDS)
        try:
            values[name] = float(number)
        except ValueError:
            raise ConfigError(
                _("`set` {text!r} has no number. Give NAME=VALUE, such as {name}=0.1.").format(text=text, name=name)
            ) from None
        if values[name].is_integer():
            values[name] = int(values[name])
    CheckConfig(**values)
    return values


def _print_checkup(console: "Console", checkup: "Checkup") -> None:
    photos = checkup.photos
    classes = list_classes(photos.counts())
    said = _("{photos}: {classes}") if classes else _("{photos}, without labels")
    print_line(console, said.format(photos=count_photos(len(photos)), classes=classes))
    if photos.skipped:
        first = photos.skipped[0]
        said = ngettext(
            "{num:,} file cannot be used: {path}: {reason}",
            "{num:,} files cannot be used. The first one is {path}: {reason}",
            len(photos.skipped),
        )
        print_line(
            console,
            said.format(num=len(photos.skipped), path=visible(first.path), reason=with_flags(first.reason)),
        )
    for finding in checkup.findings:
        print_finding(console, finding, photos.paths)
    if not any(finding.is_problem for finding in checkup.findings):
        print_line(console, _("No problems found in the photos."))


def print_finding(console: "Console", finding: "Finding", paths: tuple[str, ...]) -> None:
    """Prints a finding with the first of its photos."""
    from tellapart.photos.names import list_some

    print_line(console, f"{'!' if finding.is_problem else '-'} {finding.title}")
    for rows, caption in list(zip(finding.examples, finding.captions, strict=True))[:_NUM_NAMED]:
        names = list_some([visible(paths[row]) for row in rows], _NUM_NAMED)
        print_line(console, f"    {names}{'  (' + caption + ')' if caption else ''}")
