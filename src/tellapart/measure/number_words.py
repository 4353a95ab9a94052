"""How numbers are written wherever a person reads them: the page, the terminal, pictures and sentences. Pure Python."""

import math
from collections.abc import Sequence

from tellapart.translation import gettext as _
from tellapart.translation import ngettext

_EXACT = 1e-9  # a share that ends this close to 0 or 1 ends there
# From fewer photos one decimal says more than they know.
_FEWEST_FOR_DECIMALS = 201
_MOST_NAMES, _LONGEST_NAME = 3, 40


def percent(share: float, num_photos: int | None = None) -> str:
    """The share in percent: `98.0%`; `100%` and `0%` only where they are exact.

    Args:
        share: in `[0, 1]`.
        num_photos: photos that it was measured on; up to 200 there is no decimal, unless it would round to 0 or 100.
    """
    if share <= _EXACT or share >= 1 - _EXACT:
        return f"{round(share):.0%}"
    if num_photos is not None and num_photos < _FEWEST_FOR_DECIMALS and 0 < round(share * 100) < 100:
        return f"{share * 100:.0f}%"
    return f"{min(99.9, max(0.1, share * 100)):.1f}%"


def percent_range(interval: tuple[float, float], num_photos: int | None = None) -> str:
    """Both ends of an interval, as `percent` has them: `95.0% to 99.2%`."""
    low, high = (percent(bound, num_photos) for bound in interval)
    return _("{low} to {high}").format(low=low, high=high)


def round_percent(share: float) -> str:
    """A share that somebody chose, without needless decimals: `5%`, `0.5%`."""
    return f"{share * 100:g}%"


def per_thousand(share: float) -> str:
    """The share of 1,000: `20`, `0.4`; `0` and `1,000` only where they are exact."""
    if share <= _EXACT or share >= 1 - _EXACT:
        return f"{round(share) * 1000:,}"
    number = share * 1000
    return f"{max(0.1, number):.1f}" if number < 9.95 else f"{min(999, round(number))}"


def short_number(value: float | None) -> str:
    """A measured number with three digits, or a dash where there is none: `0.0123`, `1.05`, `4,288`."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def count_photos(num: int) -> str:
    """The number with its noun: `1 photo`, `1,200 photos`."""
    return ngettext("{num:,} photo", "{num:,} photos", num).format(num=num)


def count_files(num: int) -> str:
    """The number with its noun: `1 file`, `1,200 files`."""
    return ngettext("{num:,} file", "{num:,} files", num).format(num=num)


def count_classes(num: int) -> str:
    """The number with its noun: `1 class`, `2 classes`."""
    return ngettext("{num:,} class", "{num:,} classes", num).format(num=num)


def threshold_text(value: float) -> str:
    """A probability to compare with, at most the value, with digits enough to be told from 0 and 1: `0.2`, `0.9996`."""
    room = min(value, 1 - value)
    digits = 3 if room <= 0 else max(3, 1 - math.floor(math.log10(room)))
    text = f"{math.floor(value * 10**digits + _EXACT) / 10**digits:.{digits}f}"
    return text.rstrip("0").rstrip(".") or "0"


def quote(name: str) -> str:
    """The name in quotes, without its middle where it is long, and with what cannot be printed written out."""
    keep = _LONGEST_NAME // 2
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[:keep]}…{name[-keep + 1 :]}")


def quote_some(names: Sequence[str]) -> str:
    """Up to 3 names in quotes, and how many more there are: `'cat', 'dog' and 4 more`."""
    shown = [quote(name) for name in names[:_MOST_NAMES]]
    if len(names) > _MOST_NAMES:
        shown.append(_("{num:,} more").format(num=len(names) - _MOST_NAMES))
    return join_words(shown)


def join_words(words: Sequence[str]) -> str:
    """The words as a list in a sentence: `cat, dog and bird`."""
    if len(words) < 2:
        return "".join(words)
    return _("{names} and {last}").format(names=_(", ").join(words[:-1]), last=words[-1])
