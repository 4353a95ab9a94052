"""Curves of a training made easier to read; drawing them is `report/`'s."""

from collections.abc import Sequence


def smooth(values: Sequence[float], factor: float = 0.7) -> list[float]:
    """Exponentially smoothed values, as many as given: `s[0] = v[0]`, `s[t] = factor * s[t-1] + (1 - factor) * v[t]`.

    Args:
        values: one number an epoch; not modified.
        factor: weight of the past in `[0, 1]`; 0 changes nothing. 0.7 is what the Keras tutorial draws with.
    """
    smoothed: list[float] = []
    for value in values:
        smoothed.append(factor * smoothed[-1] + (1 - factor) * value if smoothed else float(value))
    return smoothed
