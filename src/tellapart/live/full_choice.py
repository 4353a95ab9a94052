"""The full choice of a model: `tellapart train` on the folder of a project, in a process of its own, with its run.

It is the very training of the command line, so its run is one as any other. What is unfinished is removed: a choice is
begun again when photos have changed, and its embeddings are kept by the store.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from tellapart.errors import BundleError
from tellapart.live.detached_process import DetachedProcess, describe_end, remove_folder
from tellapart.live.live_project import RUNS_DIR_NAME, LiveProject, runs_dir, state_dir, train_command
from tellapart.live.progress_file import Progress, read_progress
from tellapart.live.run_list import LearnedPhotos, RunSummary, learned_photos, list_runs, read_summary
from tellapart.predict.bundle import BUNDLE_FILE, EXPORTS_DIR

_CHOICE_DIR_NAME, _PROGRESS_NAME = "choice", "progress.json"
# Runs of Studio's own making are numbered; the newest of them stay, and those that somebody has exported.
_OWN_NAME = re.compile(r"model-([0-9]{1,9})")
_MOST_KEPT = 5
_STOP_SECONDS = 5.0


def runs_of_project(project: LiveProject) -> list[RunSummary]:
    """The runs of a project, the newest first: its own, and those the command line has made of its photos beside it."""
    own = list_runs([runs_dir(project)])
    beside = [run for run in list_runs([project.folder.parent / RUNS_DIR_NAME]) if _is_of(run, project.folder)]
    return sorted([*own, *beside], key=lambda run: run.made_at, reverse=True)


def _is_of(run: RunSummary, folder: Path) -> bool:
    try:
        return len(run.sources) == 1 and Path(run.sources[0]).resolve() == folder.resolve()
    except OSError:
        return False


class FullChoice:
    """The process that chooses, and the runs it leaves; used by one thread.

    Args:
        project: whose photos.
        backbone: what photos are looked at with; `None` leaves it to the training.
        kept: gives the folders of runs that are in use, and stay.
    """

    def __init__(
        self,
        project: LiveProject,
        backbone: str | None = None,
        kept: Callable[[], Iterable[Path]] = lambda: (),
    ) -> None:
        self._project, self._backbone, self._kept = project, backbone, kept
        self._process = DetachedProcess(state_dir(project) / _CHOICE_DIR_NAME)
        self._run_dir: Path | None = None
        self._learned: dict[Path, tuple[str, LearnedPhotos]] = {}

    @property
    def is_begun(self) -> bool:
        """Whether a choice was begun whose outcome nobody has asked for yet."""
        return self._run_dir is not None

    @property
    def is_running(self) -> bool:
        """Whether the process of the choice runs."""
        return self._process.is_running()

    @property
    def progress(self) -> Progress | None:
        """How far it is; `None` where that is not known."""
        return read_progress(self._process.folder / _PROGRESS_NAME)

    def begin(self) -> None:
        """Nothing; the photos of the folder are trained on from now on.

        Raises:
            OutputError: nothing can be written into the folder.
        """
        self.stop()
        progress_path = self._process.folder / _PROGRESS_NAME
        progress_path.unlink(missing_ok=True)
        number = 1 + max((_number_of(path) for path in _subfolders(runs_dir(self._project))), default=0)
        self._run_dir = runs_dir(self._project) / f"model-{number}"
        settings = {"recipe": "transfer", "backbone": self._backbone}
        self._process.start(train_command(self._project, self._run_dir, progress_path, **settings))

    def stop(self) -> None:
        """Nothing; no choice runs, and what it has left unfinished is gone."""
        if self._process.is_running():
            self._process.end(_STOP_SECONDS)
        self._run_dir = None
        for path in _subfolders(runs_dir(self._project)):
            if _number_of(path) and not (path / BUNDLE_FILE).exists():
                remove_folder(path)

    def take(self) -> RunSummary | str:
        """The run of a choice that has ended, or why there is none in one line; older runs of Studio's go."""
        run_dir, self._run_dir = self._run_dir, None
        assert run_dir is not None
        progress = self.progress
        if progress is not None and progress.state == "failed":
            return progress.message
        try:
            run = read_summary(run_dir)
        except (BundleError, OSError):
            return describe_end(self._project.folder)
        self._remove_old()
        return run

    def find(self, learned: LearnedPhotos) -> RunSummary | None:
        """The newest finished run on the embeddings of exactly these photos with these classes; `None` without one."""
        for run in runs_of_project(self._project):
            if run.recipe != "transfer" or run.is_stopped:
                continue
            try:
                if self._learned.get(run.run_dir, ("", None))[0] != run.made_at:
                    self._learned[run.run_dir] = run.made_at, learned_photos(run.run_dir)
            except BundleError:
                continue
            if self._learned[run.run_dir][1] == learned:
                return run
        return None

    def _remove_old(self) -> None:
        own = sorted(filter(_number_of, _subfolders(runs_dir(self._project))), key=_number_of)
        in_use = {path.resolve() for path in self._kept()}
        for path in own[:-_MOST_KEPT]:
            if path.resolve() not in in_use and not (path / EXPORTS_DIR).exists():
                remove_folder(path)
                self._learned.pop(path, None)


def _subfolders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def _number_of(path: Path) -> int:
    """The number of a run of Studio's own making; 0 for any other."""
    match = _OWN_NAME.fullmatch(path.name)
    return int(match[1]) if match else 0
