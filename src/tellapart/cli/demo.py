"""`tellapart demo`: the whole way on drawn photos, for someone who has none at hand."""

from pathlib import Path
from typing import Annotated

import typer

from tellapart.cli.options import CacheDir
from tellapart.cli.output import make_console, print_line
from tellapart.translation import gettext as _


def demo(
    out: Annotated[Path, typer.Option(help=_("Folder for the photos, the run and the answers."))] = Path("demo"),
    cache_dir: CacheDir = None,
) -> None:
    """Try it without photos: train on drawn cats and dogs, find the mistakes planted in them, predict new ones."""
    from tellapart.cli.progress import watch_training
    from tellapart.cli.train import describe_run
    from tellapart.commands.demo import run_demo
    from tellapart.runs.train import check_can_train

    check_can_train()
    console = make_console()
    said = _("Drawing 120 cats and dogs into {path}, with some mistakes planted among them.")
    print_line(console, said.format(path=out / "photos"))
    with watch_training() as watcher:
        result = run_demo(out, watcher, cache_dir=cache_dir)
    for line in describe_run(result.run):
        print_line(console, line)
    found = ", ".join(
        _("{trap} {num} of {planted}").format(trap=_(trap), num=num, planted=planted)
        for trap, (num, planted) in result.found.items()
    )
    print_line(console, _("Planted mistakes that the check-up found: {found}").format(found=found))
    answers = ", ".join(f"{name} {number}" for name, number in result.answers.items())
    print_line(
        console,
        _("Answers for new photos: {answers}. They are in {table} and {picture}").format(
            answers=answers, table=result.table, picture=result.picture
        ),
    )
    print_line(console, _("Open the report: tellapart report {folder} --open").format(folder=result.run.run_dir))
    print_line(
        console,
        _("Ask the model: tellapart predict {folder} {photos}").format(
            folder=result.run.run_dir, photos=result.photos.new
        ),
    )
    print_line(console, _("Open the photos in Studio: tellapart studio {photos}").format(photos=result.photos.labelled))
