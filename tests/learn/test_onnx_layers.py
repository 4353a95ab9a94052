import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from tellapart.learn.export import to_backbone_graph, to_onnx
from tellapart.learn.pretrained import load_pretrained

layers = keras.layers


@pytest.fixture(scope="module")
def lite0() -> keras.Model:
    return load_pretrained("efficientnet-lite0", "channels_first")


@pytest.fixture(scope="module")
def lite0_graph(lite0: keras.Model) -> bytes:
    return to_backbone_graph(lite0)


def random_images(num_images: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (num_images, height, width, 3), dtype=np.uint8)


def run_onnx(model: bytes, images: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"image": images})


def run_keras(model: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(keras.ops.convert_to_numpy(value)) for value in model.predict_on_batch(images)]


def randomise(model: keras.Model) -> keras.Model:
    """The model with all weights drawn from 0.1 to 1, so that variances are positive and nothing is neutral."""
    generator = np.random.default_rng(5)
    model.set_weights([generator.uniform(0.1, 1, value.shape) for value in model.get_weights()])
    return model


@pytest.mark.parametrize("num_images", [1, 3])
def test_the_backbone_graph_answers_as_keras_does(lite0: keras.Model, lite0_graph: bytes, num_images: int) -> None:
    images = random_images(num_images, 224, 224)
    found, expected = run_onnx(lite0_graph, images), run_keras(lite0, images)
    assert [value.shape for value in found] == [(num_images, 1280), (num_images, 1280, 7, 7)]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.slow
def test_the_graph_of_lite1_answers_as_keras_does() -> None:
    model = load_pretrained("efficientnet-lite1", "channels_first")
    images = random_images(1, 240, 240)
    for ours, theirs in zip(run_onnx(to_backbone_graph(model), images), run_keras(model, images), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_no_batch_normalisation_is_left_in_the_graph(lite0_graph: bytes) -> None:
    graph = onnx.load_model_from_string(lite0_graph).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


def test_the_backbone_graph_has_the_agreed_inputs_and_outputs(lite0_graph: bytes) -> None:
    model = onnx.load_model_from_string(lite0_graph)
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["embedding", "features"]
    assert (model.opset_import[0].version, model.ir_version) == (17, 10)
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("size", [(9, 12), (10, 7)], ids=["odd-even", "even-odd"])
def test_same_padding_folding_and_sums_answer_as_keras_does(size: tuple[int, int], kernel_size: int) -> None:
    options = {"padding": "same", "data_format": "channels_first"}
    image = keras.Input((*size, 3), name="image")
    x = layers.Permute((3, 1, 2))(layers.Rescaling(1 / 128, offset=-1)(image))
    x = layers.Conv2D(4, kernel_size, strides=2, use_bias=True, **options)(x)
    start = x = layers.ReLU(6)(layers.BatchNormalization(axis=1)(x))
    x = layers.BatchNormalization(axis=1)(layers.DepthwiseConv2D(kernel_size, use_bias=False, **options)(x))
    features = layers.Add()([start, x])
    model = randomise(keras.Model(image, [layers.GlobalAveragePooling2D("channels_first")(features), features]))
    images = random_images(3, *size)
    for ours, theirs in zip(run_onnx(to_backbone_graph(model), images), run_keras(model, images), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


def test_a_normalisation_without_a_convolution_before_it_is_named() -> None:
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(layers.BatchNormalization(name="adrift")(image))))
    with pytest.raises(NotImplementedError, match="'adrift'"):
        to_onnx(model)
