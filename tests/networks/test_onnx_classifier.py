from collections.abc import Callable

import keras
import numpy as np
import onnx
import pytest

from tellapart.images.preprocess import PreprocessSpec
from tellapart.networks.keras_export import to_onnx
from tellapart.predict.bundle import Bundle
from tellapart.predict.model import Model

layers = keras.layers

FIRST = {"data_format": "channels_first"}
SAME = {"padding": "same", "use_bias": False, **FIRST}
SIZE = (11, 14)
CLASS_NAMES = {2: ("blue", "red"), 3: ("blue", "green", "red")}


class FastNormalization(layers.BatchNormalization):
    """A normalisation that only computes in another way."""


def softmax_inside(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    return layers.Dense(num_classes, activation="softmax")(x)


def softmax_apart(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    return layers.Softmax()(layers.Dense(num_classes, use_bias=False)(layers.Dropout(0.5)(x)))


def activation_apart(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    return layers.Activation("softmax")(layers.Dense(num_classes)(x))


def one_sigmoid(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    return layers.Dense(1, activation="sigmoid")(x)


Ending = Callable[[keras.KerasTensor, int], keras.KerasTensor]
ENDINGS = [
    pytest.param(softmax_inside, 3, id="softmax"),
    pytest.param(softmax_apart, 3, id="dropout and softmax apart"),
    pytest.param(activation_apart, 2, id="activation apart"),
    pytest.param(one_sigmoid, 2, id="one sigmoid"),
]


def residual_network(ending: Ending, num_classes: int, channels: int = 3) -> keras.Model:
    """Fixed first filters, a residual block with a gate, a shortcut of means: untrained, all weights random."""
    image = keras.Input((*SIZE, channels), name="image")
    x = layers.Permute((3, 1, 2))(layers.Rescaling([1 / 128] * channels, offset=[-1] * channels)(image))
    x = layers.Conv2D(9 * channels, 3, strides=2, trainable=False, **SAME)(x)
    x = FastNormalization(axis=1, scale=False, center=False)(x)
    x = layers.ReLU()(FastNormalization(axis=1)(layers.Conv2D(8, 1, **SAME)(x)))
    x = layers.MaxPooling2D(2, padding="same", **FIRST)(x)
    start = layers.Conv2D(8, 1, **SAME)(layers.AveragePooling2D(2, padding="same", **FIRST)(x))
    x = layers.Activation("silu")(FastNormalization(axis=1)(layers.Conv2D(8, 3, strides=2, **SAME)(x)))
    gate = layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D(**FIRST)(x))
    x = layers.Multiply()([x, layers.Reshape((8, 1, 1))(gate)])
    x = layers.Activation("gelu")(FastNormalization(axis=1)(layers.Add()([x, start])))
    model = keras.Model(image, ending(layers.GlobalAveragePooling2D(**FIRST)(x), num_classes))
    generator = np.random.default_rng(3)
    model.set_weights([generator.normal(0, 0.5, value.shape) ** 2 - 0.1 for value in model.get_weights()])
    for layer in model.layers:
        for variance in [layer.moving_variance] if isinstance(layer, FastNormalization) else []:
            variance.assign(generator.uniform(0.5, 2, variance.shape))
    return model


def images_of(num_images: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (num_images, *SIZE, channels), dtype=np.uint8)


def keras_logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities of all classes, which are logits up to a number for each photo."""
    output = np.asarray(model.predict_on_batch(images), np.float64)
    return np.log(np.hstack([1 - output, output]) if output.shape[1] == 1 else output)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def centred(logits: np.ndarray) -> np.ndarray:
    return logits - logits.mean(axis=1, keepdims=True)


def make_predictor(make_bundle: Callable[..., Bundle], model: bytes, num_classes: int, channels: int = 3) -> Model:
    spec = PreprocessSpec(SIZE, channels)
    return Model(make_bundle(CLASS_NAMES[num_classes], model=model, preprocess=spec), num_threads=1)


@pytest.mark.parametrize("num_images", [1, 3])
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize(("ending", "num_classes"), ENDINGS)
def test_a_bundle_averages_the_logits_of_both_views(
    make_bundle: Callable[..., Bundle], ending: Ending, num_classes: int, channels: int, num_images: int
) -> None:
    model = residual_network(ending, num_classes, channels)
    images = images_of(num_images, channels)
    logits = (keras_logits(model, images) + keras_logits(model, images[:, :, ::-1])) / 2
    predictor = make_predictor(make_bundle, to_onnx(model, mirrored=True), num_classes, channels)
    np.testing.assert_allclose(predictor.predict_proba(images), softmax(logits), atol=1e-5)
    maps = predictor.activation_maps(images)
    assert maps.shape == (num_images, num_classes, 2, 2)
    np.testing.assert_allclose(centred(maps.mean(axis=(2, 3))), centred(logits), atol=1e-4)


@pytest.mark.parametrize("num_images", [1, 3])
@pytest.mark.parametrize(("ending", "num_classes"), ENDINGS)
def test_a_bundle_of_one_view_answers_as_keras_does(
    make_bundle: Callable[..., Bundle], ending: Ending, num_classes: int, num_images: int
) -> None:
    model = residual_network(ending, num_classes)
    images = images_of(num_images)
    logits = keras_logits(model, images)
    predictor = make_predictor(make_bundle, to_onnx(model), num_classes)
    np.testing.assert_allclose(predictor.predict_proba(images), softmax(logits), atol=1e-5)
    means = predictor.activation_maps(images).mean(axis=(2, 3))
    np.testing.assert_allclose(centred(means), centred(logits), atol=1e-4)


def test_a_photo_and_its_mirror_image_get_the_same_probabilities_and_mirrored_maps(
    make_bundle: Callable[..., Bundle],
) -> None:
    predictor = make_predictor(make_bundle, to_onnx(residual_network(softmax_inside, 3), mirrored=True), 3)
    images = images_of(3)
    others = np.ascontiguousarray(images[:, :, ::-1])
    np.testing.assert_allclose(predictor.predict_proba(images), predictor.predict_proba(others), atol=1e-6)
    maps, mirrored_maps = predictor.activation_maps(images), predictor.activation_maps(others)
    np.testing.assert_allclose(maps, mirrored_maps[..., ::-1], atol=1e-5)
    assert np.abs(maps - maps[..., ::-1]).max() > 1e-3


def test_photos_of_a_batch_do_not_mix(make_bundle: Callable[..., Bundle]) -> None:
    predictor = make_predictor(make_bundle, to_onnx(residual_network(softmax_inside, 3), mirrored=True), 3)
    images = images_of(5)
    alone = [predictor.predict_proba(image[np.newaxis])[0] for image in images]
    np.testing.assert_allclose(predictor.predict_proba(images), alone, atol=1e-6)


def test_the_map_of_one_view_is_the_last_layer_at_each_place(make_bundle: Callable[..., Bundle]) -> None:
    model = residual_network(softmax_inside, 3)
    features = keras.Model(model.input, model.layers[-2].input).predict_on_batch(images_of(2))
    kernel, bias = (np.asarray(value) for value in model.layers[-1].get_weights())
    expected = np.einsum("nchw,ck->nkhw", np.asarray(features), kernel) + bias[:, np.newaxis, np.newaxis]
    found = make_predictor(make_bundle, to_onnx(model), 3).activation_maps(images_of(2))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_outputs_are_probabilities_and_the_map_with_a_free_batch_axis(mirrored: bool) -> None:
    graph = onnx.load_model_from_string(to_onnx(residual_network(softmax_inside, 3), mirrored)).graph
    shapes = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    expected = {"image": ["batch", *SIZE, 3], "probabilities": ["batch", 3], "activation_map": ["batch", 3, 2, 2]}
    assert shapes == expected


def test_two_views_share_one_copy_of_the_weights() -> None:
    model = residual_network(softmax_inside, 3)
    one, two = (len(to_onnx(model, mirrored)) for mirrored in (False, True))
    assert two < one + 2000


def test_a_network_without_logits_cannot_look_at_two_views() -> None:
    image = keras.Input((8, 8, 3), name="image")
    output = layers.Dense(2)(layers.Flatten()(image))
    with pytest.raises(NotImplementedError, match="'blunt' ends in neither softmax nor sigmoid.*mirrored=True"):
        to_onnx(keras.Model(image, output, name="blunt"), mirrored=True)
