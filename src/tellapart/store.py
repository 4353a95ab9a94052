"""The one way tellapart writes a file: whole or not at all, also when the disk fills up or the power goes.

Checkpoints, bundles and every result file go through `write_file` or `open_whole`; several files that belong together
are `file_set.py`'s. What is inside the files belongs to the callers.
"""

import csv
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.errors import OutputError
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop

_PARTIAL_PREFIX = ".tellapart-"
_PARTIAL_SUFFIX = ".partial"

_BYTE_ORDER_MARK = "\ufeff"
# What a spreadsheet takes for the beginning of a formula, alone or behind apostrophes of ours.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|nan)")

_ADVICE = {
    errno.ENOSPC: gettext_noop("the disk is full. Free some space or write to another disk"),
    errno.EDQUOT: gettext_noop("the disk quota is used up. Free some space or write to another disk"),
    errno.EFBIG: gettext_noop("the file is larger than this disk allows. Write to another disk"),
    errno.EROFS: gettext_noop("the disk is read-only. Write to another place"),
    errno.EACCES: gettext_noop("permission denied. Write to a folder that is yours"),
    errno.EPERM: gettext_noop("permission denied. Write to a folder that is yours"),
    errno.ENOENT: gettext_noop("the folder does not exist. Make it first or write to another one"),
    errno.ENOTDIR: gettext_noop("a part of the path is a file, not a folder. Write to another place"),
    errno.EISDIR: gettext_noop("a folder has that name. Give the path of a file"),
    errno.ENAMETOOLONG: gettext_noop("the name is too long for this disk. Give a shorter one"),
}


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of `data`, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class PartialFile:
    """A file being written under the temporary name `path`; errors name it as `shown`, what it is to become."""

    path: Path
    shown: Path
    descriptor: int

    def write(self, data: bytes) -> None:
        """All of `data` stands in the file, without a buffer in between."""
        rest = memoryview(data)
        with _telling(self.shown):
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]


@dataclass(frozen=True)
class _Lines:
    """A file to `csv.writer`, which writes each row at once."""

    lines: list[str]

    def write(self, text: str) -> None:
        self.lines.append(text)


def to_json_bytes(value: Any) -> bytes:
    r"""`value` as indented UTF-8 JSON with a trailing newline, dicts in their own order.

    Characters that UTF-8 has no code for (stray bytes of a file name) are written as `\udcxx` and read back the same.

    Raises:
        ValueError: a number is not finite.
        TypeError: something in it is not a dict, list, tuple, string, number, boolean or `None`.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "backslashreplace")


def to_csv_bytes(rows: Iterable[Sequence[object]], *, is_start: bool = True) -> bytes:
    r"""The rows as UTF-8 CSV with `\n` line ends; characters that UTF-8 has no code for are written as `\udcxx`.

    Spreadsheets open it right: a byte order mark says that it is UTF-8, and no text is taken for a formula.

    Args:
        rows: numbers and texts.
        is_start: whether the file begins with these rows; it then has the mark.
    """
    lines: list[str] = []
    # Python 3.11 quotes a value with a lone `\r`, which a file name may hold, only if its line ends have one.
    safe = ([escape_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    csv.writer(_Lines(lines), lineterminator="\r\n").writerows(safe)
    text = "".join(line.removesuffix("\r\n") + "\n" for line in lines)
    return (_BYTE_ORDER_MARK * is_start + text).encode("utf-8", "backslashreplace")


def escape_cell(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: an apostrophe before what would begin one.

    Numbers stay. `restore_cell` gives the text back.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def restore_cell(cell: str) -> str:
    """The text that `escape_cell` made the cell from; other cells are as they were."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell, 1) else cell


def write_file(path: Path, data: bytes) -> None:
    """The file holds `data` and survives a crash; where that fails it is as it was before, never cut short.

    A symbolic link is followed: the file it points to is replaced.

    Raises:
        OutputError: the file cannot be written.
    """
    with open_whole(path) as file:
        file.write(data)


@contextmanager
def open_whole(path: Path, *, is_synced: bool = True) -> Iterator[PartialFile]:
    """A file to write to, which stands under its name once the block has ended without an error.

    Until then, and for good where the block or the disk fails, an earlier file of that name is as it was.

    Args:
        path: as for `write_file`.
        is_synced: whether it also survives a power cut. Waiting for the disk takes longer than copying a photo: whoever
            writes thousands of files leaves it out and calls `sync_folder` at the end.

    Raises:
        OutputError: the file cannot be written.
    """
    with open_partial(path, path, is_synced) as file:
        yield file


def sync_folder(folder: Path) -> None:
    """Nothing; the names in the folder survive a power cut from now on.

    Raises:
        OutputError: the disk fails.
    """
    with _telling(folder):
        _sync_folder(folder)


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A folder for temporary files in the folder `beside`, on whose disk there is room; gone when the block ends.

    Raises:
        OutputError: it cannot be made.
    """
    folder = beside / f"{_PARTIAL_PREFIX}{secrets.token_hex(6)}{_PARTIAL_SUFFIX}"
    with _telling(folder):
        folder.mkdir()
    try:
        yield folder
    finally:
        remove_quietly(folder)


def is_partial(name: str) -> bool:
    """Whether a file or folder of that name is an unfinished one of ours."""
    return name.startswith(_PARTIAL_PREFIX) and name.endswith(_PARTIAL_SUFFIX)


def remove_partials(folder: Path) -> int:
    """The number of unfinished files and folders of ours that a killed process left in `folder`, now removed.

    Only call this for a folder that nobody else is writing to. Files that are not ours stay.
    """
    leftovers = [path for path in folder.iterdir() if is_partial(path.name)] if folder.is_dir() else []
    for path in leftovers:
        remove_quietly(path)
    return len(leftovers)


def output_error(path: Path, exc: OSError) -> OutputError:
    """What to tell the user when the operating system refused to write `path`."""
    advice = _ADVICE.get(exc.errno or 0)
    if advice is not None:
        message = _("cannot write {path!r}: {advice}.").format(path=str(path), advice=_(advice))
    else:
        message = _("cannot write {path!r}: {reason}. Check the disk or write to another place.").format(
            path=str(path), reason=exc.strerror or exc
        )
    return OutputError(message, path=path)


def check_writable(path: Path) -> None:
    """Nothing, if `write_file` can be expected to write `path`; the file itself is not touched.

    Raises:
        OutputError: its folder does not exist or may not be written to, or there is something that is not replaced.
    """
    target = Path(os.path.realpath(path))
    check_replaceable(target, path)
    with _telling(path):
        check_folder_writable(target.parent)


def check_folder_writable(folder: Path) -> None:
    """Nothing, if files can be made in the folder; nothing is written.

    Raises:
        OSError: it does not exist, its disk is read-only, or permission is missing.
    """
    if not folder.is_dir():
        raise OSError(errno.ENOTDIR if folder.exists() else errno.ENOENT, "No such folder")
    if hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, "Read-only file system")
    if not os.access(folder, os.W_OK):
        raise OSError(errno.EACCES, "Permission denied")


def check_replaceable(target: Path, shown: Path) -> None:
    """Nothing, if a file may stand where `target` is: renaming would also replace a device or a protected file.

    Raises:
        OutputError: it may not; the message names the place as `shown`.
    """
    try:
        is_there = target.exists()
    except OSError as exc:
        raise output_error(shown, exc) from exc
    if is_there and target.is_dir():
        raise output_error(shown, IsADirectoryError(errno.EISDIR, "Is a directory"))
    if is_there and not target.is_file():
        raise OutputError(
            _("cannot write {shown!r}: it is not an ordinary file. Give the path of a file.").format(shown=str(shown)),
            path=shown,
        )
    if is_there and not os.access(target, os.W_OK):
        raise output_error(shown, PermissionError(errno.EACCES, "Permission denied"))


@contextmanager
def open_partial(path: Path, shown: Path, is_synced: bool) -> Iterator[PartialFile]:
    """`open_whole`, whose errors name the file as `shown`."""
    target = Path(os.path.realpath(path))
    check_replaceable(target, shown)
    partial = target.with_name(f"{_PARTIAL_PREFIX}{secrets.token_hex(6)}{_PARTIAL_SUFFIX}")
    try:
        with _telling(shown):
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            yield PartialFile(partial, shown, descriptor)
            if is_synced:
                with _telling(shown):
                    os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with _telling(shown):
            os.replace(partial, target)
            if is_synced:
                _sync_folder(target.parent)
    finally:
        remove_quietly(partial)


@contextmanager
def _telling(shown: Path) -> Iterator[None]:
    """Errors of the operating system become ours."""
    try:
        yield
    except OSError as exc:
        raise output_error(shown, exc) from exc


def _sync_folder(folder: Path) -> None:
    """A rename is on the disk only once its folder is; Windows and some network disks cannot do this."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # a folder that may be written to but not listed
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def remove_quietly(path: Path) -> None:
    """The file or folder is gone, where it can be removed."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        pass  # the failure that led here is the one to report; `remove_partials` comes by later
