"""What pages are told as it happens, and what one that comes back is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tellapart.studio.events import EventBus


async def take(stream: AsyncIterator[bytes], num: int) -> list[tuple[int, str]]:
    """Number and kind of so many events."""
    found: list[tuple[int, str]] = []
    async for chunk in stream:
        if chunk.startswith(b"id: "):
            lines = chunk.decode().splitlines()
            found.append((int(lines[0].removeprefix("id: ")), lines[1].removeprefix("event: ")))
        if len(found) == num:
            break
    return found


def publish_some(bus: EventBus) -> None:
    bus.publish("project", {"revision": 1})
    bus.publish("job", {"id": "a"}, key="a")
    bus.publish("job", {"id": "b"}, key="b")
    bus.publish("project", {"revision": 2})


def test_a_page_that_comes_back_is_told_the_newest_of_each_kind() -> None:
    bus = EventBus()
    publish_some(bus)
    found = asyncio.run(take(bus.listen(0), 3))
    assert [kind for _number, kind in found] == ["job", "job", "project"]


def test_a_page_that_has_heard_all_is_told_what_comes_then() -> None:
    bus = EventBus()
    publish_some(bus)

    async def listen() -> list[tuple[int, str]]:
        last = (await take(bus.listen(0), 3))[-1][0]
        waiting = asyncio.ensure_future(take(bus.listen(last), 1))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(bus.publish, "model", {"state": "ready"})
        return await asyncio.wait_for(waiting, 5)

    assert [kind for _number, kind in asyncio.run(listen())] == ["model"]


def test_a_page_of_an_earlier_process_is_told_all() -> None:
    earlier = EventBus()
    publish_some(earlier)
    last = asyncio.run(take(earlier.listen(0), 3))[-1][0]
    now = EventBus()
    now._number = max(now._number, last + 1)  # a millisecond later
    publish_some(now)
    assert len(asyncio.run(take(now.listen(last), 3))) == 3


def test_listening_ends_when_studio_is_closed() -> None:
    bus = EventBus()

    async def listen() -> list[tuple[int, str]]:
        waiting = asyncio.ensure_future(take(bus.listen(None), 1))
        await asyncio.sleep(0.01)
        bus.close()
        return await asyncio.wait_for(waiting, 5)

    assert asyncio.run(listen()) == []


@pytest.mark.parametrize("last", ["", "x", "-1", "9" * 400])
def test_an_id_that_is_none_is_not_believed(last: str, page: Any) -> None:
    studio = page.client.app.state.studio
    studio.events.close()
    answer = page.client.get("/api/events", headers={"last-event-id": last})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
