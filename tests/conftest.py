"""Fixtures that several test folders share: a model that sees only colour, and photos of one colour."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from tellapart.infer.bundle import Bundle, write_bundle
from tellapart.photos.preprocess import PreprocessSpec
from tellapart.records import LayerRecord

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def colour_model(class_names: Sequence[str], image_size: tuple[int, int] = (4, 6), sharpness: float = 6.0) -> bytes:
    """ONNX bytes: softmax over how much of each class's colour the mean of the image holds."""
    columns = np.array([COLOURS[name] for name in class_names], np.float32).T / 255 * sharpness / 255
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
        onnx.helper.make_node("MatMul", ["mean", "columns"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "colour",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["batch", *image_size, 3])],
        [onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", len(class_names)])],
        [onnx.numpy_helper.from_array(columns, "columns")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., Bundle]:
    """A function from class names (of `COLOURS`) to a bundle; further arguments replace fields."""

    def make(class_names: Sequence[str] = ("blue", "red"), **fields: object) -> Bundle:
        values: dict[str, object] = {
            "class_names": tuple(class_names),
            "preprocess": PreprocessSpec((4, 6)),
            "layers": (LayerRecord("mean", "GlobalAveragePooling2D", (3,), 0), LayerRecord("top", "Dense", (2,), 6)),
            "versions": {"tellapart": "0.1.0"},
            "recipe": "classic",
        }
        model = fields.pop("model", None) or colour_model(class_names)
        return Bundle(**{**values, "model": model, **fields})

    return make


@pytest.fixture
def model_dir(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> Path:
    """A model folder for the classes blue and red."""
    folder = tmp_path / "model"
    write_bundle(folder, make_bundle())
    return folder


@pytest.fixture
def paint(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a photo of one colour under `tmp_path` and gives its path."""

    def write(name: str, colour: str, size: tuple[int, int] = (24, 32)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), COLOURS[colour], np.uint8)).save(path)
        return path

    return write
