"""Several files written as one set: on any failure a reader finds the old set or the new one, whole.

`write_files` first writes each file beside its place as `<name>.next`, the file called `last` after all others, and
then renames each to `<name>`, `last` again after all others. So there are three states, and the reader needs no more
than the names to tell them apart:

    no `<last>.next`             the files under their plain names are the set; any other `.next` is a leftover
    `<last>.next`                the new set is complete: a file is `<name>.next` where that exists, else `<name>`
    `<last>.next` renamed        the new set stands under its plain names

`read_files` reads by that rule and changes nothing; `recover_files` finishes the renames. A set always has the same
names.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tellapart.store import check_replaceable, open_partial, output_error, remove_quietly, sync_folder
from tellapart.untrusted import read_regular

_NEXT_SUFFIX = ".next"


def write_files(folder: Path, files: Mapping[str, bytes], last: str) -> None:
    """The folder holds all of `files` as one set; on any failure a reader finds the old set or the new one, whole.

    Args:
        folder: exists already.
        files: file name to content; the names never change from one writing of a set to the next.
        last: the name in `files` whose content vouches for the others, with their checksums.

    Raises:
        OutputError: a file cannot be written.
    """
    assert last in files, f"{last!r} is not among the files"
    names = [name for name in files if name != last]
    recover_files(folder, names, last)
    for name in files:
        check_replaceable(folder / name, folder / name)
    try:
        for name in [*names, last]:
            with open_partial(folder / f"{name}{_NEXT_SUFFIX}", folder / name, is_synced=True) as file:
                file.write(files[name])
    except BaseException:
        # `last` goes first: without it the other `.next` files mean nothing.
        for name in [last, *names]:
            remove_quietly(folder / f"{name}{_NEXT_SUFFIX}")
        raise
    recover_files(folder, names, last)


def read_files(folder: Path, max_bytes: Mapping[str, int], last: str) -> dict[str, bytes]:
    """The content of the files, all from one set; writes nothing.

    Args:
        folder: where they are.
        max_bytes: file name of each file of the set to the largest size that is read, in bytes.
        last: as given to `write_files`.

    Raises:
        FileNotFoundError: a file of the set is missing; `filename` says which.
        OSError: a file cannot be read, or is no regular file of that size.
    """
    is_next = (folder / f"{last}{_NEXT_SUFFIX}").exists()
    return {name: _read_one(folder / name, is_next, most) for name, most in max_bytes.items()}


def recover_files(folder: Path, names: Iterable[str], last: str) -> None:
    """A set whose writing was cut short stands under its plain names: the new one if it was complete, else the old.

    Args:
        names: the other files of the set; may or may not include `last`.
        last: as given to `write_files`.

    Raises:
        OutputError: a file cannot be renamed.
    """
    final = folder / f"{last}{_NEXT_SUFFIX}"
    if not final.exists():
        return
    target = folder / last
    try:
        for name in names:
            target = folder / name
            pending = folder / f"{name}{_NEXT_SUFFIX}"
            if name != last and pending.exists():
                os.replace(pending, target)
        sync_folder(folder)
        target = folder / last
        os.replace(final, target)
        sync_folder(folder)
    except OSError as exc:
        raise output_error(target, exc) from exc


def _read_one(path: Path, is_next: bool, max_bytes: int) -> bytes:
    if is_next:
        try:
            return read_regular(path.with_name(f"{path.name}{_NEXT_SUFFIX}"), max_bytes)
        except FileNotFoundError:
            pass
    return read_regular(path, max_bytes)
