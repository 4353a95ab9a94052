"""What the library that reads the command line says of a wrong one, in the language of the process.

Its own sentences are glued together and so cannot be looked up; they are told again from what the error holds. The
titles of its help pages, and its sentence about a command that does not exist, it looks up itself, in our catalogue.
"""

import os
from typing import Any

from tellapart.translation import LOCALE_DIR, gettext_noop
from tellapart.translation import gettext as _

# What it looks up, and what its checks of values say.
_ITS_MESSAGES = (
    gettext_noop("Usage:"),
    gettext_noop("Arguments"),
    gettext_noop("Options"),
    gettext_noop("Commands"),
    gettext_noop("[default: {}]"),
    gettext_noop("[required]"),
    gettext_noop("Missing command."),
    gettext_noop("No such command {name!r}."),
    gettext_noop("Show this message and exit."),
    gettext_noop("Input should be a valid integer, unable to parse string as an integer"),
    gettext_noop("Input should be a valid number, unable to parse string as a number"),
    gettext_noop("Input should be a valid integer, got a number with a fractional part"),
    gettext_noop("Input should be greater than or equal to 0"),
)


def translate_help(language: str) -> None:
    """From now on the titles of help pages are looked up in our catalogue; to be called before typer is loaded."""
    import gettext

    os.environ["LANGUAGE"] = language
    gettext.bindtextdomain("tellapart", LOCALE_DIR)
    gettext.textdomain("tellapart")


def describe_usage_error(error: Any) -> str:
    """A sentence about a wrong command line: English as the library has it, else told again.

    Args:
        error: a `TyperException`.
    """
    said = _describe(error)
    return said if said.endswith((".", "。", "?", "\uff1f")) else said + _(".")


def _describe(error: Any) -> str:
    parameter, message = getattr(error, "param", None), str(error.message)
    hint = getattr(error, "param_hint", None) or (parameter.get_error_hint() if parameter is not None else "")
    kind = type(error).__name__
    if kind == "MissingParameter":
        said = _("Missing argument {hint}.")
        if getattr(parameter, "param_type_name", "") == "option":
            said = _("Missing option {hint}.")
        return said.format(hint=hint)
    if kind == "NoSuchOption":
        said = _("No such option: {option}")
        if error.possibilities:
            said = _("No such option: {option} (Possible options: {names})")
        return said.format(option=error.option_name, names=", ".join(sorted(error.possibilities or ())))
    if kind == "BadOptionUsage":
        said = _("Option {option!r} requires an argument.")
        if "does not take" in message:
            said = _("Option {option!r} does not take a value.")
        return said.format(option=error.option_name)
    if kind == "BadParameter":
        return _("Invalid value for {hint}: {reason}").format(hint=hint, reason=_(message))
    message, _mark, names = message.partition(". Did you mean ")
    if names:
        end = "" if message.endswith(("。", ".")) else _(".")
        return message + end + _(" Did you mean {names}?").format(names=names.rstrip("?"))
    return _(message)
