"""One Studio a folder: who has it, at which address, and the token of its page.

The lock is the system's, which ends with the process however that ends. The file stays, so that the next Studio has
the same port and token, and a page that is still open finds it again.
"""

import os
import re
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.errors import OutputError
from tellapart.runs.run_folder import take_lock
from tellapart.store import output_error, to_json_bytes
from tellapart.translation import gettext as _
from tellapart.untrusted import parse_json, text_of, whole_of

LOCK_NAME = "studio.lock"
_MOST_BYTES = 4096
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,64}")


class FolderTakenError(OutputError):
    """Another Studio has the folder.

    Attributes:
        address: of its page, with its token; `None` where it does not say.
    """

    def __init__(self, message: str, *, path: Path, address: str | None) -> None:
        super().__init__(message, path=path)
        self.address = address


@dataclass(frozen=True)
class Holder:
    """What the file of the lock says: the process that has it, its machine, port and token."""

    process: int
    machine: str
    port: int
    token: str

    @property
    def address(self) -> str:
        """Of the page, with the token in the fragment, which no browser sends."""
        return f"http://127.0.0.1:{self.port}/#{self.token}"


class FolderLock:
    """The lock of a folder, held until `release`, or until the process ends.

    Args:
        state_dir: the folder `.tellapart`, which exists.

    Attributes:
        earlier: what the last Studio of this folder wrote; `None` for the first.

    Raises:
        FolderTakenError: another Studio has the folder.
        OutputError: the file cannot be made.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / LOCK_NAME
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise output_error(self._path, exc) from exc
        self.earlier = self._read()
        if not take_lock(self._descriptor, True):
            os.close(self._descriptor)
            self._refuse()

    def write(self, port: int, token: str) -> Holder:
        """What the file says from now on."""
        holder = Holder(os.getpid(), socket.gethostname(), port, token)
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, to_json_bytes(vars(holder)))
        except OSError as exc:
            raise output_error(self._path, exc) from exc
        return holder

    def release(self) -> None:
        """Nothing; another Studio may have the folder."""
        os.close(self._descriptor)

    def _read(self) -> Holder | None:
        try:
            value: Any = parse_json(os.read(self._descriptor, _MOST_BYTES))
            token = text_of(value["token"])
            if not _TOKEN.fullmatch(token):
                return None
            port = whole_of(value["port"], 1, 65535)
            return Holder(whole_of(value["process"]), text_of(value["machine"]), port, token)
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def _refuse(self) -> None:
        folder, holder = str(self._path.parent.parent), self.earlier
        if holder is None:
            message = _("Studio is open for {folder!r} already. Use that one, or close it first.").format(folder=folder)
            raise FolderTakenError(message, path=self._path, address=None)
        if holder.machine != socket.gethostname():
            message = _("Studio is open for {folder!r} on the machine {machine!r}. Close it there first.")
            shown = message.format(folder=folder, machine=holder.machine)
            raise FolderTakenError(shown, path=self._path, address=None)
        message = _("Studio is open for {folder!r} already, at {address}. Use that one, or close it first.")
        shown = message.format(folder=folder, address=holder.address)
        raise FolderTakenError(shown, path=self._path, address=holder.address)


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(32)
