"""The command that adds a missing package, by the way in which tellapart was installed."""

import importlib.metadata
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tellapart.installation import install_extra, install_package


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that makes it look as if tellapart was installed by a tool, from somewhere."""

    def pretend(tool_file: str | None = None, origin: dict | None = None) -> Path:
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        if tool_file is not None:
            (tmp_path / tool_file).touch()
        text = None if origin is None else json.dumps(origin)
        monkeypatch.setattr(
            importlib.metadata, "distribution", lambda name: SimpleNamespace(read_text=lambda file: text)
        )
        return tmp_path

    return pretend


TOOLS = {
    None: "pip install",
    "uv-receipt.toml": "uv tool install --force",
    "pipx_metadata.json": "pipx install --force",
}


@pytest.mark.parametrize("tool_file", TOOLS, ids=str)
def test_the_tool_that_installed_it_installs_the_extra(installed, tool_file: str | None) -> None:
    installed(tool_file)
    assert install_extra("train") == f"{TOOLS[tool_file]} 'tellapart[train]'"


@pytest.mark.parametrize("tool_file", TOOLS, ids=str)
@pytest.mark.parametrize("name", ["tellapart-0.1.0-py3-none-any.whl", "my clone"])
def test_what_came_from_a_file_comes_from_there_again(installed, tool_file: str | None, name: str) -> None:
    path = installed() / name
    path.touch()
    installed(tool_file, {"url": path.as_uri(), "archive_info": {}})
    assert install_extra("serve") == f"{TOOLS[tool_file]} '{path}[serve]'"


@pytest.mark.parametrize(
    "origin",
    [
        {"url": "file:///gone/tellapart-0.1.0-py3-none-any.whl"},
        {"url": "https://example.org/tellapart-0.1.0-py3-none-any.whl"},
        {"url": Path(__file__).parent.as_uri(), "dir_info": {"editable": True}},
        {},
    ],
    ids=["gone", "elsewhere", "editable", "empty"],
)
def test_what_cannot_be_had_from_its_file_is_named(installed, origin: dict) -> None:
    installed(None, origin)
    assert install_extra("train") == "pip install 'tellapart[train]'"


@pytest.mark.parametrize(
    ("tool_file", "command"),
    [
        (None, "pip install weights"),
        ("uv-receipt.toml", "uv tool install --force 'tellapart[train]' --with weights"),
        ("pipx_metadata.json", "pipx inject tellapart weights"),
    ],
)
def test_a_package_is_put_beside_it_by_the_same_tool(installed, tool_file: str | None, command: str) -> None:
    installed(tool_file)
    assert install_package("weights") == command
