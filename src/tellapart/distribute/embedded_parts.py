"""The embeddings that a cluster has written: a few bytes a photo are kept, the vectors are streamed part by part."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tellapart.distribute.embedding import CONTENT, EMBEDDING
from tellapart.distribute.labelled_uris import LabelledUris
from tellapart.distribute.photo_job import REASON
from tellapart.distribute.uri_list import PATH
from tellapart.errors import BundleError
from tellapart.heads.stream_fit import Batch
from tellapart.photos.names import natural_key
from tellapart.records import Skipped
from tellapart.translation import gettext as _

_ROWS_A_BATCH = 4096
# Digits of a content that tell photos apart here: 64 bits.
_DIGITS = 16


@dataclass(frozen=True, eq=False)
class EmbeddedPhotos:
    """The photos of all parts that can be used; row by row, in the order of the parts.

    Attributes:
        files: the parts.
        rows: for each part, of each of its rows the row here, -1 for one that is not used.
        labels: int64, shape `(n,)`.
        contents: uint64, shape `(n,)`, equal for copies.
        places: int64, shape `(n,)`: the row in the list.
        unreadable: photos that cannot be read, with the reasons.
    """

    files: tuple[Path, ...]
    rows: tuple[NDArray[np.int64], ...]
    labels: NDArray[np.int64]
    contents: NDArray[np.uint64]
    places: NDArray[np.int64]
    unreadable: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, is_wanted: NDArray[np.bool_]) -> Iterator[Batch]:
        """The embeddings and labels of the photos that are wanted, some thousand at a time.

        Args:
            is_wanted: bool, shape `(len(self),)`.
        """
        for table, rows in self._read([EMBEDDING], is_wanted):
            yield to_matrix(table.column(EMBEDDING)), self.labels[rows]

    def gather(self, is_wanted: NDArray[np.bool_]) -> "GatheredPhotos":
        """All that is known of the photos that are wanted, in natural order as in any run, in memory."""
        paths: list[str] = []
        digests: list[str] = []
        found = list(self._read([PATH, CONTENT, EMBEDDING], is_wanted))
        for table, _rows in found:
            paths += table.column(PATH).to_pylist()
            digests += table.column(CONTENT).to_pylist()
        rows = np.concatenate([rows for _table, rows in found])
        embeddings = np.concatenate([to_matrix(table.column(EMBEDDING)) for table, _rows in found])
        order = np.array(sorted(range(len(paths)), key=lambda row: natural_key(paths[row].split("/"))), np.int64)
        return GatheredPhotos(
            tuple(paths[row] for row in order),
            tuple(digests[row] for row in order),
            self.labels[rows[order]],
            embeddings[order],
        )

    def _read(self, columns: list[str], is_wanted: NDArray[np.bool_]) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
        """Tables of wanted photos, and their rows here."""
        for file, rows in zip(self.files, self.rows, strict=True):
            kept = (rows >= 0) & is_wanted[rows]
            start = 0
            if not kept.any():
                continue
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(_ROWS_A_BATCH, columns=columns):
                    here = slice(start, start + batch.num_rows)
                    start += batch.num_rows
                    if kept[here].any():
                        yield pa.table(batch).filter(pa.array(kept[here])), rows[here][kept[here]]


@dataclass(frozen=True, eq=False)
class GatheredPhotos:
    """Some photos, row by row.

    Attributes:
        paths: their addresses.
        digests: their contents.
        labels: int64, shape `(n,)`.
        embeddings: float32, shape `(n, size)`.
    """

    paths: tuple[str, ...]
    digests: tuple[str, ...]
    labels: NDArray[np.int64]
    embeddings: NDArray[np.float32]


def read_parts(files: list[Path], uris: LabelledUris) -> EmbeddedPhotos:
    """The photos of the parts; of an address that is there twice the first row counts.

    Args:
        files: the parts, in Parquet.
        uris: the labels; addresses without one are left out.

    Raises:
        BundleError: a part is damaged.
    """
    is_taken = np.zeros(len(uris.keys), np.bool_)
    rows: list[NDArray[np.int64]] = []
    numbers: list[NDArray[np.int64]] = []
    contents: list[NDArray[np.uint64]] = []
    unreadable: list[Skipped] = []
    num = 0
    for file in files:
        try:
            table = pq.read_table(file, columns=[PATH, CONTENT, REASON], partitioning=None)
        except (OSError, ValueError, KeyError) as exc:
            said = _("{path!r} is damaged. Delete the file, and give `resume` to embed its photos again.")
            raise BundleError(said.format(path=str(file)), path=file) from exc
        paths, reasons = table.column(PATH).to_pylist(), table.column(REASON).to_pylist()
        found = uris.find(paths)
        is_used = (found >= 0) & ~is_taken[found]
        is_used[is_used] = _are_first(found[is_used])
        is_taken[found[is_used]] = True
        unreadable += [
            Skipped(path, reason) for path, reason, used in zip(paths, reasons, is_used.tolist(), strict=True)
            if reason and used
        ]  # fmt: skip
        is_used &= np.array([not reason for reason in reasons], np.bool_)
        digests = table.column(CONTENT).filter(pa.array(is_used)).to_pylist()
        here = np.full(len(paths), -1, np.int64)
        here[is_used] = np.arange(num, num + len(digests))
        num += len(digests)
        rows.append(here)
        numbers.append(found[is_used])
        contents.append(np.array([int(digest[:_DIGITS], 16) for digest in digests], np.uint64))
    of_list = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
    return EmbeddedPhotos(
        tuple(files),
        tuple(rows),
        uris.labels[of_list],
        np.concatenate(contents) if contents else np.zeros(0, np.uint64),
        uris.places[of_list],
        tuple(unreadable),
    )


def to_matrix(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """Float32, shape `(n, size)`, of a column of vectors, none of which is missing."""
    vectors = column.combine_chunks()
    return np.asarray(vectors.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(len(vectors), -1)


def _are_first(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each number is the first of its kind."""
    is_first = np.zeros(len(numbers), np.bool_)
    is_first[np.unique(numbers, return_index=True)[1]] = True
    return is_first
