"""How near a training step of the recipe `scratch` comes to the machine's peak, and whether it waits for its photos.

At each size of view: photos a second of a step on one repeated batch, of Keras' own step, of a training with its views
made beside the steps, of making the views alone, and the arithmetic of the step as a share of the peak, a 2048x2048
float32 matrix product, all in turn in every repetition. Then what the time of one core's share goes to, operation by
operation, as PyTorch's profiler sees it. Needs Keras on PyTorch, on a CPU.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from profile_step import count_gflop, gemm_gflops
from recording import Measurement, make_parser, record
from tellapart import open_photos
from tellapart.cli.memory import keep_freed_memory
from tellapart.config import CropConfig, ScratchConfig, SourceConfig
from tellapart.networks.backend import find_backend, keras
from tellapart.networks.residual import build_residual_network
from tellapart.runs.held_out import hold_out
from tellapart.runs.network_recipe import prepare_photos
from tellapart.training.fit import Batch, FitData
from tellapart.training.plan import VIEW_WIDTH, Phase, Plan
from tellapart.training.recipes import make_learner, open_course
from tellapart.training.scratch import ScratchCourse
from tellapart.training.step import SharedStep, WholeStep

SIDES = (64, 96, 128)
BATCH_SIZE = 32
# Photos that the decoded ones are kept at, as for the longest trainings.
IMAGE_SIDE = 160
NUM_STEPS, NUM_WARM_UP = 40, 8


@dataclass
class Rates:
    """Photos a second, one number a repetition."""

    repeated: list[float]
    by_keras: list[float]
    training: list[float]
    views: list[float]


def endless(course: ScratchCourse) -> Iterator[Batch]:
    """Batches of epoch after epoch, at the beginning of the training."""
    for epoch in itertools.count(1):
        yield from (replace(batch, progress=0.5) for batch in course.batches(epoch, 0.5))


def rate_of(work: Iterator[object], num_steps: int) -> float:
    """Photos a second of so many steps."""
    started = time.perf_counter()
    for _ in itertools.islice(work, num_steps):
        pass
    return num_steps * BATCH_SIZE / (time.perf_counter() - started)


def learn_all(course: ScratchCourse, batches: Iterator[Batch]) -> Iterator[dict[str, float]]:
    """A step for each batch."""
    return (course.learn(batch) for batch in batches)


def repeat(step: SharedStep | WholeStep, batch: Batch) -> Iterator[dict[str, float]]:
    """Steps on one batch."""
    return (step.learn(batch.images, batch.targets) for _ in itertools.count())


def measure_side(side: int, width: int, data: FitData, num_runs: int) -> tuple[Rates, list[float], float]:
    """Rates at views of this side in a network of this width, peaks of the same repetitions, and GFLOP of a step."""
    config = ScratchConfig(flip=True, image_size=(IMAGE_SIDE, IMAGE_SIDE))
    backend = find_backend()
    if (backend.name, backend.device) != ("torch", "cpu"):
        raise SystemExit(f"this profile is for PyTorch on a CPU; found {backend.name} on {backend.device}.")
    plan = Plan((Phase((side, side), 1000.0, 1.0, CropConfig()),), (IMAGE_SIDE, IMAGE_SIDE), None, width=width)
    model = make_learner(config, data, backend, plan)
    rates, peaks = Rates([], [], [], []), []
    with open_course(model, data, config, backend, plan) as course:
        assert isinstance(course, ScratchCourse)
        batches = endless(course)
        batch = next(batches)
        by_keras = repeat(WholeStep(model), batch)
        repeated, training = learn_all(course, itertools.repeat(batch)), learn_all(course, batches)
        for steps in (repeated, by_keras, training):
            rate_of(steps, NUM_WARM_UP)
        for _ in range(num_runs):
            peaks.append(gemm_gflops())
            rates.repeated.append(rate_of(repeated, NUM_STEPS))
            rates.by_keras.append(rate_of(by_keras, NUM_STEPS))
            rates.training.append(rate_of(training, NUM_STEPS))
            rates.views.append(rate_of(batches, NUM_STEPS))
        print_operations(course._step, batch)
    fixed = build_residual_network((side, side, 3), 2, backend.data_format, width)
    gflop = count_gflop(fixed, BATCH_SIZE)["whole_step"]
    keras.utils.clear_session()
    return rates, peaks, gflop


def print_operations(step: SharedStep, batch: Batch) -> None:
    """The operations that take the most of the time of one core's share of a step, on one thread."""
    num_photos, before = BATCH_SIZE // 2, torch.get_num_threads()
    torch.set_num_threads(1)
    share = batch.images[:num_photos], batch.targets[:num_photos], num_photos, True
    step._differentiate(*share)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(NUM_WARM_UP):
            step._differentiate(*share)
    torch.set_num_threads(before)
    found = sorted(profiler.key_averages(), key=lambda one: -one.self_cpu_time_total)
    whole = sum(one.self_cpu_time_total for one in found)
    print(f"  {num_photos} photos on one core: {whole / NUM_WARM_UP / 1000:.0f} ms")
    for one in found[:8]:
        print(f"    {one.self_cpu_time_total / whole:6.1%}  {one.count / NUM_WARM_UP:4.0f} x {one.key}")


def main() -> None:
    """Profiles every size and prints a line each."""
    parser = make_parser(__doc__, num_runs=7)
    parser.add_argument("--width", type=int, default=VIEW_WIDTH, help="channels of the network's first stage")
    parser.add_argument("--cache-dir")
    arguments = parser.parse_args()
    keep_freed_memory()
    config = ScratchConfig(flip=True, image_size=(IMAGE_SIDE, IMAGE_SIDE))
    images, checkup = prepare_photos(open_photos(arguments.photos), SourceConfig(cache_dir=arguments.cache_dir), config)
    split = hold_out(checkup.photos, checkup.group_numbers, config.validation_fraction, config.seed)
    data = FitData(images, checkup.photos.labels, split)
    measurements = []
    for side in SIDES:
        rates, peaks, gflop = measure_side(side, arguments.width, data, arguments.runs)
        shares = [rate / BATCH_SIZE * gflop / max(peaks) for rate in rates.repeated]
        hidden, of_keras = (
            [float(ratio) for ratio in np.divide(mine, other)]
            for mine, other in ((rates.training, rates.repeated), (rates.repeated, rates.by_keras))
        )
        found = {
            "repeated": (rates.repeated, "photos/s"),
            "training": (rates.training, "photos/s"),
            "views": (rates.views, "photos/s"),
            "of_peak": (shares, "ratio"),
            "training_of_repeated": (hidden, "ratio"),
            "repeated_of_keras": (of_keras, "ratio"),
            "gemm_peak": (peaks, "GFLOP/s"),
        }
        measurements += [
            Measurement(f"scratch_step.width-{arguments.width}.{side}.{name}", tuple(values), unit)
            for name, (values, unit) in found.items()
        ]
        print(
            f"{side} pixels: {np.median(rates.repeated):.0f} photos/s repeated, {np.median(rates.training):.0f} in"
            f" training ({np.median(hidden):.0%}), {np.median(of_keras):.2f} times Keras', views alone"
            f" {np.median(rates.views):.0f}; {np.median(shares):.0%} of a peak of {max(peaks):.0f} GFLOP/s"
        )
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
