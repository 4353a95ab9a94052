import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from tellapart.infer import embedding_cache, embedding_table

from tellapart.backbones.embedding_cache import EmbeddingCache, list_embedding_files

KEY = "ab" * 32
OTHER_KEY = "cd" * 32
DAY_SECONDS = 24 * 3600
# Adds ten embeddings at a time, the values of which follow from their digests, and tells of each addition when it is
# done.
CHILD = """
import sys
from pathlib import Path
import numpy as np
from tellapart.backbones.embedding_cache import EmbeddingCache
path, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with EmbeddingCache(path, timeout_seconds=20) as cache:
    for first in range(start, stop, 10):
        items = {f"{row:040x}": np.full(64, row, np.float32) for row in range(first, first + 10)}
        cache.add(items, "ab" * 32)
        print(first + 10, flush=True)
    print(cache.note, flush=True)
"""

Vectors = dict[str, NDArray[np.float32]]


def make_vectors(num: int, size: int = 64, seed: int = 0) -> Vectors:
    """As many different embeddings of random numbers, none of whose bytes occurs twice."""
    generator = np.random.default_rng(seed)
    return {generator.bytes(20).hex(): generator.normal(size=size).astype(np.float32) for _ in range(num)}


def assert_same(found: Vectors, expected: Vectors) -> None:
    assert found.keys() == expected.keys()
    for digest, vector in expected.items():
        np.testing.assert_array_equal(found[digest], vector)


def add(path: Path, items: Vectors, key: str = KEY) -> None:
    with EmbeddingCache(path) as cache:
        cache.add(items, key)
        assert cache.note is None


def find(path: Path, items: Vectors, key: str = KEY) -> Vectors:
    with EmbeddingCache(path) as cache:
        return cache.find(list(items), key)


def execute(path: Path, statement: str) -> list[tuple[object, ...]]:
    """What a statement gives that another program runs on the file."""
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(statement).fetchall()
    connection.close()
    return rows


def flip(path: Path, vector: NDArray[np.float32]) -> None:
    """Changes one bit inside of `vector` where it stands in the file."""
    content = bytearray(path.read_bytes())
    place = content.index(vector.tobytes())
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
    return tmp_path / "cache" / "embeddings.sqlite3"


@pytest.fixture
def filled(path: Path) -> Vectors:
    """What is in the cache at `path`: 300 embeddings."""
    items = make_vectors(300)
    add(path, items)
    return items


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that sets the time, in days."""

    def set_time(days: float) -> None:
        monkeypatch.setattr(embedding_table.time, "time", lambda: 1e9 + days * DAY_SECONDS)

    return set_time


def test_what_was_added_is_found_by_another_process_later(path: Path, filled: Vectors) -> None:
    assert_same(find(path, filled), filled)


def test_only_those_that_are_there_are_found(path: Path, filled: Vectors) -> None:
    assert_same(find(path, {**filled, **make_vectors(3, seed=1)}), filled)


def test_another_model_has_other_embeddings(path: Path, filled: Vectors) -> None:
    others = {digest: vector[:32] + 1 for digest, vector in filled.items()}
    assert find(path, filled, OTHER_KEY) == {}
    add(path, others, OTHER_KEY)
    assert_same(find(path, filled, OTHER_KEY), others)
    assert_same(find(path, filled), filled)


def test_adding_again_replaces(path: Path, filled: Vectors) -> None:
    newer = {digest: vector * 2 for digest, vector in filled.items()}
    add(path, newer)
    assert_same(find(path, filled), newer)
    assert execute(path, "SELECT COUNT(*) FROM vectors") == [(len(filled),)]


def test_more_photos_than_one_query_takes_are_found(path: Path) -> None:
    items = make_vectors(1203, size=2)
    add(path, items)
    assert_same(find(path, items), items)


@given(
    vectors=st.integers(1, 40).flatmap(
        lambda size: st.dictionaries(
            st.binary(min_size=20, max_size=20).map(bytes.hex), hnp.arrays(np.float32, (size,)), max_size=8
        )
    )
)
def test_every_vector_comes_back_bit_by_bit(vectors: Vectors, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("round-trip") / "cache.sqlite3"
    add(path, vectors)
    found = find(path, vectors)
    assert {digest: vector.tobytes() for digest, vector in found.items()} == {
        digest: vector.tobytes() for digest, vector in vectors.items()
    }


def test_counting_and_measuring(path: Path, filled: Vectors) -> None:
    with EmbeddingCache(path) as cache:
        assert cache.num_embeddings() == 300
        assert cache.size_bytes() == path.stat().st_size


def test_looking_into_a_cache_that_is_not_there_makes_nothing(path: Path) -> None:
    with EmbeddingCache(path) as cache:
        assert cache.find(list(make_vectors(2)), KEY) == {}
        cache.add({}, KEY)
        assert (cache.num_embeddings(), cache.size_bytes(), cache.note) == (0, 0, None)
    assert not path.parent.exists()


def test_one_file_is_left(path: Path, filled: Vectors) -> None:
    find(path, filled)
    assert list(path.parent.iterdir()) == [path]


def damage_garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(50_000))


def damage_text(path: Path) -> None:
    path.write_text("these are not the vectors you are looking for\n")


def damage_cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def damage_cut_in_header(path: Path) -> None:
    os.truncate(path, 60)


def damage_behind_header(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:40_000] + b"\xff" * (len(content) - 40_000))


def damage_table_missing(path: Path) -> None:
    execute(path, "DROP TABLE vectors")


def damage_column_missing(path: Path) -> None:
    execute(path, "ALTER TABLE entries RENAME COLUMN used TO spent")


DAMAGES = [
    damage_garbage,
    damage_text,
    damage_cut,
    damage_cut_in_header,
    damage_behind_header,
    damage_table_missing,
    damage_column_missing,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_found_empty_and_made_anew(
    damage: Callable[[Path], None], path: Path, filled: Vectors
) -> None:
    damage(path)
    with EmbeddingCache(path) as cache:
        assert cache.find(list(filled), KEY) == {}
        cache.add(filled, KEY)
        assert_same(cache.find(list(filled), KEY), filled)
        assert cache.note is not None
        assert re.search(r"embeddings\.sqlite3' was damaged and is made anew", cache.note)
    assert list(path.parent.iterdir()) == [path]
    assert_same(find(path, filled), filled)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_can_be_added_to(damage: Callable[[Path], None], path: Path, filled: Vectors) -> None:
    damage(path)
    more = make_vectors(5, seed=1)
    with EmbeddingCache(path) as cache:
        cache.add(more, KEY)
    assert_same(find(path, more), more)


@pytest.mark.parametrize(
    "statement",
    ["PRAGMA user_version = 99", "PRAGMA application_id = 7"],
    ids=["another version of the tables", "another program's"],
)
def test_a_file_of_another_version_is_made_anew(statement: str, path: Path, filled: Vectors) -> None:
    execute(path, statement)
    with EmbeddingCache(path) as cache:
        assert cache.find(list(filled), KEY) == {}
        assert cache.note is not None
        assert "is not of this version of tellapart and is made anew" in cache.note
        cache.add(filled, KEY)
    assert_same(find(path, filled), filled)


def test_an_empty_file_is_an_empty_cache(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    items = make_vectors(3)
    with EmbeddingCache(path) as cache:
        assert cache.find(list(items), KEY) == {}
        cache.add(items, KEY)
        assert cache.note is None
    assert_same(find(path, items), items)


def test_of_a_changed_vector_only_that_one_is_lost(path: Path, filled: Vectors) -> None:
    digest, vector = list(filled.items())[100]
    flip(path, vector)
    rest = {other: kept for other, kept in filled.items() if other != digest}
    with EmbeddingCache(path) as cache:
        assert_same(cache.find(list(filled), KEY), rest)
        assert cache.note is not None
        assert "held 1 damaged embedding, which will be computed again" in cache.note
        assert cache.num_embeddings() == 299
        cache.add({digest: vector}, KEY)
    assert_same(find(path, filled), filled)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vectors SET vector = substr(vector, 1, 252) WHERE id = 7",
        "UPDATE vectors SET vector = x'' WHERE id = 7",
        "UPDATE vectors SET vector = 'text' WHERE id = 7",
        "UPDATE vectors SET vector = 3.5 WHERE id = 7",
        "UPDATE entries SET vector_id = 8 WHERE vector_id = 7",
        "UPDATE entries SET digest = x'00112233445566778899aabbccddeeff00112233' WHERE vector_id = 7",
        "UPDATE entries SET checksum = 5 WHERE vector_id = 7",
        "DELETE FROM vectors WHERE id = 7",
    ],
    ids=["cut", "empty", "text", "number", "of another photo", "digest", "checksum", "vector gone"],
)
def test_a_row_that_does_not_match_its_checksum_counts_as_absent(statement: str, path: Path, filled: Vectors) -> None:
    execute(path, statement)
    asked = {**filled, "00112233445566778899aabbccddeeff00112233": np.zeros(64, np.float32)}
    found = find(path, asked)
    assert len(found) == 299
    assert_same(found, {digest: filled[digest] for digest in found})
    assert len(find(path, asked)) >= 298


def test_an_embedding_of_another_length_than_the_others_counts_as_absent(path: Path, filled: Vectors) -> None:
    add(path, {"00" * 20: np.ones(63, np.float32)})
    assert_same(find(path, {**filled, "00" * 20: np.ones(1, np.float32)}), filled)


def test_a_locked_file_is_done_without_and_used_again_when_it_is_free(path: Path, filled: Vectors) -> None:
    more = make_vectors(4, seed=1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with EmbeddingCache(path, timeout_seconds=0.2) as cache:
        assert cache.find(list(filled), KEY) == {}
        cache.add(more, KEY)
        assert cache.note is not None
        assert "is locked by another program; photos are embedded without it" in cache.note
        other.execute("ROLLBACK")
        cache.add(more, KEY)
        assert_same(cache.find(list(more), KEY), more)
    other.close()


def test_a_lock_is_waited_for_only_once(path: Path, filled: Vectors) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    with EmbeddingCache(path, timeout_seconds=0.3) as cache:
        for _ in range(30):
            cache.add(filled, KEY)
    assert 0.2 < time.monotonic() - started < 3
    other.close()


def test_finding_does_not_wait_for_a_process_that_adds(
    path: Path, filled: Vectors, clock: Callable[[float], None]
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    clock(1e4)
    started = time.monotonic()
    with EmbeddingCache(path, timeout_seconds=30) as cache:
        assert_same(cache.find(list(filled), KEY), filled)
        assert cache.note is None
    assert time.monotonic() - started < 10
    other.close()


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    items = make_vectors(2)
    with EmbeddingCache(tmp_path / "file" / "embeddings.sqlite3") as cache:
        cache.add(items, KEY)
        assert cache.find(list(items), KEY) == {}
        assert cache.note is not None
        assert re.search(r"cannot be used .*; photos are embedded without it\. .* --cache-dir", cache.note)


def test_a_folder_in_place_of_the_file_is_done_without(path: Path) -> None:
    path.mkdir(parents=True)
    with EmbeddingCache(path) as cache:
        cache.add(make_vectors(2), KEY)
        assert cache.find(["00" * 20], KEY) == {}
        assert cache.note is not None
        assert "cannot be used (unable to open database file)" in cache.note
    assert path.is_dir()


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function after whose call every connection of ours begins with the statement given."""

    def limit(statement: str) -> None:
        def connect(path: Path, timeout_seconds: float) -> sqlite3.Connection:
            connection = embedding_table.connect(path, timeout_seconds)
            connection.execute(statement)
            return connection

        monkeypatch.setattr(embedding_cache, "connect", connect)

    return limit


def test_a_read_only_cache_is_read(
    path: Path, filled: Vectors, limited: Callable[[str], None], clock: Callable[[float], None]
) -> None:
    limited("PRAGMA query_only = ON")
    clock(1e4)
    with EmbeddingCache(path) as cache:
        assert_same(cache.find(list(filled), KEY), filled)
        assert cache.note is None
        cache.add(make_vectors(2, seed=1), KEY)
        assert cache.note is not None
        assert "cannot be used (attempt to write a readonly database)" in cache.note
    assert_same(find(path, filled), filled)


def test_a_full_disk_keeps_what_is_there(path: Path, filled: Vectors, limited: Callable[[str], None]) -> None:
    limited("PRAGMA max_page_count = 8")
    more = make_vectors(500, seed=1)
    with EmbeddingCache(path) as cache:
        cache.add(more, KEY)
        assert cache.note is not None
        assert "cannot be used (database or disk is full)" in cache.note
        assert cache.find(list(more), KEY) == {}
        assert_same(cache.find(list(filled), KEY), filled)


def test_a_damaged_file_that_cannot_be_replaced_is_done_without(
    path: Path, filled: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    damage_garbage(path)
    monkeypatch.setattr(embedding_cache.os, "rename", refuse)
    with EmbeddingCache(path) as cache:
        assert cache.find(list(filled), KEY) == {}
        cache.add(filled, KEY)
        assert cache.note is not None
        assert "was damaged and cannot be replaced (Permission denied)" in cache.note


def test_a_cache_that_another_process_has_made_anew_is_not_destroyed(path: Path, filled: Vectors) -> None:
    fresh = make_vectors(3, seed=1)
    with EmbeddingCache(path) as slow:
        assert slow.num_embeddings() == 300
        content = path.read_bytes()
        with open(path, "r+b") as file:
            file.seek(40_000)
            file.write(b"\xff" * (len(content) - 40_000))
        with EmbeddingCache(path) as quick:
            assert quick.find(list(filled), KEY) == {}
            quick.add(fresh, KEY)
        assert_same(slow.find([*filled, *fresh], KEY), fresh)
    assert list(path.parent.iterdir()) == [path]


def test_a_new_cache_that_was_moved_by_mistake_is_put_back(
    path: Path, filled: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = make_vectors(3, seed=1)
    rename = os.rename

    def be_late(source: Path, target: Path) -> None:
        monkeypatch.setattr(embedding_cache.os, "rename", rename)
        with EmbeddingCache(path) as quick:
            quick.add(fresh, KEY)
        rename(source, target)

    damage_garbage(path)
    monkeypatch.setattr(embedding_cache.os, "rename", be_late)
    with EmbeddingCache(path) as slow:
        assert_same(slow.find(list(fresh), KEY), fresh)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("remove", [lambda path: path.unlink(), lambda path: path.rename(path.with_name("elsewhere"))])
def test_a_file_that_is_taken_away_in_between_is_made_anew(
    remove: Callable[[Path], object], path: Path, filled: Vectors
) -> None:
    more = make_vectors(3, seed=1)
    with EmbeddingCache(path) as cache:
        assert_same(cache.find(list(filled), KEY), filled)
        remove(path)
        cache.add(more, KEY)
        assert cache.note is None
    assert_same(find(path, {**filled, **more}), more)


def test_a_folder_that_is_taken_away_in_between_is_made_again(path: Path, filled: Vectors) -> None:
    more = make_vectors(3, seed=1)
    with EmbeddingCache(path) as cache:
        assert_same(cache.find(list(filled), KEY), filled)
        path.unlink()
        path.parent.rmdir()
        cache.add(more, KEY)
    assert_same(find(path, more), more)


def test_a_journal_that_is_cleared_while_adding_costs_nothing(
    path: Path, filled: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    checksum = embedding_table._checksum

    def clear_journal(model: bytes, digest: bytes, vector: bytes) -> bytes:
        monkeypatch.setattr(embedding_table, "_checksum", checksum)
        path.with_name(path.name + "-journal").unlink()
        return checksum(model, digest, vector)

    more = make_vectors(3, seed=1)
    monkeypatch.setattr(embedding_table, "_checksum", clear_journal)
    with EmbeddingCache(path) as cache:
        cache.add(more, KEY)
        assert cache.note is None
    assert_same(find(path, {**filled, **more}), {**filled, **more})


def test_ctrl_c_while_adding_leaves_a_cache_that_can_be_added_to(
    path: Path, filled: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> bytes:
        raise KeyboardInterrupt

    more = make_vectors(3, seed=1)
    with EmbeddingCache(path) as cache:
        with monkeypatch.context() as patch:
            patch.setattr(embedding_table, "_checksum", interrupt)
            with pytest.raises(KeyboardInterrupt):
                cache.add(more, KEY)
        cache.add(more, KEY)
        assert cache.note is None
    assert_same(find(path, {**filled, **more}), {**filled, **more})


@pytest.mark.parametrize(
    ("begin", "num_told"), [(Path.touch, 0), (damage_garbage, 1)], ids=["an empty file", "a damaged file"]
)
def test_two_processes_add_at_once(begin: Callable[[Path], None], num_told: int, path: Path) -> None:
    path.parent.mkdir()
    begin(path)
    processes = [start_child(path, 0, 300), start_child(path, 200, 500)]
    for process in processes:
        set_off(process)
    notes = [process.communicate(timeout=60)[0].splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    expected = {f"{row:040x}": np.full(64, row, np.float32) for row in range(500)}
    assert_same(find(path, expected), expected)
    assert sum("was damaged and is made anew" in note for note in notes) == num_told
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
    expected = {f"{row:040x}": np.full(64, row, np.float32) for row in range(told)}
    with EmbeddingCache(path) as cache:
        assert_same(cache.find(list(expected), KEY), expected)
        assert cache.num_embeddings() % 10 == 0
        assert cache.note is None
    assert execute(path, "PRAGMA integrity_check") == [("ok",)]


def test_the_least_recently_used_go_when_the_file_grows_too_large(path: Path, clock: Callable[[float], None]) -> None:
    max_bytes = 3_800_000
    batches = [make_vectors(300, size=1024, seed=seed) for seed in range(4)]
    with EmbeddingCache(path, max_bytes=max_bytes) as cache:
        for number in (0, 1):
            clock(number)
            cache.add(batches[number], KEY)
        clock(5)
        assert_same(cache.find(list(batches[0]), KEY), batches[0])
        cache.add(batches[2], KEY)
        assert_same(cache.find(list(batches[0]), KEY), batches[0])
        assert len(cache.find(list(batches[1]), KEY)) < 150
        assert_same(cache.find(list(batches[2]), KEY), batches[2])
        cache.add(batches[3], KEY)
        assert_same(cache.find(list(batches[3]), KEY), batches[3])
        assert cache.note is None
    assert path.stat().st_size <= max_bytes
    assert execute(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_bound_that_nothing_fits_into_leaves_nothing(path: Path) -> None:
    with EmbeddingCache(path, max_bytes=1000) as cache:
        cache.add(make_vectors(50), KEY)
        assert (cache.num_embeddings(), cache.note) == (0, None)


def test_a_use_is_noted_once_a_day(path: Path, clock: Callable[[float], None]) -> None:
    items = make_vectors(3)
    times = []
    clock(0)
    add(path, items)
    for days in (0.5, 2, 2.5, 1):
        clock(days)
        find(path, items)
        times.append({(row[0] - 10**9) / DAY_SECONDS for row in execute(path, "SELECT used FROM entries")})  # type: ignore[operator]
    assert times == [{0}, {2}, {2}, {2}]


def test_a_use_in_the_future_is_put_right(path: Path, clock: Callable[[float], None]) -> None:
    items = make_vectors(3)
    clock(100)
    add(path, items)
    clock(0)
    find(path, items)
    assert execute(path, "SELECT DISTINCT used FROM entries") == [(10**9,)]


def test_the_files_of_a_cache_are_listed_with_what_kills_left(path: Path, filled: Vectors) -> None:
    for suffix in ("-journal", ".damaged-0011aabb", ".txt", "s"):
        path.with_name(path.name + suffix).write_bytes(b"12345")
    names = [file.name.removeprefix("embeddings.sqlite3") for file in list_embedding_files(path)]
    assert names == ["", "-journal", ".damaged-0011aabb"]
    assert EmbeddingCache(path).size_bytes() == path.stat().st_size + 10
