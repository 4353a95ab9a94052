"""The numbers that the recipe `scratch` learns with, in one place; nothing here is asked of the user.

What each is worth, and what else was tried, was measured by `benchmarks/ablate_scratch.py`.
"""

import math

# Photos a step on a CPU. Few, for there every photo costs the same in whatever batch.
BATCH_SIZE = 32
# The highest learning rate, for that batch; it grows with the batch (Goyal et al. 2017), and a long training has a
# share of it (`plan.Regime`).
LEARNING_RATE = 0.12
# Of the gradient, by Nesterov's rule.
MOMENTUM = 0.9
# Share of the learning rate that each step takes off the kernels, outside the momentum.
WEIGHT_DECAY = 0.02
# Share of a target that is spread over all classes.
LABEL_SMOOTHING = 0.1
# Share of the training in which the learning rate rises; then it falls along half a cosine.
WARM_UP = 0.08
# Share of the training, at its end, that shows photos in their own colours and without patches.
CLEAN_END = 0.1
# Whether the first filters are read off the photos, or learnt like all others.
IS_WHITENED = True


def learning_rate_at(progress: float) -> float:
    """The learning rate for a batch of `BATCH_SIZE` at this share of the training, before the share of the plan."""
    if progress < WARM_UP:
        return LEARNING_RATE * progress / WARM_UP
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))
