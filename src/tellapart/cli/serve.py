"""`tellapart serve`: trained models for other programs and for a browser, on this machine."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.output import make_console, print_line
from tellapart.cli.stopping import is_stopped, stop_calls
from tellapart.errors import DependencyError
from tellapart.installation import install_extra
from tellapart.translation import gettext as _

if TYPE_CHECKING:
    from uvicorn import Server


def serve(
    models: Annotated[
        list[str],
        typer.Argument(help=_("Folder that `tellapart train` made, with a name for it."), metavar="NAME=MODEL_DIR"),
    ],
    host: Annotated[str, typer.Option(help=_("Address to listen at. Other than your own machine needs a token."))] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help=_("Port to listen at. 0 takes a free one."), min=0, max=65535)] = 8000,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help=_("Web page that may call the server."), metavar="ORIGIN")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help=_("Name by which clients may call the server."), metavar="NAME")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help=_("File with the token that clients must send."), show_default="TELLAPART_TOKEN", metavar="FILE"
        ),
    ] = None,
    max_wait_ms: Annotated[
        int, typer.Option(help=_("Refuse a photo that would wait longer than this."), min=0, metavar="MS")
    ] = 250,
    not_sure: Annotated[
        float | None,
        typer.Option(
            help=_("Let the models answer 'not sure', as for predict."),
            show_default=_("always answers"),
            metavar="RATE",
        ),
    ] = None,
    none_of_these: Annotated[
        float | None,
        typer.Option(
            help=_("Let the models answer 'none of these', as for predict."),
            show_default=_("always answers"),
            metavar="RATE",
        ),
    ] = None,
) -> None:
    """Serve trained models over HTTP, with a page to try photos. Requests are logged as JSON lines."""
    try:
        from tellapart.web.request_log import RequestLog
        from tellapart.web.serve_config import TOKEN_VARIABLE, ServeConfig, ServeLimits, parse_models, read_token
        from tellapart.web.server import listen
        from tellapart.web.server import serve as serve_models
    except ModuleNotFoundError as exc:
        message = _("Serving needs {name}, which is not installed. Install it with: {command}")
        raise DependencyError(message.format(name=exc.name, command=install_extra("serve")), name=exc.name) from exc

    folders = parse_models(models)
    limits = ServeLimits(max_wait_ms=max_wait_ms)
    token = os.environ.get(TOKEN_VARIABLE) if token_file is None else read_token(token_file)
    config = ServeConfig(not_sure, none_of_these, token or None, tuple(allow_host or ()), tuple(allow_origin or ()))
    with listen(host, port, config.token is not None) as listener:
        address = listener.getsockname()
        shown = f"http://[{address[0]}]:{address[1]}" if ":" in address[0] else f"http://{address[0]}:{address[1]}"

        def on_start(server: "Server") -> None:
            stop_calls(lambda: setattr(server, "should_exit", True))
            message = _("Serving {names} at {address}. Stop with Ctrl-C.")
            print_line(make_console(stderr=True), message.format(names=", ".join(folders), address=shown))

        serve_models(folders, listener, limits, config, RequestLog(sys.stdout.buffer), on_start)
    if is_stopped():
        raise KeyboardInterrupt
