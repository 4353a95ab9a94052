"""Which Keras backend learns, on which device, in which data format; the only reader of environment variables.

The other modules take `keras` from here, for the backend is decided before Keras is first imported. `KERAS_BACKEND` of
the environment wins; otherwise PyTorch, which of the three gives the fastest step for the networks here
(benchmarks/RESULTS.md). Nothing here changes the process of a Python caller for longer than a call.
"""

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tellapart.errors import ConfigError, DependencyError
from tellapart.installation import install_extra
from tellapart.randomness import named_generator
from tellapart.translation import gettext as _

DataFormat = Literal["channels_first", "channels_last"]
_BACKEND_NAMES = ("torch", "tensorflow", "jax")
# TensorFlow and JAX report their start-up on stderr; warnings and errors still come through.
_DEFAULTS = {"KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "2"}


def _import_keras() -> None:
    """Loads keras with the chosen backend, or says what is missing; the environment is as before afterwards."""
    added = {} if "keras" in sys.modules else {name: _DEFAULTS[name] for name in _DEFAULTS if name not in os.environ}
    os.environ.update(added)
    try:
        import keras  # noqa: F401
    except ImportError as exc:
        name = os.environ.get("KERAS_BACKEND", "torch")
        raise DependencyError(
            _(
                "training needs keras with its backend {backend!r}, and {module!r} is not installed. "
                "Install it with: {command}"
            ).format(backend=name, module=exc.name, command=install_extra("train"))
        ) from exc
    finally:
        for name in added:
            del os.environ[name]


_import_keras()

import keras as keras  # noqa: E402
from keras.src.backend.common import global_state  # noqa: E402

# Keras has a function that sets these two, and none that puts them back.
_KERAS_STATE = ("global_random_seed", "global_seed_generator")


@dataclass(frozen=True)
class Backend:
    """What learning runs on.

    Attributes:
        name: `torch`, `tensorflow` or `jax`.
        version: version of that package.
        device: as Keras names it, such as `cpu` or `gpu`.
        data_format: where convolutions have their channel axis.
    """

    name: str
    version: str
    device: str
    data_format: DataFormat


def find_backend() -> Backend:
    """What Keras runs on here.

    On PyTorch the convolutions are `channels_first` over memory in channels-last order: 46 images/s against 28 with
    Keras' own `channels_last` (the article's network, batch 32, 2 cores); TensorFlow and JAX on a CPU take
    `channels_last` only.

    Raises:
        ConfigError: Keras runs on a backend that networks here are not written for.
    """
    name = keras.backend.backend()
    if name not in _BACKEND_NAMES:
        raise ConfigError(
            _("KERAS_BACKEND {name!r} is not supported. Give one of {names}.").format(
                name=name, names=", ".join(_BACKEND_NAMES)
            )
        )
    return Backend(name, _version(name), _device_kind(name), "channels_first" if name == "torch" else "channels_last")


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """While it is open, dropout and initial weights follow from the seed, in float32; then all is as it was before.

    What is put back are the states of Python's, NumPy's and PyTorch's generators and the seed, the number type and the
    precision that Keras uses. TensorFlow cannot say its seed; it keeps the one of the training.

    Args:
        seed: 0 or more.
    """
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras_state = [global_state.get_global_attribute(name) for name in _KERAS_STATE]
    python_state, numpy_state, torch_states = random.getstate(), np.random.get_state(), _torch_states()
    try:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        reseed(seed, "keras")
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        for name, value in zip(_KERAS_STATE, keras_state, strict=True):
            global_state.set_global_attribute(name, value)
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        _restore_torch(torch_states)


def reseed(seed: int, name: str, *numbers: int) -> None:
    """Seeds the process' generators for what is drawn next, as `named_generator` does; only inside `reproducible`."""
    keras.utils.set_random_seed(int(named_generator(seed, name, *numbers).integers(2**31 - 1)))


def _torch_states() -> list[Any]:
    """The states of PyTorch's generators, that of the CPU first; none where PyTorch is not loaded."""
    if (torch := sys.modules.get("torch")) is None:
        return []
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else ())]


def _restore_torch(states: list[Any]) -> None:
    if states:
        torch = sys.modules["torch"]
        torch.set_rng_state(states[0])
        for device, state in enumerate(states[1:]):
            torch.cuda.set_rng_state(state, device)


def _version(name: str) -> str:
    return str(getattr(sys.modules.get(name), "__version__", "unknown"))


def _device_kind(name: str) -> str:
    """`cpu` or `gpu`, the device that the backend puts new tensors on."""
    if name == "torch":
        return "cpu" if keras.ops.zeros(1).device.type == "cpu" else "gpu"
    return "gpu" if any("gpu" in device.lower() for device in keras.distribution.list_devices()) else "cpu"
