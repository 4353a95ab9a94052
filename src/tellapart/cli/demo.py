"""`tellapart demo`: the whole way on drawn photos, for someone who has none at hand."""

from pathlib import Path
from typing import Annotated

import typer

from tellapart.cli.output import make_console, print_line


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the photos, the run and the pictures.")] = Path("demo"),
) -> None:
    """Try it without photos: draw some, train on them, predict new ones and write pictures."""
    from tellapart.cli.progress import watch_training
    from tellapart.cli.train import describe_run
    from tellapart.commands.demo import run_demo

    console = make_console()
    print_line(console, f"Drawing photos of two kinds of animals into {out} ...")
    with watch_training() as watcher:
        result = run_demo(out, watcher)
    for line in describe_run(result.run):
        print_line(console, line)
    print_line(console, "Look at:")
    for path in result.pictures:
        print_line(console, f"  {path}")
    print_line(console, f"Try: tellapart predict {result.run.run_dir} {out / 'test.zip'}")
