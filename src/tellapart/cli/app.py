"""The `tellapart` command: which commands there are, and how an error ends one.

Exit codes: 0 done, 1 a defect of tellapart, 2 something the user can fix, 130 stopped with Ctrl-C.
"""

import os
import sys
import traceback
import warnings

import typer
from typer.exceptions import TyperException

from tellapart.cli.cache import cache
from tellapart.cli.check import check
from tellapart.cli.compare import compare
from tellapart.cli.demo import demo
from tellapart.cli.embed import embed
from tellapart.cli.evaluate import evaluate
from tellapart.cli.fix import fix
from tellapart.cli.flags import choose_flags, with_flags
from tellapart.cli.output import escape_unencodable, print_error
from tellapart.cli.predict import predict
from tellapart.cli.report import report
from tellapart.cli.show import show
from tellapart.cli.summary import summary
from tellapart.cli.train import train
from tellapart.errors import OutputError, TellapartError

_INTERRUPTED = 130

app = typer.Typer(
    help="Train your computer to sort your photos into classes. Nothing leaves your machine.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (show, check, fix, train, report, summary, predict, evaluate, compare, embed, cache, demo):
    app.command()(command)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"tellapart {version('tellapart')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_print_version, is_eager=True),
) -> None:
    choose_flags(context)


def _keep_quiet() -> None:
    """Pillow and OpenCV say nothing of damaged photos past us; a value that the user has set stays."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # read when OpenCV is first imported


def _check_working_folder() -> None:
    """Nothing, if the working folder is there; libraries fail in their own words where it is not.

    Raises:
        OutputError: it was deleted.
    """
    try:
        os.getcwd()
    except OSError as exc:
        raise OutputError("the working folder was deleted. Change to a folder that exists, as with `cd ~`.") from exc


def main() -> None:
    """Runs the command line and exits with its code."""
    _keep_quiet()
    escape_unencodable()
    try:
        _check_working_folder()
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        if code == _INTERRUPTED:  # typer turns Ctrl-C within a command into this code
            print_error("stopped.")
    except TellapartError as exc:
        print_error(with_flags(str(exc)))
        code = 2
    except TyperException as exc:
        print_error(f"{exc.format_message()} `tellapart --help`, and --help after a command, show what you can give.")
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        print_error("stopped.")
        code = _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output, such as `head`, has gone; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as exc:
        place = traceback.extract_tb(exc.__traceback__)[-1]
        print_error(
            f"a defect of tellapart, not of your photos: {type(exc).__name__}: {exc} ({place.name}, line"
            f" {place.lineno}). TELLAPART_TRACEBACK=1 shows where."
        )
        if os.environ.get("TELLAPART_TRACEBACK"):
            traceback.print_exc()
        code = 1
    sys.exit(code)
