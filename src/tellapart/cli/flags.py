"""From the settings that messages name in backticks, such as `learning_rate`, to the flags that a user types.

The names and flags are those of the commands' own parameters, so that there is no list to keep.
"""

import re
from collections.abc import Iterable
from typing import Any

import typer

# Settings that a flag of another name turns off or on.
_SWITCHES = {"channels": "grayscale", "augment": "no_augment"}
_SETTING = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")
# Of the command that runs first, then of all others; setting to flag, and to the flag that says no.
_on: dict[str, str] = {}
_off: dict[str, str] = {}
# Settings of the command that runs.
_own: set[str] = set()


def choose_flags(context: typer.Context) -> None:
    """Nothing; from now on settings are shown as the flags of the command that is about to run."""
    commands: dict[str, Any] = getattr(context.command, "commands", {})
    name = context.invoked_subcommand
    running = [commands[name]] if name in commands else []
    _on.clear()
    _off.clear()
    _own.clear()
    _own.update(parameter.name for command in running for parameter in command.params)
    for command in (*running, *commands.values()):
        _add(command.params)


def _add(parameters: Iterable[Any]) -> None:
    for parameter in parameters:
        is_option = parameter.param_type_name == "option"
        _on.setdefault(parameter.name, parameter.opts[-1] if is_option else parameter.metavar)
        if parameter.secondary_opts:
            _off.setdefault(parameter.name, parameter.secondary_opts[-1])


def is_own_flag(setting: str) -> bool:
    """Whether the command that runs has a flag for the setting."""
    return setting in _own


def with_flags(text: str) -> str:
    """The text with the flags of the settings in backticks.

    `epochs` becomes --epochs, `recipe='scratch'` becomes --recipe scratch, `flip=False` becomes --no-flip. Backticks
    around anything else, such as a command, stay.
    """
    return _SETTING.sub(_flag, text)


def _flag(match: re.Match[str]) -> str:
    name, value = match.groups()
    flag = _on.get(_SWITCHES.get(name, name))
    if flag is None:
        return match[0]
    if value is None or value == "True" or name in _SWITCHES:
        return flag
    if value == "False":
        return _off.get(name, flag)
    return f"{flag} {value.strip(chr(39) + chr(34))}"
