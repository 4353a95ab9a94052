"""Writes `reference/commands.md` from the command line itself, and `reference/python.md` from the public names.

Run by `make reference`; a test fails when a page is not what this writes.
"""

import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REFERENCE_DIR = Path(__file__).resolve().parent / "reference"
_NOTE = "<!-- Written by docs/make_reference.py from the code; `make reference` renews it. -->\n"


def commands_page() -> str:
    """A section a command: what it does, how it is called, and its options."""
    from typer.main import get_command

    from tellapart.cli.app import app

    group: Any = get_command(app)
    codes = "Exit codes: 0 done, 1 a defect of tellapart, 2 something you can fix, 130 stopped with Ctrl-C."
    parts = [_NOTE, "# Commands\n", f"{group.help}\n", f"{codes}\n"]
    for name, command in _commands_of(group):
        parts += [f"## tellapart {name}\n", f"{inspect.cleandoc(command.help)}\n", *_usage(name, command)]
        parts += _options(command)
        parts += _thresholds() if name == "check" else []
    return "\n".join(parts)


def _commands_of(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """The commands with the names that a user types, those within groups too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands_of(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _usage(name: str, command: Any) -> list[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    words = [_placeholder(param) + ("..." if param.nargs == -1 else "") for param in arguments]
    lines = [f"```text\n{' '.join(['tellapart', name, *words, '[OPTIONS]'])}\n```\n"]
    lines += [f"- `{_placeholder(param)}`: {param.help}" for param in arguments]
    return [*lines, ""]


def _options(command: Any) -> list[str]:
    panels: dict[str, list[Any]] = {}
    for param in command.params:
        if param.param_type_name == "option" and not param.hidden and param.name != "help":
            panels.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append(param)
    lines = []
    for title, params in panels.items():
        lines += [f"| {title} | what it does | default |", "|---|---|---|"]
        lines += [f"| {_flags(param)} | {_cell(param.help or '')} | {_default(param)} |" for param in params]
        lines.append("")
    return lines


def _thresholds() -> list[str]:
    """What `check --set` takes: the table of all thresholds."""
    from dataclasses import fields

    from tellapart.checkup.thresholds import THRESHOLDS, CheckConfig

    planned = {"wrong_label": "0.4 / number of classes, at least 0.05", "odd": "one false alarm a collection"}
    lines = [
        "In Python these are keywords: `tellapart.check(photos, dark=0.1)`. `check.json` has the median and the "
        "worst of each beside the threshold.\n",
        "| `--set NAME=VALUE` | what it is | default |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{one.name}` | {THRESHOLDS[one.name]} | {planned.get(one.name, one.default)} |"
        for one in fields(CheckConfig)
    ]
    return [*lines, ""]


def _placeholder(param: Any) -> str:
    return str(param.metavar or param.name.upper()).strip("{}[].")


def _flags(param: Any) -> str:
    flags = ", ".join(f"`{flag}`" for flag in (*param.opts, *param.secondary_opts))
    if param.is_flag:
        return flags
    kinds = {int: "N", float: "NUMBER", Path: "PATH"}
    kind = param.metavar or kinds.get(param.type_descriptor.annotation, "TEXT")
    return f"{flags} `{_cell(kind)}`"


def _default(param: Any) -> str:
    if param.required:
        return "required"
    shown = param.show_default if isinstance(param.show_default, str) else None
    value = shown if shown is not None else param.default
    plain = value is None or value is False or value == () or callable(value)
    return "" if plain else _cell(str(value))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def python_page() -> str:
    """Every public name, by kind; the site fills in what their docstrings say."""
    import tellapart

    kinds: dict[str, list[str]] = {"Functions": [], "Classes": [], "Settings": [], "Errors": []}
    for name in tellapart.__all__:
        public = getattr(tellapart, name)
        if isinstance(public, type) and issubclass(public, BaseException):
            kinds["Errors"].append(name)
        elif isinstance(public, type):
            kinds["Settings" if name.endswith(("Config", "Limits")) else "Classes"].append(name)
        elif callable(public):
            kinds["Functions"].append(name)
    parts = [_NOTE, "# Python\n", "`import tellapart` is cheap: a name is loaded when it is first used.\n"]
    for kind, names in kinds.items():
        parts.append(f"## {kind}\n")
        parts += [f"::: tellapart.{name}\n" for name in names]
    parts.append("## Estimators of scikit-learn\n")
    parts += [f"::: tellapart.sklearn.{name}\n" for name in ("PhotoClassifier", "PhotoEmbedder")]
    return "\n".join(parts)


def pages() -> dict[Path, str]:
    """The text of both pages, by path."""
    os.environ.setdefault("COLUMNS", "100")
    return {REFERENCE_DIR / "commands.md": commands_page(), REFERENCE_DIR / "python.md": python_page()}


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{page}\n")
