"""Trainings and exports as jobs: each in a process of its own, which is paused, resumed and cancelled.

It outlives Studio. A job is a folder `jobs/ID` with what was asked (`job.json`), how far it is (`progress.json`) and
its process; what it makes is a run or an export as any other. What was asked is written before it is done, so that a
kill at any moment leaves a job that goes on, or that can be resumed.
"""

import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tellapart.errors import ConfigError, DatasetError
from tellapart.export.target import find_target
from tellapart.live.detached_process import DetachedProcess, describe_end, remove_folder
from tellapart.live.job_records import JobOrder, JobStatus, read_order, write_order
from tellapart.live.job_tasks import ExportTask, Task, TrainingTask
from tellapart.live.live_project import LiveProject, runs_dir, state_dir
from tellapart.live.progress_file import read_progress
from tellapart.settings import recipe_config
from tellapart.translation import gettext as _

_JOBS_DIR_NAME, _PROGRESS_NAME = "jobs", "progress.json"
_POLL_SECONDS = 0.5
_STOP_SECONDS = 10.0
_ID = re.compile(r"[0-9a-f]{12}")


class Jobs:
    """The jobs of a project; may be used from several threads.

    Args:
        project: whose photos.
        publish: told each change of a job; `None` for one that is gone.
    """

    def __init__(
        self, project: LiveProject, publish: Callable[[str, JobStatus | None], None] = lambda number, status: None
    ) -> None:
        self._project, self._publish = project, publish
        self._jobs_dir = state_dir(project) / _JOBS_DIR_NAME
        self._lock = threading.RLock()
        self._processes: dict[str, DetachedProcess] = {}
        self._orders: dict[str, JobOrder] = {order.id: order for order in self._read_orders()}
        self._told: dict[str, JobStatus] = {}
        self._is_closed = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self) -> None:
        """Nothing; from now on changes are told."""
        self._thread = threading.Thread(target=self._watch, name="jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nothing; changes are no longer told, and what runs goes on."""
        self._is_closed.set()
        if self._thread is not None:
            self._thread.join()

    def statuses(self) -> list[JobStatus]:
        """All jobs, the newest first."""
        with self._lock:
            orders = sorted(self._orders.values(), key=lambda order: order.made_at, reverse=True)
            return [self._status(order) for order in orders]

    def start(self, recipe: str, minutes: float | None = None, epochs: int | None = None) -> JobStatus:
        """A new training, which runs.

        Raises:
            ConfigError: a setting is wrong, or a training by the recipe runs already.
            OutputError: nothing can be written into the folder.
        """
        given = {"recipe": recipe, "minutes": minutes, "epochs": epochs}
        recipe_config({name: value for name, value in given.items() if value is not None})
        with self._lock:
            if any(isinstance(one, TrainingTask) and one.recipe == recipe for one in self._running()):
                raise ConfigError(
                    _("A training of the recipe {recipe} is running. Pause or cancel it first.").format(recipe=recipe),
                    field="recipe",
                    value=recipe,
                )
            return self._add(TrainingTask(recipe, self._new_run_name(recipe), minutes, epochs))

    def export(self, run_dir: Path, target: str) -> JobStatus:
        """A new export of a run, which runs; the row of an earlier one to the same target is gone.

        Raises:
            ConfigError: there is no such target, or the export is being made already.
            DependencyError: a package that the target needs is not installed.
            OutputError: nothing can be written into the folder.
        """
        find_target(target)
        task = ExportTask(run_dir, target)
        with self._lock:
            if task in self._running():
                message = _("The export to {target} is being made already.").format(target=target)
                raise ConfigError(message, field="target", value=target)
            for number in [order.id for order in self._orders.values() if order.task == task]:
                self.cancel(number)
            return self._add(task)

    def pause(self, number: str) -> JobStatus:
        """The job, whose process ends at once or after the epoch under way; what it has learned is kept.

        Raises:
            DatasetError: there is no such job.
            ConfigError: it does not run, or cannot be paused.
        """
        with self._lock:
            order = self._order(number)
            if self._status(order).state != "running" or not order.task.can_pause:
                raise ConfigError(_("This job cannot be paused now."), field="id", value=number)
            order = replace(order, wish="pause")
            self._write(order)
            self._process(order).stop()
            return self._tell(order)

    def resume(self, number: str) -> JobStatus:
        """The job, which runs again from where it was.

        Raises:
            DatasetError: there is no such job.
            ConfigError: it runs, or is finished.
            OutputError: nothing can be written into the folder.
        """
        with self._lock:
            order = self._order(number)
            if self._status(order).state not in ("paused", "interrupted", "failed"):
                raise ConfigError(_("This job is running or finished."), field="id", value=number)
            order = replace(order, wish="run")
            self._write(order)
            self._begin(order)
            return self._tell(order)

    def cancel(self, number: str) -> None:
        """Nothing; the job is gone, and so is what it was making where that was not finished.

        Raises:
            DatasetError: there is no such job.
            OutputError: it cannot be removed.
        """
        with self._lock:
            order = self._order(number)
            is_finished = self._status(order).state == "done"
            process = self._process(order)
            if order.task.can_pause:
                process.kill(_STOP_SECONDS)
            else:  # it has processes of its own, which it ends
                process.end(_STOP_SECONDS)
            others = [one.task.run_dir(self._project) for one in self._orders.values() if one.id != number]
            if not is_finished and order.task.run_dir(self._project) not in others:
                order.task.remove_unfinished(self._project)
            remove_folder(self._jobs_dir / number)
            self._orders.pop(number)
            self._processes.pop(number, None)
            self._told.pop(number, None)
        self._publish(number, None)

    def run_dirs(self) -> list[Path]:
        """Folders of the runs that jobs make or need."""
        with self._lock:
            return [order.task.run_dir(self._project) for order in self._orders.values()]

    def _add(self, task: Task) -> JobStatus:
        number = secrets.token_hex(6)
        order = JobOrder(number, task, time.time())
        (self._jobs_dir / number).mkdir(parents=True, exist_ok=True)
        self._write(order)
        self._begin(order)
        return self._tell(order)

    def _running(self) -> list[Task]:
        return [status.order.task for status in self.statuses() if status.state in ("running", "pausing")]

    def _watch(self) -> None:
        while not self._is_closed.wait(_POLL_SECONDS):
            with self._lock:
                for order in [*self._orders.values()]:
                    self._tell(order)

    def _tell(self, order: JobOrder) -> JobStatus:
        """The status of the job; who wants to know it is told where it has changed."""
        status = self._status(order)
        if self._told.get(order.id) != status:
            self._told[order.id] = status
            self._publish(order.id, status)
        return status

    def _status(self, order: JobOrder) -> JobStatus:
        told = self._told.get(order.id)
        if told is not None and told.state in ("done", "failed", "paused") and told.order == order:
            return told
        is_running = self._process(order).is_running()
        progress = read_progress(self._jobs_dir / order.id / _PROGRESS_NAME)
        if is_running:
            return JobStatus(order, "running" if order.wish == "run" else "pausing", progress)
        if progress is not None and progress.state == "failed":
            return JobStatus(order, "failed", progress, progress.message)
        if progress is not None and progress.state == "finished" and order.task.is_made(self._project):
            return JobStatus(order, "done", progress, progress.message)
        if order.wish == "pause":
            return JobStatus(order, "paused", progress)
        if progress is None:
            return JobStatus(order, "interrupted", None, describe_end(self._project.folder))
        return JobStatus(order, "interrupted", progress)

    def _begin(self, order: JobOrder) -> None:
        """Nothing; the process of the job runs, from where what it makes is."""
        progress_path = self._jobs_dir / order.id / _PROGRESS_NAME
        self._told.pop(order.id, None)
        progress_path.unlink(missing_ok=True)
        self._process(order).start(order.task.command(self._project, progress_path))

    def _process(self, order: JobOrder) -> DetachedProcess:
        return self._processes.setdefault(order.id, DetachedProcess(self._jobs_dir / order.id))

    def _new_run_name(self, recipe: str) -> str:
        taken = {one.task.run_name for one in self._orders.values() if isinstance(one.task, TrainingTask)}
        number = 1
        while (name := f"{recipe}-{number}") in taken or (runs_dir(self._project) / name).exists():
            number += 1
        return name

    def _order(self, number: str) -> JobOrder:
        if number not in self._orders:
            raise DatasetError(_("This job is not there any more. Load the page again."))
        return self._orders[number]

    def _write(self, order: JobOrder) -> None:
        write_order(self._jobs_dir / order.id, order)
        self._orders[order.id] = order

    def _read_orders(self) -> list[JobOrder]:
        """The jobs that earlier Studios have left; what is damaged is passed over."""
        try:
            folders = [path for path in self._jobs_dir.iterdir() if _ID.fullmatch(path.name)]
        except OSError:
            return []
        found = (read_order(folder) for folder in folders)
        return [order for order in found if order is not None]
