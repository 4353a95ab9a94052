"""An ONNX graph while it is being written: the one builder of all ONNX files of tellapart.

Used for the built-in backbones, for what stands before and behind other people's ONNX files, for heads, and for the
layers of Keras networks (`onnx_layers.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

# Input and outputs of our ONNX files.
INPUT_NAME = "image"
EMBEDDING_NAME, FEATURES_NAME = "embedding", "features"
PROBABILITIES_NAME, MAP_NAME, DISTANCE_NAME = "probabilities", "activation_map", "distance"
# What a head divides by the root of the length of the embedding: the embedding itself, and the map.
EVENED_NAME, DIVIDED_MAP_NAME = "head/evened_out", "head/divided"
OWN_PREFIX = "tellapart/"
_OPSET = 17
_IR_VERSION = 10
# From here on, ReduceMean takes its axes as an input, and Split wants to be told how many parts there are.
_STATED_OPSET = 18


class NodeList:
    """Nodes in the order they run, and their constants.

    Args:
        opset: version of the ONNX operators of the graph they will stand in, 11 to 22.
    """

    def __init__(self, opset: int = _OPSET) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._opset = opset

    def constant(self, name: str, value: ArrayLike) -> str:
        """The name of a new constant: int64 where `value` is whole, else float32."""
        array = np.asarray(value)
        array = np.ascontiguousarray(array, np.int64 if array.dtype.kind == "i" else np.float32).reshape(array.shape)
        self.constants.append(numpy_helper.from_array(array, f"{OWN_PREFIX}{name}"))
        return f"{OWN_PREFIX}{name}"

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """The name `output` of what a new node gives."""
        return self.add_several(operator, inputs, [output], **attributes)[0]

    def add_several(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> Sequence[str]:
        """The names `outputs` of what a new node with several results gives."""
        first = outputs[0]
        name = first if first.startswith(OWN_PREFIX) else f"{OWN_PREFIX}{first}"
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=name, **attributes))
        return outputs

    def mirror(self, source: str, axis: int, output: str) -> str:
        """The name `output` of `source` with the places along the axis in reverse order."""
        numbers = {"starts": -1, "ends": np.iinfo(np.int64).min, "axes": axis, "steps": -1}
        inputs = [self.constant(f"{output}_{key}", [number]) for key, number in numbers.items()]
        return self.add("Slice", [source, *inputs], output)

    def both_views(self, images: str, output: str) -> str:
        """The name `output` of a batch of the images, `(batch, height, width, channels)`, and behind them mirrored."""
        mirrored = self.mirror(images, 2, f"{output}_mirrored")
        return self.add("Concat", [images, mirrored], output, axis=0)

    def mean_of_views(self, source: str, output: str, *, has_places: bool = False) -> str:
        """The name `output` of the mean of both views of each image, where `source` holds those of `both_views`.

        Args:
            has_places: whether it is `(batch, size, h, w)`; that of the mirrored view is then mirrored back.
        """
        halves = [f"{output}_of_images", f"{output}_of_mirrored"]
        number = {} if self._opset < _STATED_OPSET else {"num_outputs": 2}
        first, second = self.add_several("Split", [source], halves, axis=0, **number)
        if has_places:
            second = self.mirror(second, 3, f"{output}_mirrored_back")
        return self.add("Mean", [first, second], output)

    def mean(self, source: str, axes: list[int], output: str) -> str:
        """The name `output` of the mean of `source` over the axes, which are gone afterwards."""
        if self._opset < _STATED_OPSET:
            return self.add("ReduceMean", [source], output, axes=axes, keepdims=0)
        return self.add("ReduceMean", [source, self.constant("axes", axes)], output, keepdims=0)

    def mean_over_places(self, source: str, output: str) -> str:
        """The name `output` of the mean of `source`, `(batch, size, ...)`, over all axes behind the second."""
        return self.add("Flatten", [self.add("GlobalAveragePool", [source], f"{output}.mean")], output, axis=1)

    def to_bytes(self, image_size: Sequence[int], outputs: Mapping[str, Sequence[int]], channels: int = 3) -> bytes:
        """The ONNX model, checked, with the input `image`, uint8 `(batch, *image_size, channels)`.

        Args:
            outputs: name to shape of each output, float32, without the batch axis, which is free.
        """
        image = helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", *image_size, channels])
        infos = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in outputs.items()
        ]
        proto = helper.make_model(
            helper.make_graph(self.nodes, "tellapart", [image], infos, self.constants),
            producer_name="tellapart",
            opset_imports=[helper.make_opsetid("", self._opset)],
            ir_version=_IR_VERSION,
        )
        onnx.checker.check_model(proto, full_check=True)
        return bytes(proto.SerializeToString(deterministic=True))


def prefix_names(graph: GraphProto, prefix: str, keep: Collection[str] = ()) -> None:
    """Every name in the graph and its subgraphs begins with the prefix afterwards, but for those of `keep`.

    `onnx.compose.add_prefix` (1.23) loses constants of the outer graph that are used in a subgraph.
    """

    def prefixed(name: str) -> str:
        return f"{prefix}{name}" if name and name not in keep else name

    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [prefixed(name) for name in names]
        for attribute in node.attribute:
            for subgraph in (attribute.g, *attribute.graphs):
                prefix_names(subgraph, prefix, keep)
    sparse_values = [sparse.values for sparse in graph.sparse_initializer]
    for named in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, *sparse_values):
        named.name = prefixed(named.name)
