"""`study.json`: what a search was asked for, how long it has taken, and what it has come to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tellapart.errors import BundleError, ConfigError, OutputError
from tellapart.translation import gettext as _
from tellapart.tune.budget import Budget
from tellapart.untrusted import number_of, read_json, reason_of
from tellapart.value_checks import check_range, check_whole

MARKER_NAME = "study.json"
KIND, SCHEMA = "tellapart study", 1
_DEFAULT_MINUTES = 60.0


def make_budget(minutes: float | None, trials: int | None, stored: Mapping[str, Any]) -> Budget:
    """The budget asked for; where none was, that of the search to resume."""
    if minutes is not None and trials is not None:
        said = _("`minutes` and `trials` were both given, and each says when the search ends. Give one of them.")
        raise ConfigError(said, field="minutes", value=minutes)
    if minutes is not None:
        check_range("minutes", minutes, 0.1, 100_000)
    if trials is not None:
        check_whole("trials", trials, 1, 100_000)
    if minutes is None and trials is None:
        minutes, trials = stored.get("minutes"), stored.get("num_trials")
        if minutes is None and trials is None:
            minutes = _DEFAULT_MINUTES
    return Budget(minutes, trials, number_of(stored.get("seconds", 0.0), 0))


def read_marker(out_dir: Path, resume: bool, described: Mapping[str, Any]) -> dict[str, Any]:
    """What `study.json` says of the search to resume; empty for a new one."""
    path = out_dir / MARKER_NAME
    if not path.exists():
        if resume:
            said = _("{folder!r} holds no study (no {name}). Give the folder of one, or leave `resume` out.")
            raise BundleError(said.format(folder=str(out_dir), name=MARKER_NAME), path=out_dir)
        return {}
    if not resume:
        said = _("there is a study in {folder!r} already. Give `resume=True` to continue it, or another `out`.")
        raise OutputError(said.format(folder=str(out_dir)), path=out_dir)
    try:
        stored: dict[str, Any] = read_json(path)
        if (stored["kind"], stored["schema"]) != (KIND, SCHEMA) or not isinstance(stored["config"], dict):
            raise ValueError(_("schema {schema}").format(schema=stored["schema"]))
        number_of(stored.get("seconds", 0.0), 0)
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as exc:
        said = _("the study {path!r} is damaged or of another version ({reason}). Tune again with another `out`.")
        raise BundleError(said.format(path=str(path), reason=reason_of(exc)), path=path) from exc
    differing = [name for name in described["config"] if described["config"][name] != stored["config"].get(name)]
    if differing or stored.get("fields") != described["fields"]:
        said = _("`resume` uses the settings of the study, and these differ: {names}. Leave them out, or change `out`.")
        shown = ", ".join(f"`{name}`" for name in differing) or _("the settings that are searched")
        raise ConfigError(said.format(names=shown), field="resume", value=True)
    return stored
