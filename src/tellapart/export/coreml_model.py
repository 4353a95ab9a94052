"""`coreml`: the model for Apple's devices, an ML program that takes an image and names a class.

Core ML runs on Apple's systems alone. Here the package is read back and computed by PyTorch, operation by operation.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tellapart.errors import ExportError
from tellapart.export.target import EXAMPLE_NAME, Conversion, Runner
from tellapart.heads.onnx_temperature import answering_onnx
from tellapart.networks.mil_from_onnx import write_mil
from tellapart.networks.mil_in_torch import compute_mil
from tellapart.networks.onnx_nodes import DISTANCE_NAME, INPUT_NAME, MAP_NAME, PROBABILITIES_NAME
from tellapart.networks.onnx_reading import OnnxGraph
from tellapart.store import write_file
from tellapart.translation import gettext as _

MODEL_NAME = "Classifier.mlpackage"
_EXAMPLE = f'''"""Names the class of a photo on a Mac: `python example.py PHOTO`. Needs Pillow and coremltools."""

import sys
from pathlib import Path

import coremltools
import numpy as np
from PIL import Image, ImageOps

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here / "preprocessing"))
from preprocess import preprocess

photo = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
image = Image.fromarray(preprocess(np.asarray(photo)).squeeze())
model = coremltools.models.MLModel(str(here / "{MODEL_NAME}"))
found = model.predict({{"{INPUT_NAME}": image}})
best = found["classLabel"]
print(f"{{best}} {{found['classLabel_probs'][best]:.4f}}")
'''


def _import_coremltools() -> Any:
    """The package, whose warnings about other packages are not for the user."""
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    import coremltools

    return coremltools


def convert(work: Conversion) -> None:
    """Writes the package and the example.

    Raises:
        ExportError: the model has an operator that is not written here.
    """
    coremltools, bundle = _import_coremltools(), work.bundle
    outputs = (PROBABILITIES_NAME, MAP_NAME, DISTANCE_NAME)
    graph = OnnxGraph(answering_onnx(bundle.model, bundle.temperature, outputs))
    height, width, channels = bundle.preprocess.shape
    shape, layout = (1, channels, height, width), coremltools.colorlayout

    try:
        program = _write_program(graph, shape, coremltools)
    except NotImplementedError as exc:
        raise ExportError(
            _("this model cannot be a Core ML model: {reason}. Export it to openvino, triton or onnx-int8.").format(
                reason=exc
            )
        ) from exc
    image = coremltools.ImageType(
        name=INPUT_NAME, shape=shape, color_layout=layout.RGB if channels == 3 else layout.GRAYSCALE
    )
    model = coremltools.convert(
        program,
        inputs=[image],
        classifier_config=coremltools.ClassifierConfig(
            list(bundle.class_names), predicted_probabilities_output=PROBABILITIES_NAME
        ),
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS15,
    )
    model.save(str(work.folder / MODEL_NAME))
    write_file(work.folder / EXAMPLE_NAME, _EXAMPLE.encode())


def _write_program(graph: OnnxGraph, shape: tuple[int, ...], coremltools: Any) -> Any:
    """The program of the model, for iOS 15 and later."""
    builder = coremltools.converters.mil.Builder

    @builder.program(input_specs=[builder.TensorSpec(shape=shape)], opset_version=coremltools.target.iOS15)  # type: ignore[untyped-decorator]
    def program(image: Any) -> list[Any]:
        return write_mil(graph, image, builder)

    return program


def open_runner(folder: Path) -> Runner:
    """The package, read back and computed by PyTorch."""
    coremltools = _import_coremltools()
    from coremltools.converters.mil.frontend.milproto.load import load

    path = folder / MODEL_NAME
    spec = coremltools.models.MLModel(str(path), skip_model_load=True).get_spec()
    program = load(spec, specification_version=spec.specificationVersion, file_weights_dir=_weights_dir(path))
    operations = list(program.functions["main"].operations)
    # Core ML hands the program the channels in the order that the description of the input says.
    colours = spec.description.input[0].type.imageType
    step = -1 if colours.colorSpace == colours.BGR else 1

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        planes = np.ascontiguousarray(image.transpose(0, 3, 1, 2)[:, ::step], np.float32)
        return compute_mil(operations, planes, INPUT_NAME)

    runtime = f"PyTorch {torch.__version__}, not by Core ML"
    return Runner(runtime, predict, is_native=False, class_names=_read_class_names(operations))


def _read_class_names(operations: Sequence[Any]) -> list[str]:
    """The names that the program answers with; none where it names no class."""
    lists = [one.inputs["classes"].val for one in operations if one.op_type == "classify"]
    return [str(getattr(name, "val", name)) for names in lists for name in names]


def _weights_dir(path: Path) -> str:
    return str(next(path.rglob("weights")))
