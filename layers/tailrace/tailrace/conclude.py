"""Ending a task that nobody runs."""

from __future__ import annotations

from tailrace import events
from tailrace.events import State
from tailrace.fence import put_fence
from tailrace.log import EventLog, Head


async def conclude(log: EventLog, claimed: Head, state: State, text: str) -> None:
    """As the claimed task's attempt, end it with `state` and the reason `text`.

    Raises:
        TaskFinished: an older attempt has ended it.
        Fenced: a newer attempt works on it.
    """
    update = lambda seq: events.status_update(claimed.source, seq, "state", state=state, text=text)  # noqa: E731
    await put_fence(log, claimed, update)
    await log.settle(claimed.task_id, claimed.attempt, state, release=True)
