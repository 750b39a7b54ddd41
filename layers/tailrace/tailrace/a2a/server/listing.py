"""ListTasks: a caller's tasks, the last to change first, filtered, in pages (specification, section 3.1.4).

Three decisions need a reason:

1. `totalSize` is the number of all tasks that match, so each page reads the heads of all the owner's tasks, and sorts
   them here. Heads are small, and one index has them together. An index in the order of last change would cost a write
   at each change of each task, for a list that few callers ask for.
2. The order and the timestamp are the head's, which changes with a task's state. A task's progress does not move it up.
3. A page continues after the last task of the page before, by time and id and not by count: no task comes twice, and
   only the last page is short. A task that changes in between is at the top of the next new list.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from msgspec import UNSET

from tailrace.a2a.task import Task, snapshot, summary
from tailrace.a2a.types import ListTasks
from tailrace.errors import TaskUnknown
from tailrace.log import EventLog, Head
from tailrace.log.base import check_token

# How many heads are read in one request, and how many tasks are read at the same time.
HEADS_PER_READ = 1000
_SNAPSHOTS = 8


class TaskPage(msgspec.Struct, rename="camel"):
    """A `ListTasksResponse`."""

    tasks: list[Task]
    next_page_token: str
    page_size: int
    total_size: int


async def list_tasks(log: EventLog, owner: str, agent: str, query: ListTasks) -> TaskPage:
    """One page of the owner's tasks at `agent`.

    Raises:
        RequestError: the page token is not one of ours.
        LogError: the log cannot be read.
    """
    token = check_token(query.page_token)
    matching = [head async for head in _heads(log, owner) if head.agent == agent and _matches(head, query)]
    matching.sort(key=_position, reverse=True)
    rest = [head for head in matching if not token or _position(head) < token]
    page = rest[: query.page_size]
    return TaskPage(
        tasks=await _tasks(log, page, query),
        next_page_token=_position(page[-1]) if len(rest) > len(page) else "",
        page_size=query.page_size,
        total_size=len(matching),
    )


async def _heads(log: EventLog, owner: str) -> AsyncIterator[Head]:
    token = ""
    while True:
        page = await log.list(owner, limit=HEADS_PER_READ, token=token)
        for head in page.heads:
            yield head
        if not (token := page.next_token):
            return


def _position(head: Head) -> str:
    """A head's position in the list, by its last change and then by its id. Sorts as text."""
    return f"{head.updated:015d}/{head.task_id}"


def _matches(head: Head, query: ListTasks) -> bool:
    return (
        query.context_id in ("", head.context_id)
        and query.status in ("", "TASK_STATE_UNSPECIFIED", head.state)
        # "greater than or equal to this value" (ListTasksRequest.status_timestamp_after)
        and (query.since_us is None or head.updated * 1000 >= query.since_us)
    )


async def _tasks(log: EventLog, heads: list[Head], query: ListTasks) -> list[Task]:
    if not (query.history_length or query.include_artifacts):
        return [summary(head) for head in heads]
    few_at_once = asyncio.Semaphore(_SNAPSHOTS)

    async def whole(head: Head) -> Task | None:
        async with few_at_once:
            try:
                task = (await snapshot(log, head.task_id, history_length=query.history_length or 0)).task
            except TaskUnknown:
                return None  # it has expired in between
        listed = summary(head)
        if task.status.state == head.state:
            listed.status.message = task.status.message
        if query.history_length:
            listed.history = task.history
        if query.include_artifacts:
            listed.artifacts = [] if task.artifacts is UNSET else task.artifacts
        return listed

    return [task for task in await asyncio.gather(*map(whole, heads)) if task is not None]
