import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tellapart.distribute import part_folder
from tellapart.distribute.part_folder import MARKER_NAME, SeenUris, open_part_folder
from tellapart.errors import OutputError

MAKER = {"kind": "tellapart predictions", "model": "first"}


def rows(*numbers: int) -> pa.Table:
    return pa.table({"path": [f"photos/{number}.jpg" for number in numbers]})


def parts(folder: Path) -> list[list[str]]:
    return [pq.read_table(path)["path"].to_pylist() for path in sorted(folder.glob("*.parquet"))]


def test_an_address_is_new_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_folder, "_MOST_RECENT", 5)
    seen = SeenUris()
    for start in range(0, 60, 6):
        uris = pa.array([f"{number}.jpg" for number in range(start, start + 6)])
        assert seen.add(uris).all()
        assert not seen.add(uris).any()
    assert not seen.add(pa.array([f"{number}.jpg" for number in range(60)])).any()
    assert seen.add(pa.array(["a", "b", "a", "0.jpg"])).tolist() == [True, True, False, False]


def test_a_part_is_written_when_there_are_enough_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_folder, "ROWS_A_PART", 3)
    with open_part_folder(tmp_path / "out", MAKER) as folder:
        for number in range(7):
            folder.add(rows(number))
        assert [len(part) for part in parts(tmp_path / "out")] == [3, 3]
        folder.flush()
    assert [len(part) for part in parts(tmp_path / "out")] == [3, 3, 1]
    assert folder.num_written == 7


def test_a_part_is_written_when_enough_time_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_folder, "SECONDS_A_PART", 0.0)
    with open_part_folder(tmp_path / "out", MAKER) as folder:
        folder.add(rows(1))
        assert len(parts(tmp_path / "out")) == 1


def test_the_next_job_knows_what_is_there_and_adds_to_it(tmp_path: Path) -> None:
    for numbers in ((1, 2), (3,)):
        with open_part_folder(tmp_path / "out", MAKER) as folder:
            assert folder.seen.add(rows(*numbers)["path"].combine_chunks()).all()
            folder.add(rows(*numbers))
            folder.flush()
    assert folder.num_found == 2
    assert [len(part) for part in parts(tmp_path / "out")] == [2, 1]


def test_a_half_written_part_is_no_part(tmp_path: Path) -> None:
    with open_part_folder(tmp_path / "out", MAKER) as folder:
        folder.add(rows(1))
        folder.flush()
    (tmp_path / "out" / ".tellapart-abc.partial").write_bytes(b"PAR1")
    with open_part_folder(tmp_path / "out", MAKER) as folder:
        assert folder.num_found == 1
    assert sorted(os.listdir(tmp_path / "out")) == [MARKER_NAME, "part-000000.parquet"]


@pytest.mark.parametrize("other", [{"model": "second"}, {"settings": {}}], ids=["model", "settings"])
def test_parts_of_another_maker_are_refused(tmp_path: Path, other: dict[str, object]) -> None:
    with open_part_folder(tmp_path / "out", MAKER):
        pass
    (name,) = other
    with (
        pytest.raises(OutputError, match=f"has parts with another {name}. Give a new folder as `out`"),
        open_part_folder(tmp_path / "out", MAKER | other),
    ):
        pass


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    with open_part_folder(tmp_path / "out", MAKER) as folder:
        folder.add(rows(1))
        folder.flush()
    (tmp_path / "out" / "part-000000.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(OutputError, match="part-000000.parquet' is damaged"), open_part_folder(tmp_path / "out", MAKER):
        pass


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not a folder that tellapart made"), open_part_folder(tmp_path, MAKER):
        pass
    assert os.listdir(tmp_path) == ["notes.txt"]
