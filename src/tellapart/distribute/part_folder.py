"""A folder of Parquet parts, written one by one, in which a killed job continues where it was.

A part is whole or absent. `_parts.json` says what made them, so that the answers of two models are never mixed. Which
addresses are done is told by two hashes of 64 bits each: 160 MB for 10 million.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tellapart.distribute.uri_list import PATH
from tellapart.errors import OutputError
from tellapart.runs.run_folder import claimed
from tellapart.store import remove_partials, to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.untrusted import read_json

# What reads all Parquet files of a folder passes over names that begin so.
MARKER_NAME = "_parts.json"
_PATTERN = "part-*.parquet"
# What a kill costs at most: the photos of a part that is not written yet.
ROWS_A_PART, SECONDS_A_PART = 20_000, 60.0
# Of 16 bytes, as pandas asks for.
_HASH_KEYS = ("tellapart first!", "tellapart second")
# Recent addresses are looked up one by one, and sorted into the others from so many on.
_MOST_RECENT = 100_000
_Hashes = NDArray[np.uint64]


class SeenUris:
    """The addresses that were seen, as hashes of 128 bits; among 10 million two are equal once in 10^24 jobs."""

    def __init__(self) -> None:
        self._sorted: _Hashes = np.empty((0, 2), np.uint64)
        self._recent: set[tuple[int, int]] = set()

    def add(self, uris: pa.Array) -> NDArray[np.bool_]:
        """Whether each of the addresses is new, bool, shape `(n,)`; from now on it is not.

        Args:
            uris: strings without nulls, shape `(n,)`.
        """
        texts = np.asarray(uris.to_numpy(zero_copy_only=False), dtype=object)
        hashes = np.stack([pd.util.hash_array(texts, hash_key=key, categorize=False) for key in _HASH_KEYS], axis=1)
        is_new = ~self._is_sorted_in(hashes)
        for row in np.flatnonzero(is_new).tolist():
            key = (int(hashes[row, 0]), int(hashes[row, 1]))
            is_new[row] = key not in self._recent
            self._recent.add(key)
        if len(self._recent) > max(_MOST_RECENT, len(self._sorted) // 16):
            joined = np.concatenate([self._sorted, np.array(list(self._recent), np.uint64).reshape(-1, 2)])
            self._sorted, self._recent = joined[np.lexsort((joined[:, 1], joined[:, 0]))], set()
        return is_new

    def _is_sorted_in(self, hashes: _Hashes) -> NDArray[np.bool_]:
        """Whether each is among the sorted ones; of those that share their first half, only the first is compared."""
        if not len(self._sorted):
            return np.zeros(len(hashes), np.bool_)
        rows = np.minimum(np.searchsorted(self._sorted[:, 0], hashes[:, 0]), len(self._sorted) - 1)
        is_found: NDArray[np.bool_] = (self._sorted[rows] == hashes).all(axis=1)
        return is_found


class PartFolder:
    """Takes rows, and writes them as parts; `open_part_folder` makes it.

    Args:
        out_dir: the folder.
        seen: the addresses that the parts of earlier jobs have.

    Attributes:
        num_found: rows that were there before.
        num_written: rows of the parts that were written now.
    """

    def __init__(self, out_dir: Path, seen: SeenUris, num_found: int) -> None:
        self.seen, self.num_found, self.num_written = seen, num_found, 0
        self._out_dir = out_dir
        self._number = max((int(path.stem.removeprefix("part-")) for path in _parts(out_dir)), default=-1) + 1
        self._tables: list[pa.Table] = []
        self._num_rows = 0
        self._begun = time.monotonic()

    def add(self, table: pa.Table) -> None:
        """Takes rows of one schema; a part is written when there are enough, or when enough time has passed.

        Raises:
            OutputError: the part cannot be written.
        """
        self._tables.append(table)
        self._num_rows += table.num_rows
        if self._num_rows >= ROWS_A_PART or time.monotonic() - self._begun >= SECONDS_A_PART:
            self.flush()

    def flush(self) -> None:
        """Writes what was taken and is not written yet."""
        self._begun = time.monotonic()
        if not self._num_rows:
            return
        sink = pa.BufferOutputStream()
        pq.write_table(pa.concat_tables(self._tables), sink, compression="zstd")
        write_file(self._out_dir / f"part-{self._number:06d}.parquet", sink.getvalue().to_pybytes())
        self.num_written += self._num_rows
        self._number, self._num_rows, self._tables = self._number + 1, 0, []


@contextmanager
def open_part_folder(out_dir: Path, made_by: Mapping[str, Any]) -> Iterator[PartFolder]:
    """The folder, this job's alone until the block ends; what earlier ones have written is known.

    Args:
        out_dir: new, empty, or with parts that the same has made.
        made_by: what makes the parts, as JSON takes it: model and settings.

    Raises:
        OutputError: the folder has other files, parts of another model or of other settings, or a damaged part; or
            another job writes into it; or it cannot be made.
    """
    with claimed(out_dir, MARKER_NAME):
        _check_maker(out_dir, made_by)
        remove_partials(out_dir)
        write_file(out_dir / MARKER_NAME, to_json_bytes(dict(made_by)))
        seen, num_found = SeenUris(), 0
        for path in _parts(out_dir):
            try:
                uris = pq.read_table(path, columns=[PATH], partitioning=None)[PATH]
            except (OSError, ValueError, KeyError) as exc:
                message = _("the part {path!r} is damaged. Delete it, and its photos are done again.")
                raise OutputError(message.format(path=str(path)), path=path) from exc
            seen.add(uris)
            num_found += len(uris)
        folder = PartFolder(out_dir, seen, num_found)
        yield folder


def _parts(out_dir: Path) -> list[Path]:
    return sorted(path for path in out_dir.glob(_PATTERN) if path.stem.removeprefix("part-").isdigit())


def _check_maker(out_dir: Path, made_by: Mapping[str, Any]) -> None:
    """Nothing, if the parts that are there were made by the same.

    Raises:
        OutputError: they were not.
    """
    path = out_dir / MARKER_NAME
    if not path.exists():
        return
    try:
        found = read_json(path)
    except (OSError, ValueError):
        found = None
    if found != dict(made_by):
        other = [name for name in made_by if not isinstance(found, dict) or found.get(name) != made_by[name]]
        raise OutputError(
            _(
                "{folder!r} has parts with another {names}. Give a new folder as `out`, or the same model and settings."
            ).format(folder=str(out_dir), names=", ".join(other)),
            path=out_dir,
        )
