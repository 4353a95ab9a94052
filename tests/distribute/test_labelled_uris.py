import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tellapart.distribute.labelled_uris import read_labels
from tellapart.distribute.uri_list import open_uri_list
from tellapart.errors import DatasetError

pytest.importorskip("pyarrow")


def write_list(path: Path, rows: Sequence[tuple[str, str]], header: tuple[str, str] = ("path", "label")) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.mark.parametrize("seed", range(3))
def test_each_address_has_its_label_wherever_it_stands(seed: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(seed)
    rows = [(f"s3://photos/{number}.jpg", f"class {generator.integers(12)}") for number in range(300)]
    found = read_labels(open_uri_list(write_list(tmp_path / "list.csv", rows), None, "label"))
    order = generator.permutation(300)
    numbers = found.find([rows[row][0] for row in order])
    assert [found.class_names[label] for label in found.labels[numbers]] == [rows[row][1] for row in order]
    assert found.places[numbers].tolist() == order.tolist()
    assert sum(found.counts().values()) == 300


def test_classes_are_in_natural_order(tmp_path: Path) -> None:
    rows = [("a", "k10"), ("b", "k9"), ("c", "k1")]
    found = read_labels(open_uri_list(write_list(tmp_path / "list.csv", rows), None, "label"))
    assert found.class_names == ("k1", "k9", "k10")


def test_an_address_that_is_not_in_the_list_is_not_found(tmp_path: Path) -> None:
    found = read_labels(open_uri_list(write_list(tmp_path / "list.csv", [("a", "x"), ("b", "y")]), None, "label"))
    assert found.find(["b", "c", "a", ""])[[1, 3]].tolist() == [-1, -1]


def test_an_address_without_a_label_is_named(tmp_path: Path) -> None:
    rows = [("a", "x"), ("b", ""), ("c", "y"), ("d", "  ")]
    found = read_labels(open_uri_list(write_list(tmp_path / "list.csv", rows), None, "label"))
    assert [item.path for item in found.unlabelled] == ["b", "d"]
    assert found.counts() == {"x": 1, "y": 1}


def test_an_address_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    rows = [("a", "x"), ("b", "y"), ("a", "x")]
    found = read_labels(open_uri_list(write_list(tmp_path / "list.csv", rows), None, "label"))
    assert found.counts() == {"x": 1, "y": 1}
    assert found.places[found.find(["a"])].tolist() == [0]


def test_an_address_with_two_labels_is_refused_by_name(tmp_path: Path) -> None:
    rows = [("a", "x"), ("b.jpg", "y"), ("b.jpg", "x")]
    with pytest.raises(DatasetError, match=r"1 photo of '.*list.csv' has two labels: 'b.jpg'"):
        read_labels(open_uri_list(write_list(tmp_path / "list.csv", rows), None, "label"))


def test_a_list_whose_labels_are_all_blank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no row of '.*' has a label.*`label_column`"):
        read_labels(open_uri_list(write_list(tmp_path / "list.csv", [("a", ""), ("b", "")]), None, "label"))


@pytest.mark.parametrize("changed", [[("a", "y"), ("b", "x")], [("a", "x"), ("c", "y")], [("a", "x")]], ids=str)
def test_the_checksum_changes_with_the_list(changed: list[tuple[str, str]], tmp_path: Path) -> None:
    first, second = (
        read_labels(open_uri_list(write_list(tmp_path / name, rows), None, "label")).checksum
        for name, rows in (("one.csv", [("a", "x"), ("b", "y")]), ("two.csv", changed))
    )
    assert first != second
