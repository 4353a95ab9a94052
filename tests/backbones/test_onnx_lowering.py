import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tellapart.backbones.onnx_limits import check_onnx
from tellapart.backbones.onnx_preprocessing import OnnxPreprocessing
from tellapart.backbones.user_onnx import wrap_onnx
from tellapart.errors import BundleError

SIDE = 16
PREPROCESSING = OnnxPreprocessing("m.json", (SIDE, SIDE))


class VisionTransformer(torch.nn.Module):
    """A class token repeated for each photo, and a table of places that is resized to the image."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = torch.nn.Conv2d(3, 8, 4, 4)
        self.token = torch.nn.Parameter(torch.randn(1, 1, 8))
        self.places = torch.nn.Parameter(torch.randn(1, 8, 3, 3))
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.patches(image)
        places = torch.nn.functional.interpolate(self.places, (x.shape[2], x.shape[3]), mode="bicubic")
        tokens = (x + places).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.token.expand(tokens.shape[0], -1, -1), tokens), dim=1)
        return tokens + self.attention(tokens, tokens, tokens)[0]


class PaddedAsInTensorFlow(torch.nn.Module):
    """Margins that are computed from the size of the image, as MobileNet's are."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = torch.nn.Conv2d(3, 4, 3, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        margin = (image.shape[2] + 1) % 2
        return torch.relu(self.kernel(torch.nn.functional.pad(image, (0, margin, 0, margin))))


class ZerosBeside(torch.nn.Module):
    """A tensor of zeros made for each photo, and numbers counted up."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        mean = image.mean((2, 3))
        counted = torch.arange(mean.shape[1], dtype=torch.float32)
        return torch.cat((mean * counted, torch.zeros(image.shape[0], 2)), dim=1)


def export(network: torch.nn.Module, tmp_path: Path) -> bytes:
    """ONNX with any number of photos and sizes, as `torch.onnx.export` writes it."""
    path = f"{tmp_path}/network.onnx"
    axes = {"pixels": {0: "batch", 2: "height", 3: "width"}, "out": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(), (torch.zeros(2, 3, SIDE, SIDE),), path, input_names=["pixels"], output_names=["out"],
            dynamic_axes=axes, dynamo=False, opset_version=17,
        )  # fmt: skip
    with open(path, "rb") as file:
        return file.read()


def images(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (number, SIDE, SIDE, 3), np.uint8)


def embed(model: bytes, number: int) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (vectors,) = session.run(["embedding"], {"image": images(number)})
    return np.asarray(vectors)


def expected(network: torch.nn.Module, number: int) -> NDArray[np.float32]:
    """The mean over the places or tokens that PyTorch gives."""
    scaled = torch.tensor(images(number)).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        found = network(scaled).numpy()
    axes = {2: (), 3: (1,), 4: (2, 3)}[found.ndim]
    return np.asarray(found.mean(axes))


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("make", [VisionTransformer, PaddedAsInTensorFlow, ZerosBeside], ids=lambda make: make.__name__)
def test_a_network_of_pytorch_gives_the_same_for_any_number_of_photos(
    make: Callable[[], torch.nn.Module], number: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = make().eval()
    model, _ = wrap_onnx(export(network, tmp_path), "m.onnx", PREPROCESSING)
    np.testing.assert_allclose(embed(model, number), expected(network, number), atol=1e-5)


def test_nothing_that_repeats_is_left_over(tmp_path: Path) -> None:
    data = export(VisionTransformer(), tmp_path)
    assert {"Expand", "ConstantOfShape"} <= {node.op_type for node in onnx.load_from_string(data).graph.node}
    model, _ = wrap_onnx(data, "m.onnx", PREPROCESSING)
    check_onnx(model)


def network_of(*nodes: onnx.NodeProto, **constants: list[int]) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(numbers, np.int64), name) for name, numbers in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


HUGE = {
    "expand": network_of(
        helper.make_node("Expand", ["pixels", "sides"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["y"], axes=[2, 3]),
        sides=[10**6, 1, 3, SIDE, SIDE],
    ),
    "tile": network_of(
        helper.make_node("Tile", ["pixels", "times"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["y"], axes=[2, 3]),
        times=[1, 1, 10**4, 10**4],
    ),
    "constant of shape": network_of(
        helper.make_node("ConstantOfShape", ["sides"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["one"]),
        helper.make_node("Mul", ["pixels", "one"], ["y"]),
        sides=[10**6, 10**6],
    ),
    "range": network_of(
        helper.make_node("Range", ["start", "limit", "delta"], ["large"]),
        helper.make_node("Cast", ["large"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["one"]),
        helper.make_node("Mul", ["pixels", "one"], ["y"]),
        start=0, limit=10**15, delta=1,
    ),
    "sides multiplied": network_of(
        helper.make_node("Mul", ["side", "side"], ["squared"]),
        helper.make_node("Mul", ["squared", "squared"], ["sides"]),
        helper.make_node("ConstantOfShape", ["sides"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["one"]),
        helper.make_node("Mul", ["pixels", "one"], ["y"]),
        side=[1000],
    ),
}  # fmt: skip


@pytest.mark.parametrize("data", HUGE.values(), ids=HUGE)
def test_what_would_be_huge_is_refused_before_it_is_made(data: bytes) -> None:
    with pytest.raises(BundleError, match="is not run: it uses the operator"):
        wrap_onnx(data, "m.onnx", PREPROCESSING)
