"""The numbers of the recipe `scratch`; docs/how-it-works/from-scratch.md says what each is worth."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """What the residual network is trained with; nothing here is asked of the user.

    Attributes:
        batch_size: photos a step on a CPU. Small, for there every photo costs the same in whatever batch.
        learning_rate: the highest, for that batch; it grows with the batch (Goyal et al. 2017), and a long training has
            a share of it (`plan.Regime`).
        momentum: of the gradient, by Nesterov's rule.
        weight_decay: share of the learning rate that each step takes off the kernels, outside the momentum.
        label_smoothing: share of a target that is spread over all classes.
        warm_up: share of the training in which the learning rate rises; then it falls along half a cosine.
        clean_end: share of the training at its end in which views have neither other colours nor patches, and are not
            mixed.
        reach: how far back the average of the weights goes, as a share of the training.
        is_whitened: whether the first filters are read off the photos, or learnt like all others.
    """

    batch_size: int = 32
    learning_rate: float = 0.12
    momentum: float = 0.9
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    warm_up: float = 0.08
    clean_end: float = 0.1
    reach: float = 0.04
    is_whitened: bool = True

    def rate_at(self, progress: float) -> float:
        """The learning rate as a share of the highest."""
        if progress < self.warm_up:
            return progress / self.warm_up
        return 0.5 * (1 + math.cos(math.pi * (progress - self.warm_up) / (1 - self.warm_up)))


USUAL = Tuning()
