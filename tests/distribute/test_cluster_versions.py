import numpy as np
import pytest

from tellapart.distribute.cluster_versions import explain_mismatch

SAID = """Version mismatch: The cluster was started with:
    Ray: {}
    Python: {}
This process on 10.0.0.5:6379 was started with:
    Ray: {}
    Python: {}
"""


@pytest.mark.parametrize("seed", range(4))
def test_other_versions_of_ray_and_python_are_named(seed: int) -> None:
    drawn = np.random.default_rng(seed).integers(0, 99, (4, 3))
    versions = [".".join(map(str, numbers)) for numbers in drawn]
    said = explain_mismatch(SAID.format(*versions), "10.0.0.5:6379")
    ray, python, own_ray, own_python = versions
    assert said == (
        f"the cluster at `ray_address` '10.0.0.5:6379' has Ray {ray} and Python {python}."
        f" Here are Ray {own_ray} and Python {own_python}. Install the same versions."
    )


@pytest.mark.parametrize("said", ["", "Could not connect.", "Ray: 2.60.0 Python: 3.11.7", "Failed to connect to GCS."])
def test_what_says_nothing_of_versions_is_left_to_others(said: str) -> None:
    assert explain_mismatch(said, "10.0.0.5:6379") is None
