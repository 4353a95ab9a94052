"""The journal of a project: each command as one line, on the disk before it is carried out and before it is answered.

A line names its effects, each of which can be done twice without harm and be undone. So whatever moment the process is
killed at, the next start finds a command that is whole, one that it completes, or a cut line that nobody was told of.
What the effects do to files is in `effects.py`.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.project.effects import Effect, effect_from_json
from tellapart.store import output_error
from tellapart.translation import gettext as _
from tellapart.untrusted import parse_json, text_of, whole_of

JOURNAL_NAME = "journal.jsonl"


@dataclass(frozen=True)
class JournalEntry:
    """One command.

    Attributes:
        number: from 1, rising.
        verb: what was asked for, such as `label`.
        effects: what it does, in order.
        batch: entries beside each other of one batch, such as a burst, are undone together; `None` is a batch of one.
        undone: numbers of the entries that it takes back; empty unless it undoes.
    """

    number: int
    verb: str
    effects: tuple[Effect, ...]
    batch: str | None = None
    undone: tuple[int, ...] = ()

    def to_line(self) -> bytes:
        """The line of the journal, with its end."""
        value: dict[str, Any] = {"number": self.number, "do": self.verb}
        if self.batch is not None:
            value["batch"] = self.batch
        if self.undone:
            value["undone"] = self.undone
        value["effects"] = [effect.to_json() for effect in self.effects]
        return json.dumps(value, ensure_ascii=True).encode() + b"\n"

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "JournalEntry":
        """The entry of a line.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        batch = value.get("batch")
        return cls(
            whole_of(value["number"], 1),
            text_of(value["do"]),
            tuple(effect_from_json(one) for one in value["effects"]),
            None if batch is None else text_of(batch),
            tuple(whole_of(one, 1) for one in value.get("undone", ())),
        )


class Journal:
    """The file, open for appending.

    Args:
        path: of the file; made where there is none.

    Attributes:
        entries: all that were read or appended.
        unfinished: the last entry, where its effects may not all have been carried out.
        num_damaged: lines that could not be read and count as never written.

    Raises:
        OutputError: it cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[JournalEntry] = []
        self.unfinished: JournalEntry | None = None
        self.num_damaged = 0
        self._undone: set[int] = set()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            self._size = self._read()
            os.ftruncate(self._descriptor, self._size)
        except OSError as exc:
            raise output_error(path, exc) from exc

    def close(self) -> None:
        """Nothing; the file is closed, if it was open."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def append(
        self, verb: str, effects: Sequence[Effect], batch: str | None = None, undone: Sequence[int] = ()
    ) -> JournalEntry:
        """The new entry, which survives a kill and a power cut from now on; its effects are to be carried out next.

        Raises:
            OutputError: the disk is full or fails; nothing was written then.
        """
        number = self.entries[-1].number + 1 if self.entries else 1
        entry = JournalEntry(number, verb, tuple(effects), batch, tuple(undone))
        self._write(entry.to_line(), is_synced=True)
        self._take(entry)
        return entry

    def finish(self) -> None:
        """Nothing; the effects of the last entry have been carried out."""
        if self.unfinished is not None:
            entry, self.unfinished = self.unfinished, None
            # Where this line is lost the effects are carried out once more, which changes nothing.
            try:
                self._write(json.dumps({"done": entry.number}).encode() + b"\n", is_synced=False)
            except OSError:
                return

    def take_back(self) -> None:
        """Nothing; the last entry, whose effects have been reversed, is as never written."""
        entry = self._drop()
        self._write(json.dumps({"dropped": entry.number}).encode() + b"\n", is_synced=True)

    def undoable(self) -> list[JournalEntry]:
        """The entries that the next undo takes back, the newest first; empty where there is nothing left."""
        found: list[JournalEntry] = []
        for entry in reversed(self.entries):
            if entry.undone or entry.number in self._undone:
                continue
            if found and (entry.batch is None or entry.batch != found[0].batch):
                break
            found.append(entry)
            if entry.batch is None:
                break
        return found

    def _write(self, line: bytes, *, is_synced: bool) -> None:
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if is_synced:
                os.fsync(self._descriptor)
        except OSError as exc:
            try:
                os.ftruncate(self._descriptor, self._size)
                os.lseek(self._descriptor, self._size, os.SEEK_SET)
            except OSError:  # the cut line is ignored by the next start
                pass
            raise output_error(self._path, exc) from exc
        self._size += len(line)

    def _read(self) -> int:
        """The number of bytes up to the end of the last whole line; all lines are entered."""
        data = bytearray()
        while chunk := os.read(self._descriptor, 1 << 20):
            data += chunk
        size = data.rfind(b"\n") + 1
        for line in bytes(data[:size]).splitlines():
            try:
                self._enter(parse_json(line))
            except (KeyError, TypeError, ValueError):
                self.num_damaged += 1
        os.lseek(self._descriptor, size, os.SEEK_SET)
        return size

    def _enter(self, value: Any) -> None:
        last = self.entries[-1].number if self.entries else 0
        if not isinstance(value, dict):
            raise TypeError(value)
        if "done" in value:
            if value["done"] == last:
                self.unfinished = None
        elif "dropped" in value:
            if value["dropped"] == last:
                self._drop()
        else:
            entry = JournalEntry.from_json(value)
            if entry.number <= last:
                raise ValueError(_("the lines are not in order"))
            self._take(entry)

    def _take(self, entry: JournalEntry) -> None:
        self.entries.append(entry)
        self._undone.update(entry.undone)
        self.unfinished = entry

    def _drop(self) -> JournalEntry:
        entry = self.entries.pop()
        self._undone.difference_update(entry.undone)
        self.unfinished = None
        return entry
