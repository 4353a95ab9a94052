"""The checks that settings of all kinds share: one of some choices, a number in a range, a whole number."""

import difflib
from collections.abc import Callable, Iterable

from tellapart.errors import ConfigError
from tellapart.translation import gettext as _


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Nothing, if `value` is one of `choices`.

    Args:
        name: the setting, or words that say whose value it is.
        value: what was given.
        choices: what it may be.

    Raises:
        ConfigError: it is none of them; the message names the setting and the choice that looks like it.
    """
    if value in choices:
        return
    said = _("is not known.{hint} Choose from {choices}.")
    raise refused(name, value, said.format(hint=did_you_mean(str(value), choices), choices=", ".join(choices)))


def find_similar(value: str, choices: Iterable[str]) -> str | None:
    """The choice that looks like `value`, whatever the case of its letters; `None` where none does."""
    by_lower = {choice.lower(): choice for choice in choices}
    nearest = difflib.get_close_matches(value.lower(), by_lower, n=1)
    return by_lower[nearest[0]] if nearest else None


def did_you_mean(value: str, choices: Iterable[str], quoted: Callable[[str], str] = repr) -> str:
    """A question that names the choice that looks like `value`, with a space before it; empty where none does."""
    similar = find_similar(value, choices)
    return "" if similar is None else _(" Did you mean {names}?").format(names=quoted(similar))


def check_range(name: str, value: float, low: float, high: float, *, open_ends: bool = False) -> None:
    """Nothing, if `value` is within `[low, high]`, or `(low, high)` with `open_ends`.

    Raises:
        ConfigError: it is not, or is no number.
    """
    is_number = isinstance(value, (int, float))
    if is_number and (low < value < high if open_ends else low <= value <= high):
        return
    if not is_number and open_ends:
        reason = _("must be a number above {low:,} and below {high:,}.")
    elif not is_number:
        reason = _("must be a number between {low:,} and {high:,}.")
    elif open_ends:
        reason = _("must be above {low:,} and below {high:,}.")
    else:
        reason = _("must be between {low:,} and {high:,}.")
    reason = reason.format(low=low, high=high)
    if is_number and (low, high) == (0, 1) and 1 < value <= 100:
        reason += " " + _("For {percent:g}%, write {share:g}.").format(percent=value, share=value / 100)
    raise refused(name, value, reason)


def check_whole(name: str, value: int, low: int, high: int) -> None:
    """Nothing, if `value` is an `int` within `[low, high]`.

    Raises:
        ConfigError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise refused(name, value, _("must be a whole number between {low:,} and {high:,}.").format(low=low, high=high))
    check_range(name, value, low, high)


def refused(name: str, value: object, reason: str) -> ConfigError:
    """The error of a value, with the setting it is of; `reason` follows the value in the sentence."""
    is_setting = name.isidentifier()
    shown = f"`{name}`" if is_setting else name
    return ConfigError(
        f"{shown} {value!r} {reason}",
        field=name if is_setting else None,
        value=value,
    )
