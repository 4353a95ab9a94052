"""Converters that go wrong: a clear line, nothing half-written, and the model as it was."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import tellapart
from tellapart.errors import ExportError
from tellapart.export.target import TARGETS
from tellapart.predict.bundle import Bundle

if TYPE_CHECKING:
    from tellapart.runs.job import Run

# What a converter writes, or a part of it that is read when the export is run.
MODEL_FILES = {
    "openvino": "model.bin",
    "keras": "model.keras",
    "coreml": "Classifier.mlpackage/Data/com.apple.CoreML/model.mlmodel",
    "triton": "model_repository/classifier/1/model.onnx",
    "onnx-int8": "model.onnx",
    "litert": "model.tflite",
    "litert-int8": "model.tflite",
    "web": "classifier.html",
    "web-int8": "site/network.onnx.gz",
}
HARMS: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "empty": lambda data, generator: b"",
    "rubbish": lambda data, generator: generator.bytes(int(generator.integers(1, 5000))),
    "cut off": lambda data, generator: data[: int(generator.integers(1, len(data)))],
}
ONE_LINE = re.compile(r"[^\n]{10,500}")


@pytest.fixture
def harmed(transfer_run: "Run", converted_here: Callable[..., None], tmp_path: Path) -> Callable[[str, str], str]:
    """A function that gives why an export was not written whose model was harmed in this way."""

    def export(target: str, harm: str) -> str:
        generator = np.random.default_rng(len(target + harm))

        def write(export_dir: Path) -> None:
            path = export_dir / MODEL_FILES[target]
            path.write_bytes(HARMS[harm](path.read_bytes(), generator))

        converted_here(write)
        with pytest.raises(ExportError) as caught:
            tellapart.export_model(transfer_run.run_dir, target, tmp_path / "deep/out")
        assert list(tmp_path.iterdir()) == []
        return str(caught.value)

    return export


@pytest.mark.parametrize("target", TARGETS)
def test_no_file_of_the_run_is_changed_by_a_converter(target: str, installed: str, made: Callable[[str], Any]) -> None:
    done = made(target)
    assert done.after == done.before


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.filterwarnings("ignore")
def test_a_converter_that_writes_rubbish_is_told_in_a_line(
    target: str, installed: str, harmed: Callable[[str, str], str]
) -> None:
    place = list(TARGETS).index(target)
    assert ONE_LINE.fullmatch(harmed(target, list(HARMS)[place % len(HARMS)]))


@pytest.mark.soak
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.filterwarnings("ignore")
def test_every_kind_of_rubbish_is_told_in_a_line(
    target: str, harm: str, installed: str, harmed: Callable[[str, str], str]
) -> None:
    assert ONE_LINE.fullmatch(harmed(target, harm))


def answers_of(kind: str, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Numbers that are no probabilities of so many photos and classes."""
    right = generator.dirichlet(np.ones(shape[1]), shape[0])
    return {
        "not a number": np.where(np.arange(shape[0])[:, np.newaxis] == generator.integers(24), np.nan, right),
        "logits": generator.normal(0, 5, shape),
        "one class more": generator.dirichlet(np.ones(shape[1] + 1), shape[0]),
        "negative": right + np.array([[1, -1] + [0] * (shape[1] - 2)]) * 2,
        "percent": right * 100,
    }[kind]


@pytest.mark.parametrize("kind", ["not a number", "logits", "one class more", "negative", "percent"])
def test_a_runtime_that_gives_no_probabilities_is_told(
    kind: str, transfer_run: "Run", converted_here: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tellapart.export import triton_repository
    from tellapart.export.target import Runner

    rows = iter(answers_of(kind, (100, 2), np.random.default_rng(0)).astype(np.float32))
    runner = Runner("a runtime 1.0", lambda image: next(rows)[np.newaxis])
    monkeypatch.setattr(triton_repository, "open_runner", lambda folder: runner)
    converted_here()
    with pytest.raises(ExportError, match="numbers that are no probabilities. Nothing was written"):
        tellapart.export_model(transfer_run.run_dir, "triton", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# A process that may write no file larger than its first argument says, which ends as a full disk does.
ON_A_FULL_DISK = """
import resource, sys
import tellapart
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
try:
    tellapart.export_model(sys.argv[2], sys.argv[3], sys.argv[4])
except tellapart.TellapartError as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
@pytest.mark.parametrize("seed", range(2))
def test_a_disk_that_fills_at_any_time_leaves_nothing(seed: int, transfer_run: "Run", tmp_path: Path) -> None:
    size = int(np.random.default_rng(seed).integers(0, 15_000))
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(size), str(transfer_run.run_dir), "triton"]
    out = tmp_path / "deep/out"
    done = subprocess.run([*command, str(out)], capture_output=True, text=True, timeout=300, check=False)
    assert re.fullmatch(r"OutputError: cannot write '.*out': .*\n", done.stdout), done.stderr
    assert list(tmp_path.iterdir()) == []


def colour_model(operator: str, domain: str = "") -> bytes:
    """A classifier of 4x6 pixels for two classes that has this operator in it."""
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["float"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node(operator, ["flat"], ["bent"], domain=domain),
        helper.make_node("Gemm", ["bent", "columns"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    columns = numpy_helper.from_array(np.eye(3, 2, dtype=np.float32), "columns")
    values = [
        helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["batch", 4, 6, 3]),
        helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", 2]),
    ]
    graph = helper.make_graph(nodes, "bent", values[:1], values[1:], [columns])
    imports = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString())


LACKING = [
    *((target, operator, "") for target in ("keras", "coreml") for operator in ("Erf", "Reciprocal", "Softplus")),
    ("litert", "Erf", ""),
]


@pytest.mark.parametrize(("target", "operator", "domain"), LACKING)
@pytest.mark.filterwarnings("ignore")
def test_an_operator_that_a_target_lacks_is_one_clear_line(
    target: str,
    operator: str,
    domain: str,
    installed: str,
    make_bundle: Callable[..., Bundle],
    converted_here: Callable[..., None],
    paint: Callable[..., Path],
    tmp_path: Path,
) -> None:
    converted_here()
    model = tellapart.Model(make_bundle(model=colour_model(operator, domain)))
    photo = paint("photos/red.png", "red").parent
    with pytest.raises(ExportError, match=rf"{operator}.*Export it to [a-z, ]*(triton|onnx-int8)\.$") as caught:
        model.export(target, tmp_path / "out", proof=photo)
    assert ONE_LINE.fullmatch(str(caught.value))
    assert not (tmp_path / "out").exists()
