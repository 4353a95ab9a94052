"""Where the `tellapart` command begins: signals are heeded before anything that takes long is loaded."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

from tellapart.cli.stopping import end_with, exit_code, is_stopped, signals_heeded, stop_line
from tellapart.errors import ConfigError
from tellapart.translation import ENGLISH, current_language, language_of_environment, use_language

# A character of every language there is a catalogue of.
_SAMPLE = "中"


def main() -> None:
    """Runs the command line and exits with its code."""
    try:
        with signals_heeded(is_last=True):
            choose_language(sys.argv[1:])
            if current_language() != ENGLISH:
                from tellapart.cli.usage_errors import translate_help

                translate_help(current_language())
            from tellapart.cli.app import run

            end_with(run())
    except BaseException:  # before or after what `run` itself looks after
        if not is_stopped():
            raise
        with suppress(OSError):
            sys.stderr.write(f"{stop_line()}\n")
        end_with(exit_code())


def choose_language(arguments: Sequence[str]) -> None:
    """Help and messages follow `--language`, else the environment, before the texts of the commands are loaded.

    A language of the environment that the terminal cannot show stays English. A wrong name is refused later, where
    the commands read their flags.

    Args:
        arguments: of the command line; `--language` may stand anywhere in it.
    """
    named = [value for flag, value in pairwise(arguments) if flag == "--language"]
    named += [argument.partition("=")[2] for argument in arguments if argument.startswith("--language=")]
    with suppress(ConfigError):
        if named:
            use_language(named[-1])
        elif all(_is_encodable(getattr(stream, "encoding", None)) for stream in (sys.stdout, sys.stderr)):
            use_language(language_of_environment(os.environ))


def _is_encodable(encoding: str | None) -> bool:
    try:
        _SAMPLE.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
