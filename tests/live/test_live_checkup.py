from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.live import live_checkup
from tellapart.live.live_checkup import CheckStatus, LiveCheckup

from .conftest import FolderProject, Watched, wait

Watch = Callable[..., Watched]
Drawn = dict[str, list[Path]]


@pytest.fixture
def watched(project: FolderProject, drawn: Drawn, watch: Watch) -> Watched:
    """A model of 12 photos a class, one of which is in both."""
    for name, paths in drawn.items():
        project.add(*paths[:12], to=name)
    project.add(drawn["cat"][0], to="dog")
    started = watch(project)
    started.wait_for("provisional")
    return started


def test_findings_name_their_photos_in_groups(watched: Watched, drawn: Drawn) -> None:
    told: list[CheckStatus] = []
    checkup = LiveCheckup(lambda: watched.model.snapshot, told.append)
    assert checkup.status().state == "checking"
    wait(lambda: bool(told))
    status = checkup.status()
    assert status.state == "ready"
    (finding,) = [one for one in status.findings if one["name"] == "cross_class"]
    assert finding["is_problem"]
    assert [[one["photo"].id for one in group["photos"]] for group in finding["groups"]] == [[drawn["cat"][0].name] * 2]


def test_a_check_up_is_made_again_only_when_photos_have_changed(watched: Watched) -> None:
    told: list[CheckStatus] = []
    checkup = LiveCheckup(lambda: watched.model.snapshot, told.append)
    checkup.status()
    checkup.close()
    checkup.status()
    checkup.close()
    assert len(told) == 1
    next((watched.project.folder / "dog").iterdir()).unlink()
    before = watched.model.snapshot
    watched.model.project_changed()
    watched.wait_until(lambda: watched.model.snapshot is not before)
    assert checkup.status().state == "checking"
    checkup.close()


def test_without_photos_there_is_nothing_to_check() -> None:
    assert LiveCheckup(lambda: None, lambda status: None).status().state == "none"


def test_a_defect_is_told(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_checkup, "check_up", lambda *_: 1 / 0)
    checkup = LiveCheckup(lambda: watched.model.snapshot, lambda status: None)
    checkup.status()
    checkup.close()
    assert checkup.status().state == "failed"
    assert "ZeroDivisionError" in checkup.status().message
