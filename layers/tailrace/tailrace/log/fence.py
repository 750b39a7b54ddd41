"""The fence: the first event of an attempt. After it, every write of an older attempt fails."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tailrace.errors import Fenced, LogUnreadable, TaskFinished
from tailrace.events import TERMINAL, ends
from tailrace.log import Batch, EventLog, Head

logger = logging.getLogger("tailrace.log")

T = TypeVar("T")


async def append_fence(log: EventLog, task_id: str, propose: Callable[[], Awaitable[tuple[Batch | None, T]]]) -> T:
    """Append the batch that `propose` makes of the log's present end; return what comes with it.

    If an older attempt has written there in the meantime, `propose` is called again: that attempt fails at its next
    write, or is overtaken once more. With None instead of a batch nothing is written.

    Raises:
        LogUnavailable: nothing may be assumed about the fence.
        Exception: what `propose` raises. It raises `Fenced` if a newer attempt has written, which ends the loop.
    """
    while True:
        fence, result = await propose()
        if fence is None:
            return result
        try:
            await log.append(task_id, fence)
        except Fenced:
            continue
        return result


async def put_fence(log: EventLog, head: Head, event_at: Callable[[int], bytes]) -> Batch:
    """Append the fence of the head's attempt; `event_at` makes the event from its seq. Return the batch written.

    The older events need not be readable.

    Raises:
        TaskFinished: an older attempt has ended the task without updating its head. The head is updated now.
        Fenced: a newer attempt has written its fence.
        LogUnavailable: nothing may be assumed about the fence.
    """

    async def propose() -> tuple[Batch, Batch]:
        last = await log.last(head.task_id)
        newest = await _read_newest(log, head.task_id, last)
        if newest is not None and newest.attempt > head.attempt:
            raise Fenced(head.task_id, head.attempt, newest.seq)
        state = ends(newest.events[-1]) if newest is not None else None
        if state is not None and state in TERMINAL:
            await log.update_state(head.task_id, head.attempt, state, release=True)
            raise TaskFinished(head.task_id, state)
        seq = (last if newest is None else newest.last) + 1
        fence = Batch(seq, head.attempt, [event_at(seq)])
        return fence, fence

    return await append_fence(log, head.task_id, propose)


async def _read_newest(log: EventLog, task_id: str, last: int) -> Batch | None:
    """The newest batch, from the event with seq `last` on; None if there is none or it cannot be unpacked."""
    try:
        batches = await log.read(task_id, max(last - 1, 0))
    except LogUnreadable:
        logger.exception("task %s: its newest events, from %d on, cannot be read", task_id, last)
        return None
    return batches[-1] if batches else None
