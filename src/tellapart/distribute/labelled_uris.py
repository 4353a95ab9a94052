"""The labels of a list of addresses, in 20 bytes a photo: what a training keeps of a list that may not fit in memory.

A photo is known by a checksum of its address, so that the order in which a cluster gives photos back does not matter.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.distribute.uri_list import LABEL, PATH, UriList
from tellapart.errors import DatasetError
from tellapart.photos.names import name_some, natural_key
from tellapart.records import Skipped
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

_MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class LabelledUris:
    """The labels of the addresses of a list, each once.

    Attributes:
        source: the list, as the user named it.
        keys: checksums of the addresses, uint64, ascending, shape `(n,)`.
        labels: int64 numbers into `class_names`, shape `(n,)`.
        places: int64, shape `(n,)`: the row of each in the list.
        class_names: in natural order.
        unlabelled: addresses without a label.
        checksum: changes with any address or label of the list.
    """

    source: str
    keys: NDArray[np.uint64]
    labels: NDArray[np.int64]
    places: NDArray[np.int64]
    class_names: tuple[str, ...]
    unlabelled: tuple[Skipped, ...]
    checksum: str

    def find(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """The number of each address among those with a label, int64, shape `(len(paths),)`; -1 for any other."""
        wanted = keys_of(paths)
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[places] == wanted, places, -1).astype(np.int64)

    def counts(self) -> dict[str, int]:
        """Photos of each class, in class order."""
        numbers = np.bincount(self.labels, minlength=len(self.class_names)).tolist()
        return dict(zip(self.class_names, numbers, strict=True))


def read_labels(uris: UriList) -> LabelledUris:
    """The labels of a list, which is read once.

    Args:
        uris: opened with a column of labels.

    Raises:
        DatasetError: no address has a label, or one has two.
    """
    numbers: dict[str, int] = {}
    keys: list[NDArray[np.uint64]] = []
    labels: list[NDArray[np.int64]] = []
    unlabelled: dict[str, Skipped] = {}
    checksum = hashlib.blake2b(digest_size=20)
    for table in uris.read():
        paths, names = table.column(PATH).to_pylist(), table.column(LABEL).to_pylist()
        found = np.full(len(paths), -1, np.int64)
        for row, (path, name) in enumerate(zip(paths, names, strict=True)):
            checksum.update(f"{path}\n{name}\n".encode("utf-8", "surrogatepass"))
            if name is None or not name.strip():
                unlabelled[path] = Skipped(path, _("it has no label in the list"))
            else:
                found[row] = numbers.setdefault(name.strip(), len(numbers))
        keys.append(keys_of(paths))
        labels.append(found)
    if not numbers:
        said = _("no row of {source!r} has a label. Fill the column {column!r}, or name another with `label_column`.")
        raise DatasetError(said.format(source=uris.source, column=uris.label_column), paths=[uris.source])
    class_names = tuple(sorted(numbers, key=lambda name: natural_key((name,))))
    final = np.array([class_names.index(name) for name in numbers], np.int64)
    rows = np.concatenate(labels)
    is_labelled = rows >= 0
    places = np.flatnonzero(is_labelled)
    all_keys, all_labels = np.concatenate(keys)[is_labelled], final[rows[is_labelled]]
    order = np.argsort(all_keys, kind="stable")  # of an address that is there twice the first row counts
    all_keys, all_labels, places = all_keys[order], all_labels[order], places[order]
    is_again = np.concatenate([[False], all_keys[1:] == all_keys[:-1]])
    _refuse_two_labels(uris, all_keys[1:][is_again[1:] & (all_labels[1:] != all_labels[:-1])])
    kept = ~is_again
    return LabelledUris(
        uris.source,
        all_keys[kept],
        all_labels[kept],
        places[kept],
        class_names,
        tuple(unlabelled.values()),
        checksum.hexdigest(),
    )


def _refuse_two_labels(uris: UriList, keys: NDArray[np.uint64]) -> None:
    """Nothing, if there are no such addresses.

    Raises:
        DatasetError: there are some.
    """
    if not len(keys):
        return
    paths: dict[str, None] = {}
    for table in uris.read():
        of_table = table.column(PATH).to_pylist()
        is_named = np.isin(keys_of(of_table), keys)
        paths |= dict.fromkeys(path for path, named in zip(of_table, is_named.tolist(), strict=True) if named)
        if len(paths) > _MOST_NAMED:
            break
    num = len(np.unique(keys))
    said = ngettext(
        "{num:,} photo of {source!r} has two labels: {names}. Give each photo one label, or leave it out.",
        "{num:,} photos of {source!r} have two labels: {names}. Give each photo one label, or leave it out.",
        num,
    )
    names = name_some(list(paths)[:_MOST_NAMED])
    raise DatasetError(said.format(num=num, source=uris.source, names=names), paths=list(paths))


def keys_of(paths: Sequence[str]) -> NDArray[np.uint64]:
    """8 bytes of BLAKE2b of each address; among a billion, two are the same with a probability of 3%."""
    digests = (hashlib.blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8).digest() for path in paths)
    return np.frombuffer(b"".join(digests), np.uint64)
