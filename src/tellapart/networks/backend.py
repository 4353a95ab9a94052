"""Which Keras backend learns, on which device, in which data format; the only reader of environment variables.

The other modules take `keras` from here, for the backend is decided before Keras is first imported. `KERAS_BACKEND` of
the environment wins; otherwise PyTorch, which of the three gives the fastest step for the networks here
(benchmarks/RESULTS.md).
"""

import ctypes
import os
import sys
from dataclasses import dataclass
from typing import Literal

from tellapart.errors import ConfigError, DependencyError
from tellapart.randomness import named_generator

DataFormat = Literal["channels_first", "channels_last"]
_BACKEND_NAMES = ("torch", "tensorflow", "jax")


def _import_keras() -> None:
    """Loads keras with the chosen backend, or says what is missing."""
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        # TensorFlow and JAX report their start-up on stderr; warnings and errors still come through.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import keras  # noqa: F401
    except ImportError as exc:
        name = os.environ.get("KERAS_BACKEND", "torch")
        raise DependencyError(
            f"training needs keras with its backend {name!r}, and {exc.name!r} is not installed."
            " Install it with: pip install 'tellapart[train]'"
        ) from exc


_import_keras()

import keras as keras  # noqa: E402


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


def start_backend(seed: int) -> Backend:
    """The backend, ready to train: seeds set, memory allocation tuned.

    On PyTorch the convolutions are `channels_first` over memory in channels-last order: 46 images/s against 28 with
    Keras' own `channels_last` (the article's network, batch 32, 2 cores); TensorFlow and JAX on a CPU take
    `channels_last` only.

    Args:
        seed: 0 or more; dropout and the initial weights follow from it.

    Raises:
        ConfigError: Keras runs on a backend that networks here are not written for.
    """
    name = keras.backend.backend()
    if name not in _BACKEND_NAMES:
        raise ConfigError(f"KERAS_BACKEND {name!r} is not supported; accepted: {', '.join(_BACKEND_NAMES)}.")
    keras.config.set_floatx("float32")
    keras.utils.set_random_seed(int(named_generator(seed, "keras").integers(2**31 - 1)))
    device = _device_kind(name)
    if device == "cpu":
        _keep_freed_memory()
    return Backend(name, _version(name), device, "channels_first" if name == "torch" else "channels_last")


def _version(name: str) -> str:
    return str(getattr(sys.modules.get(name), "__version__", "unknown"))


def _device_kind(name: str) -> str:
    """`cpu` or `gpu`, the device that the backend puts new tensors on."""
    if name == "torch":
        return "cpu" if keras.ops.zeros(1).device.type == "cpu" else "gpu"
    return "gpu" if any("gpu" in device.lower() for device in keras.distribution.list_devices()) else "cpu"


def _keep_freed_memory() -> None:
    """Tells glibc to reuse freed memory instead of handing it back to the kernel and faulting it in anew.

    A step of the article's network frees and asks again for about 1 GB in blocks of up to 90 MB. glibc maps each such
    block, and the kernel zeroes every page of it on first touch: 41 images/s, against 70 with the blocks kept (batch
    32, 2 cores, 2026-11-24). No effect, and no harm, where the C library is another one.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
    mallopt(m_top_pad, 64 * 1024**2)


def release_freed_memory() -> None:
    """Hands memory that is free at this moment back to the kernel; called between epochs.

    Blocks that are kept for reuse come to lie apart, and the process grew from 1.1 to 1.8 GB over 13 epochs of 3,200
    photos; with this it stays where it was after the first. It costs the page faults of one step an epoch. No effect
    where the C library is not glibc.
    """
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return
