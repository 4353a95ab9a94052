import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.cache import photo_store, photo_tables
from tellapart.cache.photo_store import PhotoStore, is_store, list_store_files

KIND, OTHER_KIND = "facts 1", "embedding ab mirrored"
DAY_SECONDS = 24 * 3600
# Adds ten photos at a time, the values of which follow from their digests, and tells of each addition when it is
# done.
CHILD = """
import sys
from pathlib import Path
from tellapart.cache.photo_store import PhotoStore
path, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with PhotoStore(path, timeout_seconds=20) as store:
    for first in range(start, stop, 10):
        store.add({f"{row:040x}": {"facts 1": b"%d" % row * 64} for row in range(first, first + 10)})
        print(first + 10, flush=True)
    print(store.note, flush=True)
"""

Values = dict[str, bytes]


def make_values(num: int, size: int = 256, seed: int = 0) -> Values:
    """As many different values of random bytes, by random digests."""
    generator = np.random.default_rng(seed)
    return {generator.bytes(20).hex(): generator.bytes(size) for _ in range(num)}


def of_rows(rows: range) -> Values:
    """What the child process adds of these rows."""
    return {f"{row:040x}": b"%d" % row * 64 for row in rows}


def put(store: PhotoStore, items: Values, kind: str = KIND) -> None:
    store.add({digest: {kind: value} for digest, value in items.items()})


def get(store: PhotoStore, digests: Iterable[str], kind: str = KIND) -> Values:
    return {digest: kinds[kind] for digest, kinds in store.find(list(digests), [kind]).items()}


def add(path: Path, items: Values, kind: str = KIND) -> None:
    with PhotoStore(path) as store:
        put(store, items, kind)
        assert store.note is None


def find(path: Path, items: Values, kind: str = KIND) -> Values:
    with PhotoStore(path) as store:
        return get(store, items, kind)


def execute(path: Path, statement: str) -> list[tuple[object, ...]]:
    """What a statement gives that another program runs on the file."""
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(statement).fetchall()
    connection.close()
    return rows


def flip(path: Path, value: bytes) -> None:
    """Changes one bit inside of `value` where it is in the file."""
    content = bytearray(path.read_bytes())
    place = content.index(value)
    content[place + 5] ^= 0x10
    path.write_bytes(content)


def start_child(path: Path, start: int, stop: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(path), str(start), str(stop)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def set_off(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "photos.sqlite3"


@pytest.fixture
def filled(path: Path) -> Values:
    """What is in the store at `path`: 300 values."""
    items = make_values(300)
    add(path, items)
    return items


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that sets the time, in days."""

    def set_time(days: float) -> None:
        monkeypatch.setattr(photo_tables.time, "time", lambda: 1e9 + days * DAY_SECONDS)

    return set_time


def test_what_was_added_is_found_by_another_process_later(path: Path, filled: Values) -> None:
    assert find(path, filled) == filled


def test_only_those_that_are_there_are_found(path: Path, filled: Values) -> None:
    assert find(path, {**filled, **make_values(3, seed=1)}) == filled


def test_another_kind_has_other_values(path: Path, filled: Values) -> None:
    others = {digest: value[:32] for digest, value in filled.items()}
    assert find(path, filled, OTHER_KIND) == {}
    add(path, others, OTHER_KIND)
    assert find(path, filled, OTHER_KIND) == others
    assert find(path, filled) == filled


def test_adding_again_replaces(path: Path, filled: Values) -> None:
    newer = {digest: value * 2 for digest, value in filled.items()}
    add(path, newer)
    assert find(path, filled) == newer
    assert execute(path, "SELECT COUNT(*) FROM seen") == [(len(filled),)]


def test_more_photos_than_one_query_takes_are_found(path: Path) -> None:
    items = make_values(1203, size=8)
    add(path, items)
    assert find(path, items) == items


@given(
    values=st.dictionaries(
        st.binary(min_size=20, max_size=20).map(bytes.hex),
        st.dictionaries(st.text(min_size=1, max_size=9), st.binary(max_size=90), min_size=1, max_size=3),
        max_size=8,
    )
)
def test_every_value_of_every_kind_comes_back(
    values: dict[str, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kinds = sorted({kind for items in values.values() for kind in items})
    with PhotoStore(tmp_path_factory.mktemp("round-trip") / "photos.sqlite3") as store:
        store.add(values)
        assert store.find(list(values), kinds) == values
        assert store.note is None


def test_photos_are_counted_once_however_much_is_known_of_them(path: Path, filled: Values) -> None:
    add(path, filled, OTHER_KIND)
    with PhotoStore(path) as store:
        assert store.num_photos() == 300


def test_looking_into_a_store_that_is_not_there_makes_nothing(path: Path) -> None:
    with PhotoStore(path) as store:
        assert get(store, make_values(2)) == {}
        store.add({})
        assert (store.num_photos(), store.note) == (0, None)
    assert not path.parent.exists()


def test_one_file_is_left(path: Path, filled: Values) -> None:
    find(path, filled)
    assert list(path.parent.iterdir()) == [path]


def overwrite_with_noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(50_000))


def overwrite_with_text(path: Path) -> None:
    path.write_text("these are not the values you are looking for\n")


def overwrite_with_another_database(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE photos (digest, kind, value)")


def mark_as_another_programs(path: Path) -> None:
    execute(path, "PRAGMA application_id = 7")


def cut_in_header(path: Path) -> None:
    os.truncate(path, 60)


def damage_cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def damage_behind_header(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:33_000] + b"\xff" * (len(content) - 33_000))


def damage_table_missing(path: Path) -> None:
    execute(path, "DROP TABLE seen")


def damage_column_missing(path: Path) -> None:
    execute(path, "ALTER TABLE photos RENAME COLUMN used TO spent")


def make_damaged(path: Path) -> None:
    add(path, make_values(300))
    damage_behind_header(path)


DAMAGES = [damage_cut, damage_behind_header, damage_table_missing, damage_column_missing]
FILES_OF_OTHERS = [
    overwrite_with_noise,
    overwrite_with_text,
    overwrite_with_another_database,
    mark_as_another_programs,
    cut_in_header,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_store_is_found_empty_and_made_again(
    damage: Callable[[Path], None], path: Path, filled: Values
) -> None:
    damage(path)
    with PhotoStore(path) as store:
        assert get(store, filled) == {}
        put(store, filled)
        assert get(store, filled) == filled
        assert store.note is not None
        assert re.search(r"photos\.sqlite3' was damaged and is made again", store.note)
    assert list(path.parent.iterdir()) == [path]
    assert find(path, filled) == filled


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_can_be_added_to(damage: Callable[[Path], None], path: Path, filled: Values) -> None:
    damage(path)
    more = make_values(5, seed=1)
    with PhotoStore(path) as store:
        put(store, more)
    assert find(path, more) == more


@pytest.mark.parametrize("overwrite", FILES_OF_OTHERS, ids=lambda overwrite: overwrite.__name__)
def test_a_file_that_is_no_store_of_ours_is_never_touched(
    overwrite: Callable[[Path], None], path: Path, filled: Values
) -> None:
    overwrite(path)
    content = path.read_bytes()
    with PhotoStore(path) as store:
        assert get(store, filled) == {}
        put(store, filled)
        assert store.num_photos() == 0
        assert store.note is not None
        assert "is not a store of tellapart and stays as it is. The photos are read without it." in store.note
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]
    assert list_store_files(path) == []


def test_a_store_that_another_program_replaces_while_it_is_open_is_left_to_it(path: Path, filled: Values) -> None:
    with PhotoStore(path) as store:
        assert get(store, filled) == filled
        content = b"dear diary" * 50_000
        path.write_bytes(content)
        put(store, make_values(2, seed=1))
        get(store, filled)
    assert path.read_bytes() == content


def test_a_store_of_another_version_is_made_again(path: Path, filled: Values) -> None:
    execute(path, "PRAGMA user_version = 99")
    with PhotoStore(path) as store:
        assert get(store, filled) == {}
        assert store.note is not None
        assert "is of another version of tellapart and is made again" in store.note
        put(store, filled)
    assert find(path, filled) == filled


def test_an_empty_file_is_an_empty_store(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    items = make_values(3)
    with PhotoStore(path) as store:
        assert get(store, items) == {}
        put(store, items)
        assert store.note is None
    assert find(path, items) == items


def test_of_a_changed_value_only_that_one_is_lost(path: Path, filled: Values) -> None:
    digest, value = list(filled.items())[100]
    flip(path, value)
    rest = {other: kept for other, kept in filled.items() if other != digest}
    with PhotoStore(path) as store:
        assert get(store, filled) == rest
        assert store.note is not None
        assert "held damaged entries, which are computed again" in store.note
        put(store, {digest: value})
    assert find(path, filled) == filled


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE seen SET value = substr(value, 1, 252) WHERE rowid = 7",
        "UPDATE seen SET value = x'' WHERE rowid = 7",
        "UPDATE seen SET value = 'text' WHERE rowid = 7",
        "UPDATE seen SET value = 3.5 WHERE rowid = 7",
        "UPDATE seen SET value = (SELECT value FROM seen WHERE rowid = 8) WHERE rowid = 7",
        "UPDATE seen SET digest = x'00112233445566778899aabbccddeeff00112233' WHERE rowid = 7",
        "UPDATE seen SET checksum = 5 WHERE rowid = 7",
        "DELETE FROM seen WHERE rowid = 7",
    ],
    ids=["cut", "empty", "text", "number", "of another photo", "digest", "checksum", "gone"],
)
def test_a_row_that_does_not_match_its_checksum_counts_as_absent(statement: str, path: Path, filled: Values) -> None:
    execute(path, statement)
    found = find(path, {**filled, "00112233445566778899aabbccddeeff00112233": b""})
    assert len(found) == 299
    assert found == {digest: filled[digest] for digest in found}


def test_a_locked_file_is_done_without_and_used_again_when_it_is_free(path: Path, filled: Values) -> None:
    more = make_values(4, seed=1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with PhotoStore(path, timeout_seconds=0.2) as store:
        assert get(store, filled) == {}
        put(store, more)
        assert store.note is not None
        assert "is locked by another program. The photos are read without it" in store.note
        other.execute("ROLLBACK")
        put(store, more)
        assert get(store, more) == more
    other.close()


def test_a_lock_is_waited_for_only_once(path: Path, filled: Values, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    connect = photo_store.connect

    def connect_noting(path: Path, timeout_seconds: float) -> sqlite3.Connection:
        waits.append(timeout_seconds)
        return connect(path, timeout_seconds)

    monkeypatch.setattr(photo_store, "connect", connect_noting)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with PhotoStore(path, timeout_seconds=0.05) as store:
        for _ in range(30):
            put(store, filled)
    assert (waits[0], sum(waits)) == (0.05, 0.05)
    other.close()


def test_finding_does_not_wait_for_a_process_that_adds(
    path: Path, filled: Values, clock: Callable[[float], None]
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    clock(1e4)
    with PhotoStore(path, timeout_seconds=30) as store:
        assert get(store, filled) == filled
        assert store.note is None  # which waiting in vain would leave
    other.close()


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    items = make_values(2)
    with PhotoStore(tmp_path / "file" / "photos.sqlite3") as store:
        put(store, items)
        assert get(store, items) == {}
        assert store.note is not None
        assert re.search(r"cannot be used .*\. The photos are read without it\. .* `cache_dir`", store.note)


def test_a_folder_in_place_of_the_file_is_done_without(path: Path) -> None:
    path.mkdir(parents=True)
    with PhotoStore(path) as store:
        put(store, make_values(2))
        assert get(store, ["00" * 20]) == {}
        assert store.note is not None
        assert "it is a folder" in store.note
    assert path.is_dir()


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function after whose call every connection of ours begins with the statement given."""

    connect_normally = photo_store.connect

    def limit(statement: str) -> None:
        def connect(path: Path, timeout_seconds: float) -> sqlite3.Connection:
            connection = connect_normally(path, timeout_seconds)
            connection.execute(statement)
            return connection

        monkeypatch.setattr(photo_store, "connect", connect)

    return limit


SIDE_FILES = ("", "-journal", "-wal", "-shm")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs in folders")
@pytest.mark.parametrize("suffix", SIDE_FILES)
def test_a_pipe_in_place_of_a_file_of_the_store_is_done_without(suffix: str, path: Path, filled: Values) -> None:
    place = path.with_name(path.name + suffix)
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    with PhotoStore(path) as store:
        put(store, filled)
        assert get(store, filled) == {}
        assert "it is a pipe, socket or device, not a file" in str(store.note)
    assert stat.S_ISFIFO(place.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
@pytest.mark.parametrize("suffix", SIDE_FILES)
def test_a_link_to_a_device_in_place_of_a_file_of_the_store_is_done_without(
    suffix: str, path: Path, filled: Values
) -> None:
    place = path.with_name(path.name + suffix)
    place.unlink(missing_ok=True)
    place.symlink_to("/dev/zero")
    with PhotoStore(path) as store:
        put(store, filled)
        assert get(store, filled) == {}
        assert "it is a pipe, socket or device, not a file" in str(store.note)
    assert place.is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs in folders")
def test_a_pipe_is_no_store_and_none_of_its_files(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert not is_store(path)
    assert list_store_files(path) == []


def test_a_read_only_cache_is_read(
    path: Path, filled: Values, limited: Callable[[str], None], clock: Callable[[float], None]
) -> None:
    limited("PRAGMA query_only = ON")
    clock(1e4)
    with PhotoStore(path) as store:
        assert get(store, filled) == filled
        assert store.note is None
        put(store, make_values(2, seed=1))
        assert store.note is not None
        assert "cannot be used (attempt to write a readonly database)" in store.note
    assert find(path, filled) == filled


def test_a_full_disk_keeps_what_is_there(path: Path, filled: Values, limited: Callable[[str], None]) -> None:
    limited("PRAGMA max_page_count = 8")
    more = make_values(500, seed=1)
    with PhotoStore(path) as store:
        put(store, more)
        assert store.note is not None
        assert "cannot be used (database or disk is full)" in store.note
        assert get(store, more) == {}
        assert get(store, filled) == filled


def test_a_damaged_file_that_cannot_be_replaced_is_done_without(
    path: Path, filled: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    damage_behind_header(path)
    monkeypatch.setattr(photo_store.os, "rename", refuse)
    with PhotoStore(path) as store:
        assert get(store, filled) == {}
        put(store, filled)
        assert store.note is not None
        assert "was damaged and cannot be replaced (Permission denied)" in store.note


def test_a_cache_that_another_process_has_made_anew_is_not_destroyed(path: Path, filled: Values) -> None:
    fresh = make_values(3, seed=1)
    with PhotoStore(path) as slow:
        assert slow.num_photos() == 300
        content = path.read_bytes()
        with open(path, "r+b") as file:
            file.seek(33_000)
            file.write(b"\xff" * (len(content) - 33_000))
        with PhotoStore(path) as quick:
            assert get(quick, filled) == {}
            put(quick, fresh)
        assert get(slow, [*filled, *fresh]) == fresh
    assert list(path.parent.iterdir()) == [path]


def test_a_new_cache_that_was_moved_by_mistake_is_put_back(
    path: Path, filled: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = make_values(3, seed=1)
    rename = os.rename

    def be_late(source: Path, target: Path) -> None:
        monkeypatch.setattr(photo_store.os, "rename", rename)
        with PhotoStore(path) as quick:
            put(quick, fresh)
        rename(source, target)

    damage_behind_header(path)
    monkeypatch.setattr(photo_store.os, "rename", be_late)
    with PhotoStore(path) as slow:
        assert get(slow, fresh) == fresh
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("remove", [lambda path: path.unlink(), lambda path: path.rename(path.with_name("elsewhere"))])
def test_a_file_that_is_taken_away_in_between_is_made_anew(
    remove: Callable[[Path], object], path: Path, filled: Values
) -> None:
    more = make_values(3, seed=1)
    with PhotoStore(path) as store:
        assert get(store, filled) == filled
        remove(path)
        put(store, more)
        assert store.note is None
    assert find(path, {**filled, **more}) == more


def test_a_folder_that_is_taken_away_in_between_is_made_again(path: Path, filled: Values) -> None:
    more = make_values(3, seed=1)
    with PhotoStore(path) as store:
        assert get(store, filled) == filled
        path.unlink()
        path.parent.rmdir()
        put(store, more)
    assert find(path, more) == more


def test_a_journal_that_is_cleared_while_adding_costs_nothing(
    path: Path, filled: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    checksum = photo_tables._checksum

    def clear_journal(digest: bytes, kind: object, value: bytes) -> bytes:
        monkeypatch.setattr(photo_tables, "_checksum", checksum)
        path.with_name(path.name + "-journal").unlink()
        return checksum(digest, kind, value)

    more = make_values(3, seed=1)
    monkeypatch.setattr(photo_tables, "_checksum", clear_journal)
    with PhotoStore(path) as store:
        put(store, more)
        assert store.note is None
    assert find(path, {**filled, **more}) == {**filled, **more}


def test_ctrl_c_while_adding_leaves_a_cache_that_can_be_added_to(
    path: Path, filled: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> bytes:
        raise KeyboardInterrupt

    more = make_values(3, seed=1)
    with PhotoStore(path) as store:
        with monkeypatch.context() as patch:
            patch.setattr(photo_tables, "_checksum", interrupt)
            with pytest.raises(KeyboardInterrupt):
                put(store, more)
        put(store, more)
        assert store.note is None
    assert find(path, {**filled, **more}) == {**filled, **more}


@pytest.mark.parametrize(
    ("begin", "num_told"), [(Path.touch, 0), (make_damaged, 1)], ids=["an empty file", "a damaged store"]
)
def test_two_processes_add_at_once(begin: Callable[[Path], None], num_told: int, path: Path) -> None:
    path.parent.mkdir()
    begin(path)
    processes = [start_child(path, 0, 300), start_child(path, 200, 500)]
    for process in processes:
        set_off(process)
    notes = [process.communicate(timeout=60)[0].splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    expected = of_rows(range(500))
    assert find(path, expected) == expected
    assert sum("was damaged and is made again" in note for note in notes) == num_told
    assert notes.count("None") == 2 - num_told
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("after", [10, 150, 400], ids=lambda after: f"after {after}")
def test_what_was_added_before_a_kill_is_there(after: int, path: Path) -> None:
    process = start_child(path, 0, 10_000)
    set_off(process)
    assert process.stdout is not None
    told = next(int(line) for line in process.stdout if int(line) >= after)
    process.send_signal(signal.SIGKILL)
    told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
    process.communicate()
    expected = of_rows(range(told))
    with PhotoStore(path) as store:
        assert get(store, expected) == expected
        assert store.num_photos() % 10 == 0
        assert store.note is None
    assert execute(path, "PRAGMA integrity_check") == [("ok",)]


def test_the_least_recently_used_go_when_the_file_grows_too_large(path: Path, clock: Callable[[float], None]) -> None:
    max_bytes = 3_800_000
    batches = [make_values(300, size=4096, seed=seed) for seed in range(4)]
    with PhotoStore(path, max_bytes=max_bytes) as store:
        for number in (0, 1):
            clock(number)
            put(store, batches[number])
        clock(5)
        assert get(store, batches[0]) == batches[0]
        put(store, batches[2])
        assert get(store, batches[0]) == batches[0]
        assert len(get(store, batches[1])) < 150
        assert get(store, batches[2]) == batches[2]
        put(store, batches[3])
        assert get(store, batches[3]) == batches[3]
        assert store.note is None
    assert path.stat().st_size <= max_bytes
    assert execute(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_bound_that_nothing_fits_into_leaves_nothing(path: Path) -> None:
    with PhotoStore(path, max_bytes=1000) as store:
        put(store, make_values(50))
        assert (store.num_photos(), store.note) == (0, None)


def test_a_use_is_noted_once_a_day(path: Path, clock: Callable[[float], None]) -> None:
    items = make_values(3)
    times = []
    clock(0)
    add(path, items)
    for days in (0.5, 2, 2.5, 1):
        clock(days)
        find(path, items)
        times.append({(row[0] - 10**9) / DAY_SECONDS for row in execute(path, "SELECT used FROM photos")})  # type: ignore[operator]
    assert times == [{0}, {2}, {2}, {2}]


def test_a_use_in_the_future_is_put_right(path: Path, clock: Callable[[float], None]) -> None:
    items = make_values(3)
    clock(100)
    add(path, items)
    clock(0)
    find(path, items)
    assert execute(path, "SELECT DISTINCT used FROM photos") == [(10**9,)]


def test_the_files_of_a_store_are_listed_with_what_kills_left(path: Path, filled: Values) -> None:
    for suffix in ("-journal", ".damaged-0011aabb", ".txt", "s"):
        path.with_name(path.name + suffix).write_bytes(b"12345")
    names = [file.name.removeprefix("photos.sqlite3") for file in list_store_files(path)]
    assert names == ["", "-journal", ".damaged-0011aabb"]


def test_many_threads_find_while_one_adds(path: Path, filled: Values) -> None:
    more = make_values(200, seed=1)
    with PhotoStore(path) as store, ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda digest: get(store, [digest]), filled)
        for digest, value in more.items():
            put(store, {digest: value})
        assert [next(iter(one.values())) for one in found] == list(filled.values())
        assert store.note is None
    assert find(path, more) == more


def test_the_mark_is_looked_for_at_its_place(path: Path, filled: Values, tmp_path: Path) -> None:
    assert is_store(path)
    assert not is_store(tmp_path / "absent")
    assert not is_store(tmp_path)
