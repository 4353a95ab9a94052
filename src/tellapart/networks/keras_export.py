"""A trained Keras network as ONNX bytes, for ONNX Runtime, and as files for Keras users.

The graph is written layer by layer from Keras' own layer objects, so it is the same whatever backend trained, and
needs neither TensorFlow nor a tracing exporter (docs/decisions/002-own-onnx-writer.md). Scaling is inside; the batch
axis is free.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tellapart.networks.backend import keras
from tellapart.networks.onnx_classifier import add_classifier
from tellapart.networks.onnx_graph import Graph
from tellapart.networks.onnx_layers import convert
from tellapart.networks.onnx_nodes import EMBEDDING_NAME, FEATURES_NAME
from tellapart.records import LayerRecord
from tellapart.store import temporary_folder

KERAS_FILE_NAMES = ("model.keras", "model.h5", "model.weights.h5")


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
        NotImplementedError: a layer has no counterpart in ONNX; it names the layer.
    """
    graph = Graph(model, mirrored)
    return graph.to_bytes(add_classifier(graph, mirrored))


def to_backbone_graph(model: keras.Model) -> bytes:
    """The backbone as an ONNX model, batch normalisation multiplied into the convolutions.

    Its input is `image`, uint8 `(batch, height, width, 3)`; its outputs are `embedding`, float32 `(batch, size)`, and
    `features`, float32 `(batch, size, h, w)`, of which the embedding is the mean.

    Args:
        model: a functional Keras model from pixels to the embedding and the features, `channels_first`.

    Raises:
        NotImplementedError: a layer has no counterpart in ONNX; it names the layer.
    """
    graph = Graph(model)
    embedding, features = convert(graph)
    graph.name_output(embedding, EMBEDDING_NAME)
    graph.name_output(features, FEATURES_NAME)
    shapes = [["batch", *tensor.shape[1:]] for tensor in model.outputs]
    return graph.to_bytes({EMBEDDING_NAME: shapes[0], FEATURES_NAME: shapes[1]})


def to_keras_files(model: keras.Model, work_dir: Path) -> dict[str, bytes]:
    """The network in the three formats Keras users know, file name to content.

    Args:
        model: the network.
        work_dir: folder that temporary files are made in, and taken from again.
    """
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
