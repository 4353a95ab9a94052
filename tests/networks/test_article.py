import keras
import numpy as np
import pytest

from tellapart.networks.article import build_article_network


def test_two_classes_at_150_pixels_have_the_articles_number_of_parameters() -> None:
    assert build_article_network((150, 150, 3), 2).count_params() == 3_453_121


def test_the_layers_are_those_of_the_article() -> None:
    model = build_article_network((150, 150, 3), 2)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [32, 64, 128, 128]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert model.get_layer("dropout").rate == 0.5
    assert model.get_layer("dense").units == 512
    assert model.output_shape == (None, 1)


def test_more_classes_get_a_softmax() -> None:
    model = build_article_network((48, 48, 3), 4)
    output = np.asarray(model.predict_on_batch(np.zeros((2, 48, 48, 3), np.uint8)))
    np.testing.assert_allclose(output.sum(axis=1), [1, 1], rtol=1e-5)
    assert output.shape == (2, 4)


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_both_data_formats_compute_the_same(channels: int) -> None:
    shape = (46, 60, channels)
    first, last = (build_article_network(shape, 2, name) for name in ("channels_first", "channels_last"))
    last.set_weights(first.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
    np.testing.assert_allclose(
        np.asarray(first.predict_on_batch(images)), np.asarray(last.predict_on_batch(images)), atol=1e-5
    )


def test_pooling_before_relu_equals_the_article_order() -> None:
    model = build_article_network((46, 46, 3), 2)
    x = image = keras.Input((46, 46, 3))
    x = keras.layers.Rescaling(1 / 255)(x)
    for filters in (32, 64, 128, 128):
        x = keras.layers.MaxPooling2D(2)(keras.layers.Conv2D(filters, 3, activation="relu")(x))
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    x = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Dense(512, activation="relu")(x))
    article = keras.Model(image, x)
    article.set_weights(model.get_weights())
    images = np.random.default_rng(1).integers(0, 256, (4, 46, 46, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        np.asarray(model.predict_on_batch(images)), np.asarray(article.predict_on_batch(images)), atol=1e-6
    )
