import keras
import pytest
import torch

from tellapart.training.kn2row import convolve, is_suited, pays


def reference(images: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.conv2d(images, kernel.permute(3, 2, 0, 1), padding=1)


def drawn(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three images of 5 channels and a kernel that gives 4, in float64 to compare exactly."""
    generator = torch.Generator().manual_seed(height * 10 + width)
    images = torch.randn(3, 5, height, width, generator=generator, dtype=torch.float64)
    kernel = torch.randn(3, 3, 5, 4, generator=generator, dtype=torch.float64)
    return images.requires_grad_(), kernel.requires_grad_()


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 1), (2, 2), (2, 3), (3, 3), (5, 4)], ids=str)
def test_it_computes_the_convolution_and_its_gradients(size: tuple[int, int]) -> None:
    images, kernel = drawn(*size)
    found, wanted = convolve(images, kernel), reference(images, kernel)
    torch.testing.assert_close(found, wanted)
    weights = torch.arange(wanted.numel(), dtype=torch.float64).view(wanted.shape) / wanted.numel()

    found_gradients = torch.autograd.grad((found * weights).sum(), (images, kernel))
    wanted_gradients = torch.autograd.grad((wanted * weights).sum(), (images, kernel))

    for one, other in zip(found_gradients, wanted_gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_what_it_gives_lies_in_memory_as_the_next_layer_wants_it() -> None:
    images, kernel = drawn(2, 2)
    result = convolve(images, kernel)
    (gradient,) = torch.autograd.grad(result.sum(), kernel)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert gradient.permute(3, 0, 1, 2).is_contiguous()


def layer(filters: int = 8, size: int = 3, **settings: object) -> keras.layers.Conv2D:
    usual = {"padding": "same", "data_format": "channels_first", "use_bias": False}
    return keras.layers.Conv2D(filters, size, **(usual | settings))


def test_only_convolutions_that_are_the_same_here_are_suited() -> None:
    assert is_suited(layer())
    others = [
        layer(size=1), layer(strides=2), layer(dilation_rate=2), layer(groups=2), layer(padding="valid"),
        layer(data_format="channels_last"), layer(use_bias=True), layer(activation="relu"),
        keras.layers.DepthwiseConv2D(3, padding="same", data_format="channels_first", use_bias=False),
    ]  # fmt: skip
    assert not any(is_suited(other) for other in others)


def test_it_is_for_many_channels_of_few_pixels() -> None:
    assert pays(256, 2, 2)
    assert pays(256, 5, 5)
    assert pays(320, 4, 8)
    assert not pays(256, 6, 6)
    assert not pays(128, 1, 1)
