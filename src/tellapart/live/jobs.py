"""Trainings as jobs: each recipe in a process of its own, which is paused, resumed and cancelled, and outlives Studio.

A job is a folder `jobs/ID` with what was asked (`job.json`), how far it is (`progress.json`) and its process; its run
is one as any other. What was asked is written before it is done, so that a kill at any moment leaves a job that goes
on, or that can be resumed.
"""

import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tellapart.errors import ConfigError, DatasetError
from tellapart.live.detached_process import DetachedProcess, describe_end, remove_folder
from tellapart.live.job_records import JobOrder, JobStatus, read_order, write_order
from tellapart.live.live_project import LiveProject, runs_dir, state_dir, train_command
from tellapart.live.progress_file import read_progress
from tellapart.predict.bundle import BUNDLE_FILE
from tellapart.runs.run_folder import RUN_FILE_NAME
from tellapart.settings import recipe_config
from tellapart.translation import gettext as _

_JOBS_DIR_NAME, _PROGRESS_NAME = "jobs", "progress.json"
_POLL_SECONDS = 0.5
_KILL_SECONDS = 10.0
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
        """A new job, which runs.

        Raises:
            ConfigError: a setting is wrong, or a job of the recipe runs already.
            OutputError: nothing can be written into the folder.
        """
        given = {"recipe": recipe, "minutes": minutes, "epochs": epochs}
        recipe_config({name: value for name, value in given.items() if value is not None})
        with self._lock:
            for status in self.statuses():
                if status.order.recipe == recipe and status.state in ("running", "pausing"):
                    raise ConfigError(
                        _("A training of the recipe {recipe} is running. Pause or cancel it first.").format(
                            recipe=recipe
                        ),
                        field="recipe",
                        value=recipe,
                    )
            number = secrets.token_hex(6)
            order = JobOrder(number, recipe, self._new_run_name(recipe), minutes, epochs, time.time())
            (self._jobs_dir / number).mkdir(parents=True, exist_ok=True)
            self._write(order)
            self._begin(order)
            return self._tell(order)

    def pause(self, number: str) -> JobStatus:
        """The job, whose process ends at once or after the epoch under way; what it has learned is kept.

        Raises:
            DatasetError: there is no such job.
            ConfigError: it does not run.
        """
        with self._lock:
            order = self._order(number)
            if self._status(order).state != "running":
                raise ConfigError(_("This training is not running."), field="id", value=number)
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
                raise ConfigError(_("This training is running or finished."), field="id", value=number)
            order = replace(order, wish="run")
            self._write(order)
            self._begin(order)
            return self._tell(order)

    def cancel(self, number: str) -> None:
        """Nothing; the job is gone, and so is its run where it was not finished.

        Raises:
            DatasetError: there is no such job.
            OutputError: it cannot be removed.
        """
        with self._lock:
            order = self._order(number)
            is_finished = self._status(order).state == "done"
            self._process(order).kill(_KILL_SECONDS)
            if not is_finished:
                remove_folder(self._run_dir(order))
            remove_folder(self._jobs_dir / number)
            self._orders.pop(number)
            self._processes.pop(number, None)
            self._told.pop(number, None)
        self._publish(number, None)

    def run_dirs(self) -> list[Path]:
        """Folders of the runs of jobs."""
        with self._lock:
            return [self._run_dir(order) for order in self._orders.values()]

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
        if progress is not None and progress.state == "finished" and (self._run_dir(order) / BUNDLE_FILE).exists():
            return JobStatus(order, "done", progress)
        if order.wish == "pause":
            return JobStatus(order, "paused", progress)
        if progress is None:
            return JobStatus(order, "interrupted", None, describe_end(self._project.folder))
        return JobStatus(order, "interrupted", progress)

    def _begin(self, order: JobOrder) -> None:
        """The process of the job runs, from where its run is."""
        progress_path = self._jobs_dir / order.id / _PROGRESS_NAME
        run_dir = self._run_dir(order)
        settings: dict[str, object] = {"resume": True}
        if not (run_dir / RUN_FILE_NAME).exists():
            settings = {"recipe": order.recipe, "minutes": order.minutes, "epochs": order.epochs}
        self._told.pop(order.id, None)
        progress_path.unlink(missing_ok=True)
        self._process(order).start(train_command(self._project, run_dir, progress_path, **settings))

    def _process(self, order: JobOrder) -> DetachedProcess:
        return self._processes.setdefault(order.id, DetachedProcess(self._jobs_dir / order.id))

    def _run_dir(self, order: JobOrder) -> Path:
        return runs_dir(self._project) / order.run_name

    def _new_run_name(self, recipe: str) -> str:
        taken = {order.run_name for order in self._orders.values()}
        number = 1
        while (name := f"{recipe}-{number}") in taken or (runs_dir(self._project) / name).exists():
            number += 1
        return name

    def _order(self, number: str) -> JobOrder:
        if number not in self._orders:
            raise DatasetError(_("There is no such training. Load the page again."))
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
