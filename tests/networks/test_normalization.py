import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tellapart.networks.normalization import FusedBatchNormalization, batch_norm, moving_averages_kept

SHAPE = (5, 4, 7, 6)
Settings = dict[str, Any]
ALL_SETTINGS = [
    pytest.param({}, id="plain"),
    pytest.param({"momentum": 0.9, "epsilon": 1e-5}, id="as the network has it"),
    pytest.param({"scale": False}, id="no gamma"),
    pytest.param({"center": False}, id="no beta"),
    pytest.param({"scale": False, "center": False}, id="neither"),
]


def features(seed: int = 0) -> NDArray[np.float32]:
    """Features with another mean and spread in each channel, float32, shape `(n, channels, height, width)`."""
    generator = np.random.default_rng(seed)
    channels = np.arange(1, SHAPE[1] + 1).reshape(1, -1, 1, 1)
    return (generator.normal(size=SHAPE) * channels + channels**2).astype(np.float32)


def make_layer(kind: type[keras.layers.BatchNormalization], **settings: Any) -> keras.layers.BatchNormalization:
    """A layer with weights on which nothing is neutral; the same for either kind."""
    layer = kind(axis=1, **settings)
    layer.build(SHAPE)
    generator = np.random.default_rng(1)
    layer.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])
    return layer


def both(**settings: Any) -> tuple[keras.layers.BatchNormalization, keras.layers.BatchNormalization]:
    return make_layer(FusedBatchNormalization, **settings), make_layer(keras.layers.BatchNormalization, **settings)


def to_numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.detach().cpu().numpy()


def assert_near(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def moving(layer: keras.layers.BatchNormalization) -> NDArray[np.float32]:
    """Moving means and variances, shape `(2, channels)`."""
    return np.stack([np.array(to_numpy(v.value)) for v in (layer.moving_mean, layer.moving_variance)])


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("settings", ALL_SETTINGS)
def test_outputs_are_those_of_keras(settings: Settings, training: bool) -> None:
    ours, theirs = (to_numpy(layer(features(), training=training)) for layer in both(**settings))

    assert_near(ours, theirs)


@pytest.mark.parametrize("settings", ALL_SETTINGS)
def test_moving_averages_are_those_of_keras_after_some_batches(settings: Settings) -> None:
    ours, theirs = both(**settings)

    for seed in range(4):
        for layer in (ours, theirs):
            layer(features(seed), training=True)

    np.testing.assert_allclose(moving(ours), moving(theirs), rtol=1e-4)


@pytest.mark.parametrize("settings", ALL_SETTINGS)
def test_gradients_of_inputs_and_weights_are_those_of_keras(settings: Settings) -> None:
    weighting = torch.from_numpy(np.random.default_rng(2).normal(size=SHAPE).astype(np.float32))

    def differentiate(layer: keras.layers.BatchNormalization) -> list[NDArray[np.float32]]:
        inputs = torch.from_numpy(features()).requires_grad_()
        outputs = layer(inputs, training=True)
        wanted = [inputs, *(weight.value for weight in layer.trainable_variables)]
        return [to_numpy(gradient) for gradient in torch.autograd.grad((outputs * weighting).sum(), wanted)]

    ours, theirs = (differentiate(layer) for layer in both(**settings))
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-3, atol=1e-3)


def test_features_that_do_not_vary_have_finite_outputs_and_moving_averages() -> None:
    layer = make_layer(FusedBatchNormalization)

    outputs = layer(np.full(SHAPE, 3.0, np.float32), training=True)

    assert np.isfinite(to_numpy(outputs)).all()
    assert (moving(layer)[1] >= 0).all()


def test_inference_leaves_the_moving_averages_as_they_are() -> None:
    layer = make_layer(FusedBatchNormalization)
    before = moving(layer)

    layer(features(), training=False)

    np.testing.assert_array_equal(moving(layer), before)


def test_a_layer_that_does_not_train_normalises_by_its_moving_averages() -> None:
    layer = make_layer(FusedBatchNormalization)
    layer.trainable = False
    before = moving(layer)

    outputs = [to_numpy(layer(features(), training=training)) for training in (True, False)]

    assert_near(*outputs)
    np.testing.assert_array_equal(moving(layer), before)


def test_half_precision_features_stay_so_and_their_averages_stay_whole() -> None:
    ours, theirs = both(dtype="mixed_float16")
    outputs = [layer(torch.from_numpy(features()).half(), training=True) for layer in (ours, theirs)]

    assert outputs[0].dtype == torch.float16
    assert ours.moving_mean.value.dtype == torch.float32
    np.testing.assert_allclose(to_numpy(outputs[0]), to_numpy(outputs[1]), rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(moving(ours), moving(theirs), rtol=1e-2)


def moves(layer: keras.layers.BatchNormalization) -> bool:
    """Whether a batch changes the moving averages of the layer."""
    before = moving(layer)
    layer(features(), training=True)
    return bool((moving(layer) != before).any())


def in_another_thread(work: Callable[[], bool]) -> bool:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    thread.join()
    return answers[0]


def test_moving_averages_can_be_kept_for_a_time() -> None:
    layer = make_layer(FusedBatchNormalization)

    with moving_averages_kept(True):
        meanwhile = moves(layer)

    assert not meanwhile
    assert moves(layer)


def test_keeping_nothing_changes_nothing() -> None:
    layer = make_layer(FusedBatchNormalization)

    with moving_averages_kept(False):
        assert moves(layer)


def test_outputs_are_the_same_while_moving_averages_are_kept() -> None:
    layer = make_layer(FusedBatchNormalization)
    expected = to_numpy(layer(features(), training=True))

    with moving_averages_kept(True):
        np.testing.assert_array_equal(to_numpy(layer(features(), training=True)), expected)


def test_moving_averages_that_one_thread_keeps_still_move_in_another() -> None:
    layer = make_layer(FusedBatchNormalization)

    with moving_averages_kept(True):
        assert in_another_thread(lambda: moves(layer))


def test_an_error_ends_the_keeping() -> None:
    layer = make_layer(FusedBatchNormalization)

    with pytest.raises(RuntimeError, match="step"), moving_averages_kept(True):
        raise RuntimeError("the step failed")

    assert moves(layer)


@pytest.mark.parametrize(
    ("data_format", "kind", "axis"),
    [
        ("channels_first", FusedBatchNormalization, 1),
        ("channels_last", keras.layers.BatchNormalization, -1),
    ],
)
def test_what_leaves_tellapart_has_the_layer_of_keras_itself(data_format: str, kind: type, axis: int) -> None:
    layer = batch_norm(data_format, momentum=0.9, name="norm")

    assert type(layer) is kind
    assert (layer.axis, layer.momentum, layer.name) == (axis, 0.9, "norm")


def test_weights_have_the_shapes_and_order_of_keras() -> None:
    ours, theirs = both()

    assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in theirs.weights]
