"""Every target, from a run to its own runtime: it holds what it says, and answers as `predict`."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

import tellapart
from tellapart.backbones.onnx_session import open_session
from tellapart.export.target import TARGETS

if TYPE_CHECKING:
    from tellapart.runs.job import Run

RUNTIMES = {"openvino": "openvino 20", "triton": "onnxruntime 1.", "keras": "keras 3", "coreml": "PyTorch 2"}


def needs(target: str) -> pytest.MarkDecorator:
    missing = [module for module in TARGETS[target].needs if find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} is not installed")


@pytest.mark.parametrize("target", [pytest.param(target, marks=needs(target)) for target in RUNTIMES])
@pytest.mark.filterwarnings("ignore")  # of the libraries, which users see in no process of theirs
def test_float_targets_differ_by_rounding(
    target: str, transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here()
    done = tellapart.export_model(transfer_run.run_dir, target, tmp_path / "out")
    assert done.proof.largest_difference < 1e-5
    assert done.proof.num_changed == 0
    assert done.proof.runtime.startswith(RUNTIMES[target])
    assert done.proof.is_native == (target in ("openvino", "keras"))


def test_int8_holds_maps_and_distances(
    transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here()
    done = tellapart.export_model(transfer_run.run_dir, "onnx-int8", tmp_path / "out", accept_difference=True)
    session = open_session((done.folder / "model.onnx").read_bytes(), 1)
    assert [output.name for output in session.get_outputs()] == ["probabilities", "activation_map", "distance"]
    assert done.left_out == ()


def test_int8_has_a_scale_a_channel_and_a_head_in_float(
    transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here()
    done = tellapart.export_model(transfer_run.run_dir, "onnx-int8", tmp_path / "out", accept_difference=True)
    graph = onnx.load_model(done.folder / "model.onnx").graph
    kernels = [
        tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    scales = {
        len(onnx.numpy_helper.to_array(tensor).reshape(-1)) for tensor in graph.initializer if "scale" in tensor.name
    }
    assert len(kernels) == 2
    assert {12, 24} <= scales
    assert (
        np.float32
        == {tensor.name: onnx.numpy_helper.to_array(tensor).dtype for tensor in graph.initializer}["tellapart/weights"]
    )


def test_what_a_target_cannot_hold_is_said(
    transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here()
    done = tellapart.export_model(transfer_run.run_dir, "keras", tmp_path / "out")
    assert done.left_out == ("keras cannot answer 'none of these'.",)


def test_a_triton_repository_describes_inputs_and_outputs(
    transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path
) -> None:
    converted_here()
    folder = (
        tellapart.export_model(transfer_run.run_dir, "triton", tmp_path / "out").folder / "model_repository/classifier"
    )
    config = (folder / "config.pbtxt").read_text()
    assert 'input [{ name: "image" data_type: TYPE_UINT8 dims: [32, 32, 3] }]' in config
    assert '{ name: "probabilities" data_type: TYPE_FP32 dims: [2] label_filename: "labels.txt" }' in config
    assert '{ name: "distance" data_type: TYPE_FP32 dims: [1] reshape: { shape: [ ] } }' in config
    assert (folder / "1/model.onnx").is_file()
