import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.errors import OutputError
from tellapart.live.model_server import ModelServer
from tellapart.predict.bundle import Bundle, write_bundle

from .conftest import FolderProject


def test_a_run_is_served_until_it_is_switched_off_also_by_a_new_studio(project: FolderProject, model_dir: Path) -> None:
    server = ModelServer(project)
    assert server.served() is None
    address = server.start(model_dir)
    with urllib.request.urlopen(f"{address}/models") as answer:
        assert json.load(answer)["models"][0]["classes"] == ["blue", "red"]
    again = ModelServer(project)
    assert again.served() == (model_dir, address)
    again.stop()
    assert again.served() is None
    assert server.served() is None


def test_a_run_that_cannot_be_served_is_one_line(
    project: FolderProject, tmp_path: Path, make_bundle: Callable[..., Bundle]
) -> None:
    write_bundle(tmp_path / "broken", make_bundle())
    (tmp_path / "broken" / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(OutputError, match=r"model\.onnx"):
        ModelServer(project).start(tmp_path / "broken")
