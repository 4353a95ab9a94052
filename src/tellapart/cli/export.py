"""`tellapart export`: a model for other programs, with the proof that it answers as here."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.options import ModelDir
from tellapart.cli.output import make_console, print_line, print_note
from tellapart.translation import gettext as _

if TYPE_CHECKING:
    from tellapart.export.export_model import Export

# Files and folders of an export that are so many times smaller than the largest are not its model.
_MUCH_SMALLER = 4


def export(
    model: ModelDir,
    to: Annotated[
        str,
        typer.Option(
            help=_(
                "What to export to: coreml, keras, litert, litert-int8, onnx-int8, openvino, triton, web or web-int8."
            ),
            metavar="TARGET",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help=_("Folder for the export, new, empty or an earlier export."),
            show_default=_("exports/TARGET in MODEL_DIR"),
            metavar="DIR",
        ),
    ] = None,
    proof: Annotated[
        list[str] | None,
        typer.Option(
            help=_("Photos to compare the answers on. May be given several times."),
            show_default=_("those that the training held out"),
            metavar="SOURCE",
        ),
    ] = None,
    accept_difference: Annotated[
        bool,
        typer.Option("--accept-difference", help=_("Keep the export although it answers differently.")),
    ] = False,
    progress: Annotated[
        Path | None,
        typer.Option(help=_("Write how far the export is to a JSON file, for other programs."), metavar="FILE"),
    ] = None,
) -> None:
    """Export the model in MODEL_DIR to another format, and prove that it gives the same answers."""
    from tellapart.cli.progress import watch_training
    from tellapart.export.export_model import export_model
    from tellapart.export.proof import describe_proof
    from tellapart.live.progress_file import ProgressFile, check_progress_path

    if progress is not None:
        check_progress_path(progress, proof or [])
    with ProgressFile(progress) as told, watch_training() as watcher:
        done = export_model(
            model, to, out, proof=proof or None, accept_difference=accept_difference, watcher=told.watch(watcher)
        )
        told.message = " ".join(describe_proof(done.proof))
    _print_export(done)


def _print_export(done: "Export") -> None:
    from tellapart.export.proof import describe_proof

    console = make_console()
    print_line(console, _("{folder}: {sizes}").format(folder=done.folder, sizes=_describe_sizes(done)))
    for line in describe_proof(done.proof):
        print_line(console, line)
    for failure in done.proof.failures:
        print_note(console, _("accepted: {difference}").format(difference=failure))
    for sentence in done.left_out:
        print_note(console, sentence)


def _describe_sizes(done: "Export") -> str:
    """The sizes of what holds the model, file or folder: such as that of a page, and that of the same for a server."""
    sizes: dict[str, int] = {}
    for name in done.files:
        first, slash, _rest = name.partition("/")
        if first == "preprocessing":
            continue
        sizes[first + slash] = sizes.get(first + slash, 0) + (done.folder / name).stat().st_size
    models = [name for name, size in sizes.items() if size >= max(sizes.values()) / _MUCH_SMALLER]
    return _(", ").join(_("{name} {size:.1f} MB").format(name=name, size=sizes[name] / 1e6) for name in models)
