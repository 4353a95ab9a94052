"""The article's network: four convolutions and a dense layer, from scratch."""

from tellapart.networks.backend import DataFormat, keras

layers = keras.layers

_FILTERS = (32, 64, 128, 128)
_DENSE_UNITS = 512
_DROPOUT_RATE = 0.5


def build_article_network(
    input_shape: tuple[int, int, int], num_classes: int, data_format: DataFormat = "channels_last"
) -> keras.Model:
    """The network of "image classification from scratch": 3,453,121 parameters for two classes at 150x150x3.

    Convolutions 3x3 with 32, 64, 128 and 128 filters, each with ReLU and 2x2 max-pooling; flatten, dropout 0.5, dense
    512 with ReLU, and one sigmoid for two classes or a softmax for more. Pooling stands before the ReLU: the two
    commute, as both are monotone, and the ReLU then sees a quarter of the elements.

    The weights have the same shapes and order in either data format, so they can be moved between the two.

    Args:
        input_shape: `(height, width, channels)`, each side at least 46 so that four convolutions and poolings leave a
            pixel.
        num_classes: 2 or more.
        data_format: where the convolutions have their channel axis; the input has it last in either case.

    Returns:
        A model from pixels 0 to 255, shape `(batch, height, width, channels)`, to the probability of class 1, shape
        `(batch, 1)`, or of every class, shape `(batch, num_classes)`.
    """
    image = keras.Input(input_shape, name="image")
    x = layers.Permute((3, 1, 2), name="channels_first")(image) if data_format == "channels_first" else image
    x = layers.Rescaling(1 / 255, name="rescale")(x)
    for number, filters in enumerate(_FILTERS, start=1):
        x = layers.Conv2D(filters, 3, data_format=data_format, name=f"conv_{number}")(x)
        x = layers.MaxPooling2D(2, data_format=data_format, name=f"pool_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    x = layers.Flatten(data_format=data_format, name="flatten")(x)
    x = layers.Dropout(_DROPOUT_RATE, name="dropout")(x)
    x = layers.Dense(_DENSE_UNITS, activation="relu", name="dense")(x)
    if num_classes == 2:
        output = layers.Dense(1, activation="sigmoid", name="probability")(x)
    else:
        output = layers.Dense(num_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(image, output, name="article")
