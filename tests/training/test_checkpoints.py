import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tellapart.config import ClassicConfig
from tellapart.errors import BundleError, OutputError
from tellapart.networks.backend import find_backend, reproducible
from tellapart.records import EpochRecord
from tellapart.training.checkpoints import (
    TrainingState,
    capture_state,
    load_checkpoint,
    restore_state,
    save_checkpoint,
)
from tellapart.training.classic import ClassicCourse
from tellapart.training.fit import FitData, fit_epochs
from tellapart.training.recipes import build_network, compile_network


def make_state(num_epochs: int) -> TrainingState:
    history = tuple(EpochRecord(n, 0.1 * n, 0.5, 0.2, 0.6, 1.5, 20.0) for n in range(1, num_epochs + 1))
    return TrainingState(history, (np.full((2, 3), num_epochs, np.float32),), (np.array(num_epochs, np.int64),))


def assert_same(one: TrainingState, other: TrainingState | None) -> None:
    assert other is not None
    assert one.history == other.history
    for name in ("variables", "optimizer_variables"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", make_state(3))
    assert_same(make_state(3), load_checkpoint(tmp_path / "c"))


def test_epochs_without_a_look_at_the_validation_photos_are_read_back(tmp_path: Path) -> None:
    history = (
        EpochRecord(1, 0.7, 0.5, None, None, 1.5, 20.0, progress=0.25),
        EpochRecord(2, 0.6, 0.6, 0.5, 0.7, 1.5, 20.0, progress=0.5),
    )
    save_checkpoint(tmp_path, replace(make_state(2), history=history))
    assert load_checkpoint(tmp_path).history == history


def test_a_run_without_checkpoints_gives_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "nothing") is None


def test_two_checkpoints_are_kept_and_older_ones_deleted(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        save_checkpoint(tmp_path, make_state(number))
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["epoch-000002.npz", "epoch-000003.npz"]


def test_a_changed_byte_in_the_newest_falls_back_to_the_one_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_state(1))
    save_checkpoint(tmp_path, make_state(2))
    newest = tmp_path / "epoch-000002.npz"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    assert_same(make_state(1), load_checkpoint(tmp_path))


def test_only_damaged_checkpoints_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_state(1))
    (tmp_path / "epoch-000001.npz").write_bytes(b"")
    with pytest.raises(BundleError, match=r"are damaged.*Train again with another `out`"):
        load_checkpoint(tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, make_state(1))

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        save_checkpoint(tmp_path, make_state(2))
    assert_same(make_state(1), load_checkpoint(tmp_path))


def test_the_manifest_holds_no_path_outside_its_folder(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", make_state(1))
    manifest = tmp_path / "c" / "manifest.json"
    entries = json.loads(manifest.read_bytes())
    (tmp_path / "elsewhere.npz").write_bytes((tmp_path / "c" / entries[0]["file"]).read_bytes())
    entries[0]["file"] = "../elsewhere.npz"
    manifest.write_text(json.dumps(entries))
    with pytest.raises(BundleError, match="damaged"):
        load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "sgd"])
def test_a_restored_model_ends_with_the_same_weights_as_an_unbroken_one(
    tiny_data: FitData, tiny_config: ClassicConfig, tmp_path: Path, optimizer: str
) -> None:
    config = replace(tiny_config, epochs=3, optimizer=optimizer)

    def start(seed: int) -> object:
        with reproducible(seed):
            model = build_network(config, 2, find_backend().data_format)
            compile_network(model, config)
        return model

    unbroken = start(0)
    for record in fit_epochs(tiny_data, ClassicCourse(unbroken, tiny_data, config)):
        if record.epoch == 1:
            save_checkpoint(tmp_path, capture_state(unbroken, (record,)))
    state = load_checkpoint(tmp_path)
    resumed = start(5)  # fresh weights of another seed, all to be replaced
    restore_state(resumed, state)
    list(fit_epochs(tiny_data, ClassicCourse(resumed, tiny_data, config), state.history))
    for one, other in zip(unbroken.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_state_of_another_network_is_refused(tiny_config: ClassicConfig) -> None:
    model = build_network(tiny_config, 2, "channels_first")
    compile_network(model, tiny_config)
    with pytest.raises(BundleError, match="is of another network"):
        restore_state(model, make_state(1))
