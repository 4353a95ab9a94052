"""What a program of Core ML computes, by PyTorch: its operations read back, each with what Apple's documentation says.

Only those that `mil_from_onnx.py` writes are known, and what coremltools makes of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def compute_mil(operations: Sequence[Any], image: NDArray[np.float32], image_name: str) -> NDArray[np.float32]:
    """The probabilities that the operations give the classes of an image, `(1, num_classes)`.

    Args:
        operations: of coremltools, in order; one of them names a class.
        image: pixels from 0 to 255, `(1, channels, height, width)`.
        image_name: of the input.

    Raises:
        NotImplementedError: an operation is not known, or none names a class.
    """
    known: dict[str, Any] = {image_name: torch.from_numpy(image)}

    def value(source: Any) -> Any:
        if isinstance(source, list | tuple):
            return [value(each) for each in source]
        if source.name in known:
            return known[source.name]
        return torch.from_numpy(np.asarray(source.val)) if isinstance(source.val, np.ndarray) else source.val

    for operation in operations:
        if operation.op_type == "const":
            continue
        inputs = {name: value(source) for name, source in operation.inputs.items() if source is not None}
        if operation.op_type == "classify":
            return np.asarray(inputs["probabilities"], np.float32)
        if operation.op_type not in _MEANINGS:
            raise NotImplementedError(f"the operation {operation.op_type} of Core ML is not known")
        found = _MEANINGS[operation.op_type](inputs)
        outputs = operation.outputs
        for output, each in zip(outputs, found if len(outputs) > 1 else [found], strict=True):
            known[output.name] = each
    raise NotImplementedError("the program names no class")


def _sides(values: Any) -> list[int]:
    return [int(side) for side in values]


def _padded(inputs: dict[str, Any], fill: float) -> torch.Tensor:
    top, bottom, left, right = _sides(inputs["pad"]) if inputs["pad_type"] == "custom" else (0, 0, 0, 0)
    return torch.nn.functional.pad(inputs["x"], (left, right, top, bottom), value=fill)


def _conv(inputs: dict[str, Any]) -> torch.Tensor:
    settings = {"stride": _sides(inputs["strides"]), "dilation": _sides(inputs["dilations"])}
    x, groups = _padded(inputs, 0.0), int(inputs["groups"])
    return torch.nn.functional.conv2d(x, inputs["weight"], inputs.get("bias"), groups=groups, **settings)


def _max_pool(inputs: dict[str, Any]) -> torch.Tensor:
    x = _padded(inputs, -torch.inf)
    return torch.nn.functional.max_pool2d(x, _sides(inputs["kernel_sizes"]), _sides(inputs["strides"]))


def _average_pool(inputs: dict[str, Any]) -> torch.Tensor:
    window, strides = _sides(inputs["kernel_sizes"]), _sides(inputs["strides"])
    sums = torch.nn.functional.avg_pool2d(_padded(inputs, 0.0), window, strides)
    if not inputs["exclude_padding_from_average"]:
        return sums
    ones = _padded({**inputs, "x": torch.ones_like(inputs["x"])}, 0.0)
    return sums / torch.nn.functional.avg_pool2d(ones, window, strides)


def _batch_norm(inputs: dict[str, Any]) -> torch.Tensor:
    names = ("x", "mean", "variance", "gamma", "beta")
    x, mean, variance, gamma, beta = (inputs[name] for name in names)
    return torch.nn.functional.batch_norm(x, mean, variance, gamma, beta, eps=float(inputs["epsilon"]))


_MEANINGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "add": lambda of: of["x"] + of["y"],
    "avg_pool": _average_pool,
    "batch_norm": _batch_norm,
    "clip": lambda of: of["x"].clamp(float(of["alpha"]), float(of["beta"])),
    "concat": lambda of: torch.cat(of["values"], int(of["axis"])),
    "conv": _conv,
    "identity": lambda of: of["x"],
    "linear": lambda of: torch.nn.functional.linear(of["x"], of["weight"], of.get("bias")),
    "log": lambda of: torch.log(of["x"] + float(of["epsilon"])),
    "max_pool": _max_pool,
    "maximum": lambda of: torch.maximum(*(torch.as_tensor(of[name], dtype=torch.float32) for name in "xy")),
    "mul": lambda of: of["x"] * of["y"],
    "real_div": lambda of: of["x"] / of["y"],
    "reduce_mean": lambda of: of["x"].mean(_sides(of["axes"]), keepdim=bool(of["keep_dims"])),
    "relu": lambda of: torch.relu(of["x"]),
    "relu6": lambda of: of["x"].clamp(0, 6),
    "reshape": lambda of: of["x"].reshape(_sides(of["shape"])),
    "reverse": lambda of: of["x"].flip(_sides(of["axes"])),
    "sigmoid": lambda of: torch.sigmoid(of["x"]),
    "softmax": lambda of: torch.softmax(of["x"], int(of["axis"])),
    "split": lambda of: of["x"].tensor_split(int(of["num_splits"]), int(of["axis"])),
    "sqrt": lambda of: torch.sqrt(of["x"]),
    "sub": lambda of: of["x"] - of["y"],
    "topk": lambda of: torch.topk(of["x"], int(of["k"]), int(of["axis"]), largest=not of["ascending"]),
    "transpose": lambda of: of["x"].permute(_sides(of["perm"])),
}
