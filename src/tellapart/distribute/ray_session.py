"""How Ray is started, and what its errors become; nothing of Ray is wrapped beyond this.

A Ray of our own works on this machine alone: it listens on the loopback address, asks callers for a token, has no
dashboard, sends nothing to its maker, keeps its files in a folder that goes with it, and ends with the block. Ray reads
those settings from the environment when it is imported, so nothing imports it before. A cluster that somebody else
started has the settings of its owner.
"""

import contextlib
import logging
import os
import re
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tellapart.distribute.cluster_versions import check_machines, explain_mismatch
from tellapart.distribute.cluster_watch import answers, cluster_watched
from tellapart.distribute.uri_home import HOME_VARIABLE
from tellapart.errors import ClusterError, ConfigError, DependencyError, TellapartError
from tellapart.installation import install_extra
from tellapart.photos.loading import num_cores
from tellapart.store import remove_quietly
from tellapart.translation import gettext as _
from tellapart.value_checks import check_whole

# Ray sends usage data, and starts its workers by `uv run`, which may download packages, unless told not to.
# Its workers have the priority of any process: where others work too, they would hardly come to their turn.
# What goes wrong it raises in Python. On stderr it also says that a worker whose model is lost cannot start again: that
# is so with each worker of `ray.data`. Its log files go with its folder.
_ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_worker_niceness": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
# Without clusters of several machines, which is the default on macOS, Ray takes the loopback address. With them it asks
# public name servers for the address of this machine, even where it is told 127.0.0.1.
_ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_LOOPBACK = ("127.0.0.1", "localhost")
# The first that was tried; `ray.data` changes with each.
_OLDEST = (2, 60)
# The path of a socket has at most 107 bytes, of which Ray takes some 65 for names of its own.
_LONGEST_FOLDER = 40
_SHORT_FOLDER = "/tmp"
_CLUSTER_FILE = "ray_bootstrap_config.yaml"
_STDERR = 2
_LEVEL_TOLD = b"Set ray log level from environment variable"
_SECONDS_TO_ANSWER = 10
# As an address: the cluster of which this machine is a part.
_THIS_MACHINE = "auto"
# With it the trials of Ray Tune, and what is kept of them, would be those of another process.
_CLIENT = "ray://"
_MOST_CHARACTERS = 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class RayConfig:
    """Where Ray works, and with what.

    Attributes:
        ray_address: of a cluster that runs already, such as `10.0.0.5:6379` or `auto`; `None` starts Ray on this
            machine.
        workers: processes that work at once; `None` is one a core.
        ray_settings: passed to `ray.init` as they are.
    """

    ray_address: str | None = None
    workers: int | None = None
    ray_settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.ray_address or "").startswith(_CLIENT):
            said = _("`ray_address` {address!r} is of Ray Client, which is not used. Give HOST:PORT of the cluster.")
            raise ConfigError(said.format(address=self.ray_address), field="ray_address", value=self.ray_address)
        if self.workers is not None:
            check_whole("workers", self.workers, 1, 100_000)
        if "address" in self.ray_settings:
            raise ConfigError(
                _("`ray_settings` cannot hold 'address'. Give the address of a cluster as `ray_address`."),
                field="ray_settings",
                value="address",
            )


@contextlib.contextmanager
def ray_session(config: RayConfig, on_note: Callable[[str], object] = lambda text: None) -> Iterator[int]:
    """Ray, connected while the block runs; gives the number of workers to start.

    A Ray that the caller has started already is used, and goes on after the block. The handler of SIGTERM stays the
    caller's.

    Args:
        config: where Ray works.
        on_note: told what holds for a cluster of somebody else.

    Raises:
        DependencyError: Ray is missing or too old.
        ConfigError: nothing answers at the address, or Ray refuses a setting.
        ClusterError: a machine has another tellapart, the cluster is gone in mid-job, or Ray itself fails.
    """
    address = config.ray_address
    _check_address(address)
    ray = _import_ray(address)
    with contextlib.ExitStack() as stack:
        is_ours = address is None and not ray.is_initialized()
        if not ray.is_initialized():
            stack.enter_context(_started(ray, config))
        # Otherwise `ray.data` wraps what a worker raises, and loses it on the way here.
        ray.data.DataContext.get_current().raise_original_map_exception = True
        if not is_ours:
            on_note(_("Whether this Ray cluster sends usage data to the makers of Ray is set by its owner."))
        try:
            with cluster_watched(ray.get_runtime_context().gcs_address):
                if not is_ours:
                    check_machines(ray)
                yield config.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        except (ray.exceptions.RayError, ConnectionError) as exc:
            raised = _raised_by_worker(exc)
            if not isinstance(raised, TellapartError):
                raised = _cluster_error(raised, address)
            raise raised from exc


def check_installed() -> None:
    """Nothing, if Ray and PyArrow are installed; neither is imported.

    Raises:
        DependencyError: one is missing.
    """
    for name in ("ray", "pyarrow"):
        if sys.modules.get(name, find_spec) is None or (name not in sys.modules and find_spec(name) is None):
            raise DependencyError(
                _("`engine='ray'` needs {name}, which is not installed. Install it with: {command}").format(
                    name=name, command=install_extra("ray")
                ),
                name=name,
            )


def _import_ray(address: str | None) -> Any:
    """Ray, told what it may do before its import; a Ray that the caller has imported is as the caller has set it."""
    environment = dict(_ALWAYS)
    if address is None or _host_of(address) in _LOOPBACK:
        environment |= _ON_LOOPBACK
    if address is None:  # with a token of this process, other users of the machine cannot give Ray work
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    if "ray" not in sys.modules:
        for name, value in environment.items():
            os.environ.setdefault(name, value)
    check_installed()
    import ray
    import ray.data

    found = tuple(int(part) for part in re.findall(r"\d+", ray.__version__)[:2])
    if found < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise DependencyError(
            _("`engine='ray'` needs Ray {oldest} or later, and {found} is installed. Update with: {command}").format(
                oldest=oldest, found=ray.__version__, command=install_extra("ray")
            ),
            name="ray",
        )
    return ray


@contextlib.contextmanager
def _started(ray: Any, config: RayConfig) -> Iterator[None]:
    """Ray of our own, or a connection to a cluster; ended with the block."""
    settings: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with contextlib.ExitStack() as stack:
        if config.ray_address is None:
            folder = stack.enter_context(_session_folder())
            settings |= {"num_cpus": config.workers or num_cores(), "include_dashboard": False}
            settings |= {"_node_ip_address": _LOOPBACK[0], "_temp_dir": folder}
            stack.enter_context(_other_home(folder))
        try:
            with _sigterm_kept(), _level_not_told():
                ray.init(address=config.ray_address or "local", **{**settings, **config.ray_settings})
        except Exception as exc:  # Ray raises bare ones too, as when its processes do not start in time
            raise _refused_start(exc, config) from exc
        stack.callback(ray.shutdown)
        # What goes wrong is raised; `ray.data` would print each step, and draw bars of its own.
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield


@contextlib.contextmanager
def _other_home(folder: str) -> Iterator[None]:
    """The home folder of processes that are started is `folder`, with a file that says that there is no cloud.

    Without that file Ray asks the addresses of three clouds where it is, even with usage data off. Workers that read
    photos go back to the real home folder, which `HOME_VARIABLE` names, for its credentials.
    """
    Path(folder, _CLUSTER_FILE).write_text("cluster_name: local\nprovider:\n  type: local\n", encoding="utf-8")
    earlier = os.environ.get("HOME")
    if earlier is None:  # Windows
        yield
        return
    os.environ |= {"HOME": folder, HOME_VARIABLE: earlier}
    try:
        yield
    finally:
        os.environ["HOME"] = earlier
        del os.environ[HOME_VARIABLE]


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """The handler of SIGTERM after the block is the one before it; Ray sets one of its own."""
    earlier = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and earlier is not None:
            signal.signal(signal.SIGTERM, earlier)


@contextlib.contextmanager
def _level_not_told() -> Iterator[None]:
    """Ray does not print which level of its log it was given; anything else that is printed comes after the block."""
    try:
        earlier = os.dup(_STDERR)
    except OSError:  # there is no such descriptor, as in some services
        yield
        return
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(earlier, _STDERR)
            os.close(earlier)
            printed.seek(0)
            os.write(_STDERR, b"".join(line for line in printed if _LEVEL_TOLD not in line))


@contextlib.contextmanager
def _session_folder() -> Iterator[str]:
    """A folder of this user's for the sockets and logs of Ray, with a short path; gone after the block."""
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _LONGEST_FOLDER - len("/ray-12345678") and os.name != "nt":
        parent = _SHORT_FOLDER
    folder = tempfile.mkdtemp(prefix="ray-", dir=parent)
    try:
        yield folder
    finally:
        remove_quietly(Path(folder))


def _host_of(address: str) -> str:
    return address.rpartition(":")[0]


def _check_address(address: str | None) -> None:
    """Nothing, if something answers at the address; Ray itself tries for minutes, and prints each try.

    Raises:
        ConfigError: nothing answers.
    """
    if address is None or address == _THIS_MACHINE:
        return
    reason = answers(address, _SECONDS_TO_ANSWER)
    if reason is not None:
        raise ConfigError(
            _(
                "no Ray cluster answers at `ray_address` {address!r} ({reason}). Give the address that `ray start`"
                " printed, such as 10.0.0.5:6379."
            ).format(address=address, reason=reason),
            field="ray_address",
            value=address,
        )


def _refused_start(exc: Exception, config: RayConfig) -> ConfigError | ClusterError:
    """Why Ray has not started, in one line."""
    reason = _one_line(exc)
    if config.ray_address is not None:
        if (other := explain_mismatch(str(exc), config.ray_address)) is not None:
            return ConfigError(other, field="ray_address", value=config.ray_address)
        if config.ray_address == _THIS_MACHINE and isinstance(exc, ConnectionError):
            message = _("no Ray cluster runs on this machine. Start one with {command}, or give its address.")
            return ConfigError(message.format(command="`ray start --head`"), field="ray_address", value=_THIS_MACHINE)
        message = _("cannot join the Ray cluster at `ray_address` {address!r}: {reason}.")
        return ConfigError(
            message.format(address=config.ray_address, reason=reason), field="ray_address", value=config.ray_address
        )
    if config.ray_settings:
        message = _("Ray does not start with these `ray_settings`: {reason}. Correct them, or leave them out.")
        return ConfigError(message.format(reason=reason), field="ray_settings", value=dict(config.ray_settings))
    return ClusterError(_("Ray does not start on this machine: {reason}.").format(reason=reason))


def _raised_by_worker(exc: BaseException) -> BaseException:
    """The error that a worker has raised, of which Ray makes one of its own that is of both kinds; else the error."""
    while (cause := getattr(exc, "cause", None)) is not None:
        exc = cause
    if exc.args and isinstance(exc.args[0], str):  # `ray.data` puts lines of its own behind what an error says
        exc.args = (exc.args[0].strip().partition("\n")[0], *exc.args[1:])
    return exc


def _cluster_error(exc: BaseException, address: str | None) -> ClusterError:
    """What to tell the user when Ray or a worker fails in mid-job."""
    is_of_ray = type(exc).__module__.partition(".")[0] == "ray"
    reason = _one_line(exc) if is_of_ray else f"{type(exc).__name__}: {_one_line(exc)}"
    message = _("Ray has stopped: {reason}. What is written so far is kept. Run the same command to continue.")
    return ClusterError(message.format(reason=reason), address=address)


def _one_line(exc: BaseException) -> str:
    """The first line of an error that says something, without colours, at most 300 characters."""
    lines = [line.strip() for line in _COLOUR.sub("", str(exc)).splitlines() if line.strip()]
    said = lines[0] if lines else type(exc).__name__
    return said[:_MOST_CHARACTERS].rstrip(". ")
