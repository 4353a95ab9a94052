"""A network in whole numbers of 8 bits, for ONNX Runtime: weights int8 a channel, activations uint8.

The range of an activation is the one that nearly all of its numbers had on photos of the training. Every convolution is
quantised, so that none goes back to float in between: ONNX Runtime then runs all of them channels last, an activation
such as ReLU6 inside each.

Without VNNI an x86 processor multiplies activations of 0 to 255 with weights and adds the products of two neighbouring
channels in 16 bits, where they must not overflow. 7 bits a weight never do. Here weights have 8 bits where no two
neighbours do either (docs/decisions/018-int8-backbone.md).
"""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tellapart.backbones.onnx_session import has_vnni, import_quantization, open_session
from tellapart.networks.onnx_nodes import INPUT_NAME
from tellapart.networks.onnx_reading import attributes_of

_OPERATORS = ("Add", "AveragePool", "Clip", "Conv", "Gemm", "MaxPool", "Relu")
_TEMPORARY_NAMES = ("float.onnx", "fused.onnx")
# Beyond is a share of 0.005 % of an activation's numbers, at either end.
_CUT = 5e-5
# Numbers of an activation that are looked at, of each photo: 400,000 of 100 photos, of which 20 are beyond.
_NUM_SAMPLES = 4096
# The largest weight in 8 and in 7 bits; and two neighbours together, for 2 * 64 * 255 fits into 16 bits.
_LARGEST, _LARGEST_REDUCED, _LARGEST_PAIR = 127, 64, 127
# ONNX Runtime adds pairs of channels where their number is a multiple of this, else pairs that nobody knows here.
_CHANNELS = 4
_Range = tuple[np.float32, np.float32]


def quantise_network(model: onnx.ModelProto, images: NDArray[np.uint8], work_dir: Path) -> onnx.ModelProto:
    """The network in 8 bits, with the same inputs and outputs.

    Args:
        model: its input is `image`, uint8 `(batch, height, width, channels)`; not modified.
        images: photos of the training as it sees them, uint8, shape `(n, height, width, channels)`, at least one.
        work_dir: for temporary files.
    """
    quantization = import_quantization()
    float_path, fused_path = (work_dir / name for name in _TEMPORARY_NAMES)
    # A path: of a model in memory it makes a file whose name it draws with the help of a socket.
    onnx.save_model(model, float_path)
    # Batch normalisation is multiplied into the kernels, which are then quantised.
    quantization.quant_pre_process(str(float_path), str(fused_path), skip_symbolic_shape=True)
    fused: onnx.ModelProto = quantization.quant_utils.load_model_with_shape_infer(fused_path)
    calibrate = quantization.calibrate
    ranges = {
        name: calibrate.TensorData(lowest=low, highest=high) for name, (low, high) in find_ranges(fused, images).items()
    }
    quantizer = quantization.qdq_quantizer.QDQQuantizer(
        model=fused,
        per_channel=True,
        reduce_range=not has_vnni(),  # of what is no convolution
        weight_qType=quantization.QuantType.QInt8,
        activation_qType=quantization.QuantType.QUInt8,
        tensors_range=calibrate.TensorsData(calibrate.CalibrationMethod.Percentile, ranges),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=list(_OPERATORS),
        extra_options={"TensorQuantOverrides": _find_scales(fused)},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantised: onnx.ModelProto = quantizer.model.model
    _drop_zero_points(quantised)
    return quantised


def _drop_zero_points(model: onnx.ModelProto) -> None:
    """The zero points of weights and biases are left out of the model where all are 0, which is what is taken then."""
    graph = model.graph
    zeros = {
        tensor.name
        for tensor in graph.initializer
        if tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.INT32) and tensor.name.endswith("_zero_point")
        if not onnx.numpy_helper.to_array(tensor).any()
    }
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2]
    taken = {name for node in graph.node for name in node.input}
    for number in reversed(range(len(graph.initializer))):
        if graph.initializer[number].name in zeros - taken:
            del graph.initializer[number]


def find_ranges(model: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, _Range]:
    """Name of each activation to the numbers that nearly all of it was between, lowest and highest.

    What goes into an activation function alone has the range of what comes out, so that both become one.

    Args:
        model: with the shapes of its tensors.
        images: as for `quantise_network`.
    """
    limited = _find_limited(model)
    names = [name for name in _find_activations(model) if name not in limited]
    if not names:
        return {}
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    there = {value.name for value in model.graph.output}
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)
    session = open_session(shown.SerializeToString(), num_threads=0)
    samples: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for row, image in enumerate(images):
        for name, found in zip(names, session.run(names, {INPUT_NAME: image[np.newaxis]}), strict=True):
            step = max(1, found.size // _NUM_SAMPLES)
            # A copy: a view would keep all of it.
            samples[name].append(found.reshape(-1)[row % step :: step].copy())
    ranges = {name: _cut(np.concatenate(numbers)) for name, numbers in samples.items()}
    return ranges | {name: ranges[output] for name, output in limited.items() if output in ranges}


def _find_scales(model: onnx.ModelProto) -> dict[str, list[dict[str, Any]]]:
    """Name of each kernel to the step of its weights for each channel that comes out, as ONNX Runtime takes them."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1] in constants:
            kernel = onnx.numpy_helper.to_array(constants[node.input[1]]).astype(np.float32)
            steps = weight_steps(kernel, attributes_of(node).get("group", 1), has_vnni())
            found[node.input[1]] = [{"axis": 0, "scale": step, "zero_point": np.int8(0)} for step in steps]
    return found


def weight_steps(kernel: NDArray[np.float32], num_groups: int, is_wide: bool) -> NDArray[np.float32]:
    """By how much a weight grows when its whole number does: float32, shape `(channels_out,)`, above 0.

    Args:
        kernel: shape `(channels_out, channels_in_a_group, *window)`.
        num_groups: of the convolution.
        is_wide: whether products are added in 32 bits.
    """
    largest = np.abs(kernel).reshape(len(kernel), -1).max(axis=1)
    is_depthwise = num_groups == len(kernel) and kernel.shape[1] == 1
    if is_wide or is_depthwise:  # channel by channel there are no pairs
        steps = largest / _LARGEST
    elif num_groups > 1 or kernel.shape[1] % _CHANNELS:
        steps = largest / _LARGEST_REDUCED
    else:
        first, second = kernel[:, 0::2], kernel[:, 1::2]
        pairs = np.where(first * second > 0, np.abs(first + second), 0).reshape(len(kernel), -1).max(axis=1)
        steps = np.maximum(largest / _LARGEST, pairs / _LARGEST_PAIR)
    return np.asarray(np.maximum(steps, np.finfo(np.float32).tiny), np.float32)


def _cut(numbers: NDArray[np.float32]) -> _Range:
    low, high = np.quantile(numbers, (_CUT, 1 - _CUT))
    return np.float32(low), np.float32(high)


def _find_activations(model: onnx.ModelProto) -> list[str]:
    """What goes into and comes out of the operators that are quantised, float tensors that are no constants."""
    graph = model.graph
    is_float = {
        value.name: value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        for value in chain(graph.value_info, graph.input, graph.output)
    }
    constants = {tensor.name for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in _OPERATORS]
    names = dict.fromkeys(name for node in nodes for name in chain(node.input, node.output))
    return [name for name in names if is_float.get(name, False) and name not in constants]


def _find_limited(model: onnx.ModelProto) -> dict[str, str]:
    """Tensors that go into a `Clip` or a `Relu` and nowhere else, each to what comes out of it."""
    inputs = [name for node in model.graph.node for name in node.input]
    outputs = {value.name for value in model.graph.output}
    return {
        node.input[0]: node.output[0]
        for node in model.graph.node
        if node.op_type in ("Clip", "Relu") and inputs.count(node.input[0]) == 1 and node.input[0] not in outputs
    }
