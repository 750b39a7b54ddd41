"""Ending a task that nobody runs. Its head and the seq of its newest event are all that this needs to know."""

from __future__ import annotations

from tailrace import events
from tailrace.events import State
from tailrace.log import EventLog, Head
from tailrace.log.fence import put_fence


async def finish_unowned(log: EventLog, claimed: Head, state: State, text: str) -> None:
    """As the claimed task's attempt, end it with `state` and the reason `text`.

    A lone surrogate in the reason becomes a question mark.

    Raises:
        TaskFinished: an older attempt has ended it.
        Fenced: a newer attempt works on it.
    """
    told = text.encode(errors="replace").decode()
    update = lambda seq: events.status_update(claimed.source, seq, "state", state=state, text=told)  # noqa: E731
    await put_fence(log, claimed, update)
    await log.update_state(claimed.task_id, claimed.attempt, state, release=True)
