"""Keras layers as ONNX operators: one converter a kind of layer, for `export.py`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tellapart.learn.backend import keras
from tellapart.learn.onnx_folding import find_foldable, find_start, inputs_of

INPUT_NAME = "image"
_OPSET = 17
_IR_VERSION = 10
_Layer = Any


class Graph:
    """Nodes and constants collected while walking through the layers of a model.

    Args:
        model: functional; its convolutions are `channels_first`, as ONNX has them.
    """

    def __init__(self, model: keras.Model) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._model = model
        self._norms = find_foldable(model)
        self._start = find_start(model)

    def convert(self) -> list[str]:
        """The names of the values that hold the model's outputs, in order; all layers are in the graph afterwards.

        Raises:
            NotImplementedError: a layer has no counterpart here; it names the layer.
        """
        names = {id(self._model.inputs[0]): self._add_image()}
        for layer in self._model.layers:
            if isinstance(layer, keras.layers.InputLayer):
                continue
            convert = _CONVERTERS.get(type(layer))
            if convert is None:
                raise NotImplementedError(
                    f"layer {layer.name!r} of type {type(layer).__name__} cannot be written as ONNX"
                )
            sources = [names[id(tensor)] for tensor in inputs_of(layer)]
            names[id(layer.output)] = convert(self, layer, *sources)
        return [names[id(tensor)] for tensor in self._model.outputs]

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """The name of a new constant."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """The name of the output of a new node, which never equals that of an output of the graph."""
        return self._append(operator, inputs, f"layer/{name}", attributes)

    def name_output(self, source: str, name: str) -> None:
        """Makes the value `source` the output `name` of the graph, without the copy that an `Identity` may cost."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [name if value == source else value for value in names]

    def finish(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> None:
        """Adds the node that gives the output `name` of the graph."""
        self._append(operator, inputs, name, attributes)

    def to_bytes(self, outputs: dict[str, list[str | int]]) -> bytes:
        """The ONNX model, checked.

        Args:
            outputs: name to shape of each output, float32; the batch axis has a name.
        """
        height, width, channels = self._model.input_shape[1:]
        image = helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", height, width, channels])
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        proto = helper.make_model(
            helper.make_graph(self.nodes, "tellapart", [image], infos, self.initializers),
            producer_name="tellapart",
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
        )
        onnx.checker.check_model(proto, full_check=True)
        return bytes(proto.SerializeToString(deterministic=True))

    def folded_weights(self, layer: _Layer) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Kernel and bias of a convolution in Keras' layout, with the normalisation that follows it multiplied in.

        Ioffe and Szegedy 2015: gamma (x - mean) / sqrt(variance + epsilon) + beta, a scale and a shift a channel.
        """
        weights = _weights(layer)
        if self._start is not None and layer is self._start.convolution:
            weights[0] = weights[0] * np.float32(self._start.rescaling.scale)
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        num_filters = weights[0].shape[2] if is_depthwise else weights[0].shape[3]
        kernel, bias = weights[0], weights[1] if layer.use_bias else np.zeros(num_filters, np.float32)
        norm = self._norms.get(id(layer.output))
        if norm is None:
            return kernel, bias
        gamma, beta, mean, variance = (value.astype(np.float64) for value in _weights(norm))
        scale = gamma / np.sqrt(variance + norm.epsilon)
        shaped = scale[:, np.newaxis] if is_depthwise else scale
        return (kernel * shaped).astype(np.float32), ((bias - mean) * scale + beta).astype(np.float32)

    def is_folded(self, norm: _Layer) -> bool:
        """Whether the normalisation is inside the convolution before it."""
        return any(norm is folded for folded in self._norms.values())

    def is_at_start(self, layer: _Layer) -> bool:
        """Whether the layer's work on the image is done by `_add_image` and by the first convolution."""
        return self._start is not None and layer in (self._start.rescaling, self._start.permute)

    def _add_image(self) -> str:
        """The name of the image as the first layer that does work of its own takes it, float32.

        Where scaling and moving the channels come first, the bytes are moved before they are four times as many, and
        only the offset is added here: the factor is in the first convolution's kernel.
        """
        if self._start is None:
            return self.add("Cast", [INPUT_NAME], "image_float", to=TensorProto.FLOAT)
        rescaling, permute, _ = self._start
        moved = self.add("Transpose", [INPUT_NAME], permute.name, perm=[0, *permute.dims])
        image = self.add("Cast", [moved], "image_float", to=TensorProto.FLOAT)
        if rescaling.offset == 0:
            return image
        offset = np.array(rescaling.offset / rescaling.scale, np.float32)
        return self.add("Add", [image, self.constant(f"{rescaling.name}_offset", offset)], rescaling.name)

    def _append(self, operator: str, inputs: list[str], output: str, attributes: dict[str, Any]) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def _weights(layer: keras.Layer) -> list[NDArray[np.float32]]:
    return [np.asarray(value, np.float32) for value in layer.get_weights()]


def _activate(graph: Graph, layer: keras.Layer, source: str) -> str:
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


def _convert_rescaling(graph: Graph, layer: keras.layers.Rescaling, source: str) -> str:
    if graph.is_at_start(layer):
        return source
    scale = graph.constant(f"{layer.name}_scale", np.asarray(layer.scale, np.float32))
    scaled = graph.add("Mul", [source, scale], f"{layer.name}_scaled")
    if not np.any(layer.offset):
        return scaled
    return graph.add(
        "Add", [scaled, graph.constant(f"{layer.name}_offset", np.asarray(layer.offset, np.float32))], layer.name
    )


def _convert_permute(graph: Graph, layer: keras.layers.Permute, source: str) -> str:
    if graph.is_at_start(layer):
        return source
    return graph.add("Transpose", [source], layer.name, perm=[0, *layer.dims])


def _convert_conv(graph: Graph, layer: _Layer, source: str) -> str:
    kernel, bias = graph.folded_weights(layer)
    return _add_conv(graph, layer, source, (kernel.transpose(3, 2, 0, 1), bias), layer.groups)


def _convert_depthwise(graph: Graph, layer: _Layer, source: str) -> str:
    assert layer.depth_multiplier == 1
    kernel, bias = graph.folded_weights(layer)
    return _add_conv(graph, layer, source, (kernel.transpose(2, 3, 0, 1), bias), kernel.shape[2])


def _add_conv(
    graph: Graph, layer: _Layer, source: str, weights: tuple[NDArray[np.float32], NDArray[np.float32]], groups: int
) -> str:
    """The name after a convolution with this kernel, `(out, in / groups, height, width)`, and bias."""
    assert layer.data_format == "channels_first"
    inputs = [
        source,
        graph.constant(f"{layer.name}_kernel", weights[0]),
        graph.constant(f"{layer.name}_bias", weights[1]),
    ]
    output = graph.add(
        "Conv",
        inputs,
        layer.name,
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=groups,
        pads=_pads(layer),
    )
    return _activate(graph, layer, output)


def _pads(layer: _Layer) -> list[int]:
    """Padding at top, left, bottom and right; Keras' "same" puts the odd pixel at the bottom and right."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    starts, ends = [], []
    for size, kernel, stride, dilation in zip(
        layer.input.shape[2:], layer.kernel_size, layer.strides, layer.dilation_rate, strict=True
    ):
        total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
        starts.append(total // 2)
        ends.append(total - total // 2)
    return starts + ends


def _convert_norm(graph: Graph, layer: _Layer, source: str) -> str:
    if not graph.is_folded(layer):
        raise NotImplementedError(f"layer {layer.name!r} does not follow a convolution and cannot be written as ONNX")
    return source


def _convert_add(graph: Graph, layer: _Layer, first: str, second: str) -> str:
    return graph.add("Add", [first, second], layer.name)


def _convert_mean(graph: Graph, layer: _Layer, source: str) -> str:
    assert layer.data_format == "channels_first" and not layer.keepdims
    return graph.add("Flatten", [graph.add("GlobalAveragePool", [source], f"{layer.name}_mean")], layer.name, axis=1)


def _convert_pool(graph: Graph, layer: keras.layers.MaxPooling2D, source: str) -> str:
    assert layer.data_format == "channels_first" and layer.padding == "valid"
    return graph.add("MaxPool", [source], layer.name, kernel_shape=list(layer.pool_size), strides=list(layer.strides))


def _convert_relu(graph: Graph, layer: _Layer, source: str) -> str:
    assert layer.negative_slope == 0 and layer.threshold == 0
    if layer.max_value is None:
        return graph.add("Relu", [source], layer.name)
    limits = [
        graph.constant(f"{layer.name}_{end}", np.array(value, np.float32))
        for end, value in (("low", 0), ("high", layer.max_value))
    ]
    return graph.add("Clip", [source, *limits], layer.name)


def _convert_flatten(graph: Graph, layer: keras.layers.Flatten, source: str) -> str:
    # Keras flattens with the channels last, whatever the data format, so that dense weights fit both.
    if layer.data_format == "channels_first":
        source = graph.add("Transpose", [source], f"{layer.name}_channels_last", perm=[0, 2, 3, 1])
    return graph.add("Flatten", [source], layer.name, axis=1)


def _convert_dropout(graph: Graph, layer: keras.layers.Dropout, source: str) -> str:
    return source


def _convert_dense(graph: Graph, layer: keras.layers.Dense, source: str) -> str:
    assert layer.use_bias
    kernel, bias = _weights(layer)
    inputs = [source, graph.constant(f"{layer.name}_kernel", kernel), graph.constant(f"{layer.name}_bias", bias)]
    return _activate(graph, layer, graph.add("Gemm", inputs, layer.name))


_CONVERTERS: dict[type, Callable[..., str]] = {
    keras.layers.Add: _convert_add,
    keras.layers.BatchNormalization: _convert_norm,
    keras.layers.Conv2D: _convert_conv,
    keras.layers.Dense: _convert_dense,
    keras.layers.DepthwiseConv2D: _convert_depthwise,
    keras.layers.Dropout: _convert_dropout,
    keras.layers.Flatten: _convert_flatten,
    keras.layers.GlobalAveragePooling2D: _convert_mean,
    keras.layers.MaxPooling2D: _convert_pool,
    keras.layers.Permute: _convert_permute,
    keras.layers.ReLU: _convert_relu,
    keras.layers.Rescaling: _convert_rescaling,
}
