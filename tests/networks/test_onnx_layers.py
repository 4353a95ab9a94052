from collections.abc import Callable

import keras
import numpy as np
import onnxruntime
import pytest

from tellapart.networks.keras_export import to_onnx

layers = keras.layers


def random_images(num_images: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (num_images, height, width, 3), dtype=np.uint8)


def run_onnx(model: bytes, images: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"image": images})


def run_keras(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(images)))


def randomise(model: keras.Model) -> keras.Model:
    """The model with all weights drawn from 0.1 to 1, so that variances are positive and nothing is neutral."""
    generator = np.random.default_rng(5)
    model.set_weights([generator.uniform(0.1, 1, value.shape) for value in model.get_weights()])
    return model


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("size", [(9, 12), (10, 7)], ids=["odd-even", "even-odd"])
def test_same_padding_normalisations_and_sums_answer_as_keras_does(size: tuple[int, int], kernel_size: int) -> None:
    image = keras.Input((*size, 3), name="image")
    x = layers.Rescaling(1 / 128, offset=-1)(layers.Permute((3, 1, 2))(image))
    x = layers.Conv2D(4, kernel_size, strides=2, use_bias=True, **SAME)(x)
    start = x = layers.ReLU(6)(layers.BatchNormalization(axis=1)(x))
    x = layers.BatchNormalization(axis=1)(layers.DepthwiseConv2D(kernel_size, use_bias=False, **SAME)(x))
    x = layers.Flatten()(layers.Add()([start, x]))
    assert_same_answer(randomise(keras.Model(image, layers.Activation("softmax")(x))), random_images(3, *size))


class SlowNormalization(layers.BatchNormalization):
    """A normalisation that only computes in another way."""


class Plain(layers.Conv2D):
    """A convolution of a class derived from Keras' own."""


def squeeze_and_excite(x: keras.KerasTensor) -> keras.KerasTensor:
    gate = layers.Dense(2, activation="silu")(layers.GlobalAveragePooling2D("channels_first")(x))
    gate = layers.Dense(4, activation="sigmoid", use_bias=False)(gate)
    return layers.Multiply()([x, layers.Reshape((4, 1, 1))(gate)])


def excite_with_convolutions(x: keras.KerasTensor) -> keras.KerasTensor:
    gate = layers.GlobalAveragePooling2D("channels_first", keepdims=True)(x)
    return layers.Multiply()([layers.Conv2D(4, 1, activation="sigmoid", **FIRST)(gate), x])


FIRST = {"data_format": "channels_first"}
SAME = {"padding": "same", **FIRST}
BLOCKS = {
    "convolution with stride 4": layers.Conv2D(3, 5, strides=4, use_bias=False, **SAME),
    "grouped convolution": layers.Conv2D(6, 3, groups=2, **FIRST),
    "fixed convolution": layers.Conv2D(3, 3, trainable=False, activation="gelu", **SAME),
    "derived convolution": Plain(3, 3, activation="silu", **SAME),
    "fixed blur": layers.DepthwiseConv2D(3, strides=2, use_bias=False, trainable=False, **SAME),
    "blur and normalisation": lambda x: SlowNormalization(axis=1)(layers.DepthwiseConv2D(3, strides=2, **SAME)(x)),
    "normalisation": layers.BatchNormalization(axis=1),
    "normalisation without scale": SlowNormalization(axis=1, scale=False),
    "normalisation without centre": layers.BatchNormalization(axis=1, center=False),
    "normalisation of an embedding": lambda x: layers.BatchNormalization()(layers.GlobalAveragePooling2D(**FIRST)(x)),
    "silu": layers.Activation("silu"),
    "swish": layers.Activation("swish"),
    "gelu": layers.Activation("gelu"),
    "sigmoid": layers.Activation("sigmoid"),
    "relu": layers.Activation("relu"),
    "softmax": layers.Activation("softmax"),
    "softmax of channels": layers.Softmax(axis=1),
    "greatest of 2": layers.MaxPooling2D(2, **FIRST),
    "greatest of 2, same": layers.MaxPooling2D(2, **SAME),
    "greatest of 3, same": layers.MaxPooling2D(3, strides=2, **SAME),
    "greatest of 3 at every place": layers.MaxPooling2D(3, strides=1, **SAME),
    "mean of 2": layers.AveragePooling2D(2, **FIRST),
    "mean of 2, same": layers.AveragePooling2D(2, **SAME),
    "mean of 2 at every place": layers.AveragePooling2D(2, strides=1, **SAME),
    "mean of 3": layers.AveragePooling2D(3, strides=2, **FIRST),
    "mean of 3 at every place": layers.AveragePooling2D(3, strides=1, **SAME),
    "zeros": layers.ZeroPadding2D(((1, 2), (0, 3)), **FIRST),
    "zeros and convolution": lambda x: layers.Conv2D(3, 3, strides=2, **FIRST)(layers.ZeroPadding2D(1, **FIRST)(x)),
    "zeros and greatest": lambda x: layers.MaxPooling2D(3, **FIRST)(layers.ZeroPadding2D(1, **FIRST)(x)),
    "zeros and mean": lambda x: layers.AveragePooling2D(3, **FIRST)(layers.ZeroPadding2D(1, **FIRST)(x)),
    "sum of three": lambda x: layers.Add()([x, layers.ReLU()(x), layers.Activation("sigmoid")(x)]),
    "squeeze and excite": squeeze_and_excite,
    "excite with convolutions": excite_with_convolutions,
    "idle": lambda x: layers.GaussianNoise(1)(layers.SpatialDropout2D(0.9, **FIRST)(layers.Dropout(0.9)(x))),
}


def make_block(name: str) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """The block with layers of its own, for a layer of Keras keeps the shape it was first used with."""
    block = BLOCKS[name]
    return type(block).from_config(block.get_config()) if isinstance(block, keras.Layer) else block


def randomise_signed(model: keras.Model) -> keras.Model:
    """The model with weights on both sides of 0, so that values behind a layer are too, and variances positive."""
    generator = np.random.default_rng(5)
    model.set_weights([generator.uniform(-0.7, 0.7, value.shape) for value in model.get_weights()])
    for norm in [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]:
        norm.moving_variance.assign(generator.uniform(0.1, 1, norm.moving_variance.shape))
    return model


def assert_same_answer(model: keras.Model, images: np.ndarray) -> None:
    """The ONNX model gives what Keras does, for the batch and for its first image alone."""
    onnx_model, expected = to_onnx(model), run_keras(model, images)
    for num_images in (len(images), 1):
        found = run_onnx(onnx_model, images[:num_images])[0]
        np.testing.assert_allclose(found, expected[:num_images], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("size", [(9, 12), (10, 7), (8, 8)], ids=["odd-even", "even-odd", "even"])
@pytest.mark.parametrize("name", BLOCKS)
def test_a_layer_answers_as_keras_does(name: str, size: tuple[int, int]) -> None:
    image = keras.Input((*size, 3), name="image")
    x = layers.Permute((3, 1, 2))(layers.Rescaling([1 / 64, 1 / 128, 1 / 32], offset=[-1, 0, -2])(image))
    x = layers.Conv2D(4, 3, padding="same", **FIRST)(x)
    x = layers.Add()([x, layers.Conv2D(4, 1, **FIRST)(x)])
    model = keras.Model(image, layers.Flatten()(make_block(name)(layers.Rescaling(0.5, offset=-0.1)(x))))
    assert_same_answer(randomise_signed(model), random_images(3, *size))


def test_a_convolution_that_two_layers_look_at_keeps_its_own_result() -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, **FIRST)(layers.Permute((3, 1, 2))(image))
    x = layers.Add()([x, layers.BatchNormalization(axis=1)(x)])
    assert_same_answer(randomise(keras.Model(image, layers.Flatten()(x))), random_images(3, 8, 8))


def test_a_mean_that_keras_backends_pad_in_different_ways_is_refused() -> None:
    image = keras.Input((3, 8, 9), name="image")
    model = keras.Model(image, layers.Flatten()(layers.AveragePooling2D(3, strides=2, name="smear", **SAME)(image)))
    with pytest.raises(NotImplementedError, match=r"'smear'.*\(3, 3\) padded unevenly.*padding='valid'"):
        to_onnx(model)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (layers.BatchNormalization(name="bent"), "'bent'.*along the axis -1; only 1"),
        (layers.Activation("elu", name="bent"), "activation 'elu' of layer 'bent'"),
        (layers.Conv2D(2, 3, name="bent"), "'bent'.*'channels_last', not 'channels_first'"),
        (layers.Dense(2, name="bent"), "'bent'.*flatten them first"),
        (layers.DepthwiseConv2D(3, depth_multiplier=2, name="bent", **FIRST), "'bent'.*more than one filter"),
        (layers.ReLU(negative_slope=0.1, name="bent"), "'bent'.*slope"),
    ],
    ids=["axis", "activation", "format", "dense on places", "depth multiplier", "leaky"],
)
def test_a_setting_without_counterpart_is_named(layer: keras.Layer, words: str) -> None:
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, layers.Flatten()(layer(layers.ReLU()(image))))
    with pytest.raises(NotImplementedError, match=words):
        to_onnx(model)
