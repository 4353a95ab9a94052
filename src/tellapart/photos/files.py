"""Where a photo's bytes are (a file on disk or a member of a zip), and the listing of all files below a source.

Links are followed, never in circles. What is a photo, and of which class, is decided elsewhere; `Labelled` and
`Reading` hold what was decided.
"""

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tellapart.errors import DatasetError, ImageError
from tellapart.formats.other_kinds import HEAD_BYTES, describe_other
from tellapart.formats.photo_formats import sniff_format
from tellapart.photos.names import is_system_name, natural_key
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop

if TYPE_CHECKING:
    from tellapart.zips.archive import Archive

LeftOut = tuple[tuple[str, ...], str]

SYSTEM_REASON = gettext_noop("a hidden or system file")

# Links that lead to folders with links make a folder much larger than it is on disk.
_MOST_LINKS_IN_A_ROW, _MOST_FILES_THROUGH_LINKS = 8, 1_000_000


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A file on disk; `path` is what the operating system opens."""

    path: str

    def head(self, num_bytes: int) -> bytes:
        """At most the first `num_bytes` of the file.

        Raises:
            ImageError: it cannot be opened.
        """
        return self._read(num_bytes, whole=False)

    def read(self, max_bytes: int) -> bytes:
        """All bytes of the file.

        Raises:
            ImageError: it is larger than `max_bytes`, has vanished, or may not be read.
        """
        return self._read(max_bytes, whole=True)

    def modified_ns(self) -> int | None:
        """When the file was last changed, nanoseconds since 1970; `None` if it has vanished."""
        try:
            return os.stat(self.path).st_mtime_ns
        except OSError:
            return None

    def _read(self, max_bytes: int, *, whole: bool) -> bytes:
        try:
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ImageError(_("it is not a regular file"), path=self.path)
                if whole:
                    check_file_size(status.st_size, max_bytes, self.path)
                return file.read(status.st_size if whole else max_bytes)
        except FileNotFoundError as exc:
            raise ImageError(_("the file is no longer there"), path=self.path) from exc
        except OSError as exc:
            raise ImageError(
                _("the file cannot be read: {strerror}").format(strerror=exc.strerror), path=self.path
            ) from exc


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A member of an open zip."""

    archive: "Archive" = field(repr=False)
    name: str

    def head(self, num_bytes: int) -> bytes:
        """At most the first `num_bytes` of the member.

        Raises:
            ImageError: it is damaged.
        """
        return self.archive.head(self.name, num_bytes)

    def read(self, max_bytes: int) -> bytes:
        """All bytes of the member.

        Raises:
            ImageError: it is larger than `max_bytes`, damaged, or grows much more by unpacking than photos do and does
                not begin like one.
        """
        shown = f"{self.archive.path}/{self.name}"
        check_file_size(self.archive.size(self.name), max_bytes, shown)
        if self.archive.is_suspicious(self.name):
            _check_head(self.archive.head(self.name, HEAD_BYTES), shown)
        return self.archive.read(self.name)

    def modified_ns(self) -> int | None:
        """When the file was last changed before it was packed, nanoseconds since 1970; `None` if that is not said."""
        return self.archive.modified_ns(self.name)


def _check_head(head: bytes, path: str) -> None:
    if sniff_format(head) is None:
        raise ImageError(_("is {kind}").format(kind=describe_other(head).reason), path=path)


def check_file_size(num_bytes: int, max_bytes: int, path: str) -> None:
    """Nothing, if a file of that many bytes is read.

    Raises:
        ImageError: it is too large.
    """
    if num_bytes > max_bytes:
        raise ImageError(
            _("the file is too large: {num_bytes:,} bytes, and at most {max_bytes:,} are read").format(
                num_bytes=num_bytes, max_bytes=max_bytes
            ),
            path=path,
        )


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file below a source: `parts` are its folders and its name relative to the source."""

    parts: tuple[str, ...]
    place: DiskFile | ArchiveMember

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return self.parts[-1]


@dataclass(frozen=True)
class Listing:
    """All files below a source in natural order, and what is not listed, as its parts and the reason.

    Hidden files, and those that an operating system makes, are among the latter; of a hidden folder only the folder.
    `folders` are all on disk, those without files included.
    """

    files: tuple[FoundFile, ...]
    left_out: tuple[LeftOut, ...] = ()
    folders: tuple[tuple[str, ...], ...] = ()


def list_archive(archive: "Archive") -> Listing:
    """All members of the zip that are files in natural order, and those that cannot be read."""
    files: list[FoundFile] = []
    left_out: dict[LeftOut, None] = {}
    for name in archive.names:
        parts = tuple(name.split("/"))
        if (system := _system_part(parts)) is None:
            files.append(FoundFile(parts, ArchiveMember(archive, name)))
        else:
            left_out[system, _(SYSTEM_REASON)] = None
    for parts, reason in archive.left_out:
        system = _system_part(parts)
        left_out[(parts, reason) if system is None else (system, _(SYSTEM_REASON))] = None
    files.sort(key=lambda file: natural_key(file.parts))
    return Listing(tuple(files), tuple(sorted(left_out, key=lambda item: natural_key(item[0]))))


def _system_part(parts: tuple[str, ...]) -> tuple[str, ...] | None:
    """The path down to the first folder or file of an operating system, `None` where there is none."""
    depth = next((depth for depth, part in enumerate(parts) if part != ".." and is_system_name(part)), None)
    return None if depth is None else parts[: depth + 1]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A photo with its class, and the split folder it stands in."""

    file: FoundFile
    label: str
    split: str | None = None


@dataclass
class Reading:
    """How files were understood: labelled photos, and files or folders that have no class, with the reason.

    `notes` are sentences for their owner.
    """

    labelled: list[Labelled] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def list_folder(folder: str) -> Listing:
    """All regular files below the folder in natural order; a link is a file or folder at the place of the link.

    Raises:
        DatasetError: the folder itself cannot be opened.
    """
    walk = _Walk(folder)
    walk.run()
    return Listing(
        tuple(sorted(walk.files, key=lambda file: natural_key(file.parts))),
        tuple(sorted(walk.left_out, key=lambda item: natural_key(item[0]))),
        tuple(walk.folders),
    )


@dataclass(frozen=True, slots=True)
class _Link:
    """A link: where it is below the source, its path, and the folders on disk that it was reached through."""

    parts: tuple[str, ...]
    path: str
    reached_through: tuple[str, ...]


class _Walk:
    """One pass over a folder: first what is really there, then what its links lead to, never in a circle."""

    def __init__(self, folder: str) -> None:
        self.root = os.path.realpath(folder)
        self.files: list[FoundFile] = []
        self.folders: list[tuple[str, ...]] = []
        self.left_out: list[LeftOut] = []
        self._links: list[_Link] = []
        self._shown = folder

    def run(self) -> None:
        self._walk_folder((), self.root, ())
        # Links found while following links are appended, and so followed in turn.
        for link in self._links:
            self._follow(link)

    def _walk_folder(self, parts: tuple[str, ...], path: str, reached_through: tuple[str, ...]) -> None:
        waiting = [(parts, path)]
        while waiting:
            here, folder = waiting.pop()
            if here:
                self.folders.append(here)
            for entry in self._entries(here, folder):
                child = (*here, entry.name)
                if is_system_name(entry.name):
                    self.left_out.append((child, _(SYSTEM_REASON)))
                elif entry.is_symlink():
                    self._links.append(_Link(child, entry.path, (folder, *reached_through)))
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((child, entry.path))
                else:
                    self._add_file(child, entry.path, is_regular=entry.is_file(follow_symlinks=False))

    def _entries(self, parts: tuple[str, ...], folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: natural_key((entry.name,)))
        except OSError as exc:
            if not parts:
                raise DatasetError(
                    _("folder {shown!r} cannot be opened: {strerror}. Check the path and its permissions.").format(
                        shown=self._shown, strerror=exc.strerror
                    ),
                    paths=[folder],
                ) from exc
            self.left_out.append((parts, _("the folder cannot be opened: {strerror}").format(strerror=exc.strerror)))
            return []

    def _add_file(self, parts: tuple[str, ...], path: str, *, is_regular: bool) -> None:
        if is_regular:
            self.files.append(FoundFile(parts, DiskFile(path)))
        else:
            self.left_out.append((parts, _("it is not a regular file")))

    def _follow(self, link: _Link) -> None:
        target = os.path.realpath(link.path)
        try:
            mode = os.stat(target).st_mode
        except OSError as exc:
            self.left_out.append((link.parts, _("a link that leads nowhere: {strerror}").format(strerror=exc.strerror)))
            return
        if not stat.S_ISDIR(mode):
            self._add_file(link.parts, target, is_regular=stat.S_ISREG(mode))
        elif any((folder + os.sep).startswith(target.rstrip(os.sep) + os.sep) for folder in link.reached_through):
            self.left_out.append((link.parts, _("a link to a folder that it is in")))
        elif len(link.reached_through) > _MOST_LINKS_IN_A_ROW or len(self.files) > _MOST_FILES_THROUGH_LINKS:
            self.left_out.append((link.parts, _("a link to a folder that is not read: there are too many links")))
        else:
            self._walk_folder(link.parts, target, link.reached_through)
