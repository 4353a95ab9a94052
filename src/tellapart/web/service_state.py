"""What all routes share, and the way a request's work goes through the queue."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from tellapart.web.prediction_queue import PredictionQueue
from tellapart.web.request_body import BodyReader
from tellapart.web.request_log import RequestLog
from tellapart.web.serve_config import ServeLimits
from tellapart.web.served_models import PhotoAnswer, ServedModel, ServedModels
from tellapart.web.service_metrics import ServiceMetrics

Result = TypeVar("Result")


@dataclass(frozen=True)
class ServiceState:
    """The parts of one app: its models, the queue before the workers, the reader of bodies, limits, counters, log."""

    models: ServedModels
    queue: PredictionQueue
    bodies: BodyReader
    limits: ServeLimits
    metrics: ServiceMetrics
    log: RequestLog

    async def work(self, request: Request, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """What the workers make of each of the works, in order; taken back when the client leaves.

        The body of the request has been read.

        Raises:
            ClientDisconnect: the client has left.
            Exception: what the first that failed has raised.
        """
        running = asyncio.ensure_future(self.queue.run(works))
        leaving = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait((running, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise ClientDisconnect
            return running.result()
        finally:
            running.cancel()
            leaving.cancel()

    def count_answers(self, served: ServedModel, answers: Sequence[PhotoAnswer]) -> None:
        """Nothing; the answers are counted."""
        for answer in answers:
            self.metrics.answers.labels(served.name, answer.prediction.doubt or "class").inc()
