"""`onnx-int8`: the model in whole numbers of 8 bits, about a quarter of the size, for ONNX Runtime.

What stands behind the embedding stays as it is in the bundle: it is small, and its logits decide.
"""

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnx.utils
from numpy.typing import NDArray

from tellapart.backbones.onnx_session import describe_runtime, open_session
from tellapart.backbones.onnx_wire import keep_outputs, output_names
from tellapart.backbones.quantisation import quantise_network
from tellapart.errors import ExportError
from tellapart.export.target import Conversion, Runner, write_example
from tellapart.heads.onnx_temperature import answering_onnx
from tellapart.networks.onnx_nodes import DISTANCE_NAME, INPUT_NAME, MAP_NAME, PROBABILITIES_NAME
from tellapart.predict.bundle import Bundle
from tellapart.translation import gettext as _

MODEL_NAME = "model.onnx"
# Answers of each that are timed: the quickest counts, which other programs have disturbed least.
_NUM_TIMED = 30
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
    outputs = (PROBABILITIES_NAME, MAP_NAME, DISTANCE_NAME)
    # Cut first: ONNX Runtime's preparation would write the constants of the head as float32.
    trunk, head = _cut(onnx.load_model_from_string(answering_onnx(bundle.model, bundle.temperature, outputs)))
    return _join(quantise_network(trunk, calibration, work_dir), head)


def open_runner(folder: Path) -> Runner:
    """The export in ONNX Runtime."""
    session = open_session((folder / MODEL_NAME).read_bytes(), num_threads=1)

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run([PROBABILITIES_NAME], {INPUT_NAME: image})[0], np.float32)

    return Runner(describe_runtime(), predict)


def compare_speed(bundle: Bundle, folder: Path, images: NDArray[np.uint8]) -> float:
    """How many times as fast as the bundle the export in the folder answers one photo, in one thread.

    Args:
        images: as the model sees them, uint8, shape `(n, *bundle.preprocess.shape)`, at least one.
    """
    models = (bundle.model, (folder / MODEL_NAME).read_bytes())
    answers = [name for name in output_names(bundle.model) if name != MAP_NAME]
    sessions = [open_session(keep_outputs(model, answers), num_threads=1) for model in models]
    quickest = [float("inf"), float("inf")]
    for number in range(_NUM_TIMED):
        for which, session in enumerate(sessions):
            started = time.perf_counter()
            session.run(None, {INPUT_NAME: images[number % len(images)][np.newaxis]})
            quickest[which] = min(quickest[which], time.perf_counter() - started)
    return quickest[0] / max(quickest[1], 1e-9)


def _cut(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The part up to what the last linear layer takes, and the rest, which stays in float."""
    nodes, (image,) = model.graph.node, (value.name for value in model.graph.input)
    makers = {output: node for node in nodes for output in node.output}
    inside = _outputs_before(makers, _last_linear_layer(makers).input)
    taken = [name for node in nodes if node.output[0] not in inside for name in node.input if name in inside]
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


def _outputs_before(makers: dict[str, onnx.NodeProto], tensors: Iterable[str]) -> set[str]:
    """What the nodes give out that these tensors are computed by."""
    found, waiting = set[str](), list(tensors)
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is not None and name not in found:
            found.update(node.output)
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
