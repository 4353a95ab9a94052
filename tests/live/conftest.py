"""Projects for the tests: folders of drawn photos, and a backbone of two random convolutions."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tellapart.demo.drawing import write_demo_folder
from tellapart.live.live_model import LiveModel
from tellapart.live.live_project import ModelPhoto
from tellapart.live.model_status import ModelStatus

UNSORTED = ".tellapart/unsorted"


@dataclass
class FolderProject:
    """The photos of a folder per class, and those in the folder of the unsorted ones."""

    folder: Path
    cache_dir: str | None
    class_level: int | None = 1
    groups: dict[str, str] = field(default_factory=dict)

    def model_photos(self) -> list[ModelPhoto]:
        paths = sorted(path for path in self.folder.glob("*/*") if not path.parent.name.startswith("."))
        labelled = [ModelPhoto(path.name, path, path.parent.name, self.groups.get(path.name)) for path in paths]
        return labelled + [ModelPhoto(path.name, path, None) for path in sorted(self.folder.glob(f"{UNSORTED}/*"))]

    def add(self, *sources: Path, to: str) -> None:
        """Copies of photos in a class, or in `UNSORTED`."""
        (self.folder / to).mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(source, self.folder / to / source.name)


class Watched:
    """A live model, with all that it has told."""

    def __init__(self, project: FolderProject, backbone: str, rest_seconds: float) -> None:
        self.told: list[ModelStatus] = []
        self._changed = threading.Condition()
        self.model = LiveModel(project, self._take, backbone=backbone, rest_seconds=rest_seconds)
        self.project = project

    def _take(self, status: ModelStatus) -> None:
        with self._changed:
            self.told.append(status)
            self._changed.notify_all()

    def wait_for(self, *states: str, seconds: float = 300) -> ModelStatus:
        """The status once it is one of these states."""
        with self._changed:
            reached = self._changed.wait_for(lambda: self.model.status.state in states, seconds)
        assert reached, f"{self.model.status} instead of {states}"
        return self.model.status

    def wait_until(self, is_true: Callable[[], bool], seconds: float = 300) -> None:
        """Nothing; it is true."""
        with self._changed:
            assert self._changed.wait_for(is_true, seconds), self.model.status


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """20 drawn photos of each of two classes, by class; not to be changed."""
    folder = write_demo_folder(tmp_path_factory.mktemp("drawn") / "photos", 20, seed=11)
    return {path.name: sorted(path.iterdir()) for path in sorted(folder.iterdir())}


@pytest.fixture
def project(tmp_path: Path, cache_dir: str) -> FolderProject:
    """An empty project."""
    (tmp_path / "pets").mkdir()
    return FolderProject(tmp_path / "pets", cache_dir)


@pytest.fixture
def watch(tiny_backbone: Path) -> Iterator[Callable[..., Watched]]:
    """A function that starts a live model of a project; by default it never rests."""
    started: list[Watched] = []

    def start(project: FolderProject, rest_seconds: float = 3600.0) -> Watched:
        started.append(Watched(project, str(tiny_backbone), rest_seconds))
        started[-1].model.start()
        return started[-1]

    yield start
    for watched in started:
        watched.model.close()


def wait(is_true: Callable[[], bool], seconds: float = 300) -> None:
    """Nothing; it is true before so many seconds are over."""
    until = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.02)
