"""The queue before the workers: bounded by the expected wait, and emptied of what nobody waits for."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tellapart.web.prediction_queue import PredictionQueue
from tellapart.web.refusals import RequestError


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds jobs until it is set; set at the end."""
    event = threading.Event()
    yield event
    event.set()


async def until(condition: object) -> None:
    """Returns when the function gives true."""
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0.001)


def test_results_come_in_the_order_of_the_jobs() -> None:
    queue = PredictionQueue(3, 1000, 0.01)
    queue.start()
    assert asyncio.run(queue.run([lambda one=one: one * one for one in range(20)])) == [one * one for one in range(20)]
    queue.close()
    assert (queue.num_waiting, queue.num_running) == (0, 0)


def test_what_a_job_raises_comes_out() -> None:
    queue = PredictionQueue(1, 1000, 0.01)
    queue.start()
    with pytest.raises(ZeroDivisionError):
        asyncio.run(queue.run([lambda: 1 // 0, lambda: 1]))
    assert asyncio.run(queue.run([lambda: 5])) == [5]
    queue.close()


@pytest.mark.parametrize("num_threads", [1, 2, 4])
def test_the_expected_wait_grows_with_the_jobs_ahead(num_threads: int, gate: threading.Event) -> None:
    async def fill() -> list[float]:
        queue = PredictionQueue(num_threads, 1000, 0.1)
        queue.start()
        waits, running = [], []
        for number in range(num_threads + 2):
            waits.append(queue.expected_wait_seconds())
            running.append(asyncio.ensure_future(queue.run([gate.wait])))
            await until(lambda number=number: queue.num_waiting + queue.num_running > number)
        gate.set()
        await asyncio.gather(*running)
        await asyncio.to_thread(queue.close)
        return waits

    waits = asyncio.run(fill())
    assert waits == pytest.approx([0] * num_threads + [0.1 / num_threads, 0.2 / num_threads])


@pytest.mark.parametrize(("num_waiting", "seconds"), [(2, "1"), (40, "3")])
def test_a_job_that_would_wait_too_long_is_refused_with_when_to_come_back(
    num_waiting: int, seconds: str, gate: threading.Event
) -> None:
    async def overload() -> RequestError:
        queue = PredictionQueue(2, 100, 0.12)
        queue.start()
        running = asyncio.ensure_future(queue.run([gate.wait] * (num_waiting + 2)))
        await until(lambda: queue.num_waiting == num_waiting and queue.num_running == 2)
        with pytest.raises(RequestError) as caught:
            queue.check()
        gate.set()
        await running
        queue.check()
        await asyncio.to_thread(queue.close)
        return caught.value

    error = asyncio.run(overload())
    assert error.status == 503
    assert error.response().headers["retry-after"] == seconds
    assert "busy" in error.message


def test_jobs_whose_client_has_left_are_taken_back(gate: threading.Event) -> None:
    done: list[int] = []

    async def leave() -> int:
        queue = PredictionQueue(1, 1000, 0.1)
        queue.start()
        first = asyncio.ensure_future(queue.run([gate.wait]))
        await until(lambda: queue.num_running == 1)
        second = asyncio.ensure_future(queue.run([lambda: done.append(1)]))
        await until(lambda: queue.num_waiting == 1)
        second.cancel()
        await until(second.done)
        num_waiting = queue.num_waiting
        gate.set()
        await first
        await queue.run([lambda: done.append(2)])
        await asyncio.to_thread(queue.close)
        return num_waiting

    assert asyncio.run(leave()) == 0
    assert done == [2]


def test_the_mean_follows_the_jobs() -> None:
    told: list[tuple[float, float]] = []
    queue = PredictionQueue(1, 1000, 5.0, lambda waited, worked: told.append((waited, worked)))
    queue.start()
    asyncio.run(queue.run([lambda: None] * 200))
    queue.close()
    assert len(told) == 200
    assert queue.job_seconds < 5.0
