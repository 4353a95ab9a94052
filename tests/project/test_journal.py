"""The journal of a project: whole lines count, whatever moment a process or a disk has failed at."""

import os
from pathlib import Path

import pytest

from tellapart.errors import OutputError
from tellapart.project.effects import Hide, MakeFolder, MovePhoto
from tellapart.project.journal import Journal

EFFECTS = [MakeFolder("cat"), MovePhoto("a/b.png", "cat/b.png", "0" * 40, "burst"), Hide("photo", "1" * 40)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a journal with three commands, the last two of one batch."""
    journal = Journal(tmp_path / "journal.jsonl")
    for number, batch in enumerate((None, "b", "b")):
        journal.append(f"verb {number}", EFFECTS, batch)
        journal.finish()
    journal.close()
    return tmp_path / "journal.jsonl"


def test_what_was_written_is_read_back(path: Path) -> None:
    journal = Journal(path)
    assert [entry.verb for entry in journal.entries] == ["verb 0", "verb 1", "verb 2"]
    assert all(list(entry.effects) == EFFECTS for entry in journal.entries)
    assert (journal.unfinished, journal.num_damaged) == (None, 0)


def test_a_journal_that_is_cut_at_any_byte_holds_the_commands_before(path: Path) -> None:
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        journal = Journal(path)
        begun = whole[:size].count(b'{"number"') - (whole[:size].rpartition(b"\n")[2].startswith(b'{"number"'))
        assert (len(journal.entries), journal.num_damaged) == (begun, 0)
        journal.append("more", EFFECTS)
        journal.close()
        assert Journal(path).entries[-1].verb == "more"


def test_a_command_without_an_end_is_unfinished(path: Path) -> None:
    journal = Journal(path)
    journal.append("more", EFFECTS)
    journal.close()
    again = Journal(path)
    assert again.unfinished is not None
    assert again.unfinished.verb == "more"


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"number": 9, "do": "x", "effects": [{"make_folder": "../evil"}]}',
        b'{"number": 9, "do": "x", "effects": [{"make_folder": "/evil"}]}',
        b'{"number": 9, "do": "x", "effects": [{"unknown": 1}]}',
        b'{"number": 1, "do": "x", "effects": []}',
        b'{"number": 9, "do": "x", "effects": [{"move": {"source": "a", "target": "../b", "digest": "0"}}]}',
    ],
)
def test_a_damaged_line_counts_as_never_written(line: bytes, path: Path) -> None:
    path.write_bytes(path.read_bytes() + line + b"\n")
    journal = Journal(path)
    assert (len(journal.entries), journal.num_damaged) == (3, 1)


def test_commands_of_one_batch_are_undone_together(path: Path) -> None:
    journal = Journal(path)
    assert [entry.number for entry in journal.undoable()] == [3, 2]
    journal.append("undo", (), undone=[3, 2])
    assert [entry.number for entry in journal.undoable()] == [1]
    journal.append("undo", (), undone=[1])
    assert journal.undoable() == []


def test_a_full_disk_leaves_the_journal_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    journal = Journal(path)

    def write_some(descriptor: int, data: bytes) -> int:
        if len(data) < 40:
            raise OSError(28, "No space left on device")
        return written(descriptor, data[:20])

    written = os.write
    monkeypatch.setattr(os, "write", write_some)
    with pytest.raises(OutputError, match="disk is full"):
        journal.append("more", EFFECTS)
    monkeypatch.undo()
    assert path.read_bytes() == before
    journal.append("more", EFFECTS)
    assert [entry.verb for entry in Journal(path).entries] == ["verb 0", "verb 1", "verb 2", "more"]


def test_a_command_that_was_reversed_is_no_part_of_it(path: Path) -> None:
    journal = Journal(path)
    journal.append("more", EFFECTS)
    journal.take_back()
    journal.close()
    again = Journal(path)
    assert ([entry.verb for entry in again.entries], again.unfinished) == (["verb 0", "verb 1", "verb 2"], None)
