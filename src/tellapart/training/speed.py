"""How fast this machine trains the network of the recipe `scratch`."""

import time

import numpy as np

from tellapart.config import ScratchConfig
from tellapart.networks.backend import Backend
from tellapart.training.plan import VIEW_SIDE, VIEW_WIDTH
from tellapart.training.recipes import batch_size, compile_network, make_scratch_network
from tellapart.training.step import open_step

# The first steps allocate memory, and on some backends compile.
_NUM_WARM_UP, _NUM_TIMED = 3, 9


def measure_pace(config: ScratchConfig, num_classes: int, num_train: int, backend: Backend) -> float:
    """Views a second: photos of 96x96 pixels through steps of a network of width 32."""
    return measure_rate(config, num_classes, num_train, backend, VIEW_WIDTH, (VIEW_SIDE, VIEW_SIDE))


def measure_rate(
    config: ScratchConfig,
    num_classes: int,
    num_train: int,
    backend: Backend,
    width: int,
    image_size: tuple[int, int],
) -> float:
    """Photos a second: noise of this `(height, width)` through steps of a network that is thrown away.

    The median of a few steps, in about 2 seconds on 2 cores.
    """
    model = make_scratch_network(config, num_classes, backend, width)
    compile_network(model, config)
    size = batch_size(backend, num_train)
    images = np.random.default_rng(0).integers(0, 256, (size, *image_size, config.channels), np.uint8)
    targets = np.eye(num_classes, dtype=np.float32)[np.arange(size) % num_classes]
    seconds = []
    with open_step(model, backend) as step:
        for _ in range(_NUM_WARM_UP + _NUM_TIMED):
            started = time.perf_counter()
            step.learn(images, targets)
            seconds.append(time.perf_counter() - started)
    return float(size / np.median(seconds[_NUM_WARM_UP:]))
