"""The model beside an open project: it counts what is dropped, answers, proposes, checks, and is used."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tellapart.demo.drawing import write_demo_folder
from tellapart.measure.verdict import COLOURS
from tellapart.studio.app import StudioConfig, create_studio_app
from tellapart.studio.studio_access import StudioKeys

from .conftest import LOCAL, TOKEN, Page

Ask = Callable[..., Any]


def wait(get: Callable[[], Any], is_it: Callable[[Any], bool], seconds: float = 300) -> Any:
    """What `get` gives once it is as it should be."""
    until = time.monotonic() + seconds
    while not is_it(found := get()):
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


def ask(page: Page, path: str) -> Any:
    answer = page.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class with 16 drawn photos each; not to be changed."""
    return write_demo_folder(tmp_path_factory.mktemp("drawn") / "photos", 16, seed=4)


@pytest.fixture(scope="module")
def folder_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the project that the tests of this module go through one after another."""
    path = tmp_path_factory.mktemp("all") / "zoo"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def filled(folder_of_all: Path, drawn: Path, tiny_backbone: Path, cache_dir: str) -> Iterator[Page]:
    """A page of a project with 12 photos a class and 8 unsorted ones, whose model is a run."""
    keys = StudioKeys(TOKEN, port=8100)
    config = StudioConfig(keys, cache_dir=cache_dir, backbone=str(tiny_backbone), rest_seconds=0.5, look_seconds=0.1)
    app = create_studio_app(folder_of_all, config)
    with TestClient(app, base_url=LOCAL, raise_server_exceptions=False) as client:
        page = Page(client)
        client.post("/api/session", json={"token": TOKEN})
        for name in ("cat", "dog"):
            page.do("add_class", name=name)
            for number, path in enumerate(sorted((drawn / name).iterdir())):
                page.add(path.read_bytes(), path.name, name if number < 12 else "unsorted")
        wait(lambda: ask(page, "/api/model"), lambda model: model["state"] in ("ready", "failed"))
        yield page


def test_what_was_dropped_counts_and_becomes_a_run(filled: Page) -> None:
    model = filled.project()["model"]
    assert (model["state"], model["num_photos"], model["is_provisional"]) == ("ready", 24, False)
    (run,) = ask(filled, "/api/runs")
    assert (run["name"], run["accuracy"]) == (model["run"], model["accuracy"])
    assert run["verdict"] == COLOURS[run["verdict_word"]]
    assert run["verdict_advice"]


def test_unsorted_photos_are_proposed_a_class(filled: Page) -> None:
    photos = wait(lambda: filled.photos("unsorted"), lambda found: all(photo["proposal"] for photo in found))
    known = {one["id"] for one in filled.project()["classes"]}
    assert len(photos) == 8
    assert {photo["proposal"]["class"] for photo in photos} <= known


def test_a_tried_photo_is_answered_as_by_serve(filled: Page, drawn: Path) -> None:
    data = sorted((drawn / "cat").iterdir())[15].read_bytes()
    answer = filled.client.post("/api/try", params={"heatmap": 1}, content=data).json()
    assert set(answer["probabilities"]) == {"cat", "dog"}
    assert answer["provisional"] is False
    assert "heatmap" in answer


@pytest.mark.parametrize("data", [b"", b"no photo", b"\xff\xd8\xff\xe0 cut off"], ids=["empty", "text", "cut off"])
def test_what_is_no_photo_is_one_line(filled: Page, data: bytes) -> None:
    answer = filled.client.post("/api/try", content=data)
    assert answer.status_code in (400, 415, 422)
    assert list(answer.json()) == ["error"]


def test_a_photo_of_the_project_has_a_heat_map(filled: Page) -> None:
    identity = filled.ids("cat")[0]
    assert "heatmap" in ask(filled, f"/api/heatmap/{identity}")
    assert filled.client.get("/api/heatmap/0000000000000000").status_code == 404


def test_the_check_names_photos_with_what_is_needed_to_show_them(filled: Page) -> None:
    found = wait(lambda: ask(filled, "/api/check"), lambda check: check["state"] == "ready")
    photos = [photo for finding in found["findings"] for group in finding["groups"] for photo in group]
    ids = {*filled.ids("cat"), *filled.ids("dog")}
    assert all(photo["id"] in ids and photo["digest"] and photo["class"] for photo in photos)


def test_a_report_runs_in_an_origin_of_its_own_and_loads_nothing(filled: Page) -> None:
    (run,) = ask(filled, "/api/runs")
    answer = filled.client.get(run["report"])
    policy = answer.headers.get_list("content-security-policy")
    assert answer.status_code == 200
    assert len(policy) == 1
    assert "default-src 'none'" in policy[0]
    assert "sandbox allow-scripts" in policy[0]
    assert "allow-same-origin" not in policy[0]


def test_runs_that_are_not_there_are_404(filled: Page) -> None:
    assert filled.client.get("/runs/../../etc/report").status_code == 404
    assert filled.client.get("/runs/0000000000000000/report").status_code == 404
    assert filled.client.post("/api/serve", json={"run": "0" * 16, "on": True}).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [({"recipe": "nonsense"}, 409), ({"recipe": "scratch", "minutes": -3}, 409), ({}, 400), ({"recipe": 7}, 400)],
)
def test_wrong_jobs_are_refused_in_one_line(filled: Page, body: dict[str, Any], status: int) -> None:
    answer = filled.client.post("/api/jobs", json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


def test_unknown_jobs_are_404(filled: Page) -> None:
    assert filled.client.post(f"/api/jobs/{'0' * 12}/cancel").status_code == 404


def test_a_run_is_served_and_switched_off(filled: Page) -> None:
    (run,) = ask(filled, "/api/runs")
    on = filled.client.post("/api/serve", json={"run": run["id"], "on": True}).json()
    assert filled.project()["served"] == on
    filled.client.post("/api/serve", json={"run": run["id"], "on": False})
    assert filled.project()["served"] is None


def test_a_label_is_a_new_model_which_is_compared_with_the_old_one(filled: Page) -> None:
    photo = filled.photos("unsorted")[0]
    filled.do("label", photos=[photo["id"]], **{"class": photo["proposal"]["class"]})
    wait(lambda: ask(filled, "/api/model"), lambda model: model["num_photos"] == 25)
    wait(lambda: ask(filled, "/api/model"), lambda model: model["state"] in ("ready", "failed"))
    newest, oldest = ask(filled, "/api/runs")
    found = ask(filled, f"/api/runs/{newest['id']}/compare/{oldest['id']}")
    assert found["sentence"].endswith(".")
    assert found["num_photos"] == 24
    filled.do("undo")
    assert wait(lambda: ask(filled, "/api/model"), lambda model: model["num_photos"] == 24)["run"] == oldest["name"]


def test_pages_are_told_of_the_model(filled: Page, folder_of_all: Path) -> None:
    last = filled.client.app.state.studio.events._newest["model "]  # type: ignore[attr-defined]
    assert json.loads(json.dumps(last.data)) == ask(filled, "/api/model")
    assert (folder_of_all / ".tellapart" / "runs").is_dir()


def test_without_photos_trying_says_what_to_do(page: Page) -> None:
    answer = page.client.post("/api/try", content=b"x")
    assert answer.status_code == 409
    assert "Add photos" in answer.json()["error"]


def test_a_folder_of_one_class_stays_open(page: Page, drawn: Path) -> None:
    page.do("add_class", name="cat")
    for path in sorted((drawn / "cat").iterdir())[:2]:
        page.add(path.read_bytes(), path.name, "cat")
    model = wait(lambda: ask(page, "/api/model"), lambda found: found["message"] == "Add photos to a second class.")
    assert model["state"] == "none"
    assert ask(page, "/api/check")["state"] == "none"
    assert ask(page, "/api/runs") == []


def photos_found(page: Page, name: str) -> list[str]:
    check = wait(lambda: ask(page, "/api/check"), lambda found: found["state"] == "ready")
    groups = [group for finding in check["findings"] if finding["name"] == name for group in finding["groups"]]
    return [photo["id"] for group in groups for photo in group]


def test_what_was_decided_since_the_check_is_not_asked_again_until_it_is_undone(page: Page, drawn: Path) -> None:
    for name in ("cat", "dog"):
        page.do("add_class", name=name)
        for path in sorted((drawn / name).iterdir())[:6]:
            page.add(path.read_bytes(), path.name, name)
    page.add(sorted((drawn / "cat").iterdir())[0].read_bytes(), "again.jpg", "dog")
    wait(lambda: ask(page, "/api/model"), lambda model: model["num_photos"] == 13)
    found = photos_found(page, "cross_class")
    assert len(found) == 2
    page.do("keep", photos=found)
    assert photos_found(page, "cross_class") == []
    page.do("undo")
    assert photos_found(page, "cross_class") == found


def test_labels_of_one_batch_are_undone_together(page: Page, drawn: Path) -> None:
    for name in ("cat", "dog"):
        page.do("add_class", name=name)
    for path in sorted((drawn / "cat").iterdir())[:2]:
        page.add(path.read_bytes(), path.name)
    for identity, name in zip(page.ids("unsorted"), ("cat", "dog"), strict=True):
        page.do("label", photos=[identity], batch="all", **{"class": page.class_id(name)})
    assert page.counts() == {"cat": 1, "dog": 1}
    page.do("undo")
    assert page.counts() == {"cat": 0, "dog": 0}
