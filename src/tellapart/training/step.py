"""One step of training: the gradients of a batch, and what the optimizer makes of them.

On PyTorch on a CPU each core computes the gradients of its own share of the batch, and they are added up: an operation
of a small network is over in a few milliseconds, too short to be shared out to several cores
(docs/decisions/008-a-share-of-the-batch-a-core.md).
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.networks.backend import Backend, keras
from tellapart.networks.normalization import moving_averages_kept
from tellapart.photos.loading import num_cores

# A share is normalised by its own mean and variance, which fewer photos do not tell well; so there are not many shares,
# and where there are more cores than that, several work on each.
_LEAST_SHARE = 8
_MOST_SHARES = 4
# The first steps allocate memory, and on some backends compile.
_NUM_WARM_UP, _NUM_TIMED = 3, 9
_Logs = dict[str, float]
_Images = NDArray[np.uint8]
_Targets = NDArray[Any]


class WholeStep:
    """A step as Keras takes it: the whole batch at once."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def learn(self, images: _Images, targets: _Targets) -> _Logs:
        """Loss in nats and accuracy on the batch, before the weights changed.

        Args:
            images: uint8, shape `(n, height, width, channels)`.
            targets: as the model's loss takes them.
        """
        return dict(self._model.train_on_batch(images, targets, return_dict=True))

    def update_moving_averages(self, images: _Images) -> None:
        """Takes mean and variance of these images into the moving ones of the normalisations; nothing else changes."""
        self._model(images, training=True)


class SharedStep:
    """A step that cores share: each takes some photos of the batch. For PyTorch on a CPU.

    Args:
        model: compiled with an optimizer, ends in the probabilities of the classes; without dropout, whose random
            numbers would depend on which core is first.
        pool: as many threads as there are shares.
        num_shares: at least 1.
    """

    def __init__(self, model: keras.Model, pool: ThreadPoolExecutor, num_shares: int) -> None:
        self._model, self._pool, self._num_shares = model, pool, num_shares
        self._weights = list(model.trainable_variables)
        self._values = [weight.value for weight in self._weights]
        self._calls = _list_calls(model)
        for variable in (*model.variables, *model.optimizer.variables):
            _order_as_used(variable)

    def learn(self, images: _Images, targets: _Targets) -> _Logs:
        """As for `WholeStep`; the targets are probabilities of the classes."""
        import torch

        num_shares = min(self._num_shares, max(1, len(images) // _LEAST_SHARE))
        shares: list[NDArray[np.int64]] = np.array_split(np.arange(len(images)), num_shares)

        def differentiate(number: int) -> tuple[list[Any], float, int]:
            rows = shares[number]
            return self._differentiate(images[rows], targets[rows], len(images), number == 0)

        results = list(self._pool.map(differentiate, range(num_shares)))
        total = results[0][0]
        for gradients, _, _ in results[1:]:
            torch._foreach_add_(total, gradients)
        with torch.no_grad():
            self._model.optimizer.apply(total, self._weights)
        num_right = sum(num for _, _, num in results)
        return {"loss": sum(loss for _, loss, _ in results), "accuracy": num_right / len(images)}

    def update_moving_averages(self, images: _Images) -> None:
        """As for `WholeStep`, on one core.

        With another process on the machine the cores of an operation wait for one another: 40 batches of 32x32 pixels
        took 24 s on two of them, and 1 s on one.
        """
        import torch

        def run() -> None:
            with torch.no_grad():
                self._run(torch.from_numpy(images))

        self._pool.submit(run).result()

    def _differentiate(
        self, images: _Images, targets: _Targets, num_all: int, is_first: bool
    ) -> tuple[list[Any], float, int]:
        """Of a share of `num_all` photos: what it adds to the gradients and to the loss in nats; how many are right."""
        import torch

        with moving_averages_kept(not is_first):
            outputs = self._run(torch.from_numpy(images))
        wanted = torch.from_numpy(np.ascontiguousarray(targets))
        loss = keras.losses.categorical_crossentropy(wanted, outputs).sum() / num_all
        gradients = torch.autograd.grad(loss, self._values)
        num_right = (outputs.detach().argmax(1) == wanted.argmax(1)).sum()
        return list(gradients), loss.item(), int(num_right)

    def _run(self, images: Any) -> Any:
        """What the model gives in training, a tensor for a tensor."""
        values = [images]
        for call, sources in self._calls:
            values.append(call(*(values[source] for source in sources)))
        return values[-1]


def _list_calls(model: keras.Model) -> list[tuple[Callable[..., Any], list[int]]]:
    """A function for each layer, and the numbers of the values that go into it; value 0 is the image.

    Calling them one after the other is what a functional model does, without what Keras looks after around each layer
    (masks, precision, shapes), which takes longer than a small convolution.
    """
    from tellapart.training.layer_calls import call_of

    numbers, calls = {id(model.inputs[0]): 0}, []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        calls.append((call_of(layer), [numbers[id(tensor)] for tensor in keras.tree.flatten(layer.input)]))
        numbers[id(layer.output)] = len(numbers)
    return calls


def _order_as_used(variable: keras.Variable) -> None:
    """Puts the numbers of a convolution's kernel into the order in memory in which PyTorch computes with them.

    Keras gives PyTorch a view of its `(height, width, in, out)` as `(out, in, height, width)`, which PyTorch would copy
    into its own order in every pass.
    """
    value = variable.value
    if value.ndim == 4:
        value.data = value.data.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)


@contextmanager
def open_step(model: keras.Model, backend: Backend) -> Iterator["WholeStep | SharedStep"]:
    """The way to take a step that is the fastest here, for the time of a training."""
    num_shares = min(num_cores(), _MOST_SHARES)
    if backend.name != "torch" or backend.device != "cpu":
        yield WholeStep(model)
        return
    import torch

    # The threads of the pool divide the cores among them; this one still has all for what comes between the steps.
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(num_shares, "step", torch.set_num_threads, (num_cores() // num_shares,)) as pool:
            yield SharedStep(model, pool, num_shares)
    finally:
        torch.set_num_threads(before)


def measure_photos_per_second(
    model: keras.Model,
    backend: Backend,
    batch_size: int,
    image_size: tuple[int, int],
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Photos a second of the median of a few steps, in about 2 seconds on 2 cores.

    Args:
        model: compiled; learns from noise, so it is of no use afterwards.
        backend: what learning runs on.
        batch_size: photos a step.
        image_size: their `(height, width)`.
        clock: seconds since some moment.
    """
    channels, num_classes = model.input_shape[-1], model.output_shape[-1]
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *image_size, channels), np.uint8)
    targets = np.eye(num_classes, dtype=np.float32)[np.arange(batch_size) % num_classes]
    seconds = []
    with open_step(model, backend) as step:
        for _ in range(_NUM_WARM_UP + _NUM_TIMED):
            started = clock()
            step.learn(images, targets)
            seconds.append(clock() - started)
    return float(batch_size / np.median(seconds[_NUM_WARM_UP:]))
