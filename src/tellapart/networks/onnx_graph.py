"""An ONNX graph while it is being written: its nodes, its constants, and where the values of the Keras model are.

Which layer becomes which operator is `onnx_layers.py`'s.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tellapart.networks.backend import keras
from tellapart.networks.onnx_folding import Folding

INPUT_NAME = "image"
_OPSET = 17
_IR_VERSION = 10
_TO_THE_FIRST = np.iinfo(np.int64).min


class Graph:
    """Nodes and constants collected while walking through the layers of a model.

    Args:
        model: functional; its convolutions are `channels_first`, as ONNX has them.
        mirrored: whether the network runs on each batch of images and, behind it in the same batch, on their mirror
            images.

    Attributes:
        model: as given.
        folding: which layers are inside others.
        values: names of the values that hold the model's tensors, by the id of the tensor.

    Raises:
        NotImplementedError: the height or width of the model's image is open.
    """

    def __init__(self, model: keras.Model, mirrored: bool = False) -> None:
        if None in model.input_shape[1:]:
            raise NotImplementedError(
                f"a network for images of shape {model.input_shape[1:]!r} cannot be written as ONNX. Build it with the "
                "height and width that photos are predicted at."
            )
        self.model = model
        self.folding = Folding(model)
        self.values: dict[int, str] = {}
        self._mirrored = mirrored
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """The name of a new constant."""
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """The name of the output of a new node, which never equals that of an output of the graph."""
        return self._append(operator, inputs, [f"layer/{name}"], attributes)[0]

    def add_mirror(self, source: str, name: str, axis: int) -> str:
        """The name of `source` with the places along the axis in reverse order."""
        numbers = {"starts": -1, "ends": _TO_THE_FIRST, "axes": axis, "steps": -1}
        inputs = [self.constant(f"{name}_{key}", np.array([number], np.int64)) for key, number in numbers.items()]
        return self.add("Slice", [source, *inputs], name)

    def add_halves(self, source: str, name: str) -> list[str]:
        """The names of the first and the second half of `source` along the batch axis."""
        return self._append("Split", [source], [f"layer/{name}_first", f"layer/{name}_second"], {"axis": 0})

    def finish(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> None:
        """Adds the node that gives the output `name` of the graph."""
        self._append(operator, inputs, [name], attributes)

    def name_output(self, source: str, name: str) -> None:
        """Makes the value `source` the output `name` of the graph, without the copy that an `Identity` may cost."""
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [name if value == source else value for value in names]

    def take_off(self, value: str, operators: tuple[str, ...]) -> tuple[str, str | None]:
        """What the node that gives `value` is fed with, and its operator; the node is gone.

        Where the node's operator is none of `operators`, `value` itself and `None`, and nothing changes.
        """
        for node in self._nodes:
            if value in node.output and node.op_type in operators:
                self._nodes.remove(node)
                return node.input[0], node.op_type
        return value, None

    def add_image(self) -> str:
        """The name of the image as the first layer that does work of its own takes it, float32.

        Where scaling and moving the channels come first, the bytes are moved before they are four times as many, and
        only the offset is added here: the factor is in the first convolution's kernel.
        """
        start, image = self.folding.start, INPUT_NAME
        if self._mirrored:
            image = self.add("Concat", [image, self.add_mirror(image, "mirrored", axis=2)], "both_views", axis=0)
        if start is None:
            return self.add("Cast", [image], "image_float", to=TensorProto.FLOAT)
        image = self.add("Transpose", [image], start.permute.name, perm=[0, *start.permute.dims])
        image = self.add("Cast", [image], "image_float", to=TensorProto.FLOAT)
        if not np.any(start.offset):
            return image
        offset = (start.offset / start.scale).astype(np.float32)[:, np.newaxis, np.newaxis]
        return self.add("Add", [image, self.constant(f"{start.rescaling.name}_offset", offset)], start.rescaling.name)

    def to_bytes(self, outputs: dict[str, list[str | int]]) -> bytes:
        """The ONNX model, checked.

        Args:
            outputs: name to shape of each output, float32; the batch axis has a name.
        """
        image = helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", *self.model.input_shape[1:]])
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        proto = helper.make_model(
            helper.make_graph(self._nodes, "tellapart", [image], infos, self._initializers),
            producer_name="tellapart",
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
        )
        onnx.checker.check_model(proto, full_check=True)
        return bytes(proto.SerializeToString(deterministic=True))

    def _append(self, operator: str, inputs: list[str], outputs: list[str], attributes: dict[str, Any]) -> list[str]:
        self._nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes))
        return outputs
