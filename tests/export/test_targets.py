"""Every target, from a run to its own runtime: it holds what it says, and answers as `predict`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from tellapart.backbones.onnx_session import open_session

RUNTIMES = {"openvino": "openvino 20", "triton": "onnxruntime 1.", "keras": "keras 3", "coreml": "PyTorch 2"}


@pytest.mark.parametrize("target", RUNTIMES)
def test_float_targets_differ_by_rounding(target: str, installed: str, made: Callable[[str], Any]) -> None:
    done = made(target).export
    assert done.proof.largest_difference < 1e-5
    assert done.proof.num_changed == 0
    assert done.proof.runtime.startswith(RUNTIMES[target])
    assert done.proof.is_native == (target in ("openvino", "keras"))


def test_int8_holds_maps_and_distances(made: Callable[[str], Any]) -> None:
    done = made("onnx-int8").export
    session = open_session((done.folder / "model.onnx").read_bytes(), 1)
    assert [output.name for output in session.get_outputs()] == ["probabilities", "activation_map", "distance"]
    assert done.left_out == ()


def test_int8_has_a_scale_a_channel_and_a_head_in_float(made: Callable[[str], Any]) -> None:
    done = made("onnx-int8").export
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


def test_what_a_target_cannot_hold_is_said(made: Callable[[str], Any]) -> None:
    done = made("keras").export
    assert done.left_out == ("keras cannot answer 'none of these'.",)


def test_a_triton_repository_describes_inputs_and_outputs(made: Callable[[str], Any]) -> None:
    folder = made("triton").export.folder / "model_repository/classifier"
    config = (folder / "config.pbtxt").read_text()
    assert 'input [{ name: "image" data_type: TYPE_UINT8 dims: [32, 32, 3] }]' in config
    assert '{ name: "probabilities" data_type: TYPE_FP32 dims: [2] label_filename: "labels.txt" }' in config
    assert '{ name: "distance" data_type: TYPE_FP32 dims: [1] reshape: { shape: [ ] } }' in config
    assert (folder / "1/model.onnx").is_file()
