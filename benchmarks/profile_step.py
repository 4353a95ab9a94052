"""Where a training step of the article's network goes: decode, augment, forward, backward, optimizer.

Each part is timed on its own in every repetition, beside a whole step and the machine's peak: a 2048x2048 float32
matrix product. The parts with arithmetic to count are given as a share of that peak. Needs Keras on PyTorch, on a CPU.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Decides Keras' backend, so it stands before keras.
from tellapart.networks.backend import find_backend  # isort: skip

import keras
import numpy as np
import torch

from recording import Measurement, link_photos, make_parser, record
from tellapart import open_photos
from tellapart.cli.memory import keep_freed_memory
from tellapart.config import ClassicConfig, ImageLimits
from tellapart.images.preprocess import PreprocessSpec
from tellapart.photos.loading import stream_images
from tellapart.photos.photoset import PhotoSet
from tellapart.training.augment import draw_warps, warp_images
from tellapart.training.recipes import build_network, compile_network

GEMM_SIDE = 2048
WARM_UP_STEPS = 3


class StepParts:
    """One training step in parts that can be timed one by one.

    Args:
        photos: exactly one batch.
        config: how to train.
    """

    def __init__(self, photos: PhotoSet, config: ClassicConfig) -> None:
        backend = find_backend()
        if (backend.name, backend.device) != ("torch", "cpu"):
            raise SystemExit(f"this profile is for PyTorch on a CPU; found {backend.name} on {backend.device}.")
        self.photos = photos
        self.config = config
        self.model = build_network(config, len(photos.class_names), backend.data_format)
        compile_network(self.model, config)
        self.labels = np.asarray(photos.labels, np.float32)[:, np.newaxis]
        self.generator = np.random.default_rng(0)
        self.images = np.empty((len(photos), *config.image_size, config.channels), np.uint8)
        self.warped = self.images
        self.loss: Any = None
        self.gradients: list[torch.Tensor] = []

    def decode(self) -> None:
        """Photos to images, over all cores; training does it once a photo, not once an epoch."""
        spec = PreprocessSpec(self.config.image_size, self.config.channels)
        for row, image in enumerate(stream_images(self.photos, spec, ImageLimits())):
            assert isinstance(image, np.ndarray), image
            self.images[row] = image

    def augment(self) -> None:
        """Draws and applies the warps, in one thread; training does it beside the step before."""
        assert self.config.augment is not None
        warps = draw_warps(self.config.augment, len(self.images), self.config.image_size, self.generator)
        self.warped = warp_images(self.images, warps)

    def forward(self) -> None:
        """Images to loss."""
        images = keras.ops.convert_to_tensor(self.warped)
        labels = keras.ops.convert_to_tensor(self.labels)
        predicted = self.model(images, training=True)
        self.loss = self.model.compute_loss(x=images, y=labels, y_pred=predicted, training=True)

    def backward(self) -> None:
        """Loss to gradients."""
        self.model.zero_grad()
        self.loss.backward()
        self.gradients = [variable.value.grad for variable in self.model.trainable_weights]

    def optimizer(self) -> None:
        """Gradients to new weights."""
        with torch.no_grad():
            self.model.optimizer.apply(self.gradients, self.model.trainable_weights)

    def whole_step(self) -> None:
        """Forward, backward, optimizer and metrics as Keras runs them."""
        self.model.train_on_batch(self.warped, self.labels)


def count_gflop(model: keras.Model, batch_size: int) -> dict[str, float]:
    """Arithmetic of the convolutions and dense layers, 2 operations a multiply-add, in units of 10^9.

    The backward pass costs twice the forward pass, less the gradient for the input image, which nobody asks for.
    """
    macs = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            sides = layer.output.shape[2:] if layer.data_format == "channels_first" else layer.output.shape[1:3]
            macs.append(float(np.prod(sides) * np.prod(layer.kernel.shape)))
        elif isinstance(layer, keras.layers.Dense):
            macs.append(float(np.prod(layer.kernel.shape)))
    unit = 2 * batch_size / 1e9
    return {
        "forward": sum(macs) * unit,
        "backward": (2 * sum(macs) - macs[0]) * unit,
        "whole_step": (3 * sum(macs) - macs[0]) * unit,
    }


def gemm_gflops() -> float:
    """Speed of one large matrix product on all of PyTorch's threads, in 10^9 operations a second."""
    left, right = torch.rand(GEMM_SIDE, GEMM_SIDE), torch.rand(GEMM_SIDE, GEMM_SIDE)
    return 2 * GEMM_SIDE**3 / 1e9 / seconds_of(lambda: torch.mm(left, right))


def seconds_of(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def profile(parts: StepParts, num_runs: int) -> list[Measurement]:
    """Milliseconds a step of every part and the peak, each measured once in every repetition."""
    works = {
        name: getattr(parts, name) for name in ("decode", "augment", "forward", "backward", "optimizer", "whole_step")
    }
    for _ in range(WARM_UP_STEPS):
        gemm_gflops()
        for work in works.values():
            work()
    peaks: list[float] = []
    milliseconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(num_runs):
        peaks.append(gemm_gflops())
        for name, work in works.items():
            milliseconds[name].append(seconds_of(work) * 1000)
    timed = [Measurement(f"step.{name}", tuple(taken), "ms") for name, taken in milliseconds.items()]
    # The best product is the peak: a slower one shows a neighbour on the machine, not the machine.
    peak = max(peaks)
    shares = [
        Measurement(f"step.{name}_of_peak", tuple(gflop / (ms / 1000) / peak for ms in milliseconds[name]), "ratio")
        for name, gflop in count_gflop(parts.model, len(parts.photos)).items()
    ]
    return [*timed, Measurement("step.gemm_peak", tuple(peaks), "GFLOP/s"), *shares]


def print_table(measurements: list[Measurement], batch_size: int) -> None:
    """One line a part: milliseconds a step, share of the whole step, share of the peak."""
    medians = {item.benchmark.removeprefix("step."): item.median for item in measurements}
    print(f"batch of {batch_size}, {torch.get_num_threads()} threads, peak {medians['gemm_peak']:.0f} GFLOP/s")
    print(f"{'part':<12}{'ms':>9}{'of step':>9}{'of peak':>9}")
    for name in ("decode", "augment", "forward", "backward", "optimizer", "whole_step"):
        share = medians[name] / medians["whole_step"]
        peak = f"{medians[f'{name}_of_peak']:>9.0%}" if f"{name}_of_peak" in medians else f"{'-':>9}"
        print(f"{name:<12}{medians[name]:>9.1f}{share:>9.0%}{peak}")
    print(f"{batch_size / medians['whole_step'] * 1000:.1f} images/s")


def main() -> None:
    """Profiles one batch and prints the table."""
    parser = make_parser(__doc__, num_runs=20)
    parser.add_argument("--batch-size", type=int, default=32, help="an even number of photos")
    arguments = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        batch_dir = Path(name) / "batch"
        link_photos(arguments.photos, arguments.batch_size, batch_dir)
        photos = open_photos(batch_dir)
        parts = StepParts(photos, ClassicConfig(batch_size=len(photos)))
        measurements = profile(parts, arguments.runs)
    print_table(measurements, len(photos))
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
