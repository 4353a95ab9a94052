"""What every command prints with: one console, lines and tables that take any name for what it is."""

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tellapart.cli.flags import with_flags
from tellapart.translation import gettext as _

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.records import Skipped

_MOST_CLASSES_A_LINE = 20


def escape_unencodable() -> None:
    """Nothing; from now on a character that an output cannot encode, as in a name, is printed as its escape.

    What a command has to say is never lost to the encoding of a terminal: rich, typer and tracebacks write here too.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def make_console(stderr: bool = False) -> "Console":
    """A console that never takes a name for markup, and never wraps what another program reads."""
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False, stderr=stderr)
    if console.is_terminal:
        # Rich asks anew before each line, and the descriptor of stderr leads elsewhere while a photo is decoded.
        return Console(markup=False, emoji=False, highlight=False, stderr=stderr, force_terminal=True)
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr, width=10_000)


@contextmanager
def show_waiting(text: str) -> Iterator[None]:
    """The text with a turning mark on stderr while the block runs; nothing where that is no terminal."""
    console = make_console(stderr=True)
    is_unicode = console.encoding.startswith("utf")
    with console.status(visible(text, console.encoding), spinner="dots" if is_unicode else "line"):
        yield


def print_line(console: "Console", text: str) -> None:
    """Prints `text`, which may have several lines, unwrapped."""
    console.print("\n".join(visible(line, console.encoding) for line in text.split("\n")), soft_wrap=True)


def print_note(console: "Console", text: str) -> None:
    """Prints a sentence that the user should read, settings as flags."""
    print_line(console, _("note: {text}").format(text=with_flags(text)))


def print_skipped(console: "Console", word: str, first: Sequence["Skipped"], num_all: int) -> None:
    """Prints a line with the reason for each of the first files that are not used, and how many more there are."""
    for item in first:
        print_line(console, f"{word} {item.path}: {with_flags(item.reason)}")
    if num_all > len(first):
        print_line(console, _("{word} {num:,} more").format(word=word, num=num_all - len(first)))


def print_table(console: "Console", headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Prints a table: the first column to the left, the others to the right, plain where it is not a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for number, header in enumerate(headers):
        table.add_column(
            Text(visible(header, console.encoding)), justify="right" if number else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(visible(cell, console.encoding)) for cell in row))
    if not console.is_terminal:  # on a terminal the table brings its own empty line
        print_line(console, "")
    console.print(table)


def list_classes(counts: Mapping[str, int]) -> str:
    """The classes with their numbers of photos: `cat 12, dog 30`; of more than a line holds the largest come first."""
    from tellapart.photos.names import list_some

    names = list(counts)
    if len(names) > _MOST_CLASSES_A_LINE:
        names.sort(key=lambda name: -counts[name])
    return list_some([f"{name} {counts[name]:,}" for name in names], _MOST_CLASSES_A_LINE)


def visible(text: str, encoding: str = "utf-8") -> str:
    """The text without characters that would move the cursor, or that the encoding of the output lacks."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def print_error(message: str) -> None:
    """One line on stderr, whatever is in the message."""
    encoding = sys.stderr.encoding or "utf-8"
    line = " ".join(visible(part, encoding) for part in message.split("\n"))
    with suppress(OSError):  # a terminal that was closed, or a pipe that nobody reads
        sys.stderr.write(f"tellapart: {line}{os.linesep}")
