"""The takeover of a new bundle: between two requests, whole, or not at all."""

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tellapart.errors import BundleError, ConfigError
from tellapart.measure.scores import SelectivePoint
from tellapart.predict.bundle import BUNDLE_FILE, MODEL_FILE, Bundle, write_bundle
from tellapart.web.serve_config import ServeConfig
from tellapart.web.served_models import ServedModels

Make = Callable[..., Bundle]


@pytest.fixture
def folder(tmp_path: Path, make_bundle: Make) -> Path:
    """A model folder for blue and red."""
    write_bundle(tmp_path / "m", make_bundle())
    return tmp_path / "m"


def opened(folder: Path, config: ServeConfig = ServeConfig()) -> tuple[ServedModels, list[tuple[str, object]]]:
    """The models of a folder, and the events that they tell of."""
    events: list[tuple[str, object]] = []

    def on_event(event: str, details: Mapping[str, object]) -> None:
        events.append((event, details.get("reason")))

    return ServedModels({"m": folder}, config, on_event), events


def test_a_new_bundle_is_taken_over(folder: Path, make_bundle: Make) -> None:
    models, events = opened(folder)
    before = models.get("m")
    write_bundle(folder, make_bundle(("blue", "green", "red")))
    models.refresh()
    after = models.get("m")
    assert after.model.class_names == ("blue", "green", "red")
    assert before.version != after.version
    assert before.model.class_names == ("blue", "red")
    assert events == [("model taken over", None)]


def test_a_folder_that_did_not_change_is_not_loaded_again(folder: Path) -> None:
    models, events = opened(folder)
    before = models.get("m")
    models.refresh()
    assert models.get("m") is before
    assert events == []


def spoil_model(folder: Path) -> None:
    data = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(data[: len(data) // 2])


def spoil_json(folder: Path) -> None:
    (folder / BUNDLE_FILE).write_text((folder / BUNDLE_FILE).read_text().replace("blue", "bleu"))


@pytest.mark.parametrize(
    "spoil",
    [spoil_model, spoil_json, shutil.rmtree, lambda folder: (folder / BUNDLE_FILE).unlink()],
    ids=["model", "json", "folder gone", "json gone"],
)
def test_a_damaged_bundle_is_refused_once_and_the_old_one_goes_on(
    spoil: Callable[[Path], None], folder: Path, make_bundle: Make
) -> None:
    models, events = opened(folder)
    before = models.get("m")
    spoil(folder)
    models.refresh()
    models.refresh()
    assert models.get("m") is before
    assert [event for event, _reason in events] == ["model refused"]
    assert events[0][1]
    write_bundle(folder, make_bundle(("green", "red")))
    models.refresh()
    assert models.get("m").model.class_names == ("green", "red")


def test_a_bundle_that_cannot_keep_the_rates_of_the_server_is_refused(folder: Path, make_bundle: Make) -> None:
    with pytest.raises(ConfigError, match="not_sure"):
        opened(folder, ServeConfig(not_sure=0.1))
    write_bundle(folder, make_bundle(selective=(SelectivePoint(0.0, 100, 1),)))
    models, events = opened(folder, ServeConfig(not_sure=0.1))
    write_bundle(folder, make_bundle())
    models.refresh()
    assert models.get("m").model.selective
    assert [event for event, _reason in events] == ["model refused"]


def test_a_folder_behind_a_link_is_taken_over_when_the_link_is_changed(tmp_path: Path, make_bundle: Make) -> None:
    write_bundle(tmp_path / "old", make_bundle(("blue", "red")))
    write_bundle(tmp_path / "new", make_bundle(("blue", "green")))
    (tmp_path / "current").symlink_to(tmp_path / "old")
    models, _ = opened(tmp_path / "current")
    (tmp_path / "next").symlink_to(tmp_path / "new")
    (tmp_path / "next").replace(tmp_path / "current")
    models.refresh()
    assert models.get("m").model.class_names == ("blue", "green")


def test_the_same_bundle_has_the_same_version_on_every_machine(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    assert opened(folder)[0].get("m").version == opened(tmp_path / "copy")[0].get("m").version


def test_a_folder_without_a_model_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        opened(tmp_path / "nowhere")


def test_every_answer_is_of_one_bundle_while_bundles_change(
    tmp_path: Path, make_bundle: Make, open_client: Callable[..., TestClient], draw: Callable[..., bytes]
) -> None:
    bundles = [make_bundle(("blue", "red")), make_bundle(("blue", "green", "red"))]
    write_bundle(tmp_path / "m", bundles[0])
    versions: dict[str, set[tuple[str, ...]]] = {}
    is_over = threading.Event()
    with open_client({"m": tmp_path / "m"}) as client:
        state = client.app.state.service  # type: ignore[attr-defined]

        def change() -> None:
            for number in range(12):
                write_bundle(tmp_path / "m", bundles[1 - number % 2])
                state.models.refresh()
            is_over.set()

        thread = threading.Thread(target=change)
        thread.start()
        while not is_over.is_set():
            answer = client.post("/predict", content=draw(1))
            assert answer.status_code == 200
            versions.setdefault(answer.json()["version"], set()).add(tuple(answer.json()["probabilities"]))
        thread.join()
    assert all(len(classes) == 1 for classes in versions.values())
