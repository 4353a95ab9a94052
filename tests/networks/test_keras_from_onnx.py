"""ONNX classifiers as Keras models: the same answers, also from files, and what has no counterpart is named."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

import tellapart
from tellapart.images.preprocess import PreprocessSpec
from tellapart.networks.backend import keras
from tellapart.networks.keras_export import to_onnx
from tellapart.networks.keras_from_onnx import build_keras
from tellapart.networks.residual import build_residual_network
from tellapart.predict.bundle import Bundle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tellapart.runs.job import Run


def answers_of(model: Any, images: "NDArray[np.uint8]") -> dict[str, "NDArray[np.float32]"]:
    found = model.predict(images.astype(np.float32), verbose=0)
    return found if isinstance(found, dict) else {"probabilities": found}


def draw(model: tellapart.Model, seed: int = 0) -> "NDArray[np.uint8]":
    """Images from dark to bright, one of them black."""
    images = np.random.default_rng(seed).integers(0, 256, (4, *model.preprocess.shape))
    return (images * np.linspace(0, 1, 4)[:, None, None, None]).astype(np.uint8)


@pytest.fixture
def transfer_model(animals_dir: Path, tiny_backbone: Path, cache_dir: str, tmp_path: Path) -> tellapart.Model:
    return tellapart.load(
        tellapart.train(animals_dir, tmp_path / "run", backbone=str(tiny_backbone), cache_dir=cache_dir).run_dir
    )


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_backbone_and_head_are_one_model_with_the_same_answers(
    name: str, transfer_model: tellapart.Model, tmp_path: Path
) -> None:
    images = draw(transfer_model)
    build_keras(transfer_model.bundle.model).save(tmp_path / name)
    found = answers_of(keras.saving.load_model(tmp_path / name, compile=False), images)
    np.testing.assert_allclose(found["probabilities"], transfer_model.predict_proba(images), atol=1e-5)
    maps = transfer_model.activation_maps(images).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found["activation_map"], maps, rtol=1e-4, atol=1e-4 * np.abs(maps).max())


def test_a_network_of_one_sigmoid_answers_at_its_temperature(trained: "Run") -> None:
    model = tellapart.Model(replace(tellapart.load(trained.run_dir).bundle, temperature=0.25))
    images = draw(model)
    found = answers_of(build_keras(model.bundle.model, 0.25), images)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(images), atol=1e-5)


@pytest.mark.parametrize("mirrored", [False, True], ids=["one view", "two views"])
def test_a_residual_network_answers_the_same(mirrored: bool) -> None:
    network = build_residual_network((40, 48, 3), 3, "channels_first", width=8)
    generator = np.random.default_rng(0)
    network.set_weights([np.abs(generator.normal(0, 0.3, weight.shape)) for weight in network.get_weights()])
    model = to_onnx(network, mirrored)
    images = generator.integers(0, 256, (3, 40, 48, 3), np.uint8)
    expected = tellapart.Model(
        Bundle(("a", "b", "c"), PreprocessSpec((40, 48)), (), model, {}, "scratch")
    ).predict_proba(images)
    np.testing.assert_allclose(answers_of(build_keras(model), images)["probabilities"], expected, atol=1e-5)


def normalised_model(generator: np.random.Generator, *, is_alone: bool) -> bytes:
    """A classifier of three classes: a convolution and its normalisation, alone or with the sum of both behind it."""
    helper = onnx.helper
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel", "bias"], ["found"], pads=[1, 1, 1, 1]),
        helper.make_node(
            "BatchNormalization", ["found", "scale", "shift", "mean", "variance"], ["normal"], epsilon=1e-3
        ),
        *([] if is_alone else [helper.make_node("Add", ["normal", "found"], ["sum"])]),
        helper.make_node("GlobalAveragePool", ["normal" if is_alone else "sum"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    numbers = {"kernel": generator.normal(0, 0.01, (3, 3, 3, 3))}
    numbers |= {name: generator.normal(0, 1, 3) for name in ("bias", "scale", "shift", "mean")}
    numbers["variance"] = generator.uniform(0.1, 4, 3)
    values = [
        helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["batch", 8, 9, 3]),
        helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", 3]),
    ]
    tensors = [onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in numbers.items()]
    graph = helper.make_graph(nodes, "normalised", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("is_alone", "num_left"), [(True, 0), (False, 1)])
def test_a_normalisation_is_part_of_the_convolution_that_nothing_else_takes(
    is_alone: bool, num_left: int, seed: int
) -> None:
    model = normalised_model(np.random.default_rng(seed), is_alone=is_alone)
    built = build_keras(model)
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in built.layers) == num_left
    predictor = tellapart.Model(Bundle(("a", "b", "c"), PreprocessSpec((8, 9)), (), model, {}, "scratch"))
    images = draw(predictor, seed)
    np.testing.assert_allclose(answers_of(built, images)["probabilities"], predictor.predict_proba(images), atol=1e-5)


def test_an_operator_without_a_counterpart_is_named() -> None:
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["pixels"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Erf", ["pixels"], ["bent"]),
        onnx.helper.make_node("Softmax", ["bent"], ["probabilities"]),
    ]
    values = [
        onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["batch", 4, 4, 3]),
        onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", 2]),
    ]
    graph = onnx.helper.make_graph(nodes, "bent", values[:1], values[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(NotImplementedError, match="operator Erf .'bent'. has no counterpart in Keras"):
        build_keras(model.SerializeToString())
