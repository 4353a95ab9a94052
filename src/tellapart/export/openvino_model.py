"""`openvino`: the model for Intel's OpenVINO, in its own two files.

OpenVINO reports to its maker when it is imported, by a package that it falls back from when that is not there.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.export.target import Conversion, Runner, write_example
from tellapart.heads.onnx_temperature import answering_onnx
from tellapart.networks.onnx_nodes import DISTANCE_NAME, MAP_NAME, PROBABILITIES_NAME

MODEL_NAME = "model.xml"
_SOURCE_NAME = "float.onnx"
# Half of what float32 has would be the default on some processors.
_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
_IMPORTS = """import sys; sys.modules["openvino_telemetry"] = None  # sends nothing
import openvino"""
_LINES = f"""model = openvino.Core().compile_model(here / "{MODEL_NAME}", "CPU", {_EXACT})
probabilities = model(image)["{PROBABILITIES_NAME}"][0]"""


def _import_openvino() -> Any:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


def convert(work: Conversion) -> None:
    """Writes `model.xml`, `model.bin` and the example."""
    openvino = _import_openvino()
    path = work.folder.parent / _SOURCE_NAME
    outputs = (PROBABILITIES_NAME, MAP_NAME, DISTANCE_NAME)
    path.write_bytes(answering_onnx(work.bundle.model, work.bundle.temperature, outputs))
    openvino.save_model(openvino.convert_model(path), work.folder / MODEL_NAME, compress_to_fp16=False)
    write_example(work.folder, "openvino", _IMPORTS, _LINES)


def open_runner(folder: Path) -> Runner:
    """The export in OpenVINO, on the processor."""
    openvino = _import_openvino()
    model = openvino.Core().compile_model(folder / MODEL_NAME, "CPU", _EXACT)

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(model(image)[PROBABILITIES_NAME], np.float32)

    return Runner(f"openvino {openvino.__version__.partition('-')[0]}", predict)
