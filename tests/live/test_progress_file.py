import json
from pathlib import Path

import pytest

import tellapart
from tellapart.errors import DatasetError
from tellapart.live.progress_file import ProgressFile, read_progress
from tellapart.records import EmbedRecord, EpochRecord, StepRecord
from tellapart.watcher import Watcher


def test_the_last_word_is_how_the_training_ended(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    with ProgressFile(path):
        assert read_progress(path).state == "training"  # type: ignore[union-attr]
    assert read_progress(path).state == "finished"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (DatasetError("class 'cat' has 1 photo.\nAdd photos."), "failed", "class 'cat' has 1 photo. Add photos."),
        (KeyboardInterrupt(), "stopped", ""),
        (ValueError("odd"), "failed", "ValueError: odd"),
    ],
    ids=["known", "stopped", "defect"],
)
def test_an_error_is_the_last_word(tmp_path: Path, error: BaseException, state: str, message: str) -> None:
    path = tmp_path / "progress.json"
    with pytest.raises(type(error)), ProgressFile(path):
        raise error
    progress = read_progress(path)
    assert progress is not None
    assert (progress.state, progress.message) == (state, message)


def test_epochs_steps_and_photos_are_told_and_so_is_the_other_watcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tellapart.live.progress_file._SECONDS_BETWEEN", 0.0)
    path, told = tmp_path / "progress.json", []
    with ProgressFile(path) as file:
        watcher = file.watch(Watcher(on_step=told.append, on_stage=told.append))
        watcher.on_stage("reading photos")
        watcher.on_embedded(EmbedRecord(5, 20, 0, 9.0))
        first = read_progress(path)
        watcher.on_step(StepRecord(2, 4, 1, 2, 0.5, 0.9, 30.0))
        watcher.on_epoch(EpochRecord(2, 0.5, 0.9, 0.4, 0.93, 1.0, 50.0, 0.5))
        second = read_progress(path)
    assert first is not None
    assert second is not None
    assert (first.stage, first.share, first.seconds_left) == ("reading photos", 0.25, 9.0)
    assert (second.epoch, second.num_epochs, second.share, second.validation_accuracy) == (2, 4, 0.5, 0.93)
    assert len(told) == 2


def test_a_place_that_cannot_be_written_stops_no_training(tmp_path: Path) -> None:
    with ProgressFile(tmp_path / "nowhere" / "progress.json") as file:
        file.watch(Watcher()).on_stage("training")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff"])
def test_what_is_no_progress_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert read_progress(tmp_path / "x.json") is None
    assert read_progress(tmp_path / "y.json") is None


def test_a_whole_training_leaves_a_file_of_progress(
    animals_dir: Path, tiny_backbone: Path, cache_dir: str, tmp_path: Path
) -> None:
    path = tmp_path / "progress.json"
    with ProgressFile(path) as file:
        watcher = file.watch(Watcher())
        tellapart.train(
            animals_dir, tmp_path / "run", backbone=str(tiny_backbone), cache_dir=cache_dir, watcher=watcher
        )
    assert json.loads(path.read_bytes())["state"] == "finished"
