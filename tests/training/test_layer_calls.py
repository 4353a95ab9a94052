from collections.abc import Callable

import keras
import pytest
import torch

from tellapart.networks.normalization import FusedBatchNormalization
from tellapart.training.layer_calls import call_of

FIRST = {"data_format": "channels_first"}
LAYERS: dict[str, Callable[[], keras.layers.Layer]] = {
    "3x3": lambda: keras.layers.Conv2D(4, 3, padding="same", use_bias=False, **FIRST),
    "1x1": lambda: keras.layers.Conv2D(4, 1, use_bias=False, **FIRST),
    "every second pixel": lambda: keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, **FIRST),
    "every third pixel": lambda: keras.layers.Conv2D(4, (3, 5), strides=3, padding="same", use_bias=False, **FIRST),
    "even kernel": lambda: keras.layers.Conv2D(4, (2, 4), padding="same", use_bias=False, **FIRST),
    "kernel smaller than its stride": lambda: keras.layers.Conv2D(
        4, 1, strides=3, padding="same", use_bias=False, **FIRST
    ),
    "nothing around": lambda: keras.layers.Conv2D(4, 3, strides=2, use_bias=False, **FIRST),
    "bias": lambda: keras.layers.Conv2D(4, 3, bias_initializer="ones", **FIRST),
    "activation": lambda: keras.layers.Conv2D(4, 3, use_bias=False, activation="relu", **FIRST),
    "dilated": lambda: keras.layers.Conv2D(4, 3, padding="same", dilation_rate=2, use_bias=False, **FIRST),
    "groups": lambda: keras.layers.Conv2D(4, 3, padding="same", groups=2, use_bias=False, **FIRST),
    "depthwise": lambda: keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, **FIRST),
    "largest": lambda: keras.layers.MaxPooling2D(2, padding="same", **FIRST),
    "largest, what fits": lambda: keras.layers.MaxPooling2D((2, 3), **FIRST),
    "largest, overlapping": lambda: keras.layers.MaxPooling2D(3, strides=2, padding="same", **FIRST),
    "mean": lambda: keras.layers.AveragePooling2D(2, padding="same", **FIRST),
    "mean over places": lambda: keras.layers.GlobalAveragePooling2D(**FIRST),
    "ReLU": lambda: keras.layers.ReLU(),
    "bounded ReLU": lambda: keras.layers.ReLU(max_value=0.5, negative_slope=0.1),
    "normalisation": lambda: FusedBatchNormalization(axis=1, momentum=0.8, epsilon=1e-3),
    "frozen normalisation": lambda: FusedBatchNormalization(axis=1, epsilon=1e-3, trainable=False),
    "rescaling": lambda: keras.layers.Rescaling(1 / 127.5, offset=-1.0),
}


@pytest.mark.parametrize("size", [(8, 8), (7, 12), (5, 3)], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_it_gives_what_the_layer_gives_and_its_gradients(name: str, size: tuple[int, int]) -> None:
    keras.utils.set_random_seed(3)
    layer = LAYERS[name]()
    channels = 300 if name == "many channels" else 6
    layer.build((None, channels, *size))
    images = torch.randn(4, channels, *size).contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = [images, *(variable.value for variable in layer.trainable_variables)]
    wanted = layer(images, training=True)
    direction = torch.randn_like(wanted)

    found = call_of(layer)(images)

    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(
        torch.autograd.grad((found * direction).sum(), weights),
        torch.autograd.grad((wanted * direction).sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


def test_a_sum_takes_all_that_it_is_given() -> None:
    first, second, third = torch.randn(3, 2, 4, 5, 5)
    layer = keras.layers.Add()
    layer.build([(None, 4, 5, 5)] * 3)

    torch.testing.assert_close(call_of(layer)(first, second, third), first + second + third)


def test_joined_features_go_through_the_own_function_of_the_layer() -> None:
    first, second = torch.randn(2, 2, 4, 5, 5)
    layer = keras.layers.Concatenate(axis=1)
    layer.build([(None, 4, 5, 5)] * 2)

    torch.testing.assert_close(call_of(layer)(first, second), torch.cat([first, second], 1))


def test_a_normalisation_moves_its_averages_as_the_layer_does() -> None:
    images = torch.randn(4, 6, 8, 8) * 3 + 1
    one, other = LAYERS["normalisation"](), LAYERS["normalisation"]()
    for layer in (one, other):
        layer.build((None, 6, 8, 8))

    one(images, training=True)
    call_of(other)(images)

    for ours, theirs in zip(other.non_trainable_variables, one.non_trainable_variables, strict=True):
        torch.testing.assert_close(ours.value, theirs.value)
    assert other.moving_mean.value.abs().max() > 0.1
