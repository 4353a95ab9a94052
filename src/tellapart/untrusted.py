"""Files that may come from strangers: opened only where they are regular and not too large, and JSON that is plain.

Photos and zips have readers of their own; model folders, run folders, tables, settings beside a model and caches are
read with these. Nothing here writes.
"""

import errno
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from tellapart.translation import gettext as _

# A bundle.json of 1,000 classes has about 0.2 MB. Parsed JSON takes up to 20 times the memory of its text.
MAX_JSON_BYTES = 16 * 1024**2
# A million photos with long paths.
MAX_TABLE_BYTES = 512 * 1024**2
# What a message of Protocol Buffers, which ONNX files are, can hold.
MAX_ONNX_BYTES = 2**31 - 1
_LARGEST_WHOLE = 2**63 - 1
# Of float32, which all numbers of ours are, or were computed from.
LARGEST_NUMBER = 3.4028234663852886e38
_MAX_DEPTH = 32
# A FIFO must not wait for its writer, and a terminal not become ours, before it is known what the file is.
_OPEN_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))


def open_regular(path: str | Path, max_bytes: int) -> BinaryIO:
    """The file, open to read: links are followed, and what they lead to is a regular file of bounded size.

    Args:
        path: of the file.
        max_bytes: its largest size.

    Raises:
        OSError: it cannot be opened, or is a folder, pipe, socket or device, or too large; `strerror` says which.
    """
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        status = os.fstat(descriptor)
        check_regular(status, path)
        if status.st_size > max_bytes:
            message = _("it has {found:,.0f} MB, and at most {most:,.0f} MB are read")
            raise OSError(errno.EFBIG, message.format(found=status.st_size / 1e6, most=max_bytes / 1e6), str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check_regular(status: os.stat_result, path: str | Path) -> None:
    """Nothing, if what stands at the path is a regular file.

    Args:
        status: of what a link leads to.
        path: for the error.

    Raises:
        OSError: it is a folder, pipe, socket or device; `strerror` says which.
    """
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, _("it is a folder"), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, _("it is a pipe, socket or device, not a file"), str(path))


def read_regular(path: str | Path, max_bytes: int) -> bytes:
    """The content of the file, with the conditions and errors of `open_regular`."""
    with open_regular(path, max_bytes) as file:
        return file.read(max_bytes)


def read_json(path: str | Path, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The value in a JSON file, as `open_regular` opens it and `parse_json` parses it.

    Raises:
        OSError: as for `open_regular`.
        ValueError: as for `parse_json`.
    """
    return parse_json(read_regular(path, max_bytes))


def parse_json(data: bytes) -> Any:
    """The value in JSON text: UTF-8 with or without a byte order mark, numbers finite, whole ones within 64 bits.

    Raises:
        ValueError: it is something else, or nested deeper than anything of ours; the message has one line.
    """
    try:
        value = json.loads(
            data.decode("utf-8-sig"), parse_int=_parse_whole, parse_float=_parse_number, parse_constant=_parse_number
        )
    except RecursionError as exc:
        raise ValueError(_("it is nested deeper than {most} levels").format(most=_MAX_DEPTH)) from exc
    level = [value]
    for _unused in range(_MAX_DEPTH):
        level = [inner for item in level for inner in _inner_values(item)]
        if not level:
            return value
    raise ValueError(_("it is nested deeper than {most} levels").format(most=_MAX_DEPTH))


def text_of(value: Any) -> str:
    """The value, which is text.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str):
        raise ValueError(_("{value} is not text").format(value=short_repr(value)))
    return value


def whole_of(value: Any, low: int = 0, high: int = _LARGEST_WHOLE) -> int:
    """The value, which is a whole number within `[low, high]`.

    Raises:
        ValueError: it is not.
    """
    if type(value) is not int or not low <= value <= high:
        raise ValueError(
            _("{value} is not a whole number from {low:,} to {high:,}").format(
                value=short_repr(value), low=low, high=high
            )
        )
    return value


def number_of(value: Any, low: float = -LARGEST_NUMBER, high: float = LARGEST_NUMBER) -> float:
    """The value, which is a number within `[low, high]`.

    Raises:
        ValueError: it is not, or not finite.
    """
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(
            _("{value} is not a number from {low:g} to {high:g}").format(value=short_repr(value), low=low, high=high)
        )
    return float(value)


def short_repr(value: Any) -> str:
    """How Python writes the value, cut where it is long."""
    return _cut(repr(value), 120)


def reason_of(exc: Exception) -> str:
    """The message of an error about content, in one line that is not long."""
    if isinstance(exc, KeyError):
        return _cut(_("{key} is missing").format(key=exc), 200)
    return _cut(" ".join(str(exc).split()), 200)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _inner_values(value: Any) -> list[Any]:
    """The lists and objects in a list or object."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, (dict, list))]


def _parse_whole(text: str) -> int:
    # 19 digits hold 64 bits; Python takes long for thousands of them.
    if len(text) > 20 or abs(int(text)) > _LARGEST_WHOLE:
        raise ValueError(_("the number {text} is too large").format(text=_cut(text, 20)))
    return int(text)


def _parse_number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(_("the number {text} is not finite").format(text=_cut(text, 20)))
    return number
