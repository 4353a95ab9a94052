import tempfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from tellapart.config import ClassicConfig
from tellapart.networks.article import build_article_network
from tellapart.networks.keras_export import KERAS_FILE_NAMES, describe_layers, to_keras_files, to_onnx
from tellapart.networks.residual import build_residual_network
from tellapart.training.recipes import build_network


def run_onnx(model: bytes, images: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"image": images})[0]


@pytest.mark.parametrize("num_images", [1, 3])
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("num_classes", [2, 5])
def test_onnx_answers_as_keras_does(
    tiny_config: ClassicConfig, num_classes: int, channels: int, num_images: int
) -> None:
    config = replace(tiny_config, channels=channels)
    model = build_network(config, num_classes, "channels_first")
    images = np.random.default_rng(0).integers(0, 256, (num_images, 46, 48, channels), dtype=np.uint8)
    expected = np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(images)))
    result = run_onnx(to_onnx(model), images)
    np.testing.assert_allclose(result[:, -expected.shape[1] :], expected, atol=1e-5)
    np.testing.assert_allclose(result.sum(axis=1), np.ones(num_images), rtol=1e-5)
    assert result.shape == (num_images, num_classes)


NETWORKS = {"article": build_article_network, "scratch": build_residual_network}


def optimised_operators(model: bytes, path: Path) -> list[str]:
    """The operators that ONNX Runtime makes of the model before it runs it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_leaves_no_batch_normalisation(name: str, mirrored: bool, tmp_path: Path) -> None:
    model = NETWORKS[name]((64, 48, 3), 3, "channels_first")
    operators = optimised_operators(to_onnx(model, mirrored), tmp_path / "optimised.onnx")
    assert "BatchNormalization" not in operators
    assert sum(operator in ("Conv", "FusedConv") for operator in operators) > 3


@pytest.mark.parametrize("name", NETWORKS)
def test_bytes_are_moved_before_they_are_floats(name: str) -> None:
    graph = onnx.load_model_from_string(to_onnx(NETWORKS[name]((64, 48, 3), 3, "channels_first"))).graph
    operators = [node.op_type for node in graph.node]
    assert operators[:2] == ["Transpose", "Cast"]
    assert operators.count("Cast") == 1


def test_the_batch_axis_is_free_and_the_input_is_uint8(tiny_config: ClassicConfig) -> None:
    proto = onnx.load_model_from_string(to_onnx(build_network(tiny_config, 2, "channels_first")))
    (image,) = proto.graph.input
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim] == ["batch", 46, 48, 3]


def test_a_layer_without_counterpart_is_named() -> None:
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, keras.layers.UnitNormalization(name="rustle")(image))
    with pytest.raises(NotImplementedError, match=r"'rustle' of type UnitNormalization cannot be written as ONNX"):
        to_onnx(model)


def test_a_network_for_images_of_any_size_is_refused() -> None:
    image = keras.Input((None, 8, 3), name="image")
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(NotImplementedError, match=r"\(None, 8, 3\).*height and width that"):
        to_onnx(model)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_the_article_network_looks_at_both_views_too(tiny_config: ClassicConfig, num_classes: int) -> None:
    model = build_network(tiny_config, num_classes, "channels_first")
    images = np.random.default_rng(0).integers(0, 256, (3, 46, 48, 3), dtype=np.uint8)
    views = [np.asarray(model.predict_on_batch(view)) for view in (images, images[:, :, ::-1])]
    powers = np.sqrt([[view, 1 - view] for view in views] if num_classes == 2 else views).prod(axis=0)
    expected = np.hstack([powers[1], powers[0]]) if num_classes == 2 else powers
    result = run_onnx(to_onnx(model, mirrored=True), images)
    np.testing.assert_allclose(result, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_article_network_has_no_activation_map(tiny_config: ClassicConfig, mirrored: bool) -> None:
    proto = onnx.load_model_from_string(to_onnx(build_network(tiny_config, 3, "channels_first"), mirrored))
    assert [output.name for output in proto.graph.output] == ["probabilities"]


def test_the_keras_files_load_and_answer_the_same(tiny_config: ClassicConfig, tmp_path: Path) -> None:
    model = build_network(tiny_config, 2, "channels_last")
    files = to_keras_files(model, tmp_path)
    assert tuple(files) == KERAS_FILE_NAMES
    images = np.random.default_rng(0).integers(0, 256, (2, 46, 48, 3), dtype=np.uint8)
    expected = np.asarray(model.predict_on_batch(images))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    fresh = build_network(tiny_config, 2, "channels_last")
    fresh.load_weights(tmp_path / "model.weights.h5")
    others = [fresh, *(keras.models.load_model(tmp_path / name) for name in ("model.keras", "model.h5"))]
    for other in others:
        np.testing.assert_allclose(np.asarray(other.predict_on_batch(images)), expected, atol=1e-6)


def load_keras_files(files: dict[str, bytes], folder: Path) -> list[keras.Model]:
    """The models of the files; the weights by themselves are loaded into one that was emptied."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    whole, older, emptied = (keras.models.load_model(folder / name) for name in ("model.keras", "model.h5", "model.h5"))
    emptied.set_weights([np.zeros(weight.shape, np.float32) for weight in emptied.weights])
    emptied.load_weights(folder / "model.weights.h5")
    return [whole, older, emptied]


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_keras_files_of_two_views_compute_what_the_onnx_file_does(
    name: str, num_classes: int, channels: int, tmp_path: Path
) -> None:
    shape, generator = (46, 64, channels), np.random.default_rng(2)
    first, last = (NETWORKS[name](shape, num_classes, order) for order in ("channels_first", "channels_last"))
    last.set_weights([generator.uniform(-0.05, 0.1, weight.shape) ** 2 for weight in last.weights])
    for layer in last.layers:
        for variance in [layer.moving_variance] if isinstance(layer, keras.layers.BatchNormalization) else []:
            variance.assign(generator.uniform(0.5, 2, variance.shape))
    last.layers[-1].set_weights([generator.normal(0, 1, weight.shape) for weight in last.layers[-1].weights])
    first.set_weights(last.get_weights())
    images = generator.integers(0, 256, (3, *shape), dtype=np.uint8)
    expected = run_onnx(to_onnx(first, mirrored=True), images)
    for model in load_keras_files(to_keras_files(last, tmp_path, mirrored=True), tmp_path):
        found, mirrored = (np.asarray(model.predict_on_batch(view)) for view in (images, images[:, :, ::-1]))
        np.testing.assert_allclose(found, expected[:, -found.shape[1] :], atol=1e-5)
        np.testing.assert_allclose(mirrored, found, atol=1e-5)


def test_temporary_files_lie_beside_the_run_and_nowhere_else(
    tiny_config: ClassicConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/a disk that is full")
    to_keras_files(build_network(tiny_config, 2, "channels_last"), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert tempfile.tempdir == "/a disk that is full"


def test_the_description_adds_up_to_the_parameters(tiny_config: ClassicConfig) -> None:
    model = build_network(tiny_config, 2, "channels_last")
    layers = describe_layers(model)
    assert sum(layer.num_parameters for layer in layers) == model.count_params()
    assert layers[0].output_shape == (46, 48, 3)
