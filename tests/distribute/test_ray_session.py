import socket
import sys
import types

import pytest

from tellapart.distribute.ray_session import RayConfig, ray_session
from tellapart.errors import ConfigError, DependencyError


def fake_ray(version: str) -> dict[str, types.ModuleType]:
    """Modules that stand in for Ray of some version."""
    ray, data = types.ModuleType("ray"), types.ModuleType("ray.data")
    ray.__dict__.update(__version__=version, data=data)
    return {"ray": ray, "ray.data": data}


def test_a_missing_ray_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(DependencyError, match=r"`engine='ray'` needs ray.*install 'tellapart\[ray\]'"),
        ray_session(RayConfig()),
    ):
        pass


@pytest.mark.parametrize("version", ["2.9.3", "2.59.1", "1.13.0"])
def test_an_old_ray_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    for name, module in fake_ray(version).items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(DependencyError, match=f"needs Ray 2.60 or later, and {version}"), ray_session(RayConfig()):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "localhost:{port}", "nowhere", "a:b"])
def test_an_address_where_nothing_answers_is_refused_at_once(address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        named = address.format(port=free.getsockname()[1])
    with pytest.raises(ConfigError, match="no Ray cluster answers at `ray_address`"), ray_session(RayConfig(named)):
        pass


def test_settings_have_limits() -> None:
    with pytest.raises(ConfigError, match="`workers` 0 must be between 1"):
        RayConfig(workers=0)
    with pytest.raises(ConfigError, match="`ray_address` 'ray://10.0.0.5:10001' is of Ray Client"):
        RayConfig("ray://10.0.0.5:10001")
    with pytest.raises(ConfigError, match="`ray_settings` cannot hold 'address'"):
        RayConfig(ray_settings={"address": "auto"})
