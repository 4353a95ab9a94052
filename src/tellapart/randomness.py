"""One seed becomes many independent random generators, each with a name.

A generator is made afresh from `(seed, name, numbers)` where it is needed, so nothing has to be carried along or saved:
epoch 7 of a resumed run draws what epoch 7 of an unbroken run drew.
"""

import zlib

import numpy as np


def named_generator(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """A generator that depends on nothing but its arguments.

    Args:
        seed: the run's seed, 0 or more.
        name: what is drawn, such as `"split"`; different names give independent streams.
        numbers: further keys, such as the epoch, each 0 or more. One name always takes equally many: numpy's
            `SeedSequence` fills up with zeros, so `("x")` and `("x", 0)` are the same stream.
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode()), *numbers])
