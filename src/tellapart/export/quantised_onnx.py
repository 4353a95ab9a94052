"""`onnx-int8`: the model in whole numbers of 8 bits, a quarter of the size, for ONNX Runtime.

Weights are int8 a channel, activations uint8 within the range that nearly all of them had on photos of the training
(percentile). What stands behind the embedding stays in float: it is small, and its logits decide. Without VNNI an x86
processor adds pairs of products in 16 bits, which 7 bits a weight do not overflow.
"""

import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.utils
from numpy.typing import NDArray

from tellapart.backbones.onnx_session import import_quantization, open_session
from tellapart.errors import ExportError
from tellapart.export.example import write_example
from tellapart.export.target import Conversion, Runner
from tellapart.heads.onnx_temperature import answering_onnx
from tellapart.networks.onnx_nodes import DISTANCE_NAME, INPUT_NAME, MAP_NAME, PROBABILITIES_NAME
from tellapart.predict.bundle import Bundle
from tellapart.translation import gettext as _

MODEL_NAME = "model.onnx"
_TEMPORARY_NAMES = ("float.onnx", "fused.onnx", "trunk.onnx", "trunk-int8.onnx")
_BATCH_SIZE = 4
_OPERATORS = ("Add", "AveragePool", "Clip", "Conv", "Gemm", "MaxPool", "Relu")
_PERCENTILE = 99.99
_LINES = """session = onnxruntime.InferenceSession(here / "model.onnx", providers=["CPUExecutionProvider"])
probabilities = session.run(["probabilities"], {"image": image})[0][0]"""


def convert(work: Conversion) -> None:
    """Writes `model.onnx` and the example."""
    model = quantise(work.bundle, work.calibration, work.folder.parent)
    (work.folder / MODEL_NAME).write_bytes(model)
    write_example(work.folder, "onnxruntime", "import onnxruntime", _LINES)


def quantise(bundle: Bundle, calibration: NDArray[np.uint8], work_dir: Path) -> bytes:
    """The bundle as ONNX bytes in 8 bits, with all its outputs and its temperature inside.

    Args:
        bundle: the model.
        calibration: photos of the training as it sees them, uint8, shape `(n, *bundle.preprocess.shape)`.
        work_dir: for temporary files.

    Raises:
        ExportError: the network is of a kind that is not quantised.
    """
    quantization = import_quantization()
    outputs = (PROBABILITIES_NAME, MAP_NAME, DISTANCE_NAME)
    float_path, fused_path, trunk_path, int8_path = (work_dir / name for name in _TEMPORARY_NAMES)
    float_path.write_bytes(answering_onnx(bundle.model, bundle.temperature, outputs))
    # Batch normalisation is multiplied into the kernels, which are then quantised.
    quantization.quant_pre_process(str(float_path), str(fused_path), skip_symbolic_shape=True)
    trunk, head = _cut(onnx.load_model(fused_path))
    # A path: of a model in memory it makes a file whose name it draws with the help of a socket.
    onnx.save_model(trunk, trunk_path)
    quantization.quantize_static(
        str(trunk_path),
        str(int8_path),
        _Batches(calibration),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=list(_OPERATORS),
        per_channel=True,
        reduce_range=not has_vnni(),
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.Percentile,
        extra_options={"CalibStridedMinMax": 1, "CalibPercentile": _PERCENTILE},
    )
    return _join(onnx.load_model(int8_path), head)


def open_runner(folder: Path) -> Runner:
    """The export in ONNX Runtime."""
    session = open_session((folder / MODEL_NAME).read_bytes(), num_threads=1)

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run([PROBABILITIES_NAME], {INPUT_NAME: image})[0], np.float32)

    return Runner(f"onnxruntime {version('onnxruntime')}, {_describe_instructions()}", predict)


def has_vnni() -> bool:
    """Whether this processor adds products of 8 bits without overflow; all but x86 do."""
    if platform.machine().lower() not in ("x86_64", "amd64", "i386", "i686"):
        return True
    return bool({"avx512_vnni", "avx_vnni"} & _processor_flags())


def _describe_instructions() -> str:
    """The instruction set that decides how fast int8 is."""
    if platform.machine().lower() not in ("x86_64", "amd64", "i386", "i686"):
        return platform.machine()
    known = ("avx512_vnni", "avx_vnni", "avx512f", "avx2")
    return next((name for name in known if name in _processor_flags()), "sse")


def _processor_flags() -> set[str]:
    """What Linux says of the processor; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


class _Batches:
    """Photos of the training, a few at a time, as ONNX Runtime's calibration reads them."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._batches = [images[start : start + _BATCH_SIZE] for start in range(0, len(images), _BATCH_SIZE)]
        self._rest: Iterator[NDArray[np.uint8]] = iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """The next batches are these."""
        self._rest = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, `None` at the end."""
        batch = next(self._rest, None)
        return None if batch is None else {INPUT_NAME: batch}


def _cut(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The part up to what the last linear layer takes, and the rest, which stays in float."""
    nodes, (image,) = model.graph.node, (value.name for value in model.graph.input)
    makers = {output: node for node in nodes for output in node.output}
    inside = _names_before(makers, _last_linear_layer(makers).input)
    given = {output for node in nodes if node.name in inside for output in node.output}
    taken = [source for node in nodes if node.name not in inside for source in node.input if source in given]
    between = list(dict.fromkeys(taken))
    extractor = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model))
    outputs = [value.name for value in model.graph.output]
    return extractor.extract_model([image], between), extractor.extract_model(between, outputs)


def _last_linear_layer(makers: dict[str, onnx.NodeProto]) -> onnx.NodeProto:
    """The node nearest to the probabilities that multiplies with a matrix."""
    waiting = [PROBABILITIES_NAME]
    for name in waiting:
        node = makers.get(name)
        if node is not None and node.op_type == "Gemm":
            return node
        waiting += [] if node is None else node.input
    raise ExportError(_("this model has no linear layer at its end, and only such models are exported to int8."))


def _names_before(makers: dict[str, onnx.NodeProto], tensors: Iterable[str]) -> set[str]:
    """The names of the nodes that these tensors are computed by."""
    found, waiting = set[str](), list(tensors)
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            waiting += node.input
    return found


def _join(trunk: onnx.ModelProto, head: onnx.ModelProto) -> bytes:
    """Both parts as one model, with the outputs of the second."""
    known = {tensor.name for tensor in trunk.graph.initializer}
    joined = onnx.ModelProto()
    joined.CopyFrom(trunk)
    joined.graph.node.extend(head.graph.node)
    joined.graph.initializer.extend(tensor for tensor in head.graph.initializer if tensor.name not in known)
    for field in (joined.graph.output, joined.graph.value_info):
        del field[:]
    joined.graph.output.extend(head.graph.output)
    onnx.checker.check_model(joined, full_check=True)
    return bytes(joined.SerializeToString(deterministic=True))
