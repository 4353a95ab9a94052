"""What commands with `--engine ray` share: their flags, read and checked, and what they say at the end."""

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tellapart.cli.output import list_classes, make_console, print_line, print_note, print_skipped
from tellapart.errors import ConfigError
from tellapart.measure.number_words import count_photos
from tellapart.translation import gettext as _
from tellapart.translation import ngettext
from tellapart.value_checks import check_choice

if TYPE_CHECKING:
    from tellapart.distribute.photo_job import JobSummary
    from tellapart.distribute.ray_session import RayConfig


@dataclass(frozen=True)
class ClusterFlags:
    """The flags of a command that may work on a cluster, as given; `with_cluster_flags` puts them into its signature.

    Attributes:
        engine: `local` or `ray`.
        workers, ray_address, ray_settings: see `RayConfig`; of `ray` alone.
    """

    engine: Annotated[
        str,
        typer.Option(
            help=_("local works through SOURCE here. ray shares out a list of photos to many processes or machines."),
            metavar="local|ray",
        ),
    ] = "local"
    workers: Annotated[
        int | None,
        typer.Option(
            help=_("Processes that work at once (--engine ray)."), show_default=_("one per core"), metavar="N"
        ),
    ] = None
    ray_address: Annotated[
        str | None,
        typer.Option(
            help=_("Ray cluster that runs already, e.g. 10.0.0.5:6379 (--engine ray)."),
            show_default=_("Ray is started on this machine"),
            metavar="HOST:PORT",
        ),
    ] = None
    ray_settings: Annotated[
        str | None,
        typer.Option(
            help=_("More settings of ray.init as JSON, e.g. '{\"num_cpus\": 8}' (--engine ray)."),
            show_default=False,
            metavar="JSON",
        ),
    ] = None

    def check(self, local: Mapping[str, object] | None = None, ray: Mapping[str, object] | None = None) -> None:
        """Nothing, if the engine is known and each setting that was given belongs to it.

        Args:
            local: settings that only `local` has, by name; `None`, `False` and empty ones were not given.
            ray: those that only `ray` has, besides the flags here.

        Raises:
            ConfigError: the engine is not known, or a setting is the other's.
            DependencyError: Ray is not installed.
        """
        check_choice("engine", self.engine, ("local", "ray"))
        is_ray = self.engine == "ray"
        if is_ray:
            from tellapart.distribute.ray_session import check_installed

            check_installed()
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "engine"}
        for name, value in ((local or {}) if is_ray else {**own, **(ray or {})}).items():
            if value:
                said = _("`{name}` has no effect with `engine={engine!r}`. Leave it out.")
                raise ConfigError(said.format(name=name, engine=self.engine), field=name, value=value)

    def config(self) -> "RayConfig":
        """Where Ray works.

        Raises:
            ConfigError: a value is wrong.
        """
        from tellapart.distribute.ray_session import RayConfig

        try:
            settings = json.loads(self.ray_settings or "{}")
        except json.JSONDecodeError as exc:
            said = _("`ray_settings` is not JSON ({reason}). Give an object such as {example}.")
            message = said.format(reason=exc, example='{"num_cpus": 8}')
            raise ConfigError(message, field="ray_settings", value=self.ray_settings) from exc
        if not isinstance(settings, dict):
            said = _("`ray_settings` {value} must be a JSON object, such as {example}.")
            message = said.format(value=self.ray_settings, example='{"num_cpus": 8}')
            raise ConfigError(message, field="ray_settings", value=self.ray_settings)
        return RayConfig(self.ray_address, self.workers, settings)


@dataclass(frozen=True)
class ListFlags(ClusterFlags):
    """The flags of a command that a cluster helps with a list of photos.

    Attributes:
        uri_column: of the list.
    """

    uri_column: Annotated[
        str | None,
        typer.Option(
            help=_("Column with the paths or addresses of the list (--engine ray)."),
            show_default=_("path or uri"),
            metavar="NAME",
        ),
    ] = None


def with_cluster_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command with a flag for each field of its parameter of the kind `ClusterFlags`, which must be its last."""
    signature = inspect.signature(command)
    *others, last = signature.parameters.values()
    flags = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type)
        for one in fields(last.annotation)
    ]

    @functools.wraps(command)
    def run_command(**values: Any) -> None:
        given = last.annotation(**{flag.name: values.pop(flag.name) for flag in flags})
        command(**values, **{last.name: given})

    parameters = [*others, *flags]
    run_command.__annotations__ = {one.name: one.annotation for one in parameters}
    run_command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run_command


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
        if summary.num_found:
            said = ngettext(
                "{num:,} row of the list is done already or names a photo again, and was passed over",
                "{num:,} rows of the list are done already or name a photo again, and were passed over",
                summary.num_passed,
            )
        else:
            said = ngettext(
                "{num:,} row of the list names a photo again and was passed over",
                "{num:,} rows of the list name a photo again and were passed over",
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
