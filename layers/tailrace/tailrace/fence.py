"""The fence: the event a new attempt writes first, which makes every write of the older attempts fail."""

from __future__ import annotations

from collections.abc import Callable

from tailrace.errors import Fenced
from tailrace.log import Batch, EventLog, Head


async def put_fence(log: EventLog, head: Head, event_at: Callable[[int], bytes]) -> Batch:
    """Put the attempt's first event, `event_at` its seq, where the log ends; from then on only it writes.

    Raises:
        LogUnavailable: nothing may be assumed about the fence.
    """
    while True:
        seq = await log.last(head.task_id) + 1
        fence = Batch(seq, head.attempt, [event_at(seq)])
        try:
            await log.append(head.task_id, fence)
        except Fenced:
            continue  # An older attempt wrote in between. It fails at the next seq, or we try again.
        return fence
