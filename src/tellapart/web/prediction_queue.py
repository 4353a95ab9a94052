"""A worker thread a core, and the queue before them, bounded by how long one would wait in it.

A network on a CPU gains nothing from batches (see decision 005), so each job is one photo, decoded and predicted in one
thread. Jobs are added in the thread of the event loop.
"""

import asyncio
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tellapart.translation import gettext as _
from tellapart.web.refusals import RequestError

Result = TypeVar("Result")
# How much of the running mean the newest job makes up.
_NEWEST = 0.1


@dataclass
class _Job:
    """Work that waits for a thread, and where its result goes."""

    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    queued_at: float = field(default_factory=time.perf_counter)
    is_waiting: bool = True


class PredictionQueue:
    """Runs jobs in worker threads; refuses them when they would wait too long.

    Args:
        num_threads: jobs that run at once.
        max_wait_ms: the longest expected wait that is accepted.
        job_seconds: a first guess of how long a job takes; measured from then on.
        on_job: told in a worker thread, after each job, how many seconds it waited and worked.
    """

    def __init__(
        self,
        num_threads: int,
        max_wait_ms: int,
        job_seconds: float,
        on_job: Callable[[float, float], None] = lambda waited, worked: None,
    ) -> None:
        self.num_threads = num_threads
        self.max_wait_ms = max_wait_ms
        self.job_seconds = job_seconds
        self._on_job = on_job
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._num_waiting = self._num_running = 0
        self._threads: list[threading.Thread] = []

    @property
    def num_waiting(self) -> int:
        """Jobs that no thread has begun."""
        return self._num_waiting

    @property
    def num_running(self) -> int:
        """Jobs that a thread works on."""
        return self._num_running

    def start(self) -> None:
        """Nothing; from now on jobs are worked on."""
        for number in range(self.num_threads):
            thread = threading.Thread(target=self._work, name=f"predictions {number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Nothing; jobs that were added are done, and the threads have ended."""
        for _thread in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def expected_wait_seconds(self) -> float:
        """How long a job that was added now would wait for a thread, by the mean of earlier jobs."""
        with self._lock:
            num_ahead = self._num_waiting + self._num_running - self.num_threads + 1
            return max(0, num_ahead) * self.job_seconds / self.num_threads

    def check(self) -> None:
        """Nothing, if a job may be added now.

        Raises:
            RequestError: it would wait too long.
        """
        wait = self.expected_wait_seconds()
        if wait * 1000 > self.max_wait_ms:
            message = _("The server is busy: a photo would wait {wait:,.0f} ms. Try again in {seconds} s.")
            seconds = max(1, math.ceil(wait))
            raise RequestError(503, message.format(wait=wait * 1000, seconds=seconds), seconds, "busy")

    async def run(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """What each of the jobs gives, in order; whoever cancels this takes back those that no thread has begun.

        Raises:
            Exception: what the first job that failed has raised.
        """
        loop = asyncio.get_running_loop()
        jobs = [_Job(work, loop, loop.create_future()) for work in works]
        with self._lock:
            self._num_waiting += len(jobs)
        for job in jobs:
            self._jobs.put(job)
        try:
            return [await job.future for job in jobs]
        finally:
            for job in jobs:
                self._take_back(job)

    def _take_back(self, job: _Job) -> None:
        if job.future.done() and not job.future.cancelled():
            job.future.exception()  # looked at, so that asyncio does not complain of it
        job.future.cancel()
        with self._lock:
            if job.is_waiting:
                job.is_waiting = False
                self._num_waiting -= 1

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._lock:
                if not job.is_waiting:
                    continue
                job.is_waiting = False
                self._num_waiting -= 1
                self._num_running += 1
            self._do(job)
            del job  # an answered photo does not wait for the next one

    def _do(self, job: _Job) -> None:
        begun = time.perf_counter()
        result, error = None, None
        try:
            result = job.work()
        except BaseException as exc:
            error = exc
        worked = time.perf_counter() - begun
        with self._lock:
            self._num_running -= 1
            self.job_seconds += _NEWEST * (worked - self.job_seconds)
        self._on_job(begun - job.queued_at, worked)
        try:
            job.loop.call_soon_threadsafe(_resolve, job.future, result, error)
        except RuntimeError:  # the loop has ended
            return


def _resolve(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if future.done():  # its client has left
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
