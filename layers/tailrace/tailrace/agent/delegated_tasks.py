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
from tailrace.events import DelegatedTask
from tailrace.log import EventLog, Head
from tailrace.owner import owner_within

logger = logging.getLogger("tailrace.delegations")

# Time limit for asking all of their agents.
_CANCEL_S = 3.0


async def cancel_delegated_tasks(
    log: EventLog, http: httpx.AsyncClient, head: Head, delegations: Iterable[DelegatedTask], settings: Settings
) -> None:
    """Cancel the delegated tasks of the head's task.

    First the request is written into the head of each task that one of our own agents has: its process sees it when it
    renews the lease or takes the task over, however long the agent or this process hangs. Then all agents are asked,
    for at most 3 s. An agent's error is logged and not raised: the run ends all the same.

    Raises:
        LogUnavailable: a request may not have been written. No agent was asked.
    """
    owner = owner_within(head.owner, head.task_id)

    async def cancel(delegated: DelegatedTask) -> None:
        try:
            await AgentClient(http, delegated.url, owner=owner, settings=settings).cancel(delegated.task)
        except AgentError as error:
            logger.warning("task %s at %s was not cancelled: %s", delegated.task, delegated.url, error)

    delegations = list(delegations)
    for delegated in delegations:
        if is_own_agent(delegated.url, settings):
            await _request_cancel(log, delegated.task, owner)
    cancelling = [asyncio.create_task(cancel(delegated)) for delegated in delegations]
    if cancelling:
        _, late = await asyncio.wait(cancelling, timeout=_CANCEL_S)
        for task in late:
            task.cancel()


async def _request_cancel(log: EventLog, task_id: str, owner: str) -> None:
    """Request the cancel of the owner's task, if it is in this log and has not ended."""
    with suppress(TaskUnknown, TaskFinished):
        if (await log.head(task_id)).owner == owner:
            await log.request_cancel(task_id)
