"""Ending a task that nobody runs."""

from __future__ import annotations

from tailrace import events
from tailrace.events import State
from tailrace.fence import put_fence
from tailrace.log import EventLog


async def conclude(log: EventLog, task_id: str, me: str, state: State, text: str, lease_s: float) -> None:
    """Become the task's attempt, and end it with `state` and the reason `text`.

    Raises:
        LeaseHeld, TaskFinished, TaskUnknown: nothing was changed.
    """
    head = await log.claim(task_id, me, lease_s)
    await put_fence(log, head, lambda seq: events.status_update(head.source, seq, "state", state=state, text=text))
    await log.settle(task_id, head.attempt, state, release=True)
