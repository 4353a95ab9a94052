"""`keras`: backbone and head as one Keras model, as `model.keras` and `model.h5`, for any of Keras' backends."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import ExportError
from tellapart.export.target import Conversion, Runner, write_example
from tellapart.networks.backend import keras
from tellapart.networks.keras_from_onnx import build_keras
from tellapart.networks.onnx_nodes import PROBABILITIES_NAME
from tellapart.predict.bundle import Bundle
from tellapart.translation import gettext as _

MODEL_NAMES = ("model.keras", "model.h5")
# Two files of the same weights differ by rounding at most.
_LARGEST_DIFFERENCE = 1e-5
# Layer by layer, several photos take PyTorch less time than each by itself.
_BATCH_SIZE = 8
_LINES = f"""model = keras.saving.load_model(here / "{MODEL_NAMES[0]}", compile=False)
found = model.predict(image.astype("float32"), verbose=0)
probabilities = (found["{PROBABILITIES_NAME}"] if isinstance(found, dict) else found)[0]"""


def keras_of(bundle: Bundle) -> keras.Model:
    """The model of the bundle, at its temperature.

    Raises:
        ExportError: it has an operator that Keras lacks.
    """
    try:
        return build_keras(bundle.model, bundle.temperature)
    except NotImplementedError as exc:
        raise ExportError(
            _("this model cannot be a Keras model: {reason}. Export it to openvino, triton or onnx-int8.").format(
                reason=exc
            )
        ) from exc


def convert(work: Conversion) -> None:
    """Writes both files and the example.

    Raises:
        ExportError: it has an operator that Keras lacks, or the files answer differently.
    """
    model = keras_of(work.bundle)
    image = np.random.default_rng(0).integers(0, 256, (1, *work.bundle.preprocess.shape)).astype(np.float32)
    expected = _probabilities(model, image)
    for name in MODEL_NAMES:
        path = work.folder / name
        model.save(path)
        found = _probabilities(keras.saving.load_model(path, compile=False), image)
        if not np.abs(found - expected).max() <= _LARGEST_DIFFERENCE:
            raise ExportError(_("{name} answers differently after loading. Nothing was written.").format(name=name))
    write_example(work.folder, "Keras", "import keras", _LINES)


def open_runner(folder: Path) -> Runner:
    """`model.keras` in Keras, on the backend of this process."""
    model = keras.saving.load_model(folder / MODEL_NAMES[0], compile=False)

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return _probabilities(model, image.astype(np.float32))

    return Runner(f"keras {keras.__version__} on {keras.backend.backend()}", predict, batch_size=_BATCH_SIZE)


def _probabilities(model: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    found = model.predict_on_batch(images)
    return np.asarray(found[PROBABILITIES_NAME] if isinstance(found, dict) else found, np.float32)
