"""Where commands may write: never among the photos, never over what is not theirs; asked before any work starts.

`claim_dir` and `check_outside` are for folders, `check_output_files` for single files.
"""

import codecs
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tellapart.errors import OutputError
from tellapart.formats.photo_formats import sniff_format
from tellapart.photos.names import PROJECT_DIR_NAME, name_some
from tellapart.store import check_folder_writable, check_writable, is_partial, output_error, to_csv_bytes
from tellapart.translation import gettext as _
from tellapart.untrusted import read_json

# What a training leaves in its folder; any of these makes the folder that of a run.
_RUN_MARKERS = ("run.json", "bundle.json")
_RUN_FILES = frozenset(
    "run.json bundle.json model.onnx metrics.json split.csv fingerprints.bin skipped.csv predictions.csv history.csv "
    "report.html check.json confusion.png mistakes.png curves.png".split()
)
# Held by a training while it writes into a folder; one that was killed leaves it there.
LOCK_NAME = "run.lock"
# As of a bucket, `s3://photos/run`, of which a path keeps one slash. One letter is a drive of Windows.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]")
# The first bytes of a page, a table or a picture of ours say that it is one.
_HEAD_BYTES = 64 * 1024
_PAGE_MARK = b'<meta name="generator" content="tellapart">'
_PNG_MARK = b"tEXtSoftware\x00tellapart"


@dataclass(frozen=True)
class OutputFile:
    """A file that a command is asked to write.

    Attributes:
        path: as the user named it.
        setting: the Python name of the setting it was named by.
        kind: what it will hold, with its article, as in "a table of predictions".
        is_own: whether the file at a path is an earlier one of this kind, by its content; may raise `OSError`.
    """

    path: Path
    setting: str
    kind: str
    is_own: Callable[[Path], bool]


def check_output_files(files: Sequence[OutputFile], sources: Iterable[str | Path | None]) -> None:
    """Nothing, if each of the files may be written: it is new, empty, or an earlier one of its kind.

    Args:
        files: what the command is asked to write.
        sources: what it reads: folders of photos, in which nothing is written, zips, tables and photos. `None` and
            what does not exist are passed over.

    Raises:
        OutputError: a file lies among the photos, is a source, a photo, a file of a run or somebody else's, is named
            twice, or cannot be written.
    """
    if not files:
        return
    known = [Path(source) for source in sources if source is not None]
    folders = {source: tuple(_folders_read(source)) for source in known}
    for number, file in enumerate(files):
        for other in files[:number]:
            if _is_same(file.path, other.path):
                raise OutputError(
                    _("`{first}` and `{second}` are both {path!r}. Give two different paths.").format(
                        first=other.setting, second=file.setting, path=str(file.path)
                    ),
                    path=file.path,
                )
        for source in known:
            _check_source(file, source, folders[source])
        _check_run_file(file)
        check_writable(file.path)
        _check_content(file)


def has_page_mark(path: Path) -> bool:
    """Whether a file is a page of ours."""
    return _PAGE_MARK in _read_head(path)


def has_png_mark(path: Path) -> bool:
    """Whether a file is a picture of ours."""
    head = _read_head(path)
    return sniff_format(head) == "PNG" and _PNG_MARK in head


def has_columns(*columns: str) -> Callable[[Path], bool]:
    """A function that says whether a file is a CSV as we write it whose first columns are these."""
    line = to_csv_bytes([columns], is_start=False).rstrip(b"\n")
    return lambda path: _read_head(path).removeprefix(codecs.BOM_UTF8).startswith((line + b"\n", line + b","))


def has_keys(*keys: str) -> Callable[[Path], bool]:
    """A function that says whether a file is a JSON object that has these keys."""

    def check(path: Path) -> bool:
        try:
            found = read_json(path)
        except ValueError:
            return False
        return isinstance(found, dict) and found.keys() >= set(keys)

    return check


def has_arrays(*names: str) -> Callable[[Path], bool]:
    """A function that says whether a file is an `.npz` that holds these arrays."""

    def check(path: Path) -> bool:
        try:
            with zipfile.ZipFile(path) as archive:
                return set(archive.namelist()) >= {f"{name}.npy" for name in names}
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            return False

    return check


def claim_dir(path: Path, marker: str, setting: str = "out") -> None:
    """The folder exists and may be written to: it is new, empty, or carries the file `marker` that our runs carry.

    Nothing in it is touched; the caller writes the marker. `setting` is what the user named the folder with.

    Raises:
        OutputError: it holds something else, or cannot be made.
    """
    check_dir(path, marker, setting)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise _refused_dir(path, exc, setting) from exc


def lock_name_of(marker: str) -> str:
    """The name of the lock of a folder with this marker.

    Where the marker begins with `_` the lock does too: readers of a folder of Parquet files pass over such names.
    """
    return f"_{LOCK_NAME}" if marker.startswith("_") else LOCK_NAME


def check_dir(path: Path, marker: str, setting: str = "out") -> None:
    """Nothing, if `claim_dir` would take the folder; it is not made, so that a wrong photo leaves no empty folder.

    Raises:
        OutputError: it holds something else, or cannot be made.
    """
    if _ADDRESS.match(str(path)) and not path.exists():
        said = _("{path!r} is an address. Give a folder of this machine as `{setting}`.")
        raise OutputError(said.format(path=str(path), setting=setting), path=path)
    try:
        own = (LOCK_NAME, lock_name_of(marker))
        names = [entry.name for entry in path.iterdir() if not is_partial(entry.name) and entry.name not in own]
    except FileNotFoundError:
        names = []
    except NotADirectoryError as exc:
        if path.exists():
            raise OutputError(
                _("{path!r} is a file. Give a folder as `{setting}`.").format(path=str(path), setting=setting),
                path=path,
            ) from exc
        raise _refused_dir(path, exc, setting) from exc
    except OSError as exc:
        raise _refused_dir(path, exc, setting) from exc
    if names and not (path / marker).is_file():
        raise OutputError(
            _(
                "{path!r} is not a folder that tellapart made: it holds {names} and no {marker!r}. Nothing was changed."
                " Give a new or empty folder as `{setting}`."
            ).format(path=str(path), names=name_some(sorted(names)), marker=marker, setting=setting),
            path=path,
        )
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    try:
        check_folder_writable(there)
    except OSError as exc:
        raise _refused_dir(path, exc, setting) from exc


def _refused_dir(path: Path, exc: OSError, setting: str) -> OutputError:
    """What to tell the user when the operating system refuses a folder."""
    return OutputError(
        _("{message}, or give another folder as `{setting}`.").format(
            message=str(output_error(path, exc)).rstrip(".。"), setting=setting
        ),
        path=path,
    )


def check_outside(out_dir: Path, source: str | Path, setting: str = "out") -> None:
    """Nothing, if `out_dir` is not within the folder of photos `source`, nor where links in it lead.

    A source that is no folder holds no other. What lies in its folder `.tellapart`, as the runs of Studio do, is never
    read as photos.

    Raises:
        OutputError: it is.
    """
    if is_inside(out_dir, Path(source) / PROJECT_DIR_NAME):
        return
    if any(is_inside(out_dir, folder) for folder in _folders_read(Path(source))):
        raise OutputError(
            _(
                "`{setting}` {path!r} is inside the photos of {source!r}, so what is written there would count as"
                " photos. Give a folder outside of them."
            ).format(setting=setting, path=str(out_dir), source=str(source)),
            path=out_dir,
        )


def _check_source(file: OutputFile, source: Path, folders: Sequence[Path]) -> None:
    """Nothing, if the file is not the source, nor in one of the folders that are read for it."""
    shown = str(file.path)
    if not folders and _is_same(file.path, source):
        raise OutputError(
            _(
                "`{setting}` {path!r} is a file that is read here, and writing would destroy it. Give another path."
            ).format(setting=file.setting, path=shown),
            path=file.path,
        )
    if is_inside(file.path, source / PROJECT_DIR_NAME):
        return
    if any(is_inside(file.path, folder) for folder in folders):
        raise OutputError(
            _(
                "`{setting}` {path!r} is inside the photos of {source!r}, where nothing is written. Give a path"
                " outside of them."
            ).format(setting=file.setting, path=shown, source=str(source)),
            path=file.path,
        )


def _check_run_file(file: OutputFile) -> None:
    target = Path(os.path.realpath(file.path))
    if target.name.lower() in _RUN_FILES and any((target.parent / name).is_file() for name in _RUN_MARKERS):
        raise OutputError(
            _("`{setting}` {path!r} is a file of a run, which stays as it is. Give another name.").format(
                setting=file.setting, path=str(file.path)
            ),
            path=file.path,
        )


def _check_content(file: OutputFile) -> None:
    shown = str(file.path)
    try:
        if not file.path.exists() or file.path.stat().st_size == 0 or file.is_own(file.path):
            return
        found = sniff_format(_read_head(file.path)[:64])
    except OSError as exc:
        raise OutputError(
            _("{path!r} exists and cannot be read: {reason}. Give another path.").format(
                path=shown, reason=exc.strerror
            ),
            path=file.path,
        ) from exc
    if found is not None:
        raise OutputError(
            _("`{setting}` {path!r} is an image ({format}), and writing would destroy it. Give another path.").format(
                setting=file.setting, path=shown, format=found
            ),
            path=file.path,
        )
    raise OutputError(
        _(
            "`{setting}` {path!r} exists and is not {kind} that tellapart wrote. Give another path, or delete that file"
            " first."
        ).format(setting=file.setting, path=shown, kind=file.kind),
        path=file.path,
    )


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _folders_read(source: Path) -> Iterator[Path]:
    """A folder of photos and the folders that links in it lead to; nothing for a zip, a table or a photo."""
    waiting, seen = [source], set()
    while waiting:
        root = waiting.pop()
        key = _identity(root)
        if key in seen or not root.is_dir():
            continue
        seen.add(key)
        yield root
        for folder, names, _files in os.walk(root):
            links = (Path(folder, name) for name in names if os.path.islink(os.path.join(folder, name)))
            # A link to a folder that holds the photos is not followed when they are read.
            waiting += [link for link in links if not is_inside(source, link)]


def is_inside(path: Path, folder: Path) -> bool:
    """Whether `path`, which need not exist, is `folder` or below it, whatever links or other case lead there."""
    key = _identity(folder)
    target, named = Path(os.path.realpath(path)), Path(os.path.realpath(path.parent))
    return key is not None and any(_identity(each) == key for each in (target, *target.parents, named, *named.parents))


def _is_same(first: Path, second: Path) -> bool:
    """Whether two paths lead to one file, also one that does not exist yet."""
    key = _identity(first)
    return key == _identity(second) if key is not None else os.path.realpath(first) == os.path.realpath(second)


def _identity(path: Path) -> tuple[int, int] | None:
    """What is equal for all names of one file or folder; `None` where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
