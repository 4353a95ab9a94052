from pathlib import Path

import pytest

from tellapart.errors import OutputError
from tellapart.runs.out_folder import check_outside, claim_dir


def test_claim_dir_makes_a_new_folder_with_its_parents(tmp_path: Path) -> None:
    claim_dir(tmp_path / "runs" / "first", "run.json")
    assert (tmp_path / "runs" / "first").is_dir()


@pytest.mark.parametrize("name", ["run.json", ".tellapart-0123456789ab.partial"], ids=["our run", "killed at once"])
def test_claim_dir_takes_a_folder_of_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"kept")
    claim_dir(tmp_path, "run.json")
    assert (tmp_path / name).read_bytes() == b"kept"


def test_claim_dir_takes_an_empty_folder(tmp_path: Path) -> None:
    claim_dir(tmp_path, "run.json")
    assert list(tmp_path.iterdir()) == []


def test_claim_dir_refuses_a_foreign_folder_and_names_what_is_in_it(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"cat.{number}.jpg").write_bytes(b"mine")
    with pytest.raises(OutputError, match="not a tellapart run.*'cat.0.jpg'.* and 2 more.*pass another --out"):
        claim_dir(tmp_path, "run.json")
    assert len(list(tmp_path.iterdir())) == 7


def test_claim_dir_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(OutputError, match="not a folder; pass another --out"):
        claim_dir(tmp_path / "out", "run.json")


def test_claim_dir_says_when_a_part_of_the_path_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        claim_dir(tmp_path / "out" / "run", "run.json")


def test_claim_dir_names_the_flag_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="'mine.txt' and no 'sorted.json'.*pass another --sort-into"):
        claim_dir(tmp_path, "sorted.json", "--sort-into")


def test_check_outside_names_the_flag_that_was_given(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="^--sort-into .*lies inside the photos.*Pass another --sort-into"):
        check_outside(tmp_path / "sorted", tmp_path, "--sort-into")
