"""Whether the machines of a cluster that somebody else started have the versions of this one."""

import re
from collections.abc import Callable
from typing import Any

import tellapart
from tellapart.errors import ClusterError
from tellapart.translation import gettext as _

# What Ray says where its version, or that of Python, is another: those of the cluster, then those of this process.
_RAY_AND_PYTHON = re.compile(r"Ray: (\S+)\s+Python: (\S+)")
# A machine that is slower is asked no more; its workers may still come.
_SECONDS_TO_ANSWER = 60


def explain_mismatch(said: str, address: str) -> str | None:
    """What to tell the user where Ray has refused a cluster of other versions; `None` where it says something else."""
    found = _RAY_AND_PYTHON.findall(said)
    if len(found) != 2:
        return None
    (ray, python), (own_ray, own_python) = found
    message = _(
        "the cluster at `ray_address` {address!r} has Ray {ray} and Python {python}. Here are Ray {own_ray} and"
        " Python {own_python}. Install the same versions."
    )
    return message.format(address=address, ray=ray, python=python, own_ray=own_ray, own_python=own_python)


def check_machines(ray: Any) -> None:
    """Nothing, if each machine of the cluster has the tellapart of this process.

    Args:
        ray: the module, connected to the cluster.

    Raises:
        ClusterError: one has another version, or none.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask, asked = ray.remote(num_cpus=0, max_retries=0)(_make_question()), {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[ask.options(scheduling_strategy=there).remote()] = node["NodeManagerAddress"]
    answered, _late = ray.wait(list(asked), num_returns=len(asked), timeout=_SECONDS_TO_ANSWER)
    for question in answered:
        try:
            version = ray.get(question)
        except ray.exceptions.RayError:  # the machine has just gone, and gets no photos
            continue
        _check_version(version, asked[question])


def _check_version(version: str | None, machine: str) -> None:
    """Nothing, if it is the version of this process.

    Raises:
        ClusterError: it is another, or `None`.
    """
    own = tellapart.__version__
    if version == own:
        return
    said = _("the machine {machine} of the Ray cluster has tellapart {version}. Here is {own}. Install {own} there.")
    if version is None:
        said = _("the machine {machine} of the Ray cluster has no tellapart installed. Install tellapart {own} there.")
    raise ClusterError(said.format(machine=machine, version=version, own=own), address=machine)


def _make_question() -> Callable[[], str | None]:
    """A function that is sent whole, as one inside another is: a machine without tellapart can run it as well."""

    def ask() -> str | None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("tellapart")
        except PackageNotFoundError:
            return None

    return ask
