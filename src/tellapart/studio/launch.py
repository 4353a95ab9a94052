"""Opens a folder in Studio and runs it on its sockets: the port, the lock, the tokens, and the address for phones."""

import io
import secrets
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.errors import ConfigError, DatasetError, OutputError
from tellapart.photos.names import PROJECT_DIR_NAME
from tellapart.store import output_error
from tellapart.studio.app import STUDIO_LIMITS, StudioConfig, create_studio_app
from tellapart.studio.folder_lock import FolderLock, new_token
from tellapart.studio.studio_access import PHONE_PAGE, StudioKeys
from tellapart.translation import gettext as _
from tellapart.web.request_log import RequestLog
from tellapart.web.server import listen, run_app

_LOCAL = "127.0.0.1"
USUAL_PORT = 8100
# An address that no machine has; asking the system how it would get there sends nothing.
_NOWHERE = "192.0.2.1"


@dataclass(frozen=True)
class Launched:
    """A Studio that is about to answer.

    Attributes:
        address: of the page, with its token.
        phone_address: for phones of the same network, with theirs; `None` where none are let in.
        stop: ends it, after what runs.
    """

    address: str
    phone_address: str | None
    stop: Callable[[], None]


def run_studio(
    folder: Path,
    *,
    port: int | None = None,
    has_phones: bool = False,
    log: RequestLog | None = None,
    on_start: Callable[[Launched], None] = lambda launched: None,
) -> None:
    """Nothing; Studio was open for the folder until it was stopped.

    Args:
        folder: of the project; made where there is none.
        port: to listen at, 0 for any that is free; `None` takes the one that this folder had, or 8100, or a free one.
        has_phones: whether phones of the same network can add photos.
        log: where requests are written.
        on_start: told the addresses before Studio answers.

    Raises:
        ConfigError: `has_phones`, and this machine is in no network.
        DatasetError: the folder is none, or cannot be opened.
        FolderTakenError: another Studio has the folder.
        OutputError: the port is taken, or nothing can be written into the folder.
    """
    log = log or RequestLog(None)
    root = _open_folder(folder)
    with ExitStack() as stack:
        lock = FolderLock(root / PROJECT_DIR_NAME)
        stack.callback(lock.release)
        earlier = lock.earlier
        listener = stack.enter_context(_listen(port, None if earlier is None else earlier.port))
        listeners = [listener]
        token = new_token() if earlier is None else earlier.token
        number = listener.getsockname()[1]
        keys, phone_address = StudioKeys(token, port=number), None
        if has_phones:
            phones = stack.enter_context(listen(_own_address(), 0, has_token=True))
            host, phone_port = phones.getsockname()
            keys = StudioKeys(token, secrets.token_urlsafe(24), phone_port, number)
            phone_address = f"http://{host}:{phone_port}{PHONE_PAGE}#{keys.phone_token}"
            listeners.append(phones)
        app = create_studio_app(root, StudioConfig(keys), log)
        state = app.state.studio
        state.facts["lan"] = lambda: None if phone_address is None else describe_phones(phone_address)
        holder = lock.write(number, token)

        def announce(server: Any) -> None:
            def stop() -> None:
                state.events.close()
                server.should_exit = True

            on_start(Launched(holder.address, phone_address, stop))

        run_app(app, listeners, STUDIO_LIMITS, app.state.metrics, log, announce)


def _open_folder(folder: Path) -> Path:
    """The folder, with one for Studio's own files in it."""
    if folder.exists() and not folder.is_dir():
        message = _("{folder!r} is not a folder. Give a folder, and drop the file into Studio.")
        raise DatasetError(message.format(folder=str(folder)), paths=[folder])
    root = folder.absolute()
    try:
        root.mkdir(exist_ok=True)
        (root / PROJECT_DIR_NAME).mkdir(exist_ok=True)
    except OSError as exc:
        raise output_error(root, exc) from exc
    return root


def _listen(port: int | None, earlier: int | None) -> socket.socket:
    """A socket at the port; without one, at that of the earlier Studio, so that an open page finds it again."""
    if port is not None:
        return listen(_LOCAL, port, has_token=True)
    for one in (earlier or USUAL_PORT, USUAL_PORT):
        try:
            return listen(_LOCAL, one, has_token=True)
        except OutputError:
            continue
    return listen(_LOCAL, 0, has_token=True)


def _own_address() -> str:
    """The address of this machine in its network.

    Raises:
        ConfigError: it is in none.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((_NOWHERE, 9))
            host: str = asking.getsockname()[0]
        except OSError:
            host = ""
    if not host or host.startswith("127."):
        message = _("this computer is in no network, so phones cannot reach it. Connect it to one, or leave out `lan`.")
        raise ConfigError(message, field="lan")
    return host


def describe_phones(address: str) -> dict[str, str]:
    """The address for phones, and a picture of it that their cameras read."""
    import segno  # only Studio with phones needs it

    buffer = io.BytesIO()
    segno.make_qr(address, error="m").save(buffer, kind="svg", scale=6, border=2, xmldecl=False, light="#fff")
    return {"address": address, "qr_svg": buffer.getvalue().decode()}
