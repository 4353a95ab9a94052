from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.parquet as pq

from tellapart.distribute.embedded_parts import EmbeddedPhotos, read_parts
from tellapart.distribute.labelled_uris import LabelledUris, read_labels
from tellapart.distribute.uri_list import open_uri_list
from tellapart.errors import BundleError

SIZE = 6
Row = dict[str, Any]


@pytest.fixture
def listed(tmp_path: Path) -> LabelledUris:
    """200 addresses of three classes."""
    lines = [f"{number}.jpg,class {number % 3}" for number in range(200)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]))
    return read_labels(open_uri_list(str(tmp_path / "list.csv"), None, "label"))


@pytest.fixture
def write_parts(tmp_path: Path) -> Callable[..., list[Path]]:
    """A function that writes rows into so many parts, with the schema of a cluster."""
    schema = pa.schema(
        [
            ("path", pa.string()),
            ("content", pa.string()),
            ("embedding", pa.list_(pa.float32())),
            ("reason", pa.string()),
        ]
    )

    def write(rows: list[Row], num_parts: int = 3) -> list[Path]:
        files = [tmp_path / f"part-{number}.parquet" for number in range(num_parts)]
        for number, file in enumerate(files):
            pq.write_table(pa.Table.from_pylist(rows[number::num_parts], schema), file, row_group_size=7)
        return files

    return write


def make_row(number: int, **fields: object) -> Row:
    vector = np.random.default_rng(number).normal(size=SIZE).astype(np.float32)
    return {
        "path": f"{number}.jpg",
        "content": f"{number:016x}{0:024x}",
        "embedding": vector.tolist(),
        "reason": None,
        **fields,
    }


def in_order(rows: list[Row], found: EmbeddedPhotos, wanted: Any) -> None:
    """The batches of `found` are the wanted rows, with their labels."""
    batches = list(found.batches(wanted))
    vectors = np.concatenate([embeddings for embeddings, _labels in batches])
    labels = np.concatenate([labels for _embeddings, labels in batches])
    assert vectors.dtype == np.float32
    numbers = found.places[wanted]
    np.testing.assert_array_equal(labels, numbers % 3)
    np.testing.assert_array_equal(vectors, np.array([make_row(number)["embedding"] for number in numbers], np.float32))


@pytest.mark.parametrize("seed", range(3))
def test_wanted_embeddings_come_with_their_labels(seed: int, listed: LabelledUris, write_parts: Any) -> None:
    generator = np.random.default_rng(seed)
    rows = [make_row(number) for number in generator.permutation(200).tolist()]
    found = read_parts(write_parts(rows), listed)
    in_order(rows, found, generator.random(200) < generator.random())


def test_gathered_photos_are_in_the_order_of_the_list(listed: LabelledUris, write_parts: Any) -> None:
    order = np.random.default_rng(0).permutation(200).tolist()
    found = read_parts(write_parts([make_row(number) for number in order]), listed)
    gathered = found.gather(found.places % 2 == 0)
    assert gathered.paths == tuple(f"{number}.jpg" for number in range(0, 200, 2))
    assert gathered.digests[3] == f"{6:016x}{0:024x}"
    np.testing.assert_array_equal(gathered.labels, np.arange(0, 200, 2) % 3)
    np.testing.assert_array_equal(gathered.embeddings[5], np.array(make_row(10)["embedding"], np.float32))


def test_photos_that_cannot_be_read_are_named(listed: LabelledUris, write_parts: Any) -> None:
    rows = [make_row(number) for number in range(50)]
    rows += [make_row(number, embedding=None, content=None, reason="there is no such file") for number in range(50, 60)]
    found = read_parts(write_parts(rows), listed)
    assert len(found) == 50
    assert sorted(item.path for item in found.unreadable) == [f"{number}.jpg" for number in range(50, 60)]
    in_order(rows, found, np.ones(50, np.bool_))


def test_an_address_embedded_twice_counts_once_and_a_strange_one_not_at_all(
    listed: LabelledUris, write_parts: Any
) -> None:
    rows = [make_row(number) for number in (1, 2, 3, 1, 2)] + [make_row(5, path="not in the list")]
    found = read_parts(write_parts(rows), listed)
    assert sorted(found.places.tolist()) == [1, 2, 3]
    in_order(rows, found, np.ones(3, np.bool_))


def test_copies_have_one_content(listed: LabelledUris, write_parts: Any) -> None:
    rows = [make_row(0), make_row(1, content=make_row(0)["content"]), make_row(2)]
    contents = read_parts(write_parts(rows, 1), listed).contents
    assert contents[0] == contents[1] != contents[2]


def test_a_damaged_part_is_one_line(listed: LabelledUris, write_parts: Any) -> None:
    files = write_parts([make_row(number) for number in range(9)])
    files[1].write_bytes(files[1].read_bytes()[:50])
    with pytest.raises(BundleError, match=r"part-1.parquet' is damaged. Delete the file"):
        read_parts(files, listed)
