"""A trained Keras network as ONNX bytes, for ONNX Runtime, and as files for Keras users.

The graph is written layer by layer from Keras' own layer objects, so it is the same whatever backend trained, and
needs neither TensorFlow nor a tracing exporter (docs/decisions/002-own-onnx-writer.md). Scaling is inside; the batch
axis is free. Two views are an image and its mirror image: the logits of both are averaged (Szegedy et al. 2015, section
5, with one kind of crop).
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tellapart.networks.backend import keras
from tellapart.networks.onnx_layers import IDLE_LAYERS, convert, is_activation, to_array
from tellapart.networks.onnx_nodes import INPUT_NAME, MAP_NAME, PROBABILITIES_NAME, NodeList
from tellapart.records import LayerRecord
from tellapart.store import temporary_folder

KERAS_FILE_NAMES = ("model.keras", "model.h5", "model.weights.h5")

_Layer = Any


def to_onnx(model: keras.Model, mirrored: bool = False) -> bytes:
    """The classifier as an ONNX model.

    Its input is `image`, uint8 `(batch, height, width, channels)`, its output `probabilities`, float32
    `(batch, num_classes)`. A network that ends in a mean over places, a dense layer and a softmax has a second output,
    `activation_map`, float32 `(batch, num_classes, h, w)`, of which the logits are the mean over the places.

    A network with one sigmoid gets both columns, `1 - p` and `p`.

    Args:
        model: a functional Keras model whose convolutions are `channels_first`, as ONNX has them.
        mirrored: whether each image is looked at twice, the second time from left to right mirrored, and the logits of
            both views are averaged; costs twice the time.

    Raises:
        NotImplementedError: a layer has no counterpart in ONNX; it names the layer. Or the height or width of the
            image is open, or two views have no logits to be averaged.
    """
    if None in model.input_shape[1:]:
        raise NotImplementedError(
            f"a network for images of shape {model.input_shape[1:]!r} cannot be written as ONNX. Build it with the "
            "height and width that photos are predicted at."
        )
    nodes = NodeList()
    image = nodes.both_views(INPUT_NAME, "layer/both_views") if mirrored else INPUT_NAME
    values = convert(nodes, model, image)
    logits, operator = _take_off_activation(nodes, values[id(model.outputs[0])])
    if mirrored and operator is None:
        raise NotImplementedError(
            f"network {model.name!r} ends in neither softmax nor sigmoid, so the logits of two views cannot "
            "be averaged; end it in one of them or export it without mirrored=True."
        )
    logits = nodes.mean_of_views(logits, "layer/mean_logits") if mirrored else logits
    num_columns = _add_probabilities(nodes, logits, operator, model.output_shape[-1])
    shapes: dict[str, list[int]] = {PROBABILITIES_NAME: [num_columns]}
    if (ending := _find_ending(model)) is not None:
        features = ending.pooling.input
        _add_map(nodes, ending.dense, values[id(features)], mirrored)
        shapes[MAP_NAME] = [num_columns, *features.shape[2:]]
    *image_size, channels = model.input_shape[1:]
    return nodes.to_bytes(image_size, shapes, channels)


def _take_off_activation(nodes: NodeList, output: str) -> tuple[str, str | None]:
    """What the last softmax or sigmoid takes, and which of them it was, for the node is gone; else `output`, `None`."""
    last = nodes.nodes[-1]
    if output not in last.output or last.op_type not in ("Softmax", "Sigmoid"):
        return output, None
    return nodes.nodes.pop().input[0], last.op_type


def _add_probabilities(nodes: NodeList, logits: str, operator: str | None, num_outputs: int) -> int:
    """Adds the output `probabilities` and gives its columns; a single number becomes the two of `1 - p` and `p`."""
    operator, attributes = operator or "Identity", {"axis": -1} if operator == "Softmax" else {}
    if num_outputs > 1:
        nodes.add(operator, [logits], PROBABILITIES_NAME, **attributes)
        return num_outputs
    second = nodes.add(operator, [logits], "layer/second_class", **attributes)
    first = nodes.add("Sub", [nodes.constant("one", 1.0), second], "layer/first_class")
    nodes.add("Concat", [first, second], PROBABILITIES_NAME, axis=1)
    return 2


class _Ending(NamedTuple):
    """Mean over places, then a linear layer, then softmax: what makes logits a mean over places of something."""

    pooling: _Layer
    dense: _Layer


def _find_ending(model: keras.Model) -> _Ending | None:
    """The last layers of the model where they are such a chain; dropout may stand between them."""
    makers = {id(layer.output): layer for layer in model.layers}
    layer = makers[id(model.outputs[0])]
    is_softmax = isinstance(layer, keras.layers.Softmax) and layer.axis in (-1, 1)
    if is_softmax or (_has_activation(layer, "softmax", "sigmoid") and not isinstance(layer, keras.layers.Dense)):
        layer = makers.get(id(layer.input))
        is_last = _has_activation(layer, "linear")
    else:
        is_last = _has_activation(layer, "softmax", "sigmoid")
    if not (is_last and isinstance(layer, keras.layers.Dense)):
        return None
    pooling = makers.get(id(layer.input))
    while isinstance(pooling, IDLE_LAYERS):
        pooling = makers.get(id(pooling.input))
    is_mean = isinstance(pooling, keras.layers.GlobalAveragePooling2D) and not pooling.keepdims
    return _Ending(pooling, layer) if is_mean else None


def _has_activation(layer: _Layer, *names: str) -> bool:
    activation = getattr(layer, "activation", None)
    return activation is not None and any(is_activation(activation, name) for name in names)


def _add_map(nodes: NodeList, dense: _Layer, features: str, mirrored: bool) -> None:
    """The output `activation_map`: the linear layer applied at each place, so that its mean is the logit.

    Of two views, the mirrored one's map is mirrored back before the two are averaged. A single sigmoid of z is the
    softmax of -z/2 and z/2, and the maps are those two's. (Zhou et al. 2016, section 2.)
    """
    kernel, bias = _map_weights(dense)
    places = kernel.T[:, :, np.newaxis, np.newaxis]
    inputs = [features, nodes.constant("map_kernel", places), nodes.constant("map_bias", bias)]
    maps = nodes.add("Conv", inputs, "layer/maps" if mirrored else MAP_NAME)
    if mirrored:
        nodes.mean_of_views(maps, MAP_NAME, has_places=True)


def _map_weights(dense: _Layer) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel, `(size, num_classes)`, and bias of logits whose softmax the classifier gives; at least two classes."""
    kernel = to_array(dense.kernel)
    bias = to_array(dense.bias) if dense.use_bias else np.zeros(dense.units, np.float32)
    if dense.units > 1:
        return kernel, bias
    return np.concatenate([-kernel / 2, kernel / 2], axis=1), np.concatenate([-bias / 2, bias / 2])


def to_keras_files(model: keras.Model, work_dir: Path, mirrored: bool = False) -> dict[str, bytes]:
    """The function that `to_onnx` writes, in the three formats Keras users know, file name to content.

    Args:
        model: functional, of any data format.
        work_dir: folder that temporary files are made in, and taken from again.
        mirrored: as for `to_onnx`.

    Raises:
        NotImplementedError: two views of a network that does not end in a dense layer.
    """
    model = _with_both_views(model) if mirrored else model
    files = {}
    with temporary_folder(work_dir) as folder, _temporary_files_in(folder), _without_legacy_warning():
        for name in KERAS_FILE_NAMES:
            path = folder / name
            if name.endswith(".weights.h5"):
                model.save_weights(path)
            else:
                model.save(path)
            files[name] = path.read_bytes()
    return files


def _with_both_views(model: keras.Model) -> keras.Model:
    """The network looking at each image and at its mirror image, as a model of Keras' own layers alone.

    HDF5 files hold layers only, and no layer of Keras' mirrors: a dense layer along the width does, with ones across.
    """
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense):
        raise NotImplementedError(f"network {model.name!r} ends in no dense layer, so it cannot look at two views.")
    linear = keras.layers.Dense(last.units, use_bias=last.use_bias, dtype="float32", name="logits")
    one_view = keras.Model(model.input, linear(last.input), name=f"{model.name}_one_view")
    linear.set_weights(last.get_weights())
    width = model.input_shape[2]
    across = keras.layers.Dense(width, use_bias=False, trainable=False, dtype="float32", name="mirror")
    image = keras.Input(model.input_shape[1:], name="image")
    columns = keras.layers.Permute((1, 3, 2), name="columns_last")(image)
    mirrored = keras.layers.Permute((1, 3, 2), name="columns_back")(across(columns))
    across.set_weights([np.eye(width, dtype=np.float32)[::-1]])
    logits = keras.layers.Average(name="mean_logits")([one_view(image), one_view(mirrored)])
    return keras.Model(image, keras.layers.Activation(last.activation, name=last.name)(logits), name=model.name)


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Temporary files that Keras makes while it saves lie in `folder`, not on a disk that may be full."""
    earlier, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = earlier


@contextmanager
def _without_legacy_warning() -> Iterator[None]:
    """Keras logs that HDF5 is a legacy format; the file is for those who still want it.

    It logs through Abseil, which gives the root logger a handler if it has none; that one goes again.
    """
    logger, root = logging.getLogger("absl"), logging.getLogger()
    level, handlers = logger.level, list(root.handlers)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        root.handlers[:] = handlers


def describe_layers(model: keras.Model) -> tuple[LayerRecord, ...]:
    """The layers in order, for `tellapart summary`; the input counts as one."""
    return tuple(
        LayerRecord(
            name=layer.name,
            kind=type(layer).__name__,
            output_shape=tuple(int(size) for size in layer.output.shape[1:]),
            num_parameters=int(layer.count_params()),
        )
        for layer in model.layers
    )
