"""The network that the best published result from 2,000 cats and dogs was reached with, to be compared with."""

from tellapart.networks.backend import DataFormat, keras
from tellapart.networks.normalization import batch_norm

layers = keras.layers

_FILTERS = (32, 64, 128, 256, 512)


def build_mini_xception(
    input_shape: tuple[int | None, int | None, int], num_classes: int, data_format: DataFormat = "channels_last"
) -> keras.Model:
    """A 5x5 convolution, then five residual blocks of two separable ones: 722,370 parameters for two classes in colour.

    From Chollet, "Deep Learning with Python", 2nd edition, section 9.3.5; without the dropout before the last layer,
    and with a softmax for two classes too. Arguments and model as for `build_residual_network`.
    """
    image = keras.Input(input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    if data_format == "channels_first":
        x = layers.Permute((3, 1, 2), name="channels_first")(x)
    places = {"use_bias": False, "data_format": data_format}
    x = layers.Conv2D(_FILTERS[0], 5, **places, name="stem")(x)
    for number, filters in enumerate(_FILTERS, start=1):
        start = layers.Conv2D(filters, 1, strides=2, padding="same", **places, name=f"block{number}_shortcut")(x)
        for part in (1, 2):
            x = batch_norm(data_format, name=f"block{number}_norm{part}")(x)
            x = layers.ReLU(name=f"block{number}_relu{part}")(x)
            x = layers.SeparableConv2D(filters, 3, padding="same", **places, name=f"block{number}_conv{part}")(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same", data_format=data_format, name=f"block{number}_pool")(x)
        x = layers.Add(name=f"block{number}_add")([x, start])
    x = layers.GlobalAveragePooling2D(data_format=data_format, name="mean")(x)
    return keras.Model(image, layers.Dense(num_classes, activation="softmax", name="probabilities")(x))
