"""The names of the members of a zip: as text, with their folders as parts, or why a member has no name to go by."""

from collections.abc import Sequence
from pathlib import Path

from tellapart.errors import DatasetError
from tellapart.translation import gettext as _
from tellapart.zips.directory import Entry
from tellapart.zips.name_encoding import find_text

_MAX_PART_LENGTH = 255
_MAX_NAME_LENGTH = 4096


def member_names(path: Path, entries: Sequence[Entry]) -> list[str]:
    """The name of each member, with `/` between folders; folders end in one.

    Windows programs write a backslash where `/` belongs: both part folders.

    Args:
        path: the archive, used in messages.
        entries: of its directory.

    Raises:
        DatasetError: the archive does not say how its names are encoded, and it cannot be told.
    """
    untold = {entry.raw_name for entry in entries if entry.unicode_name is None}
    texts = find_text(untold) if untold else {}
    if texts is None:
        first = min(untold)
        raise DatasetError(
            _(
                "archive {path!r} does not say how its file names are encoded, such as {first!r}. Pack it again "
                "with names in UTF-8, as macOS, Linux and 7-Zip (cu=on) do. Or unpack it where it was made, "
                "and give the folder."
            ).format(path=str(path), first=first),
            paths=[path],
        )
    names = [entry.unicode_name if entry.unicode_name is not None else texts[entry.raw_name] for entry in entries]
    return [name.replace("\\", "/") for name in names]


def split_name(name: str) -> tuple[tuple[str, ...], str | None]:
    """The folders and the file name in a name, without empty ones, and why the member is skipped, or `None`.

    Where it is skipped the parts are for showing alone.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    shown = tuple(part[:_MAX_PART_LENGTH] for part in parts[:20]) or (name[:_MAX_PART_LENGTH],)
    if "\0" in name:
        return shown, _("has a zero byte in its name")
    if name.startswith("/") or (name[1:2] == ":" and name[0].isalpha()):
        return shown, _("has an absolute path, which leads out of the archive")
    if ".." in parts:
        return shown, _("leads out of the archive with '..'")
    if not parts:
        return shown, _("has no name")
    if len(name) > _MAX_NAME_LENGTH or max(map(len, parts)) > _MAX_PART_LENGTH:
        return shown, _("has a name of more than {most} characters").format(most=_MAX_PART_LENGTH)
    return parts, None
