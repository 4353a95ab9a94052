"""The photos of a list, shared out to workers by `ray.data`; what comes back is written part by part.

The workers are processes of one core that hold a model. Addresses go to them and small rows come back: the bytes of a
photo never pass through Ray. One process writes, so that a killed worker leaves no half part and no row twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tellapart.config import ImageLimits
from tellapart.distribute.part_folder import ROWS_A_PART, PartFolder
from tellapart.distribute.uri_bytes import UriFile, UriReader, scheme_of
from tellapart.distribute.uri_list import PATH, UriList
from tellapart.errors import DatasetError
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped
from tellapart.translation import gettext as _

REASON = "reason"
# Photos that a worker is given at once, at most: a second of work, which is what a killed worker costs.
_PHOTOS_A_BLOCK = 64
# Addresses that Ray is given at once: some 100 MB, whatever the length of the list.
_PHOTOS_A_WAVE = 2_000_000
_NUM_NAMED = 10
# A worker waits some 30 ms for a photo of a bucket, and decodes others meanwhile.
_THREADS_FOR_BUCKETS = 4


@dataclass
class JobSummary:
    """What a job did.

    Attributes:
        num_photos: photos that were done now, those that cannot be read included.
        num_found: rows that earlier jobs had left in the folder.
        num_passed: rows of the list that were passed over, as they were done before or are there twice.
        num_blank: rows of the list without an address.
        num_skipped: photos that cannot be read.
        first_skipped: the first of them.
        notes: what is to be said, a sentence each.
    """

    num_photos: int = 0
    num_found: int = 0
    num_passed: int = 0
    num_blank: int = 0
    num_skipped: int = 0
    first_skipped: list[Skipped] = field(default_factory=list)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PhotoWorkers:
    """What works on the photos.

    Attributes:
        kind: a class whose instances turn a table with the column `path` into one with `path` and `reason` as well.
        arguments: of its constructor; what is large is an `ObjectRef` in a list, which each worker fetches once.
        number: how many work at once.
    """

    kind: type
    arguments: tuple[Any, ...]
    number: int


def run_job(
    uris: UriList,
    folder: PartFolder,
    workers: PhotoWorkers,
    on_photo: Callable[[int, int], None] = lambda num_done, num_photos: None,
    on_table: Callable[[pa.Table], None] = lambda table: None,
) -> JobSummary:
    """What was done of a list, with the parts written.

    Args:
        uris: the list.
        folder: takes the rows; photos that it has are passed over.
        workers: what works on the photos.
        on_photo: told how many of the rows are done, and of how many.
        on_table: takes the rows that were done.

    Raises:
        DatasetError: the list cannot be read to its end, or no photo can be read.
        OutputError: a part cannot be written.
    """
    summary = JobSummary(num_found=folder.num_found)
    held: list[pa.Table] = []
    try:
        for table in _work(_new_blocks(uris, folder, workers.number, summary), workers):
            _count(table, summary)
            on_table(table)
            held.append(table)
            is_hopeless = not folder.num_found and summary.num_skipped == summary.num_photos
            if not is_hopeless:
                for one in held:
                    folder.add(one)
                held = []
            elif summary.num_photos >= ROWS_A_PART:
                break
            on_photo(min(uris.num_rows, summary.num_photos + summary.num_passed + uris.num_blank), uris.num_rows)
    finally:
        folder.flush()
    summary.num_blank = uris.num_blank
    if held or not (summary.num_photos or summary.num_passed):
        raise _nothing_read(uris, summary)
    return summary


def photos_at(paths: Sequence[str], reader: UriReader) -> PhotoSet:
    """The photos at the addresses."""
    places = tuple(UriFile(path, reader) for path in paths)
    return PhotoSet("", tuple(paths), None, (), (), places, ImageLimits())


def threads_for(paths: Sequence[str], base: str) -> int:
    """Threads of a worker: one a core, more where it mostly waits for a network."""
    return _THREADS_FOR_BUCKETS if any(map(scheme_of, paths)) or scheme_of(base) else 1


def _new_blocks(uris: UriList, folder: PartFolder, num_workers: int, summary: JobSummary) -> Iterator[pa.Table]:
    """The addresses that are not done yet, each once, some at a time."""
    size = max(1, min(_PHOTOS_A_BLOCK, uris.num_rows // (4 * num_workers)))
    for table in uris.read():
        is_new = folder.seen.add(table[PATH].combine_chunks())
        kept = table.select([PATH]).filter(pa.array(is_new))
        summary.num_passed += table.num_rows - kept.num_rows
        for start in range(0, kept.num_rows, size):
            yield kept.slice(start, size).combine_chunks()


def _work(blocks: Iterator[pa.Table], workers: PhotoWorkers) -> Iterator[pa.Table]:
    """What the workers make of the blocks, in the order in which they are done."""
    import ray.data

    while wave := _take(blocks, _PHOTOS_A_WAVE):
        done = ray.data.from_blocks(wave).map_batches(  # `from_arrow` would run a task a block to count its rows
            workers.kind,
            fn_constructor_args=workers.arguments,
            compute=ray.data.ActorPoolStrategy(size=max(1, min(workers.number, len(wave)))),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=1,
        )
        yield from done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)


def _take(blocks: Iterator[pa.Table], num_photos: int) -> list[pa.Table]:
    """The next blocks, until they have so many photos."""
    taken, num_taken = [], 0
    for block in blocks:
        taken.append(block)
        num_taken += block.num_rows
        if num_taken >= num_photos:
            break
    return taken


def _count(table: pa.Table, summary: JobSummary) -> None:
    summary.num_photos += table.num_rows
    refused = table.filter(table[REASON].is_valid())
    summary.num_skipped += refused.num_rows
    for row in refused.slice(0, _NUM_NAMED - len(summary.first_skipped)).to_pylist():
        summary.first_skipped.append(Skipped(row[PATH], row[REASON]))


def _nothing_read(uris: UriList, summary: JobSummary) -> DatasetError:
    if not summary.first_skipped:
        message = _("{source!r} has no row with an address. Give a list with a row for each photo.")
        return DatasetError(message.format(source=uris.source), paths=[uris.source])
    first = summary.first_skipped[0]
    message = _("none of the first {num:,} photos of {source!r} can be read. The first is {path!r}: {reason}.")
    return DatasetError(
        message.format(num=summary.num_skipped, source=uris.source, path=first.path, reason=first.reason),
        paths=[item.path for item in summary.first_skipped],
    )
