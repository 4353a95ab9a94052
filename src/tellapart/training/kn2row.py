"""3x3 convolutions of images of a few pixels, on a CPU: a matrix product for each of the nine weights of a place.

Deep in a network images are 2x2 to 5x5 pixels of some hundred channels. The library that PyTorch calls there brings the
gradient of the weights into another order twice, and computes with the zeros around the image, which are most of what
the kernel sees. Nine products of what lies inside take 8.2 to 2.7 ms (forward and backward, 16 images of 2x2 pixels,
256 channels), 8.4 to 5.4 ms (3x3) and 11.9 to 9.3 ms (4x4; one core, medians, 2026-11-24). With fewer channels two
threads that do this hold each other up more than it saves (docs/decisions/010-small-images-as-matrix-products.md). The
way is called kn2row (Vasudevan, Anderson and Gregg 2017, "Parallel multi channel convolution using general matrix
multiplication"). Needs PyTorch.
"""

from collections.abc import Iterator
from typing import Any

import torch

from tellapart.networks.backend import keras

_FEWEST_CHANNELS, _CHANNELS_A_PIXEL = 256, 10


def pays(channels: int, height: int, width: int) -> bool:
    """Whether images of this size take less time here than by PyTorch's own convolution."""
    return channels >= max(_FEWEST_CHANNELS, _CHANNELS_A_PIXEL * height * width)


def is_suited(layer: keras.layers.Layer) -> bool:
    """Whether the layer is a convolution that `convolve` computes: 3x3, every pixel, same padding, nothing added."""
    return (
        type(layer) is keras.layers.Conv2D
        and (layer.kernel_size, layer.strides, layer.dilation_rate, layer.groups) == ((3, 3), (1, 1), (1, 1), 1)
        and (layer.padding, layer.data_format, layer.use_bias) == ("same", "channels_first", False)
        and layer.activation is keras.activations.linear
    )


def convolve(images: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """A 3x3 convolution with zeros around the images, differentiable in both.

    Args:
        images: float32, shape `(n, in_channels, height, width)`.
        kernel: float32, shape `(3, 3, in_channels, out_channels)`; fastest where its numbers lie in memory in the order
            out, height, width, in. Its gradient has that order.

    Returns:
        float32, shape `(n, out_channels, height, width)`, in channels-last order.
    """
    result: torch.Tensor = _Convolution.apply(images, kernel)  # type: ignore[no-untyped-call]
    return result


class _Convolution(torch.autograd.Function):
    """Pixels come before images in memory, so that the pixels that one weight sees are rows of one matrix."""

    @staticmethod
    def forward(context: Any, images: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        pixels = _pixels_first(images)
        height, width, num_images, channels = pixels.shape
        result = torch.mm(pixels.reshape(-1, channels), kernel[1, 1]).view(height, width, num_images, -1)
        for place, seen, written in _neighbours(height, width):
            rows = torch.mm(pixels[seen].reshape(-1, channels), kernel[place])
            result[written] += rows.view(result[written].shape)
        context.save_for_backward(pixels, kernel)
        return _images_first(result)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pixels, kernel = context.saved_tensors
        height, width, _, channels = pixels.shape
        out_channels = kernel.shape[-1]
        of_result = _pixels_first(gradients[0])
        rows = of_result.reshape(-1, out_channels)
        of_pixels = torch.mm(rows, kernel[1, 1].t()).view(pixels.shape)
        # Only in images of a single row or column are there weights that see nothing.
        make = kernel.new_empty if min(height, width) > 1 else kernel.new_zeros
        of_kernel = make(out_channels, 3, 3, channels)
        torch.mm(rows.t(), pixels.reshape(-1, channels), out=of_kernel[:, 1, 1])
        for place, seen, written in _neighbours(height, width):
            rows = of_result[written].reshape(-1, out_channels)
            torch.mm(rows.t(), pixels[seen].reshape(-1, channels), out=of_kernel[:, place[0], place[1]])
            of_pixels[seen] += torch.mm(rows, kernel[place].t()).view(of_pixels[seen].shape)
        return _images_first(of_pixels), of_kernel.permute(1, 2, 3, 0)


def _neighbours(height: int, width: int) -> Iterator[tuple[tuple[int, int], tuple[slice, slice], tuple[slice, slice]]]:
    """The places of a kernel around its middle, which pixels each sees, and for which pixels of the result."""
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if (down, right) != (0, 0) and abs(down) < height and abs(right) < width:
                seen = _shifted(down, height), _shifted(right, width)
                yield (down + 1, right + 1), seen, (_shifted(-down, height), _shifted(-right, width))


def _shifted(by: int, length: int) -> slice:
    """Of so many pixels those that are still within them when the window is moved."""
    return slice(max(0, by), length - max(0, -by))


def _pixels_first(images: torch.Tensor) -> torch.Tensor:
    return images.permute(2, 3, 0, 1).contiguous()


def _images_first(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)
