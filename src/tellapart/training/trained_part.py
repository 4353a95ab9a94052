"""The part of a built-in network that is fine-tuned, in PyTorch: its last blocks, or all of it, and a linear head.

Batch normalisation stays as the network was pretrained with it, and is multiplied into the kernels, so that what is
learned are kernels and shifts alone. The part before it is `backbones/frozen_part.py`'s.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import relu6

from tellapart.backbones.efficientnet_lite import (
    BATCH_NORM_EPSILON,
    PIXEL_OFFSET,
    PIXEL_RANGE,
    Block,
    Tensors,
    count_first_blocks,
    list_blocks,
)

# Of the step size from one block to the one before it: what is nearer to the image is more general, and moves less
# (Howard and Ruder 2018, section 3.2; Clark et al. 2020, table 7, has 0.8 for networks of twelve layers).
_DECAY_A_BLOCK = 0.8
_TINY = 1e-12
_FLOATS = NDArray[np.float32]


class _NormedConv(nn.Module):
    """A convolution with the batch normalisation behind it multiplied in; of the size over `stride`, rounded up."""

    def __init__(self, tensors: Tensors, kernel_name: str, norm_name: str, stride: int = 1) -> None:
        super().__init__()
        self.names = (kernel_name, norm_name)
        scale = tensors[f"{norm_name}.weight"] / np.sqrt(tensors[f"{norm_name}.running_var"] + BATCH_NORM_EPSILON)
        kernel = tensors[f"{kernel_name}.weight"] * scale[:, np.newaxis, np.newaxis, np.newaxis]
        shift = tensors[f"{norm_name}.bias"] - tensors[f"{norm_name}.running_mean"] * scale
        # In the order in which PyTorch computes with features whose channels come last.
        ordered = torch.from_numpy(kernel.astype(np.float32)).contiguous(memory_format=torch.channels_last)
        self.kernel = nn.Parameter(ordered)
        self.shift = nn.Parameter(torch.from_numpy(shift.astype(np.float32)))
        self.groups, self.stride = len(kernel) if kernel.shape[1] == 1 else 1, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side, padding = self.kernel.shape[-1], 0
        if self.stride == 1:
            padding = side // 2
        else:  # as ONNX has it under SAME_UPPER: of an odd number of lines more lie below and to the right
            missing = [max(0, (-(-size // self.stride) - 1) * self.stride + side - size) for size in x.shape[2:]]
            (top, bottom), (left, right) = ((one // 2, one - one // 2) for one in missing)
            x = nn.functional.pad(x, (left, right, top, bottom))
        return nn.functional.conv2d(x, self.kernel, self.shift, self.stride, padding, groups=self.groups)

    def to_tensors(self) -> dict[str, _FLOATS]:
        """What the published network needs to compute the same: its normalisation then changes nothing."""
        kernel_name, norm_name = self.names
        shift = _to_numpy(self.shift)
        return {
            f"{kernel_name}.weight": _to_numpy(self.kernel),
            f"{norm_name}.weight": np.ones_like(shift),
            f"{norm_name}.bias": shift,
            f"{norm_name}.running_mean": np.zeros_like(shift),
            f"{norm_name}.running_var": np.full_like(shift, 1 - BATCH_NORM_EPSILON),
        }


class _Bottleneck(nn.Module):
    """An inverted bottleneck, as `build_efficientnet_lite` has it."""

    def __init__(self, tensors: Tensors, block: Block) -> None:
        super().__init__()
        name = block.name
        self.expand = None
        if f"{name}._expand_conv.weight" in tensors:
            self.expand = _NormedConv(tensors, f"{name}._expand_conv", f"{name}._bn0")
        self.depthwise = _NormedConv(tensors, f"{name}._depthwise_conv", f"{name}._bn1", block.stride or 1)
        self.project = _NormedConv(tensors, f"{name}._project_conv", f"{name}._bn2")
        self._is_added = block.stride is None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x if self.expand is None else relu6(self.expand(x))
        y = self.project(relu6(self.depthwise(y)))
        added: torch.Tensor = y + x if self._is_added else y
        return added


class TrainedPart(nn.Module):
    """Features of the frozen part to embeddings, and to logits by a head like those of `heads/head.py`.

    Args:
        tensors: the published weights of the whole network, name to array; not modified.
        weights, bias: of the head, float32, shapes `(size, num_classes)` and `(num_classes,)`.
        is_whole: the frozen part is empty, and its features are pixels.
        device: that computes.
    """

    def __init__(
        self,
        tensors: Tensors,
        weights: _FLOATS,
        bias: _FLOATS,
        *,
        is_whole: bool = False,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__()
        self.stem = _NormedConv(tensors, "_conv_stem", "_bn0", stride=2) if is_whole else None
        blocks = list_blocks(tensors)[0 if is_whole else count_first_blocks(tensors) :]
        self.blocks = nn.ModuleList(_Bottleneck(tensors, block) for block in blocks)
        self.last = _NormedConv(tensors, "_conv_head", "_bn1")
        self.weights = nn.Parameter(torch.from_numpy(weights.copy()))
        self.bias = nn.Parameter(torch.from_numpy(bias.copy()))
        self.device = torch.device(device)
        self.to(self.device)

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """Embeddings, float32, shape `(n, size)`, on the device.

        Args:
            features: as the frozen part gives them, shape `(n, h, w, channels)`, on any device.
        """
        x = features.to(self.device).float().permute(0, 3, 1, 2)
        if self.stem is not None:
            x = relu6(self.stem((x - PIXEL_OFFSET) / PIXEL_RANGE))
        for block in self.blocks:
            x = block(x)
        embeddings: torch.Tensor = relu6(self.last(x)).mean((2, 3))
        return embeddings

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits of features, float32, shape `(n, num_classes)`, on the device."""
        embeddings = self.embed(features)
        root = embeddings.norm(dim=1, keepdim=True).clamp_min(_TINY).sqrt()
        logits: torch.Tensor = embeddings / root @ self.weights + self.bias
        return logits

    def rates(self) -> list[tuple[list[nn.Parameter], float]]:
        """The parameters in groups, from the image to the head, with what each multiplies the step size by."""
        stem = () if self.stem is None else (self.stem,)
        groups = [list(part.parameters()) for part in (*stem, *self.blocks, self.last)]
        shares = [_DECAY_A_BLOCK**number for number in reversed(range(len(groups)))]
        return [*zip(groups, shares, strict=True), ([self.weights, self.bias], 1.0)]

    def to_arrays(self) -> dict[str, _FLOATS]:
        """A copy of all parameters, name to array."""
        return {name: _to_numpy(value).copy() for name, value in self.named_parameters()}

    def take_arrays(self, arrays: Mapping[str, _FLOATS]) -> None:
        """Puts arrays as `to_arrays` gives them into the network."""
        with torch.no_grad():
            for name, value in self.named_parameters():
                value.copy_(torch.from_numpy(arrays[name]))

    def to_tensors(self) -> dict[str, _FLOATS]:
        """The weights for `FrozenPart.build_with`, name to array; the head is not among them."""
        convs = [module for module in self.modules() if isinstance(module, _NormedConv)]
        return {name: value for conv in convs for name, value in conv.to_tensors().items()}


def _to_numpy(value: torch.Tensor) -> _FLOATS:
    return np.asarray(value.detach().cpu().numpy(), np.float32)


def choose_device() -> tuple[torch.device, bool]:
    """What trains, and whether it is fast enough for the whole network: a GPU of NVIDIA is, a CPU is not."""
    has_gpu = torch.cuda.is_available()
    return torch.device("cuda" if has_gpu else "cpu"), has_gpu
