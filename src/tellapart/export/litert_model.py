"""`litert` and `litert-int8`: the model for LiteRT, formerly TensorFlow Lite, on phones and small computers.

TensorFlow's own converter turns the Keras model into it, in a process whose Keras runs on TensorFlow. In 8 bits, ranges
are those of photos of the training, input and output stay float32. Heat maps and distances do not go along.
"""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.export.keras_model import keras_of
from tellapart.export.target import Conversion, Runner, write_example
from tellapart.networks.backend import keras
from tellapart.networks.onnx_nodes import PROBABILITIES_NAME

MODEL_NAME = "model.tflite"
_LINES = f"""interpreter = Interpreter(model_path=str(here / "{MODEL_NAME}"))
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.astype(np.float32))
interpreter.invoke()
probabilities = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]"""


def convert(work: Conversion) -> None:
    """Writes `model.tflite`, in 8 bits where there is calibration, and the example.

    Raises:
        ExportError: the model has an operator that Keras lacks.
    """
    import tensorflow

    model = keras_of(work.bundle)
    outputs = model.output
    single = keras.Model(model.input, outputs[PROBABILITIES_NAME] if isinstance(outputs, dict) else outputs)
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(single)
    if len(work.calibration):

        def images() -> Iterator[list[NDArray[np.float32]]]:
            for image in work.calibration:
                yield [image[np.newaxis].astype(np.float32)]

        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
        converter.representative_dataset = images
    (work.folder / MODEL_NAME).write_bytes(converter.convert())
    write_example(work.folder, "ai-edge-litert", "from ai_edge_litert.interpreter import Interpreter", _LINES)


def open_runner(folder: Path) -> Runner:
    """The export in LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(folder / MODEL_NAME), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        interpreter.set_tensor(source["index"], image.astype(np.float32))
        interpreter.invoke()
        return np.array(interpreter.get_tensor(found["index"]), np.float32)

    return Runner(f"ai-edge-litert {version('ai-edge-litert')}", predict)
