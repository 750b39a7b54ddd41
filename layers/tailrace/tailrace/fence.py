"""The fence: the event a new attempt writes first, which makes every write of the older attempts fail."""

from __future__ import annotations

from collections.abc import Callable

from tailrace.errors import Fenced, TaskFinished
from tailrace.events import TERMINAL, ends
from tailrace.log import Batch, EventLog, Head


async def put_fence(log: EventLog, head: Head, event_at: Callable[[int], bytes]) -> Batch:
    """Put the attempt's first event, `event_at` its seq, where the log ends; from then on only it writes.

    Raises:
        TaskFinished: an older attempt has finished the task and did not live to note it. Now it is noted.
        Fenced: a newer attempt has put its fence already.
        LogUnavailable: nothing may be assumed about the fence.
    """
    while True:
        last = await log.last(head.task_id)
        newest = await log.read(head.task_id, max(last - 1, 0))
        if newest and newest[-1].attempt > head.attempt:
            raise Fenced(head.task_id, head.attempt, newest[-1].seq)
        state = ends(newest[-1].events[-1]) if newest else None
        if state is not None and state in TERMINAL:
            await log.settle(head.task_id, head.attempt, state, release=True)
            raise TaskFinished(head.task_id, state)
        seq = newest[-1].last + 1 if newest else 1
        fence = Batch(seq, head.attempt, [event_at(seq)])
        try:
            await log.append(head.task_id, fence)
        except Fenced:
            continue  # An older attempt wrote in between. It fails at the next seq, or we try again.
        return fence
