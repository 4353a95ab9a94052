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
from tellapart.errors import ExportError
from tellapart.export.target import TARGETS
from tellapart.predict.bundle import Bundle

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


@pytest.mark.parametrize("target", [pytest.param(target, marks=needs(target)) for target in ("keras", "coreml")])
@pytest.mark.filterwarnings("ignore")
def test_an_operator_that_a_target_lacks_is_one_clear_line(
    target: str,
    make_bundle: Callable[..., Bundle],
    converted_here: Callable[..., None],
    paint: Callable[..., Path],
    tmp_path: Path,
) -> None:
    converted_here()
    model = tellapart.Model(make_bundle(model=colour_model_with("Erf")))
    photo = paint("photos/red.png", "red").parent
    with pytest.raises(ExportError, match="operator Erf .*Export it to openvino, triton or onnx-int8.$"):
        model.export(target, tmp_path / "out", proof=photo)
    assert not (tmp_path / "out").exists()


def colour_model_with(operator: str) -> bytes:
    """A classifier of 4x6 pixels for two classes that has this operator in it."""
    nodes = [
        onnx.helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        onnx.helper.make_node("Cast", ["planes"], ["float"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("GlobalAveragePool", ["float"], ["mean"]),
        onnx.helper.make_node("Flatten", ["mean"], ["flat"]),
        onnx.helper.make_node(operator, ["flat"], ["bent"]),
        onnx.helper.make_node("Gemm", ["bent", "columns"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    columns = onnx.numpy_helper.from_array(np.eye(3, 2, dtype=np.float32), "columns")
    values = [
        onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["batch", 4, 6, 3]),
        onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", 2]),
    ]
    graph = onnx.helper.make_graph(nodes, "bent", values[:1], values[1:], [columns])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()
