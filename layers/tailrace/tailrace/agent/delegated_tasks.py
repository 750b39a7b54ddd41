"""A run's tasks at other agents. They are cancelled when the run ends without completing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

import httpx

from tailrace.a2a.client import AgentClient
from tailrace.a2a.trust import is_own_agent
from tailrace.config import Settings
from tailrace.errors import AgentError, TaskFinished, TaskUnknown
from tailrace.events import TERMINAL, DelegatedTask
from tailrace.log import EventLog, Head
from tailrace.owner import asking_task, owner_within
from tailrace.registry import read_registry

logger = logging.getLogger("tailrace.delegations")

# Time limit for asking all of their agents.
_CANCEL_S = 3.0


async def cancel_delegated_tasks(
    log: EventLog, http: httpx.AsyncClient, head: Head, delegations: Iterable[DelegatedTask], settings: Settings
) -> None:
    """Cancel the delegated tasks of the head's task.

    First the request is written into the head of each task that one of our own agents has: its process sees it when it
    renews the lease or takes the task over, however long the agent or this process hangs. So it is for tasks that are
    not among `delegations`, because an attempt was lost, or cancelled, before it knew their ids. Then all agents are
    asked, for at most 3 s. An agent's error is logged and not raised: the run ends all the same.

    Raises:
        LogUnavailable: a request may not have been written. No agent was asked.
    """
    owner = owner_within(head.owner, head.task_id)
    await read_registry(settings)

    async def cancel(delegated: DelegatedTask) -> None:
        try:
            await AgentClient(http, delegated.url, owner=owner, settings=settings).cancel(delegated.task)
        except AgentError as error:
            logger.warning("task %s at %s was not cancelled: %s", delegated.task, delegated.url, error)

    delegations = list(delegations)
    for delegated in delegations:
        if is_own_agent(delegated.url, settings):
            await _request_cancel(log, delegated.task, owner)
    await _request_cancel_of_unknown(log, owner, {delegated.task for delegated in delegations})
    cancelling = [asyncio.create_task(cancel(delegated)) for delegated in delegations]
    if cancelling:
        _, late = await asyncio.wait(cancelling, timeout=_CANCEL_S)
        for task in late:
            task.cancel()


async def is_abandoned(log: EventLog, head: Head) -> bool:
    """Whether the head's task was delegated by a task that is cancelled, or that has ended without completing.

    `cancel_delegated_tasks` does not find a task that is created after it has looked. So each attempt of a delegated
    task asks this: its task is in the log then, and the cancel was in the log before that look.

    Raises:
        LogUnavailable
    """
    asking = asking_task(head.owner)
    if asking is None:
        return False
    try:
        caller = await log.head(asking)
    except TaskUnknown:  # It is in another log, or has expired.
        return False
    ours = owner_within(caller.owner, asking) == head.owner
    return ours and (caller.cancel_requested or caller.state in TERMINAL - {"TASK_STATE_COMPLETED"})


async def request_cancel_of_late(log: EventLog, head: Head) -> None:
    """Request the cancel of the delegated tasks that were created while the head's task was ending.

    This is for when the head says so: a task that is created later finds that out (`is_abandoned`). One that had found
    nothing out just before may have been missing in the list that `cancel_delegated_tasks` got: DynamoDB's lists are
    some milliseconds behind.

    Raises:
        LogUnavailable
    """
    await _request_cancel_of_unknown(log, owner_within(head.owner, head.task_id), set())


async def _request_cancel(log: EventLog, task_id: str, owner: str) -> None:
    """Request the cancel of the owner's task, if it is in this log and has not ended."""
    with suppress(TaskUnknown, TaskFinished):
        if (await log.head(task_id)).owner == owner:
            await log.request_cancel(task_id)


async def _request_cancel_of_unknown(log: EventLog, owner: str, known: set[str]) -> None:
    """Request the cancel of the owner's tasks in this log, except of those that are `known`."""
    token, more = "", True
    while more:
        page = await log.list(owner, token=token)
        for head in page.heads:
            if head.task_id not in known:
                await _request_cancel(log, head.task_id, owner)
        token = page.next_token
        more = bool(token)
