"""Which layers of a Keras network need no ONNX operator of their own; `onnx_layers.py` writes the others."""

from typing import Any, NamedTuple

import numpy as np

from tellapart.learn.backend import keras

_Layer = Any


def inputs_of(layer: _Layer) -> list[Any]:
    """The tensors that go into the layer, in order."""
    return list(layer.input) if isinstance(layer.input, (list, tuple)) else [layer.input]


class Start(NamedTuple):
    """Scaling by one number, moving the channels, and a convolution, one after the other behind the image."""

    rescaling: _Layer
    permute: _Layer
    convolution: _Layer


def find_start(model: keras.Model) -> Start | None:
    """The model's first three layers where they are such a chain, and nothing else looks at what is between them."""
    kinds = (keras.layers.Rescaling, keras.layers.Permute, keras.layers.Conv2D)
    chain = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)][:3]
    if tuple(map(type, chain)) != kinds or np.ndim(chain[0].scale) or np.ndim(chain[0].offset):
        return None
    values = [model.inputs[0], chain[0].output, chain[1].output]
    used = [*(id(tensor) for layer in model.layers for tensor in inputs_of(layer)), *map(id, model.outputs)]
    follow = all(layer.input is value for layer, value in zip(chain, values, strict=True))
    counts = [used.count(id(value)) for value in values[1:]]
    return Start(*chain) if follow and counts == [1, 1] else None


def find_foldable(model: keras.Model) -> dict[int, _Layer]:
    """Each normalisation that alone follows a convolution without activation, by the id of that one's output."""
    makers = {id(layer.output): layer for layer in model.layers}
    uses: dict[int, int] = {}
    for tensor in [*(tensor for layer in model.layers for tensor in inputs_of(layer)), *model.outputs]:
        uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    found = {}
    for layer in model.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        source = id(layer.input)
        maker = makers.get(source)
        if maker is None or not isinstance(maker, kinds) or uses[source] != 1:
            continue
        if keras.activations.serialize(maker.activation) == "linear":
            found[source] = layer
    return found
