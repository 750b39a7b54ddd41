"""Ending a task that nobody runs."""

from __future__ import annotations

from tailrace import events
from tailrace.errors import Fenced
from tailrace.events import Source, State
from tailrace.log import Batch, EventLog


async def conclude(log: EventLog, task_id: str, me: str, state: State, text: str, lease_s: float) -> None:
    """Become the task's attempt, and end it with `state` and the reason `text`.

    Raises:
        LeaseHeld, TaskFinished, TaskUnknown: nothing was changed.
    """
    head = await log.claim(task_id, me, lease_s)
    source = Source(task_id, head.context_id, head.agent, head.attempt)
    while True:
        seq = await log.last(task_id) + 1
        event = events.status_update(source, seq, "state", state=state, text=text)
        try:
            await log.append(task_id, Batch(seq, head.attempt, [event]))
            break
        except Fenced:
            continue  # An older attempt wrote in between; the next seq is ours, or the one after.
    await log.settle(task_id, head.attempt, state, release=True)
