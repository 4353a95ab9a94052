from pathlib import Path

import pytest

from tellapart.commands import demo
from tellapart.config import TransferConfig
from tellapart.demo.collection import TRAPS
from tellapart.errors import OutputError
from tellapart.watcher import Watcher


def test_the_demo_leaves_a_report_and_answers_and_can_be_repeated(
    tmp_path: Path, tiny_backbone: Path, cache_dir: str
) -> None:
    config = TransferConfig(backbone=str(tiny_backbone))
    first = demo.run_demo(tmp_path / "demo", Watcher(), config, cache_dir)
    assert (first.run.run_dir / "report.html").exists()
    assert first.picture.read_bytes().startswith(b"\x89PNG")
    assert len(first.table.read_text().splitlines()) == 13
    assert sum(first.answers.values()) == 12
    assert {trap: planted for trap, (_, planted) in first.found.items()} == dict(zip(TRAPS, (3, 4, 1), strict=True))
    assert first.found["copy"] == (4, 4)
    second = demo.run_demo(tmp_path / "demo", Watcher(), config, cache_dir)
    assert (first.run.run_dir.name, second.run.run_dir.name) == ("run-1", "run-2")


@pytest.mark.slow
def test_the_default_finds_all_that_is_planted(tmp_path: Path, cache_dir: str) -> None:
    found = demo.run_demo(tmp_path / "demo", Watcher(), TransferConfig(eyes="efficientnet-lite0@288"), cache_dir)
    assert found.found == {"wrong label": (3, 3), "copy": (4, 4), "foreign photo": (1, 1)}
    assert found.answers["none of these"] == 2


def test_a_folder_that_is_not_a_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(b"somebody's")
    with pytest.raises(OutputError, match="Give a new or empty folder as `out`"):
        demo.run_demo(tmp_path, Watcher())
    assert (tmp_path / "photos.zip").read_bytes() == b"somebody's"
