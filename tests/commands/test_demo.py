from dataclasses import replace
from pathlib import Path

import pytest

from tellapart.commands import demo
from tellapart.config import ClassicConfig
from tellapart.errors import OutputError
from tellapart.watcher import Watcher

QUICK = ClassicConfig(image_size=(46, 46), epochs=1, batch_size=8)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo with a handful of photos."""
    monkeypatch.setattr(demo, "_NUM_PER_CLASS", 6)
    monkeypatch.setattr(demo, "_NUM_TEST", 3)


@pytest.mark.usefixtures("small")
def test_the_demo_leaves_pictures_and_predictions_and_can_be_repeated(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    first = demo.run_demo(out, Watcher(), QUICK)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in first.pictures)
    assert len((out / "predictions.csv").read_text().splitlines()) == 4
    second = demo.run_demo(out, Watcher(), replace(QUICK, seed=1))
    assert (first.run.run_dir.name, second.run.run_dir.name) == ("run-1", "run-2")


@pytest.mark.usefixtures("small")
def test_a_folder_that_is_not_a_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "train.zip").write_bytes(b"somebody's")
    with pytest.raises(OutputError, match="Give a new or empty folder as `out`"):
        demo.run_demo(tmp_path, Watcher(), QUICK)
    assert (tmp_path / "train.zip").read_bytes() == b"somebody's"
