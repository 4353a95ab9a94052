"""From a run to a folder for another runtime: what is in it, what it proves, and what stops it."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import tellapart
from tellapart.errors import ConfigError, DatasetError, DependencyError, ExportError, OutputError
from tellapart.export import export_model as export_module
from tellapart.export.converter_process import EXPORT_DIR
from tellapart.export.target import TARGETS
from tellapart.images.preprocessing_folder import GOLDEN_FILE, GOLDEN_PHOTO, GOLDEN_TENSOR, SOURCE_FILES
from tellapart.store import sha256_hex

if TYPE_CHECKING:
    from tellapart.runs.job import Run

MODEL = "model_repository/classifier/1/model.onnx"
PREPROCESS = "preprocessing/preprocess.py"


def exports_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def swap_channels_of_model(export_dir: Path) -> None:
    model = onnx.load_model(export_dir / MODEL)
    kernel = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel)[:, ::-1].copy(), kernel.name))
    (export_dir / MODEL).write_bytes(model.SerializeToString())


def swap_channels_of_preprocessing(export_dir: Path) -> None:
    with (export_dir / PREPROCESS).open("a") as file:
        file.write("\n\nright = preprocess\n\n\ndef preprocess(image):\n    return right(image)[:, :, ::-1]\n")


def resize_without_averaging(export_dir: Path) -> None:
    path = export_dir / PREPROCESS
    path.write_text(path.read_text().replace("if max(rows, columns) >= 2:", "if False:"))


def resize_to_the_nearest_pixel(export_dir: Path) -> None:
    with (export_dir / PREPROCESS).open("a") as file:
        file.write(
            "\n\ndef preprocess(image):\n"
            "    rows = np.arange(HEIGHT) * image.shape[0] // HEIGHT\n"
            "    return image[rows][:, np.arange(WIDTH) * image.shape[1] // WIDTH]\n"
        )


def test_an_export_is_a_folder_with_model_labels_preprocessing_example_and_proof(exported: tellapart.Export) -> None:
    preprocessing = [
        f"preprocessing/{name}" for name in sorted([*SOURCE_FILES, GOLDEN_FILE, GOLDEN_PHOTO, GOLDEN_TENSOR])
    ]
    assert exported.files == ("example.py", "labels.txt", "model.onnx", *preprocessing, "export.json")
    assert all((exported.folder / name).is_file() for name in exported.files)
    assert (exported.folder / "labels.txt").read_text() == "cat\ndog\n"


def test_the_proof_names_bundle_files_runtime_and_photos(exported: tellapart.Export, trained: "Run") -> None:
    told: dict[str, Any] = json.loads((exported.folder / "export.json").read_text())
    data = (exported.folder / "model.onnx").read_bytes()
    bundle = [(trained.run_dir / name).read_bytes() for name in ("bundle.json", "model.onnx")]
    assert told["files"]["model.onnx"] == {"sha256": sha256_hex(data), "size_bytes": len(data)}
    assert told["bundle"]["sha256"] == sha256_hex(b"".join(bundle))
    assert told["proof"]["runtime"].startswith("onnxruntime 1.")
    assert (told["proof"]["photos"], told["proof"]["num_photos"]) == ("held out", 4)
    assert told["proof"]["largest_difference"] == exported.proof.largest_difference < 0.05


def test_int8_takes_a_third_of_the_room(exported: tellapart.Export, trained: "Run") -> None:
    sizes = [(folder / "model.onnx").stat().st_size for folder in (exported.folder, trained.run_dir)]
    assert sizes[0] < sizes[1] / 3


@pytest.mark.parametrize(
    "tamper",
    [
        swap_channels_of_model,
        swap_channels_of_preprocessing,
        resize_without_averaging,
        resize_to_the_nearest_pixel,
    ],
)
def test_a_wrong_export_is_caught_and_not_written(
    tamper: Callable[[Path], None], transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here(tamper)
    with pytest.raises(ExportError, match="answers differently: .* Nothing was written. `accept_difference` keeps it"):
        tellapart.export_model(transfer_run.run_dir, "triton", tmp_path / "out")
    assert exports_of(tmp_path) == []


def test_a_difference_that_is_accepted_stands_in_the_proof_without_the_folders_of_the_machine(
    transfer_run: "Run", converted_here: Callable[..., None], animals_dir: Path, tmp_path: Path
) -> None:
    converted_here(swap_channels_of_model)
    done = tellapart.export_model(transfer_run.run_dir, "triton", tmp_path / "out", accept_difference=True)
    told = json.loads((done.folder / "export.json").read_text())["proof"]
    assert told["is_accepted"]
    assert "a probability differs by" in told["failures"][0]
    assert str(animals_dir.parent) not in (done.folder / "export.json").read_text()


def test_a_run_that_held_nothing_out_is_proved_on_its_training_photos(
    transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here()
    done = tellapart.export_model(transfer_run.run_dir, "triton", tmp_path / "out")
    assert (done.proof.photos, done.proof.num_photos, done.proof.largest_difference) == ("training", 24, 0)


def test_given_photos_are_those_that_the_model_has_not_seen(
    trained: "Run", converted_here: Callable[..., None], animals_dir: Path, tmp_path: Path
) -> None:
    converted_here()
    done = tellapart.export_model(trained.run_dir, "triton", tmp_path / "out", proof=animals_dir)
    assert (done.proof.photos, done.proof.num_photos) == ("given", 4)


def test_an_earlier_export_is_replaced_as_a_whole(
    trained: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here()
    out = tellapart.export_model(trained.run_dir, "triton", tmp_path / "out").folder
    (out / "left.txt").touch()
    tellapart.export_model(trained.run_dir, "triton", out)
    assert "left.txt" not in exports_of(out)
    assert exports_of(tmp_path) == ["out"]


def test_a_folder_of_somebody_else_stays(trained: "Run", tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(OutputError, match="not a folder that tellapart made"):
        tellapart.export_model(trained.run_dir, "triton", tmp_path)
    assert exports_of(tmp_path) == ["mine.txt"]


def test_nothing_is_written_among_the_photos(trained: "Run", animals_dir: Path) -> None:
    with pytest.raises(OutputError, match="inside the photos"):
        tellapart.export_model(trained.run_dir, "triton", animals_dir / "out", proof=animals_dir)
    assert not (animals_dir / "out").exists()


def test_photos_that_moved_are_asked_for(trained: "Run", tmp_path: Path) -> None:
    run = shutil.copytree(trained.run_dir, tmp_path / "run")
    told = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(told | {"source": str(tmp_path / "gone")}))
    with pytest.raises(DatasetError, match="are no longer at .*gone.* Say where they are now with `proof`"):
        tellapart.export_model(run, "triton")
    assert "exports" not in exports_of(run)


def test_moved_photos_calibrate_int8_from_where_they_are_now(
    trained: "Run", converted_here: Callable[..., None], animals_dir: Path, tmp_path: Path
) -> None:
    converted_here()
    run = shutil.copytree(trained.run_dir, tmp_path / "run")
    told = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(told | {"source": str(tmp_path / "gone")}))
    assert tellapart.export_model(run, "onnx-int8", proof=animals_dir).folder == run / "exports/onnx-int8"


def test_a_model_without_a_run_asks_for_photos(model_dir: Path) -> None:
    with pytest.raises(DatasetError, match="no list of its photos. Give photos with `proof`"):
        tellapart.export_model(model_dir, "triton")


def test_a_model_without_a_folder_asks_where_to_write(model_dir: Path) -> None:
    with pytest.raises(ConfigError, match="Say with `out`"):
        tellapart.Model(tellapart.load(model_dir).bundle).export("triton")


def test_an_unknown_target_names_the_nearest(model_dir: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'openvino'"):
        tellapart.export_model(model_dir, "openvno")


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TARGETS["openvino"].needs, "no_such_package", "openvino")  # type: ignore[arg-type]
    with pytest.raises(DependencyError, match=r"no_such_package, .* pip install 'tellapart\[openvino\]'"):
        tellapart.export_model(model_dir, "openvino")


def test_a_converter_that_changes_the_model_is_caught(
    trained: "Run", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = shutil.copytree(trained.run_dir, tmp_path / "run")
    monkeypatch.setattr(export_module, "run_apart", lambda *_: (run / "model.onnx").write_bytes(b"changed"))
    with pytest.raises(ExportError, match="has changed the model"):
        tellapart.export_model(run, "triton", tmp_path / "out")
    assert exports_of(tmp_path) == ["run"]


def test_a_disk_that_fills_leaves_nothing(
    trained: "Run", converted_here: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    converted_here()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        tellapart.export_model(trained.run_dir, "triton", tmp_path / "deep/out")
    assert exports_of(tmp_path) == []


def test_the_export_folder_is_named_in_no_file(exported: tellapart.Export) -> None:
    texts = [(exported.folder / name).read_bytes() for name in exported.files]
    assert [EXPORT_DIR for text in texts if str(exported.folder.parent).encode() in text] == []
