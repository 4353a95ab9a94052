"""How Studio begins: the folder, the port, the token, and the address for phones."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from tellapart.errors import ConfigError, DatasetError, OutputError
from tellapart.studio import launch
from tellapart.studio.folder_lock import FolderLock, FolderTakenError
from tellapart.studio.launch import Launched, run_studio


def started(folder: Path, **settings: Any) -> Launched:
    """What a Studio said, which was stopped at once."""
    said: list[Launched] = []

    def on_start(launched: Launched) -> None:
        said.append(launched)
        launched.stop()

    run_studio(folder, on_start=on_start, **settings)
    return said[0]


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#[\w-]{43}", started(tmp_path / "new", port=0).address)
    assert (tmp_path / "new").is_dir()


def test_the_next_studio_of_a_folder_has_its_port_and_token(folder: Path) -> None:
    assert started(folder, port=0).address == started(folder).address


def test_each_folder_has_a_token_of_its_own(tmp_path: Path) -> None:
    tokens = {started(tmp_path / name, port=0).address.partition("#")[2] for name in ("a", "b")}
    assert len(tokens) == 2


def test_another_port_is_taken_where_the_usual_one_is_not_free(folder: Path) -> None:
    earlier = started(folder, port=0)
    port = int(earlier.address.rpartition(":")[2].partition("/")[0])
    with socket.create_server(("127.0.0.1", port)):
        assert started(folder).address != earlier.address


def test_a_port_that_was_asked_for_is_not_replaced(folder: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(OutputError, match="is taken by another program"),
    ):
        started(folder, port=other.getsockname()[1])


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match="is not a folder"):
        started(tmp_path / "photos.zip")


def test_a_second_studio_is_told_the_address_of_the_first(folder: Path) -> None:
    (folder / ".tellapart").mkdir()
    lock = FolderLock(folder / ".tellapart")
    address = lock.write(8123, "t" * 43).address
    with pytest.raises(FolderTakenError, match=re.escape(address)) as caught:
        started(folder, port=0)
    lock.release()
    assert caught.value.address == address
    started(folder, port=0)


@pytest.mark.parametrize("content", [b"", b"rubbish", b"{}", b'{"token": "x"}', b"\xff" * 9000, b"[1]"])
def test_a_lock_that_says_nothing_is_written_again(content: bytes, folder: Path) -> None:
    (folder / ".tellapart").mkdir()
    (folder / ".tellapart/studio.lock").write_bytes(content)
    first = started(folder, port=0)
    assert started(folder).address == first.address


def test_only_the_owner_can_read_the_token(folder: Path) -> None:
    started(folder, port=0)
    assert (folder / ".tellapart/studio.lock").stat().st_mode & 0o077 == 0


def test_phones_have_an_address_and_a_picture_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_own_address", lambda: "127.0.0.1")
    launched = started(folder, port=0, has_phones=True)
    assert launched.phone_address is not None
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/phone#[\w-]{32}", launched.phone_address)
    described = launch.describe_phones(launched.phone_address)
    assert described["qr_svg"].startswith("<svg")
    assert launched.phone_address.partition("#")[2] not in launched.address


def test_a_machine_in_no_network_has_no_address_for_phones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(ConfigError, match="in no network"):
        started(folder, port=0, has_phones=True)
