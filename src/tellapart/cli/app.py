"""The `tellapart` command: which commands there are, and how an error ends one.

Exit codes: 0 done, 1 a defect of tellapart, 2 something the user can fix; stopped: 130 with Ctrl-C, 143 with SIGTERM,
129 with SIGHUP.
"""

import functools
import inspect
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from tellapart.cli.backbone import GROUP_HELP, PACK_HELP, pack
from tellapart.cli.cache import cache
from tellapart.cli.check import check
from tellapart.cli.compare import compare
from tellapart.cli.demo import demo
from tellapart.cli.dial import dial
from tellapart.cli.embed import embed
from tellapart.cli.evaluate import evaluate
from tellapart.cli.export import export
from tellapart.cli.fix import fix
from tellapart.cli.flags import choose_flags, is_own_flag, with_flags
from tellapart.cli.output import escape_unencodable, print_error
from tellapart.cli.predict import predict
from tellapart.cli.report import report
from tellapart.cli.serve import serve
from tellapart.cli.show import show
from tellapart.cli.stopping import end_with, exit_code, is_stopped, signals_heeded
from tellapart.cli.studio import studio
from tellapart.cli.summary import summary
from tellapart.cli.train import train
from tellapart.cli.tune import tune
from tellapart.cli.usage_errors import describe_usage_error
from tellapart.errors import OutputError, TellapartError, is_out_of_memory
from tellapart.translation import LANGUAGES, use_language
from tellapart.translation import gettext as _

_INTERRUPTED = 130
LANGUAGE_HELP = _("Language of messages and reports: {names}.").format(names=", ".join(LANGUAGES))


def _choose_language(name: str | None) -> None:
    if name is not None:
        use_language(name)


_Language = Annotated[
    str | None,
    typer.Option(
        "--language",
        help=LANGUAGE_HELP,
        metavar="NAME",
        show_default=_("the system's"),
        callback=_choose_language,
        is_eager=True,
    ),
]


def _with_language(command: Callable[..., None]) -> Callable[..., None]:
    """The command with `--language`, which may so stand behind its name too."""

    @functools.wraps(command)
    def run_command(*args: Any, language: str | None = None, **values: Any) -> None:
        command(*args, **values)

    signature = inspect.signature(command)
    flag = inspect.Parameter("language", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_Language)
    run_command.__annotations__ = {**command.__annotations__, "language": _Language}
    run_command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), flag]
    )
    return run_command


app = typer.Typer(
    help=_("Train your computer to sort your photos into classes. Nothing leaves your machine."),
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    show,
    check,
    fix,
    train,
    report,
    summary,
    dial,
    predict,
    evaluate,
    export,
    compare,
    tune,
    serve,
    studio,
    embed,
    cache,
    demo,
):
    help_text = inspect.getdoc(command) or command.__name__
    app.command(help=_(help_text))(_with_language(command))
backbone_app = typer.Typer(help=GROUP_HELP, no_args_is_help=True)
backbone_app.command(help=PACK_HELP)(_with_language(pack))
# A group of one command would else be that command.
backbone_app.callback()(lambda: None)
app.add_typer(backbone_app, name="backbone")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"tellapart {version('tellapart')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", help=_("Print the version."), callback=_print_version, is_eager=True
    ),
    language: _Language = None,
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
        raise OutputError(_("the working folder was deleted. Change to a folder that exists, as with `cd ~`.")) from exc


def main() -> None:
    """Runs the command line and exits with its code."""
    with signals_heeded():
        code = run()
        if is_stopped():
            end_with(code)
    sys.exit(code)


def run() -> int:
    """The exit code of the command line, which has run."""
    _keep_quiet()
    escape_unencodable()
    try:
        _check_working_folder()
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False) or 0
        if code in (
            _INTERRUPTED,
            exit_code(),
        ):  # typer turns a stop within a command into this code, whatever the signal was
            print_error(_("stopped."))
            code = exit_code()
    except TellapartError as exc:
        print_error(_("stopped.") if is_stopped() else with_flags(str(exc)))
        code = exit_code() if is_stopped() else 2
    except TyperException as exc:
        print_error(
            _("{message} `tellapart --help`, and --help after a command, show what you can give.").format(
                message=describe_usage_error(exc)
            )
        )
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        print_error(_("stopped."))
        code = exit_code()
    except BrokenPipeError:
        # The reader of our output, such as `head`, has gone; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as exc:
        code = _explain_unexpected(exc)
    return code


def _explain_unexpected(exc: Exception) -> int:
    """The exit code for an error that no part of tellapart has raised on purpose."""
    if is_stopped():  # an import that a signal breaks off may fail in its own words
        print_error(_("stopped."))
        return exit_code()
    if is_out_of_memory(exc):
        size = _size_asked_for(exc)
        said = _("there is not enough memory: one step asked for {size}.") if size else _("there is not enough memory.")
        print_error(f"{said.format(size=size)} {with_flags(_advice_on_memory())}")
        code = 2
    else:
        place = traceback.extract_tb(exc.__traceback__)[-1]
        print_error(
            _(
                "a defect of tellapart, not of your photos: {error} ({function}, line {line}). TELLAPART_TRACEBACK=1"
                " shows where."
            ).format(error=f"{type(exc).__name__}: {exc}", function=place.name, line=place.lineno)
        )
        code = 1
    if os.environ.get("TELLAPART_TRACEBACK"):
        traceback.print_exc()
    return code


def _advice_on_memory() -> str:
    """What to do, with the settings that the command has."""
    settings = {
        _("`per_class` takes fewer photos of each class."): "per_class",
        _("`eyes='quick'` uses smaller images (recipe transfer)."): "eyes",
        _("A smaller `image_size` helps (recipes scratch and classic)."): "image_size",
        _("A smaller `batch_size` helps (recipe classic)."): "batch_size",
    }
    words = [_("Close other programs, or use a machine with more memory.")]
    words += [word for word, setting in settings.items() if is_own_flag(setting)]
    return " ".join(words)


def _size_asked_for(exc: Exception) -> str:
    """How much was asked for, where the message says it."""
    found = re.search(r"([0-9][0-9.]*) ?([KMGT]i?B|bytes)", str(exc)) or re.search(r"size ([0-9]+)()", str(exc))
    return f"{found[1]} {found[2] or 'bytes'}" if found else ""
