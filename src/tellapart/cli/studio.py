"""`tellapart studio`: collect, check, train and try in a browser, on this machine."""

import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.memory import return_freed_memory
from tellapart.cli.output import make_console, print_line
from tellapart.cli.stopping import is_stopped, stop_calls
from tellapart.errors import DependencyError
from tellapart.installation import install_extra
from tellapart.translation import gettext as _

if TYPE_CHECKING:
    from tellapart.studio.launch import Launched


def studio(
    folder: Annotated[
        Path,
        typer.Argument(help=_("Folder with a folder of photos per class. A missing folder is made."), metavar="FOLDER"),
    ] = Path("photos"),
    port: Annotated[
        int | None,
        typer.Option(help=_("Port to listen at. 0 takes a free one."), show_default="8100", min=0, max=65535),
    ] = None,
    lan: Annotated[bool, typer.Option("--lan", help=_("Let phones in the same network add photos."))] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help=_("Print the address and open no browser."))] = False,
) -> None:
    """Collect photos, train and try a model in the browser. Nothing leaves your machine."""
    try:
        import segno  # noqa: F401

        from tellapart.studio.folder_lock import FolderTakenError
        from tellapart.studio.launch import run_studio
    except ModuleNotFoundError as exc:
        message = _("Studio needs {name}, which is not installed. Install it with: {command}")
        raise DependencyError(message.format(name=exc.name, command=install_extra("studio")), name=exc.name) from exc

    return_freed_memory()
    console = make_console(stderr=True)

    def on_start(launched: "Launched") -> None:
        stop_calls(launched.stop)
        message = _("Studio is open for {folder} at {address} Stop with Ctrl-C.")
        print_line(console, message.format(folder=folder, address=launched.address))
        if launched.phone_address is not None:
            print_line(console, _("Phones can add photos at {address}").format(address=launched.phone_address))
        if not no_browser:
            _open_browser(launched.address)

    try:
        run_studio(folder, port=port, has_phones=lan, on_start=on_start)
    except FolderTakenError as exc:
        if exc.address is not None and not no_browser:
            _open_browser(exc.address)
        raise
    if is_stopped():
        raise KeyboardInterrupt


def _open_browser(address: str) -> None:
    """Nothing; a browser is asked to open the address, by a thread, because some only answer when they are closed."""
    threading.Thread(target=webbrowser.open, args=(address,), name="browser", daemon=True).start()
