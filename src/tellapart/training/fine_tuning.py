"""Fine-tuning of a network, or of its last blocks, on cached views, from a head that is already fitted (LP-FT).

The head comes first, so that its gradients do not distort what the blocks know (Kumar et al. 2022, "Fine-tuning can
distort pretrained features", section 4). The weights are pulled towards the pretrained ones (L2-SP, Li et al. 2018,
"Explicit inductive bias for transfer learning", equation 5; decoupled from the gradient as in Loshchilov and Hutter
2019). What comes out can be mixed with what was there before (WiSE-FT, Wortsman et al. 2022, section 3). Which
trainings are made, and whether one is kept, is decided in `runs/`.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tellapart.cache.decoded_cache import release_pages
from tellapart.errors import BundleError
from tellapart.photos.loading import num_cores
from tellapart.randomness import named_generator
from tellapart.records import EpochRecord, StepRecord
from tellapart.training.checkpoints import TrainingState, load_checkpoint, save_checkpoint
from tellapart.training.trained_part import TrainedPart
from tellapart.translation import gettext as _

# Twice as many steps as with 32 in the same time, and they bring more (docs/decisions/015-when-fine-tuning-is-kept.md).
BATCH_SIZE = 16
# Of Adam; rises over the first tenth of the training and falls to 0 on a cosine.
_RATE, _WARM_UP = 4e-4, 0.1
# Pulls back a share of `rate * _PULL` of the way to the pretrained weights in each step: over 350 steps about half.
_PULL = 10.0
_LABEL_SMOOTHING = 0.1
# What a kill can cost: some 10 to 20 seconds.
_STEPS_A_CHECKPOINT = 100
# Shares of a batch, each the work of a core (docs/decisions/008-a-share-of-the-batch-a-core.md).
_LEAST_SHARE, _MOST_SHARES = 8, 4
_PREDICT_BATCH_SIZE = 32
_MOMENTS = ("exp_avg", "exp_avg_sq")
_FLOATS = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ViewData:
    """Photos as features of their views.

    Attributes:
        store: as the frozen part gives them, shape `(number, num_views, h, w, channels)`; the first view of a photo is
            the whole, the second its mirror image.
        places: where in `store` each photo is, int64, shape `(n,)`.
        labels: int64 in `[0, num_classes)`, shape `(n,)`.
        log_frequencies: of the classes, float32, shape `(num_classes,)`, where all are taken to be equally frequent;
            `None` where they are as frequent as here.
        flip: whether a mirrored photo is still one of its class.
    """

    store: NDArray[Any]
    places: NDArray[np.int64]
    labels: NDArray[np.int64]
    log_frequencies: _FLOATS | None
    flip: bool

    def gather(self, rows: NDArray[np.int64], views: NDArray[np.int64]) -> torch.Tensor:
        """A copy of the features of one view of each of the rows, shape `(len(rows), h, w, channels)`."""
        features = torch.from_numpy(self.store[self.places[rows], views])
        release_pages(self.store)
        return features

    def draw(self, seed: int, number: int, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows and views of a step, counted from 0: each photo once in each round, in any of its views."""
        steps_a_round = max(1, len(self.labels) // BATCH_SIZE)
        generator = named_generator(seed, "fine-tuning", number, step // steps_a_round)
        order = generator.permutation(len(self.labels))
        usable = np.array([view for view in range(self.store.shape[1]) if self.flip or view != 1], np.int64)
        views = usable[generator.integers(len(usable), size=len(order))]
        part = np.array_split(np.arange(len(order)), steps_a_round)[step % steps_a_round]
        return order[part].astype(np.int64), views[part]


@dataclass(frozen=True)
class FineTuningPlan:
    """How long a training is, and which one it is.

    Attributes:
        seed: the run's.
        number, num_all: which of the trainings of a run this is, from 1.
        num_steps: of the training; `None` where it ends by the clock.
        seconds: of the whole training; `None` where it ends after so many steps.
        clock: seconds since some moment.
    """

    seed: int
    number: int
    num_all: int
    num_steps: int | None = None
    seconds: float | None = None
    clock: Callable[[], float] = time.perf_counter

    def progress_after(self, num_steps: int, at_start: float, started: float) -> float:
        """Share of the training that is over, in `[0, 1]`."""
        if self.num_steps is not None:
            return min(1.0, num_steps / self.num_steps)
        assert self.seconds is not None
        return min(1.0, at_start + (self.clock() - started) / max(self.seconds, 1e-9))


def fine_tune(
    network: TrainedPart,
    data: ViewData,
    plan: FineTuningPlan,
    checkpoint_dir: Path,
    on_step: Callable[[StepRecord], None] = lambda record: None,
) -> int:
    """The number of steps that `network` was trained for, which is then trained; a killed training goes on.

    Args:
        network: as pretrained, with a fitted head.
        data: what is learned from.
        plan: how long.
        checkpoint_dir: folder of this training alone; made when missing.
        on_step: told after each step.

    Raises:
        BundleError: the checkpoints are damaged or of another network.
        OutputError: a checkpoint cannot be written.
    """
    trainer = _Trainer(network, data)
    history = _restore(trainer, load_checkpoint(checkpoint_dir))
    done, at_start = (history[-1].epoch, history[-1].progress) if history else (0, 0.0)
    started, progress, sums = plan.clock(), at_start, _Sums()
    with _open_pool() as pool:
        while progress < 1:
            sums.add(*trainer.step(data.draw(plan.seed, plan.number, done), _rate_at(progress), pool))
            done += 1
            progress = max(plan.progress_after(done, at_start, started), min(1.0, progress + 1e-9))
            seconds_left = (plan.clock() - started) / max(progress - at_start, 1e-9) * (1 - progress)
            expected = done if progress >= 1 else max(done + 1, round(done / progress))
            numbers = (plan.number, plan.num_all, done, expected)
            on_step(StepRecord(*numbers, sums.loss, sums.accuracy, seconds_left))
            if done % _STEPS_A_CHECKPOINT == 0 or progress >= 1:
                history = (*history, EpochRecord(done, sums.loss, sums.accuracy, None, None, 0.0, 0.0, progress))
                save_checkpoint(checkpoint_dir, trainer.capture(history), num_kept=1)
                sums = _Sums()
    return done


def mix_arrays(before: Mapping[str, _FLOATS], after: Mapping[str, _FLOATS], share: float) -> dict[str, _FLOATS]:
    """Weights on the straight line between two trainings of a network (WiSE-FT).

    Args:
        before, after: name to array.
        share: 0 is `before`, 1 is `after`.
    """
    return {name: ((1 - share) * value + share * after[name]).astype(np.float32) for name, value in before.items()}


def embed_views(network: TrainedPart, data: ViewData, *, mirrored: bool) -> _FLOATS:
    """Embeddings of all photos as wholes, float32, shape `(n, size)`; with `mirrored` the mean of those of both views.

    Two views are averaged as `add_mirrored_view` does it.
    """

    def embed(rows: NDArray[np.int64]) -> _FLOATS:
        with torch.no_grad():
            views = range(2 if mirrored else 1)
            found = [network.embed(data.gather(rows, np.full(len(rows), view))).cpu().numpy() for view in views]
        return np.asarray(np.mean(found, axis=0), np.float32)

    parts = np.array_split(np.arange(len(data.labels)), max(1, -(-len(data.labels) // _PREDICT_BATCH_SIZE)))
    with _open_pool() as pool:
        return np.concatenate(list(pool.map(embed, parts)))


class _Trainer:
    """A network, its optimizer and what it is pulled towards."""

    def __init__(self, network: TrainedPart, data: ViewData) -> None:
        self._network, self._data = network, data
        groups = network.rates()
        self._shares = [share for _group, share in groups]
        self._parameters = [value for group, _share in groups for value in group]
        self._before = [[value.detach().clone() for value in group] for group, _share in groups]
        self.optimizer = torch.optim.Adam([{"params": group} for group, _share in groups], lr=_RATE)
        shift = data.log_frequencies
        self._shift = None if shift is None else torch.from_numpy(shift).to(network.device)

    def step(
        self, drawn: tuple[NDArray[np.int64], NDArray[np.int64]], rate: float, pool: ThreadPoolExecutor
    ) -> tuple[float, int, int]:
        """Learns from these rows in these views; sum of the losses in nats, photos that were right, photos."""
        rows, views = drawn
        is_on_cpu = self._network.device.type == "cpu"
        num_shares = max(1, min(num_cores(), _MOST_SHARES, len(rows) // _LEAST_SHARE)) if is_on_cpu else 1
        parts = np.array_split(np.arange(len(rows)), num_shares)
        found = list(pool.map(lambda part: self._differentiate(rows[part], views[part], len(rows)), parts))
        total = found[0][0]
        for gradients, _loss, _right in found[1:]:
            torch._foreach_add_(total, gradients)
        for value, gradient in zip(self._parameters, total, strict=True):
            value.grad = gradient
        for group, share in zip(self.optimizer.param_groups, self._shares, strict=True):
            group["lr"] = rate * share
        self.optimizer.step()
        with torch.no_grad():
            for group, before in zip(self.optimizer.param_groups, self._before, strict=True):
                torch._foreach_lerp_(group["params"], before, group["lr"] * _PULL)
        return sum(loss for _g, loss, _r in found), sum(right for _g, _l, right in found), len(rows)

    def _differentiate(
        self, rows: NDArray[np.int64], views: NDArray[np.int64], num_all: int
    ) -> tuple[list[torch.Tensor], float, int]:
        labels = torch.from_numpy(self._data.labels[rows]).to(self._network.device)
        logits = self._network(self._data.gather(rows, views))
        # Classes that are to count the same are taken as frequent as they are (Menon et al. 2021, equation 10).
        shifted = logits if self._shift is None else logits + self._shift
        loss = torch.nn.functional.cross_entropy(shifted, labels, label_smoothing=_LABEL_SMOOTHING, reduction="sum")
        gradients = torch.autograd.grad(loss / num_all, self._parameters)
        return list(gradients), float(loss.detach()), int((shifted.argmax(1) == labels).sum())

    def capture(self, history: tuple[EpochRecord, ...]) -> TrainingState:
        """A copy of where the training is; the moments of the optimizer are left out where it is over."""
        variables = tuple(value.detach().cpu().numpy().copy() for value in self._parameters)
        if history[-1].progress >= 1:
            return TrainingState(history, variables, ())
        states = [self.optimizer.state[value] for value in self._parameters]
        moments = tuple(state[name].cpu().numpy().copy() for state in states for name in _MOMENTS)
        return TrainingState(history, variables, moments)

    def restore(self, state: TrainingState) -> None:
        """Puts the training where it was.

        Raises:
            BundleError: the state is that of another network.
        """
        shapes = [tuple(value.shape) for value in self._parameters]
        is_over = state.history[-1].progress >= 1
        wanted = [] if is_over else [shape for shape in shapes for _name in _MOMENTS]
        found = [value.shape for value in state.variables], [value.shape for value in state.optimizer_variables]
        if found != (shapes, wanted):
            raise BundleError(_("the checkpoint is of another network. Train again with another `out`."))
        with torch.no_grad():
            for value, array in zip(self._parameters, state.variables, strict=True):
                value.copy_(torch.from_numpy(array))
        moments = iter(state.optimizer_variables)
        for value in () if is_over else self._parameters:
            ordered = {name: torch.empty_like(value).copy_(torch.from_numpy(next(moments))) for name in _MOMENTS}
            self.optimizer.state[value] = {"step": torch.tensor(float(state.history[-1].epoch)), **ordered}


class _Sums:
    """Loss and accuracy over some steps."""

    def __init__(self) -> None:
        self._loss, self._right, self._number = 0.0, 0, 0

    def add(self, loss: float, num_right: int, number: int) -> None:
        self._loss, self._right, self._number = self._loss + loss, self._right + num_right, self._number + number

    @property
    def loss(self) -> float:
        return self._loss / max(1, self._number)

    @property
    def accuracy(self) -> float:
        return self._right / max(1, self._number)


def _restore(trainer: _Trainer, state: TrainingState | None) -> tuple[EpochRecord, ...]:
    """A record for each checkpoint of an earlier process, whose `epoch` is the steps it has taken."""
    if state is None or not state.history:
        return ()
    trainer.restore(state)
    return state.history


def _rate_at(progress: float) -> float:
    """The step size, before the share of a block."""
    rising = min(1.0, (progress + 0.01) / _WARM_UP)
    return _RATE * rising * (1 + math.cos(math.pi * progress)) / 2


@contextmanager
def _open_pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that divide the cores among them; PyTorch has all of them again afterwards.

    A GPU rounds to no fewer digits meanwhile: its TensorFloat-32 has ten bits, and the model that is written would
    answer otherwise than what was trained.
    """
    before, is_rounding = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    num_threads = min(num_cores(), _MOST_SHARES)
    each: tuple[Any, ...] = (max(1, num_cores() // num_threads),)
    torch.backends.cudnn.allow_tf32 = False
    try:
        with ThreadPoolExecutor(num_threads, "fine-tuning", torch.set_num_threads, each) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.allow_tf32 = is_rounding
