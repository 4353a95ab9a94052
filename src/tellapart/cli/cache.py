"""`tellapart cache`: what tellapart keeps between runs, and clearing it."""

from typing import TYPE_CHECKING, Annotated

import typer

from tellapart.cli.output import make_console, print_line, print_note, print_table
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

if TYPE_CHECKING:
    from rich.console import Console

    from tellapart.cache.cache_folder import CacheState


def cache(
    clear: Annotated[bool, typer.Option("--clear", help=_("Delete all of it. It is made again when needed."))] = False,
    cache_dir: Annotated[
        str | None,
        typer.Option(help=_("Folder to look at."), show_default=_("the user's cache folder"), metavar="DIR"),
    ] = None,
) -> None:
    """Show what tellapart keeps between runs, where, and how large it is, or clear it."""
    from tellapart.cache.cache_folder import clear_cache, measure_cache
    from tellapart.photos.names import list_some

    console = make_console()
    if not clear:
        _print_state(console, measure_cache(cache_dir))
        return
    cleared = clear_cache(cache_dir)
    print_line(
        console, _("{size} freed in {folder}").format(size=format_bytes(cleared.freed_bytes), folder=cleared.root)
    )
    if cleared.kept:
        names = list_some([str(path) for path in cleared.kept])
        print_line(console, _("Not deleted, because they are in use or protected: {names}").format(names=names))


def format_bytes(num_bytes: int) -> str:
    """A size as a person says it, in powers of 1,000: `0 bytes`, `412 kB`, `21.3 MB`, `1.9 GB`."""
    if num_bytes < 1000:
        return ngettext("{num} byte", "{num} bytes", num_bytes).format(num=num_bytes)
    if num_bytes < 999_500:
        return f"{num_bytes / 1e3:.0f} kB"
    if num_bytes < 999_950_000:
        return f"{num_bytes / 1e6:.1f} MB"
    return f"{num_bytes / 1e9:,.1f} GB"


def _print_state(console: "Console", state: "CacheState") -> None:
    if state.note:
        print_note(console, state.note)
    print_line(console, str(state.root))
    units = (_("{num:,} sets"), _("{num:,} photos"), _("{num:,} networks"))
    rows = [
        (_(part.name), part.path.name, unit.format(num=part.num_items), format_bytes(part.size_bytes))
        for part, unit in zip(state.parts, units, strict=True)
    ]
    rows.append((_("together"), "", "", format_bytes(state.size_bytes)))
    print_table(console, (_("part"), _("folder"), _("holds"), _("size")), rows)
