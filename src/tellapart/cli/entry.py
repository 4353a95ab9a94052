"""Where the `tellapart` command begins: signals are heeded before anything that takes long is loaded."""

import sys
from contextlib import suppress

from tellapart.cli.stopping import WORD, end_with, exit_code, is_stopped, signals_heeded


def main() -> None:
    """Runs the command line and exits with its code."""
    try:
        with signals_heeded(is_last=True):
            from tellapart.cli.app import run

            end_with(run())
    except BaseException:  # before or after what `run` itself looks after
        if not is_stopped():
            raise
        with suppress(OSError):
            sys.stderr.write(f"{WORD}\n")
        end_with(exit_code())
