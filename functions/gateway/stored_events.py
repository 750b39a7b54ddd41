"""What the log has of an owner's tasks, for streams in other languages than ours: a task, and its events decoded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import NamedTuple

from tailrace.a2a.identity import conversation_id_of
from tailrace.errors import EventUnreadable, LogUnreadable, TaskUnknown
from tailrace.events import Event, decode
from tailrace.log import EventLog, Head

logger = logging.getLogger("tailrace.gateway")


class Stored(NamedTuple):
    """An event with its seq; None if it cannot be read, or those up to it cannot."""

    seq: int
    event: Event | None


async def latest_task(log: EventLog, owner: str, agent: str, context_id: str) -> Head | None:
    """The head of the latest task of the owner's conversation; None if there is none, or it is being deleted."""
    record = await log.conversations.get(conversation_id_of(owner, agent, context_id))
    return None if record is None or record.deleting is not None else await task_of(log, owner, record.task)


async def task_of(log: EventLog, owner: str, task_id: str) -> Head | None:
    """The head of the owner's task; None if the owner has no such task."""
    try:
        head = await log.head(task_id)
    except TaskUnknown:
        return None
    return head if head.owner == owner else None


async def stored_events(log: EventLog, task_id: str, until: int | None = None) -> AsyncGenerator[Stored]:
    """A task's events up to the seq `until`, by default all that are stored.

    Raises:
        LogUnavailable
    """
    seq = 0
    while until is None or seq < until:
        try:
            batches = await log.read(task_id, seq)
        except LogUnreadable as error:
            seq = error.last
            yield Stored(seq, None)
            continue
        if not batches:
            return
        for batch in batches:
            for number, event in enumerate(batch.events, batch.seq):
                if until is not None and number > until:
                    return
                yield Stored(number, decoded(task_id, number, event))
            seq = batch.last
        await asyncio.sleep(0)  # A log may be long, and others have to be served.


def decoded(task_id: str, seq: int, event: bytes) -> Event | None:
    """The event; None if it cannot be read, which the log of the process says."""
    try:
        return decode(event)
    except EventUnreadable as error:
        logger.warning("task %s: event %d is left out of a stream, it cannot be read: %s", task_id, seq, error)
        return None
