"""Networks in 8 bits: steps of weights that do not overflow, ranges of activations, and a graph without ways back."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from tellapart.backbones.onnx_session import open_session
from tellapart.backbones.quantisation import find_ranges, quantise_network, weight_steps
from tellapart.networks.onnx_nodes import NodeList

SIDE, SIZE = 24, 32


def make_network(seed: int) -> onnx.ModelProto:
    """A convolution, an inverted bottleneck and a mean, with ReLU6 between them, as in EfficientNet-Lite."""
    generator, nodes = np.random.default_rng(seed), NodeList()
    limits = [nodes.constant("zero", 0.0), nodes.constant("six", 6.0)]

    def conv(source: str, name: str, shape: tuple[int, ...], group: int = 1) -> str:
        kernel = generator.normal(0, 2 / np.sqrt(np.prod(shape[1:])), shape)
        inputs = [source, nodes.constant(f"{name}.weight", kernel), nodes.constant(f"{name}.bias", np.zeros(shape[0]))]
        return nodes.add("Conv", inputs, name, group=group, auto_pad="SAME_UPPER")

    def relu6(source: str) -> str:
        return nodes.add("Clip", [source, *limits], f"{source}.relu6")

    x = nodes.add(
        "Cast", [nodes.add("Transpose", ["image"], "planes", perm=[0, 3, 1, 2])], "pixels", to=TensorProto.FLOAT
    )
    x = nodes.add("Div", [x, nodes.constant("range", 128.0)], "scaled")
    first = relu6(conv(x, "stem", (16, 3, 3, 3)))
    x = relu6(conv(first, "expand", (SIZE, 16, 1, 1)))
    x = relu6(conv(x, "depthwise", (SIZE, 1, 3, 3), SIZE))
    x = nodes.add("Add", [conv(x, "project", (16, SIZE, 1, 1)), first], "sum")
    x = relu6(conv(x, "last", (SIZE, 16, 1, 1)))
    nodes.mean_over_places(x, "embedding")
    return onnx.load_model_from_string(nodes.to_bytes((SIDE, SIDE), {"embedding": [SIZE]}))


def draw_images(seed: int, number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (number, SIDE, SIDE, 3), np.uint8)


def embed(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(open_session(model.SerializeToString(), 1).run(["embedding"], {"image": images})[0])


@pytest.mark.parametrize("seed", range(5))
def test_neighbouring_weights_never_overflow_16_bits(seed: int) -> None:
    generator = np.random.default_rng(seed)
    kernel = generator.standard_t(2, (24, 4 * generator.integers(1, 9), 1, 1)).astype(np.float32)
    numbers = np.rint(kernel / weight_steps(kernel, 1, is_wide=False).reshape(-1, 1, 1, 1)).astype(np.int64)
    pairs = numbers[:, 0::2] + numbers[:, 1::2]
    assert abs(numbers).max() <= 127
    assert abs(pairs * 255).max() <= 2**15
    assert (abs(numbers).max(axis=(1, 2, 3)) > 63).all()


def test_weights_channel_by_channel_have_8_bits_and_those_of_unknown_neighbours_7() -> None:
    kernel = np.random.default_rng(0).normal(0, 1, (32, 3, 3, 3)).astype(np.float32)
    largest = abs(kernel).reshape(32, -1).max(axis=1)
    np.testing.assert_allclose(weight_steps(kernel, 1, is_wide=False) * 64, largest, rtol=1e-6)
    np.testing.assert_allclose(weight_steps(kernel, 1, is_wide=True) * 127, largest, rtol=1e-6)
    by_channel = abs(kernel[:, :1]).reshape(32, -1).max(axis=1)
    np.testing.assert_allclose(weight_steps(kernel[:, :1], 32, is_wide=False) * 127, by_channel, rtol=1e-6)


def test_a_kernel_of_zeros_has_steps_above_zero() -> None:
    assert (weight_steps(np.zeros((8, 4, 1, 1), np.float32), 1, is_wide=False) > 0).all()


def test_ranges_are_those_of_nearly_all_numbers_and_of_what_follows_behind_an_activation() -> None:
    network = onnx.shape_inference.infer_shapes(make_network(0))
    ranges = find_ranges(network, draw_images(1, 8))
    assert ranges["stem"] == ranges["stem.relu6"]
    assert 0 <= ranges["stem.relu6"][0] < ranges["stem.relu6"][1] <= 6
    assert ranges["project"][0] < 0 < ranges["project"][1]


@pytest.mark.parametrize("seed", range(3))
def test_a_network_in_8_bits_embeds_nearly_as_before(seed: int, tmp_path: Path) -> None:
    network, images = make_network(seed), draw_images(seed + 10, 6)
    quantised = quantise_network(network, draw_images(seed + 20, 8), tmp_path)
    expected, found = embed(network, images), embed(quantised, images)
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


def test_nothing_goes_back_to_float_before_the_mean(tmp_path: Path) -> None:
    quantised = quantise_network(make_network(0), draw_images(1, 8), tmp_path)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(quantised.SerializeToString(), options, providers=["CPUExecutionProvider"])
    counts = Counter(node.op_type for node in onnx.load_model(tmp_path / "optimised.onnx").graph.node)
    assert (counts["QLinearConv"], counts["QLinearAdd"]) == (5, 1)
    assert (counts["QuantizeLinear"], counts["DequantizeLinear"], counts["Conv"], counts["Clip"]) == (1, 1, 0, 0)


def test_zero_points_of_weights_take_no_room(tmp_path: Path) -> None:
    model = quantise_network(make_network(0), draw_images(0, 8), tmp_path)
    kinds = {tensor.data_type for tensor in model.graph.initializer if tensor.name.endswith("_zero_point")}
    assert kinds == {TensorProto.UINT8}
