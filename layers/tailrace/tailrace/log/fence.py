"""The fence: the event a new attempt writes first, which makes every write of the older attempts fail."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tailrace.errors import Fenced, TailraceError, TaskFinished
from tailrace.events import TERMINAL, ends
from tailrace.log import Batch, EventLog, Head

logger = logging.getLogger("tailrace.log")


async def put_fence(log: EventLog, head: Head, event_at: Callable[[int], bytes]) -> Batch:
    """Put the attempt's first event, `event_at` its seq, where the log ends; from then on only it writes.

    What is there already need not be readable.

    Raises:
        TaskFinished: an older attempt has finished the task and did not live to note it. Now it is noted.
        Fenced: a newer attempt has put its fence already.
        LogUnavailable: nothing may be assumed about the fence.
    """
    while True:
        last = await log.last(head.task_id)
        newest = await _read(log, head.task_id, max(last - 1, 0))
        if newest and newest[-1].attempt > head.attempt:
            raise Fenced(head.task_id, head.attempt, newest[-1].seq)
        state = ends(newest[-1].events[-1]) if newest else None
        if state is not None and state in TERMINAL:
            await log.update_state(head.task_id, head.attempt, state, release=True)
            raise TaskFinished(head.task_id, state)
        seq = newest[-1].last + 1 if newest else last + 1
        fence = Batch(seq, head.attempt, [event_at(seq)])
        try:
            await log.append(head.task_id, fence)
        except Fenced:
            continue  # An older attempt wrote in between. It fails at the next seq, or we try again.
        return fence


async def _read(log: EventLog, task_id: str, after: int) -> list[Batch]:
    """What comes after the cursor; nothing if it cannot be unpacked."""
    try:
        return await log.read(task_id, after)
    except TailraceError:
        raise
    except Exception:
        logger.exception("task %s: what its log holds after %d cannot be read", task_id, after)
        return []
