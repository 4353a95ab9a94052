"""`triton`: a model repository for NVIDIA's Triton server: `config.pbtxt` and the ONNX file that its backend runs."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from tellapart.backbones.onnx_session import open_session
from tellapart.export.target import EXAMPLE_NAME, LABELS_NAME, Conversion, Runner, read_labels
from tellapart.heads.onnx_temperature import answering_onnx
from tellapart.networks.onnx_nodes import DISTANCE_NAME, INPUT_NAME, MAP_NAME, PROBABILITIES_NAME
from tellapart.store import write_file
from tellapart.translation import gettext as _

REPOSITORY_NAME, NAME = "model_repository", "classifier"
_VERSION, _MODEL_NAME, _CONFIG_NAME = "1", "model.onnx", "config.pbtxt"
_LARGEST_BATCH = 16
_EXAMPLE = f'''"""Asks a Triton server about a photo: `python example.py PHOTO [HOST:PORT]`. Needs tritonclient[http].

First start the server, on the folder: {REPOSITORY_NAME}
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tritonclient.http import InferenceServerClient, InferInput

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here / "preprocessing"))
from preprocess import preprocess

labels = (here / "labels.txt").read_text(encoding="utf-8").splitlines()
photo = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
image = InferInput("{INPUT_NAME}", [1, *preprocess(np.asarray(photo)).shape], "UINT8")
image.set_data_from_numpy(preprocess(np.asarray(photo))[np.newaxis])
client = InferenceServerClient(sys.argv[2] if len(sys.argv) > 2 else "localhost:8000")
probabilities = client.infer("{NAME}", [image]).as_numpy("{PROBABILITIES_NAME}")[0]
best = int(probabilities.argmax())
print(f"{{labels[best]}} {{probabilities[best]:.4f}}")
'''


def convert(work: Conversion) -> None:
    """Writes the repository and the example."""
    folder = work.folder / REPOSITORY_NAME / NAME
    (folder / _VERSION).mkdir(parents=True)
    outputs = (PROBABILITIES_NAME, MAP_NAME, DISTANCE_NAME)
    model = answering_onnx(work.bundle.model, work.bundle.temperature, outputs)
    write_file(folder / _VERSION / _MODEL_NAME, model)
    write_file(folder / LABELS_NAME, (work.folder / LABELS_NAME).read_bytes())
    write_file(folder / _CONFIG_NAME, _describe(model, work.bundle.preprocess.shape).encode())
    write_file(work.folder / EXAMPLE_NAME, _EXAMPLE.encode())


def open_runner(folder: Path) -> Runner:
    """The ONNX file in ONNX Runtime, which is what Triton runs it with."""
    path = folder / REPOSITORY_NAME / NAME / _VERSION / _MODEL_NAME
    session = open_session(path.read_bytes(), 1, _("the export"), _("Export the model again"))

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run([PROBABILITIES_NAME], {INPUT_NAME: image})[0], np.float32)

    labels = read_labels(folder / REPOSITORY_NAME / NAME / LABELS_NAME)
    return Runner(f"onnxruntime {version('onnxruntime')}", predict, is_native=False, class_names=labels)


def _describe(model: bytes, shape: tuple[int, int, int]) -> str:
    """The content of `config.pbtxt`; shapes are without the batch axis."""
    lines = [
        f'name: "{NAME}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {_LARGEST_BATCH}",
        f'input [{{ name: "{INPUT_NAME}" data_type: TYPE_UINT8 dims: {list(shape)} }}]',
        "output [",
        ",\n".join(_describe_output(value) for value in onnx.load_model_from_string(model).graph.output),
        "]",
        "dynamic_batching { }",
    ]
    return "\n".join(lines) + "\n"


def _describe_output(value: onnx.ValueInfoProto) -> str:
    sides = [side.dim_value or -1 for side in value.type.tensor_type.shape.dim[1:]]
    more = ""
    if value.name == PROBABILITIES_NAME:
        more = f' label_filename: "{LABELS_NAME}"'
    if not sides:  # Triton wants at least one
        sides, more = [1], " reshape: { shape: [ ] }"
    return f'  {{ name: "{value.name}" data_type: TYPE_FP32 dims: {sides}{more} }}'
