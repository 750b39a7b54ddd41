"""ListTasks: a caller's tasks, the last to change first, filtered, in pages (specification, section 3.1.4).

Where this departs from the obvious, and why:

1. `totalSize` is the number of all tasks that fit, so every page has to know them all. Their heads are small, and one
   index holds those of an owner together; the order by last change is made here, from them. An index of its own for
   that order would cost a write at every change of every task, for a list that few ask for.
2. The order and the timestamp shown are those of the head, which changes with a task's state. A task's progress moves
   it no further up.
3. A page goes on where the last one ended, by time and id and not by count: nothing comes twice, and no page but the
   last is short. A task that changes in between is at the top of a list that is asked for anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tailrace.a2a.task import snapshot, summary
from tailrace.a2a.types import ListTasks
from tailrace.errors import TaskUnknown
from tailrace.log import EventLog, Head
from tailrace.log.base import check_token

# Heads read at a time, and tasks whose events are.
_HEADS = 1000
_SNAPSHOTS = 8


async def list_tasks(log: EventLog, owner: str, agent: str, asked: ListTasks) -> dict[str, Any]:
    """The page of the owner's tasks at `agent` that is asked for, as a `ListTasksResponse`.

    Raises:
        RequestError: the page token is none that a list has given.
    """
    token = check_token(asked.page_token)
    found = [head async for head in _heads(log, owner) if head.agent == agent and _fits(head, asked)]
    found.sort(key=_place, reverse=True)
    rest = [head for head in found if not token or _place(head) < token]
    page = rest[: asked.page_size]
    return {
        "tasks": await _shown(log, page, asked),
        "nextPageToken": _place(page[-1]) if len(rest) > len(page) else "",
        "pageSize": asked.page_size,
        "totalSize": len(found),
    }


async def _heads(log: EventLog, owner: str) -> AsyncIterator[Head]:
    token = ""
    while True:
        page = await log.list(owner, limit=_HEADS, token=token)
        for head in page.heads:
            yield head
        if not (token := page.next_token):
            return


def _place(head: Head) -> str:
    """Where a head stands: by its last change, then by id. Sorts as text."""
    return f"{head.updated:015d}/{head.task_id}"


def _fits(head: Head, asked: ListTasks) -> bool:
    return (
        asked.context_id in ("", head.context_id)
        and asked.status in ("", "TASK_STATE_UNSPECIFIED", head.state)
        # "greater than or equal to this value" (ListTasksRequest.status_timestamp_after)
        and (asked.since_us is None or head.updated * 1000 >= asked.since_us)
    )


async def _shown(log: EventLog, heads: list[Head], asked: ListTasks) -> list[dict[str, Any]]:
    if not (asked.history_length or asked.include_artifacts):
        return [summary(head) for head in heads]
    room = asyncio.Semaphore(_SNAPSHOTS)

    async def whole(head: Head) -> dict[str, Any] | None:
        async with room:
            try:
                task = (await snapshot(log, head.task_id, history_length=asked.history_length or 0)).task
            except TaskUnknown:
                return None  # its time to live was over in between
        artifacts = task.pop("artifacts", [])
        shown = summary(head)
        if task["status"]["state"] == head.state and "message" in task["status"]:
            shown["status"]["message"] = task["status"]["message"]
        if asked.history_length:
            shown["history"] = task["history"]
        return {**shown, "artifacts": artifacts} if asked.include_artifacts else shown

    return [task for task in await asyncio.gather(*map(whole, heads)) if task is not None]
