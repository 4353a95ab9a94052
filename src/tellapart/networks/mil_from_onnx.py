"""An ONNX classifier of ours as operations of MIL, the language of Core ML's programs.

The builder of coremltools is given; nothing here imports it. `mil_in_torch.py` computes such operations.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tellapart.networks.onnx_reading import OnnxGraph, attributes_of, find_padding

_Var = Any


def write_mil(graph: OnnxGraph, image: _Var, builder: Any) -> list[_Var]:
    """The outputs of the graph, under their names, as operations that are added to the program being built.

    Args:
        graph: of the model; its input is `(batch, height, width, channels)`.
        image: the input of the program, `(1, channels, height, width)`.
        builder: coremltools' `Builder`.

    Raises:
        NotImplementedError: an operator has no counterpart here; the message names it.
    """
    return _Writer(graph, image, builder).outputs()


class _Writer:
    """The operations of a model, written from its outputs back to the image."""

    def __init__(self, graph: OnnxGraph, image: _Var, mb: Any) -> None:
        self._graph, self.mb = graph, mb
        self._values: dict[str, _Var] = {graph.inputs[0]: image}
        # Tensors that are channels last in ONNX and channels first here.
        self._moved = {graph.inputs[0]}

    def outputs(self) -> list[_Var]:
        """What the program gives, under the names of the ONNX file."""
        return [self.mb.identity(x=self.value(name), name=name) for name in self._graph.outputs]

    def value(self, name: str) -> _Var:
        """The tensor of that name, or the array of a constant."""
        if (array := self._graph.constant(name)) is not None:
            return array
        if name not in self._values:
            node = self._graph.maker(name)
            if node.op_type not in _WRITERS:
                raise NotImplementedError(f"the operator {node.op_type} ({name!r}) has no counterpart in Core ML")
            found = _WRITERS[node.op_type](self, node)
            for output, each in zip(node.output, found if isinstance(found, tuple) else (found,), strict=False):
                self._values[output] = each
        return self._values[name]

    def operands(self, node: onnx.NodeProto) -> list[_Var]:
        """Both inputs of the node, numbers a channel in the shape that goes with an image whose channels are first."""
        values = [self.value(name) for name in node.input]
        if self.is_moved(node):
            self._moved.add(node.output[0])
            values = [_as_channels(value) if isinstance(value, np.ndarray) else value for value in values]
        return [np.float32(value) if isinstance(value, np.ndarray) and not value.ndim else value for value in values]

    def is_moved(self, node: onnx.NodeProto) -> bool:
        """Whether an input of the node is an image whose channels are last in ONNX."""
        return not self._moved.isdisjoint(node.input)

    def pass_on(self, node: onnx.NodeProto) -> None:
        """Notes that what the node gives is such an image where an input is."""
        if self.is_moved(node):
            self._moved.add(node.output[0])

    def constants(self, node: onnx.NodeProto, start: int = 1) -> list[NDArray[Any]]:
        return self._graph.constants(node, start)


def _as_channels(array: NDArray[Any]) -> NDArray[np.float32]:
    return array.astype(np.float32).reshape(1, -1, 1, 1) if array.size > 1 else array.astype(np.float32).reshape(())


def _write_nothing(writer: _Writer, node: onnx.NodeProto) -> _Var:
    found = writer.value(node.input[0])
    writer.pass_on(node)
    return found


def _write_transpose(writer: _Writer, node: onnx.NodeProto) -> _Var:
    found, perm = writer.value(node.input[0]), list(attributes_of(node)["perm"])
    if writer.is_moved(node) and perm == [0, 3, 1, 2]:
        return found
    return writer.mb.transpose(x=found, perm=perm)


def _write_conv(writer: _Writer, node: onnx.NodeProto) -> _Var:
    x, attributes = writer.value(node.input[0]), attributes_of(node)
    kernel, *bias = writer.constants(node)
    top, left, bottom, right = find_padding(node, tuple(x.shape[2:]), kernel.shape[2:])
    return writer.mb.conv(
        x=x,
        weight=kernel,
        **({"bias": bias[0]} if bias else {}),
        pad_type="custom",
        pad=[top, bottom, left, right],
        strides=list(attributes.get("strides", (1, 1))),
        dilations=list(attributes.get("dilations", (1, 1))),
        groups=attributes.get("group", 1),
    )


def _write_pooling(writer: _Writer, node: onnx.NodeProto) -> _Var:
    x, attributes = writer.value(node.input[0]), attributes_of(node)
    window = tuple(attributes["kernel_shape"])
    top, left, bottom, right = find_padding(node, tuple(x.shape[2:]), window)
    settings = {
        "kernel_sizes": list(window),
        "strides": list(attributes.get("strides", (1, 1))),
        "pad_type": "custom",
        "pad": [top, bottom, left, right],
    }
    if node.op_type == "MaxPool":
        return writer.mb.max_pool(x=x, **settings)
    is_counted = bool(attributes.get("count_include_pad", 0))
    return writer.mb.avg_pool(x=x, exclude_padding_from_average=not is_counted, **settings)


def _write_norm(writer: _Writer, node: onnx.NodeProto) -> _Var:
    gamma, beta, mean, variance = writer.constants(node)
    epsilon = np.float32(attributes_of(node).get("epsilon", 1e-5))
    x = writer.value(node.input[0])
    return writer.mb.batch_norm(x=x, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=epsilon)


def _write_clip(writer: _Writer, node: onnx.NodeProto) -> _Var:
    low, high = (np.float32(value) for value in writer.constants(node))
    return writer.mb.clip(x=writer.value(node.input[0]), alpha=low, beta=high)


def _write_unary(name: str, **settings: Any) -> "Callable[[_Writer, onnx.NodeProto], _Var]":
    return lambda writer, node: getattr(writer.mb, name)(x=writer.value(node.input[0]), **settings)


def _write_binary(name: str) -> "Callable[[_Writer, onnx.NodeProto], _Var]":
    def write(writer: _Writer, node: onnx.NodeProto) -> _Var:
        x, y = writer.operands(node)
        return getattr(writer.mb, name)(x=x, y=y)

    return write


def _write_linear(writer: _Writer, node: onnx.NodeProto) -> _Var:
    attributes = attributes_of(node)
    kernel, *bias = writer.constants(node)
    weight = (kernel if attributes.get("transB") else kernel.T) * np.float32(attributes.get("alpha", 1.0))
    more = {"bias": bias[0].reshape(-1).astype(np.float32)} if bias else {}
    return writer.mb.linear(x=writer.value(node.input[0]), weight=np.ascontiguousarray(weight), **more)


def _write_flatten(writer: _Writer, node: onnx.NodeProto) -> _Var:
    x = writer.value(node.input[0])
    return writer.mb.reshape(x=x, shape=[x.shape[0], -1])


def _write_reshape(writer: _Writer, node: onnx.NodeProto) -> _Var:
    x, (shape,) = writer.value(node.input[0]), writer.constants(node)
    return writer.mb.reshape(x=x, shape=[side or x.shape[axis] for axis, side in enumerate(shape.tolist())])


def _write_mean(writer: _Writer, node: onnx.NodeProto) -> _Var:
    x, y = (writer.value(name) for name in node.input)
    return writer.mb.mul(x=writer.mb.add(x=x, y=y), y=np.float32(0.5))


def _write_reduce_mean(writer: _Writer, node: onnx.NodeProto) -> _Var:
    attributes = attributes_of(node)
    axes = attributes.get("axes") or writer.constants(node)[0].tolist()
    keep = bool(attributes.get("keepdims", 1))
    return writer.mb.reduce_mean(x=writer.value(node.input[0]), axes=list(axes), keep_dims=keep)


def _write_concat(writer: _Writer, node: onnx.NodeProto) -> _Var:
    values = [writer.value(name) for name in node.input]
    writer.pass_on(node)
    return writer.mb.concat(values=values, axis=attributes_of(node)["axis"])


def _write_slice(writer: _Writer, node: onnx.NodeProto) -> _Var:
    x = writer.value(node.input[0])
    _starts, _ends, axes, steps = (values.reshape(-1).tolist() for values in writer.constants(node))
    if steps != [-1] or len(axes) != 1:
        raise NotImplementedError("the operator Slice has no counterpart in Core ML")
    axis = 3 if writer.is_moved(node) else axes[0]
    writer.pass_on(node)
    return writer.mb.reverse(x=x, axes=[axis])


def _write_split(writer: _Writer, node: onnx.NodeProto) -> tuple[_Var, ...]:
    x, axis = writer.value(node.input[0]), attributes_of(node).get("axis", 0)
    return tuple(writer.mb.split(x=x, num_splits=len(node.output), axis=axis))


def _write_top(writer: _Writer, node: onnx.NodeProto) -> tuple[_Var, ...]:
    x, (number,) = writer.value(node.input[0]), writer.constants(node)
    is_ascending = not attributes_of(node).get("largest", 1)
    return tuple(writer.mb.topk(x=x, k=int(number.reshape(-1)[0]), axis=-1, ascending=is_ascending))


_WRITERS: dict[str, Callable[[_Writer, onnx.NodeProto], Any]] = {
    "Add": _write_binary("add"),
    "AveragePool": _write_pooling,
    "BatchNormalization": _write_norm,
    "Cast": _write_nothing,
    "Clip": _write_clip,
    "Concat": _write_concat,
    "Conv": _write_conv,
    "Div": _write_binary("real_div"),
    "Flatten": _write_flatten,
    "Gemm": _write_linear,
    "GlobalAveragePool": _write_unary("reduce_mean", axes=[2, 3], keep_dims=True),
    "Identity": _write_nothing,
    "Log": _write_unary("log"),
    "MatMul": _write_linear,
    "Max": _write_binary("maximum"),
    "MaxPool": _write_pooling,
    "Mean": _write_mean,
    "Mul": _write_binary("mul"),
    "ReduceMean": _write_reduce_mean,
    "Relu": _write_unary("relu"),
    "Reshape": _write_reshape,
    "Sigmoid": _write_unary("sigmoid"),
    "Slice": _write_slice,
    "Softmax": _write_unary("softmax", axis=-1),
    "Split": _write_split,
    "Sqrt": _write_unary("sqrt"),
    "Sub": _write_binary("sub"),
    "TopK": _write_top,
    "Transpose": _write_transpose,
}
