"""`tellapart report`: the page that a training has left, or one made again."""

from typing import Annotated

import typer

from tellapart.cli.options import CacheDir, ModelDir
from tellapart.cli.output import make_console, print_line
from tellapart.translation import gettext as _


def report(
    model: ModelDir,
    photos: Annotated[
        list[str] | None,
        typer.Option(
            "--photos", help=_("Where the photos are now, if they were moved."), show_default=_("where they were")
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help=_("Show it in the browser."))] = False,
    cache_dir: CacheDir = None,
) -> None:
    """Print the path of the report. Rebuild it if it is missing."""
    from tellapart.cli.progress import watch_training
    from tellapart.runs.run_report import rebuild_report

    with watch_training() as watcher:
        path = rebuild_report(model, photos=photos or None, cache_dir=cache_dir, watcher=watcher)
    print_line(make_console(), str(path))
    if open_page:
        typer.launch(path.resolve().as_uri())
