"""From the settings that messages name in backticks, such as `learning_rate`, to the flags that a user types.

The names and flags are those of the commands' own parameters, so that there is no list to keep.
"""

import re
from collections.abc import Iterator
from typing import Any

import typer

# Settings that a flag of another name turns off or on.
_SWITCHES = {"channels": "grayscale", "augment": "no_augment"}
_SETTING = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")
# Of the command that runs: setting to flag, and to the flag that says no.
_on: dict[str, str] = {}
_off: dict[str, str] = {}
# Of settings that it lacks: the command to run instead, with its flag and the flag that says no.
_elsewhere_on: dict[str, str] = {}
_elsewhere_off: dict[str, str] = {}


def choose_flags(context: typer.Context) -> None:
    """Nothing; from now on settings are shown as the flags of the command that is about to run."""
    commands: dict[str, Any] = getattr(context.command, "commands", {})
    running = context.invoked_subcommand
    for flags in (_on, _off, _elsewhere_on, _elsewhere_off):
        flags.clear()
    if running in commands:
        for _name, command in _commands_of(running, commands[running]):
            _add(command, _on, _off)
    # Training has most of the settings, and is what a message about another's is about.
    for group in sorted(commands, key=lambda name: name != "train"):
        for name, command in _commands_of(group, commands[group]):
            _add(command, _elsewhere_on, _elsewhere_off, before=f"tellapart {name} ")


def _commands_of(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """The commands of a group with the names that a user types; what is no group is its own only one."""
    inner: dict[str, Any] = getattr(command, "commands", {})
    yield from ((f"{name} {one}", inner[one]) for one in inner) if inner else [(name, command)]


def _add(command: Any, on: dict[str, str], off: dict[str, str], before: str = "") -> None:
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        on.setdefault(parameter.name, before + (parameter.opts[-1] if is_option else parameter.metavar))
        if parameter.secondary_opts:
            off.setdefault(parameter.name, before + parameter.secondary_opts[-1])


def is_own_flag(setting: str) -> bool:
    """Whether the command that runs has a flag for the setting."""
    return setting in _on


def with_flags(text: str) -> str:
    """The text with the flags of the settings in backticks.

    `epochs` becomes --epochs, `recipe='scratch'` becomes --recipe scratch, `flip=False` becomes --no-flip. What the
    command that runs lacks becomes the call of one that has it, as `tellapart train --epochs`. Backticks around
    anything else, such as a command, stay.
    """
    return _SETTING.sub(_flag, text)


def _flag(match: re.Match[str]) -> str:
    name, value = match.groups()
    setting = _SWITCHES.get(name, name)
    if setting in _on:
        return _spell(name, value, _on[setting], _off.get(name))
    if setting in _elsewhere_on:
        return f"`{_spell(name, value, _elsewhere_on[setting], _elsewhere_off.get(name))}`"
    return match[0]


def _spell(name: str, value: str | None, on: str, off: str | None) -> str:
    """The flag with its value, if the message gives one."""
    if value is None or value == "True" or name in _SWITCHES:
        return on
    if value == "False":
        return off or on
    return f"{on} {value.strip(chr(39) + chr(34))}"
