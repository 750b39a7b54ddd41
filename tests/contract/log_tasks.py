"""A clock, heads and events for the tests of a log."""

from __future__ import annotations

import uuid

from tailrace.log import EventLog, Head

TTL_S = 1000.0


class Clock:
    """A clock that moves only when a test sets `now`."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def head_of(owner: str = "alice", task_id: str | None = None, fingerprint: str = "f", agent: str = "a") -> Head:
    return Head(task_id=task_id or str(uuid.uuid4()), owner=owner, context_id="c", agent=agent, fingerprint=fingerprint)


def events(first: int, count: int) -> list[bytes]:
    return [b'{"n":%d}' % n for n in range(first, first + count)]


async def created(log: EventLog, **head: str) -> str:
    return (await log.create(head_of(**head), events(1, 1)[0])).task_id


async def all_events(log: EventLog, task_id: str, after: int = 0, limit: int = 1_000_000) -> list[bytes]:
    """Read all events after the cursor page by page, and check that they are dense."""
    collected: list[bytes] = []
    while batches := await log.read(task_id, after, limit):
        for batch in batches:
            assert batch.seq == after + 1
            assert batch.events
            collected += batch.events
            after = batch.last
    return collected
