"""What commands with `--engine ray` share: their flags read and checked, and what they say at the end."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tellapart.cli.output import list_classes, make_console, print_line, print_note, print_skipped
from tellapart.errors import ConfigError
from tellapart.measure.number_words import count_photos
from tellapart.translation import gettext as _
from tellapart.translation import ngettext
from tellapart.value_checks import check_choice

if TYPE_CHECKING:
    from tellapart.distribute.photo_job import JobSummary
    from tellapart.distribute.ray_session import RayConfig


def ray_config(ray_address: str | None, workers: int | None, ray_settings: str | None) -> "RayConfig":
    """Where Ray works, from the flags.

    Raises:
        ConfigError: a value is wrong.
    """
    from tellapart.distribute.ray_session import RayConfig

    try:
        settings = json.loads(ray_settings or "{}")
    except json.JSONDecodeError as exc:
        said = _("`ray_settings` is not JSON ({reason}). Give an object such as {example}.")
        message = said.format(reason=exc, example='{"num_cpus": 8}')
        raise ConfigError(message, field="ray_settings", value=ray_settings) from exc
    if not isinstance(settings, dict):
        said = _("`ray_settings` {value} must be a JSON object, such as {example}.")
        message = said.format(value=ray_settings, example='{"num_cpus": 8}')
        raise ConfigError(message, field="ray_settings", value=ray_settings)
    return RayConfig(ray_address, workers, settings)


def check_engine(engine: str, local: Mapping[str, object], ray: Mapping[str, object]) -> None:
    """Nothing, if the engine is known and each setting that was given belongs to it.

    Args:
        engine: as given.
        local: settings that only `local` has, by name; `None`, `False` and empty ones were not given.
        ray: those that only `ray` has.

    Raises:
        ConfigError: the engine is not known, or a setting is the other's.
        DependencyError: Ray is not installed.
    """
    check_choice("engine", engine, ("local", "ray"))
    if engine == "ray":
        from tellapart.distribute.ray_session import check_installed

        check_installed()
    for name, value in (local if engine == "ray" else ray).items():
        if value:
            said = _("`{name}` has no effect with `engine={engine!r}`. Leave it out.")
            raise ConfigError(said.format(name=name, engine=engine), field=name, value=value)


def require_list(photos: Sequence[str], out: Path | None) -> tuple[str, Path]:
    """The list and the folder that a command with `--engine ray` needs.

    Raises:
        ConfigError: there are several lists, or there is no folder.
    """
    if len(photos) != 1:
        said = _("`engine='ray'` takes one list, and {num} were given. Join them in one Parquet or CSV file.")
        raise ConfigError(said.format(num=len(photos)), field="photos", value=list(photos))
    if out is None:
        raise ConfigError(_("`engine='ray'` needs a folder for what it writes. Give one as `out`."), field="out")
    return photos[0], out


def print_job(summary: "JobSummary", out: Path, counts: Mapping[str, int]) -> None:
    """Prints what was done of a list, what was passed over, and what cannot be read."""
    console = make_console()
    num_read = summary.num_photos - summary.num_skipped
    parts = list_classes(dict(sorted(counts.items())))
    said = _("{photos}: {classes}") if parts else _("{photos} done")
    print_line(console, said.format(photos=count_photos(num_read), classes=parts))
    if summary.num_passed:
        said = ngettext(
            "{num:,} row of the list is done already and was passed over",
            "{num:,} rows of the list are done already and were passed over",
            summary.num_passed,
        )
        print_line(console, said.format(num=summary.num_passed))
    if summary.num_blank:
        said = ngettext("{num:,} row has no address", "{num:,} rows have no address", summary.num_blank)
        print_line(console, said.format(num=summary.num_blank))
    total = summary.num_found + summary.num_photos
    said = ngettext(
        "{num:,} row is in the Parquet files in {folder}", "{num:,} rows are in the Parquet files in {folder}", total
    )
    print_line(console, said.format(num=total, folder=out))
    for note in summary.notes:
        print_note(console, note)
    print_skipped(console, _("skipped"), summary.first_skipped, summary.num_skipped)
