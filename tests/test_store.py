import csv
import errno
import hashlib
import io
import itertools
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tellapart.errors import OutputError
from tellapart.file_set import read_files, recover_files, write_files
from tellapart.store import (
    escape_cell,
    is_partial,
    open_whole,
    remove_partials,
    restore_cell,
    sha256_hex,
    sync_folder,
    temporary_folder,
    to_csv_bytes,
    to_json_bytes,
    write_file,
)

NAMES = ("weights", "optimizer", "manifest")
MOST = dict.fromkeys(NAMES, 1000)
OLD, NEW, NEWEST = ({name: f"{age} {name}".encode() for name in NAMES} for age in ("old", "new", "newest"))
# As root every access is granted, so nothing can be protected from the tests.
needs_permissions = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")


@pytest.fixture(scope="module", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """A killed process loses nothing that was not synced, so the tests need not wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setitem(REAL, "fsync", os.fsync)
        yield


class Killed(BaseException):
    """The process is gone: nothing after it happens, cleaning up included."""


class Murderer:
    """Lets the first `num_steps` system calls through, then none; a write that dies has written half."""

    def __init__(self, num_steps: int) -> None:
        self.steps_left = num_steps
        self.num_calls = 0

    def step(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.num_calls += 1
            self.steps_left -= 1
            if self.steps_left == -1 and call is REAL["write"]:
                call(args[0], args[1][: len(args[1]) // 2])
            if self.steps_left < 0:
                raise Killed
            return call(*args, **kwargs)

        return watched


REAL = {name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "unlink")}


def write_until_killed(folder: Path, files: dict[str, bytes], num_steps: int) -> int:
    """The number of system calls made by a `write_files` that dies after `num_steps`."""
    murderer = Murderer(num_steps)
    with pytest.MonkeyPatch.context() as patch:
        for name, call in REAL.items():
            patch.setattr(os, name, murderer.step(call))
        try:
            write_files(folder, files, last="manifest")
        except Killed:
            pass
    return murderer.num_calls


def fail_with(code: int) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


def fail_at_call(number: int, code: int, call: Callable[..., Any]) -> Callable[..., Any]:
    calls = itertools.count(1)

    def sometimes(*args: Any, **kwargs: Any) -> Any:
        return (fail_with(code) if next(calls) == number else call)(*args, **kwargs)

    return sometimes


def test_write_file_writes_the_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_file(tmp_path / "metrics.json", b"{}\n")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"metrics.json": b"{}\n"}


def test_write_file_replaces_an_earlier_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"earlier and longer")
    write_file(tmp_path / "a", b"now")
    assert (tmp_path / "a").read_bytes() == b"now"


def test_write_file_goes_on_after_a_short_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, data: REAL["write"](descriptor, data[:3]))
    write_file(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_write_file_syncs_the_file_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: order.append("sync"))
    monkeypatch.setattr(os, "replace", lambda *paths: (order.append("rename"), REAL["replace"](*paths)))
    write_file(tmp_path / "a", b"data")
    assert order == ["sync", "rename", "sync"]


def test_write_file_is_content_where_a_folder_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", fail_at_call(2, errno.EINVAL, REAL["fsync"]))
    write_file(tmp_path / "a", b"data")
    assert (tmp_path / "a").read_bytes() == b"data"


def test_write_file_follows_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"earlier")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_file(tmp_path / "link", b"now")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"now"


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full. Free some space"),
        (errno.EDQUOT, "quota is used up. Free some space"),
        (errno.EROFS, "read-only. Write to another place"),
        (errno.EACCES, "permission denied. Write to a folder that is yours"),
        (errno.EIO, "Check the disk"),
    ],
    ids=["full", "quota", "read-only", "permission", "broken"],
)
def test_a_failed_write_says_why_and_leaves_the_earlier_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, words: str
) -> None:
    (tmp_path / "a").write_bytes(b"earlier")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail_with(code))
        with pytest.raises(OutputError, match=words) as caught:
            write_file(tmp_path / "a", b"now")
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"earlier"}


def test_a_failed_write_leaves_no_file_where_there_was_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", fail_with(errno.ENOSPC))
    with pytest.raises(OutputError):
        write_file(tmp_path / "a", b"now")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a", b"now")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="gone/a.csv': the folder does not exist. Make it first"):
        write_file(tmp_path / "gone" / "a.csv", b"")


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OutputError, match="a folder has that name. Give the path of a file"):
        write_file(tmp_path / "a", b"")


def test_a_device_is_not_replaced_by_a_file() -> None:
    with pytest.raises(OutputError, match="not an ordinary file"):
        write_file(Path(os.devnull), b"")
    assert not Path(os.devnull).is_file()


@needs_permissions
def test_a_file_its_owner_protected_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    (tmp_path / "a").chmod(0o444)
    with pytest.raises(OutputError, match="permission denied"):
        write_file(tmp_path / "a", b"now")
    assert (tmp_path / "a").read_bytes() == b"mine"


def test_write_files_leaves_exactly_the_set(tmp_path: Path) -> None:
    write_files(tmp_path, OLD, last="manifest")
    write_files(tmp_path, NEW, last="manifest")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == NEW


@pytest.mark.parametrize("number", range(1, 7))
def test_a_disk_that_fills_up_while_staging_leaves_exactly_the_old_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write_files(tmp_path, OLD, last="manifest")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_at_call(number, errno.ENOSPC, REAL["fsync"]))
        with pytest.raises(OutputError, match="cannot write .*/(weights|optimizer|manifest)': the disk is full"):
            write_files(tmp_path, NEW, last="manifest")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == OLD


@settings(deadline=None, max_examples=100)
@given(first=st.integers(0, 40), second=st.integers(0, 40))
def test_a_kill_between_any_two_system_calls_leaves_one_whole_set(first: int, second: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, OLD, last="manifest")
        write_until_killed(folder, NEW, first)
        after_first = read_files(folder, MOST, last="manifest")
        assert after_first in (OLD, NEW)
        write_until_killed(folder, NEWEST, second)
        after_second = read_files(folder, MOST, last="manifest")
        assert after_second in (after_first, NEWEST)

        recover_files(folder, NAMES, last="manifest")
        assert {name: (folder / name).read_bytes() for name in NAMES} == after_second
        remove_partials(folder)
        write_files(folder, OLD, last="manifest")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == OLD


def test_each_single_step_of_a_first_writing_can_be_the_last(tmp_path: Path) -> None:
    num_steps = write_until_killed(tmp_path, OLD, 10**6)
    assert 20 < num_steps < 41  # the range of the property above covers all of them
    states = []
    for step in range(num_steps + 1):
        folder = tmp_path / str(step)
        folder.mkdir()
        write_until_killed(folder, NEW, step)
        states.append((folder / "manifest").exists() or (folder / "manifest.next").exists())
    # Nothing to be read before the manifest is staged, a whole set from then on.
    assert states == sorted(states)
    complete = tmp_path / str(states.index(True))
    assert read_files(complete, MOST, last="manifest") == NEW


def test_read_files_names_the_file_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "manifest").write_bytes(b"")
    with pytest.raises(FileNotFoundError) as caught:
        read_files(tmp_path, {"weights": 10}, last="manifest")
    assert Path(caught.value.filename).name == "weights"


def test_read_files_ignores_a_next_file_without_the_last_one(tmp_path: Path) -> None:
    write_files(tmp_path, OLD, last="manifest")
    (tmp_path / "weights.next").write_bytes(b"leftover")
    assert read_files(tmp_path, MOST, last="manifest") == OLD


def test_recover_files_touches_no_other_next_file(tmp_path: Path) -> None:
    write_files(tmp_path, OLD, last="manifest")
    (tmp_path / "manifest.next").write_bytes(b"new manifest")
    (tmp_path / "notes.next").write_bytes(b"the user's")
    recover_files(tmp_path, NAMES, last="manifest")
    assert (tmp_path / "notes.next").read_bytes() == b"the user's"
    assert (tmp_path / "manifest").read_bytes() == b"new manifest"


def test_remove_partials_removes_ours_and_only_ours(tmp_path: Path) -> None:
    write_until_killed(tmp_path, OLD, 3)
    (tmp_path / "film.partial").write_bytes(b"a download")
    assert remove_partials(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["film.partial"]


def test_remove_partials_of_a_missing_folder_is_zero(tmp_path: Path) -> None:
    assert remove_partials(tmp_path / "gone") == 0


def test_sha256_hex_agrees_with_hashlib() -> None:
    assert sha256_hex(b"abc") == hashlib.sha256(b"abc").hexdigest()


def test_json_keeps_the_order_and_the_letters() -> None:
    assert to_json_bytes({"z": "Kätzchen", "a": [1]}) == '{\n  "z": "Kätzchen",\n  "a": [\n    1\n  ]\n}\n'.encode()


@given(st.dictionaries(st.text(st.characters()), st.floats(allow_nan=False, allow_infinity=False) | st.text()))
def test_json_reads_back_the_same(value: dict[str, float | str]) -> None:
    assert json.loads(to_json_bytes(value).decode("utf-8")) == value


def test_json_keeps_stray_bytes_of_a_file_name() -> None:
    name = b"cat\xff.jpg".decode("utf-8", "surrogateescape")
    assert json.loads(to_json_bytes([name]).decode("utf-8")) == [name]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_numbers_that_are_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json_bytes([value])


def test_open_whole_shows_the_file_only_when_the_block_has_ended(tmp_path: Path) -> None:
    with open_whole(tmp_path / "a.csv") as file:
        file.write(b"one\n")
        file.write(b"two\n")
        assert not (tmp_path / "a.csv").exists()
        assert file.path.read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "a.csv").read_bytes() == b"one\ntwo\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def write_then(path: Path, then: Callable[[], object]) -> None:
    with open_whole(path) as file:
        file.write(b"new")
        then()
        file.write(b"more")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError], ids=lambda error: error.__name__)
def test_open_whole_leaves_the_earlier_file_when_the_block_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("of the block")

    (tmp_path / "a.csv").write_bytes(b"earlier")
    with pytest.raises(error, match="of the block"):
        write_then(tmp_path / "a.csv", fail)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.csv", b"earlier")]


def test_open_whole_names_the_file_when_the_disk_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="a.csv': the disk is full"):
        write_then(tmp_path / "a.csv", lambda: monkeypatch.setattr(os, "write", fail_with(errno.ENOSPC)))
    assert list(tmp_path.iterdir()) == []


def test_open_whole_refuses_a_place_it_cannot_write_to_before_the_block(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="gone"), open_whole(tmp_path / "gone" / "a.csv"):
        pytest.fail("the block has begun")


@pytest.mark.parametrize(("is_synced", "num_syncs"), [(True, 2), (False, 0)], ids=["synced", "not synced"])
def test_open_whole_waits_for_the_disk_only_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_synced: bool, num_syncs: int
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with open_whole(tmp_path / "a.jpg", is_synced=is_synced) as file:
        file.write(b"photo")
    assert len(synced) == num_syncs


def test_sync_folder_says_when_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", fail_with(errno.EIO))
    with pytest.raises(OutputError, match="cannot write"):
        sync_folder(tmp_path)


@given(rows=st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=3), max_size=4))
@example(rows=[["a\rb"], [""], ['"', ",", "\n"]])
def test_a_table_is_read_back_whatever_is_in_a_name(rows: list[list[str]]) -> None:
    text = to_csv_bytes(rows).decode("utf-8-sig")
    read = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert [[restore_cell(cell) for cell in row] for row in read] == rows


@given(text=st.text(st.sampled_from("'=+-@\t\r1a"), max_size=5))
def test_no_text_begins_a_formula_and_each_comes_back(text: str) -> None:
    cell = escape_cell(text)
    assert restore_cell(cell) == text
    assert not cell.startswith(("=", "@", "\t", "\r"))
    assert not cell.startswith(("+", "-")) or math.isfinite(float(cell))


@pytest.mark.parametrize("text", ["-1", "+0.5", "-1e-05", "1", "a=b", "it's", "'quoted'"])
def test_numbers_and_plain_texts_stay_as_they_are(text: str) -> None:
    assert escape_cell(text) == restore_cell(text) == text


def test_a_table_begins_with_a_byte_order_mark_and_its_later_rows_do_not() -> None:
    assert to_csv_bytes([["é"]]) == b"\xef\xbb\xbf\xc3\xa9\n"
    assert to_csv_bytes([["é"]], is_start=False) == b"\xc3\xa9\n"


def test_the_lines_of_a_table_end_as_on_unix() -> None:
    assert to_csv_bytes([["a", 1], ["b\r\n", 2]], is_start=False) == b'a,1\n"b\r\n",2\n'


def test_a_temporary_folder_lies_beside_the_files_and_goes_again(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder:
        (folder / "part").write_bytes(b"data")
        assert [path.parent for path in tmp_path.iterdir()] == [tmp_path]
        assert is_partial(folder.name)
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_that_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".tellapart-0.partial").mkdir()
    (tmp_path / ".tellapart-0.partial" / "part").write_bytes(b"data")
    assert remove_partials(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_in_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the folder does not exist"), temporary_folder(tmp_path / "nowhere"):
        pass
