"""A trained Keras network as ONNX bytes, for ONNX Runtime, and as files for Keras users.

The graph is written layer by layer from Keras' own layer objects, so it is the same whatever backend trained, and
needs neither TensorFlow nor a tracing exporter (docs/decisions/002-own-onnx-writer.md). Scaling to `[0, 1]` is
inside; the batch axis is free.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tellapart.learn.backend import keras
from tellapart.records import LayerRecord

_OPSET = 17
_IR_VERSION = 10
INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"
KERAS_FILE_NAMES = ("model.keras", "model.h5", "model.weights.h5")


class _Graph:
    """Nodes and constants collected while walking through the layers."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """The name of a new constant."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """The name of the output of a new node, which never equals that of the graph's output."""
        return self._append(operator, inputs, f"layer/{name}", attributes)

    def finish(self, operator: str, inputs: list[str], **attributes: Any) -> None:
        """Adds the node that gives the graph's output."""
        self._append(operator, inputs, OUTPUT_NAME, attributes)

    def _append(self, operator: str, inputs: list[str], output: str, attributes: dict[str, Any]) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def to_onnx(model: keras.Model) -> bytes:
    """The network as an ONNX model.

    Its input is `image`, uint8 `(batch, height, width, channels)`, its output `probabilities`, float32
    `(batch, num_classes)`.

    A network with one sigmoid gets both columns, `1 - p` and `p`.

    Args:
        model: a functional Keras model whose convolutions are `channels_first`, as ONNX has them.

    Raises:
        NotImplementedError: a layer has no counterpart here; it names the layer.
    """
    graph = _Graph()
    names = {id(model.inputs[0]): graph.add("Cast", [INPUT_NAME], "image_float", to=TensorProto.FLOAT)}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        convert = _CONVERTERS.get(type(layer))
        if convert is None:
            raise NotImplementedError(f"layer {layer.name!r} of type {type(layer).__name__} cannot be written as ONNX")
        names[id(layer.output)] = convert(graph, layer, names[id(layer.input)])
    output, num_classes = names[id(model.outputs[0])], model.output_shape[-1]
    if num_classes == 1:
        other = graph.add("Sub", [graph.constant("one", np.ones(1, np.float32)), output], "first_class")
        graph.finish("Concat", [other, output], axis=1)
        num_classes = 2
    else:
        graph.finish("Identity", [output])
    height, width, channels = model.input_shape[1:]
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "tellapart",
            [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", height, width, channels])],
            [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", num_classes])],
            graph.initializers,
        ),
        producer_name="tellapart",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def to_keras_files(model: keras.Model) -> dict[str, bytes]:
    """The network in the three formats Keras users know, file name to content."""
    files = {}
    with tempfile.TemporaryDirectory(prefix="tellapart-") as folder, _without_legacy_warning():
        for name in KERAS_FILE_NAMES:
            path = Path(folder) / name
            if name.endswith(".weights.h5"):
                model.save_weights(path)
            else:
                model.save(path)
            files[name] = path.read_bytes()
    return files


@contextmanager
def _without_legacy_warning() -> Iterator[None]:
    """Keras logs that HDF5 is a legacy format; the file is for those who still want it."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


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


def _weights(layer: keras.Layer) -> list[NDArray[np.float32]]:
    return [np.asarray(value, np.float32) for value in layer.get_weights()]


def _activate(graph: _Graph, layer: keras.Layer, source: str) -> str:
    """The name after the activation that `layer` carries inside."""
    name = keras.activations.serialize(layer.activation)
    if name == "linear":
        return source
    operators: dict[str, tuple[str, dict[str, Any]]] = {
        "relu": ("Relu", {}),
        "sigmoid": ("Sigmoid", {}),
        "softmax": ("Softmax", {"axis": -1}),
    }
    if name not in operators:
        raise NotImplementedError(f"activation {name!r} of layer {layer.name!r} cannot be written as ONNX")
    operator, attributes = operators[name]
    return graph.add(operator, [source], f"{layer.name}_{name}", **attributes)


def _convert_rescaling(graph: _Graph, layer: keras.layers.Rescaling, source: str) -> str:
    scale = graph.constant(f"{layer.name}_scale", np.asarray(layer.scale, np.float32))
    scaled = graph.add("Mul", [source, scale], f"{layer.name}_scaled")
    if not np.any(layer.offset):
        return scaled
    return graph.add(
        "Add", [scaled, graph.constant(f"{layer.name}_offset", np.asarray(layer.offset, np.float32))], layer.name
    )


def _convert_permute(graph: _Graph, layer: keras.layers.Permute, source: str) -> str:
    return graph.add("Transpose", [source], layer.name, perm=[0, *layer.dims])


def _convert_conv(graph: _Graph, layer: keras.layers.Conv2D, source: str) -> str:
    assert layer.data_format == "channels_first" and layer.padding == "valid" and layer.use_bias
    kernel, bias = _weights(layer)
    inputs = [
        source,
        graph.constant(f"{layer.name}_kernel", kernel.transpose(3, 2, 0, 1)),
        graph.constant(f"{layer.name}_bias", bias),
    ]
    output = graph.add(
        "Conv",
        inputs,
        layer.name,
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=layer.groups,
    )
    return _activate(graph, layer, output)


def _convert_pool(graph: _Graph, layer: keras.layers.MaxPooling2D, source: str) -> str:
    assert layer.data_format == "channels_first" and layer.padding == "valid"
    return graph.add("MaxPool", [source], layer.name, kernel_shape=list(layer.pool_size), strides=list(layer.strides))


def _convert_relu(graph: _Graph, layer: keras.layers.ReLU, source: str) -> str:
    assert layer.max_value is None and layer.negative_slope == 0 and layer.threshold == 0
    return graph.add("Relu", [source], layer.name)


def _convert_flatten(graph: _Graph, layer: keras.layers.Flatten, source: str) -> str:
    # Keras flattens with the channels last, whatever the data format, so that dense weights fit both.
    if layer.data_format == "channels_first":
        source = graph.add("Transpose", [source], f"{layer.name}_channels_last", perm=[0, 2, 3, 1])
    return graph.add("Flatten", [source], layer.name, axis=1)


def _convert_dropout(graph: _Graph, layer: keras.layers.Dropout, source: str) -> str:
    return source


def _convert_dense(graph: _Graph, layer: keras.layers.Dense, source: str) -> str:
    assert layer.use_bias
    kernel, bias = _weights(layer)
    inputs = [source, graph.constant(f"{layer.name}_kernel", kernel), graph.constant(f"{layer.name}_bias", bias)]
    return _activate(graph, layer, graph.add("Gemm", inputs, layer.name))


_CONVERTERS: dict[type, Callable[[_Graph, Any, str], str]] = {
    keras.layers.Rescaling: _convert_rescaling,
    keras.layers.Permute: _convert_permute,
    keras.layers.Conv2D: _convert_conv,
    keras.layers.MaxPooling2D: _convert_pool,
    keras.layers.ReLU: _convert_relu,
    keras.layers.Flatten: _convert_flatten,
    keras.layers.Dropout: _convert_dropout,
    keras.layers.Dense: _convert_dense,
}
