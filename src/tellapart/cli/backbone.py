"""`tellapart backbone`: what can be done with a pretrained network itself."""

from pathlib import Path
from typing import Annotated

import typer

from tellapart.cli.cache import format_bytes
from tellapart.cli.options import CacheDir
from tellapart.cli.output import make_console, print_line, print_note
from tellapart.translation import gettext as _

GROUP_HELP = _("Pack a pretrained network for a machine without internet.")
PACK_HELP = _("Pack a pretrained network with its preprocessing and licence into one file.")


def pack(
    backbone: Annotated[
        str,
        typer.Argument(
            help=_("hf:OWNER/NAME, efficientnet-lite0, -lite1, -lite2, or an ONNX file."), metavar="BACKBONE"
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help=_("The file to write, new or an earlier one of this kind."),
            show_default=_("the name of the network, in this folder"),
            metavar="FILE",
        ),
    ] = None,
    cache_dir: CacheDir = None,
) -> None:
    """Writes the file, and says what is in it and how it is used."""
    from tellapart.cli.progress import watch_training
    from tellapart.commands.backbone import pack_backbone

    with watch_training() as watcher:
        done = pack_backbone(backbone, out, cache_dir=cache_dir, watcher=watcher)
    console = make_console()
    print_line(
        console, _("{path}: {name}, {size}").format(path=done.path, name=done.name, size=format_bytes(done.size_bytes))
    )
    print_line(console, _("SHA-256: {digest}").format(digest=done.sha256))
    if done.license:
        print_line(console, _("Licence: {name}").format(name=done.license))
    else:
        print_note(console, _("No licence is stated. Ask the owner of the network before you pass the file on."))
    print_line(console, _("Use it with `tellapart train SOURCE --backbone {path}`.").format(path=done.path))
