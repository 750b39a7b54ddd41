"""A run's tasks at other agents. They are cancelled when the run ends without completing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import httpx

from tailrace.a2a.client import AgentClient
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.events import DelegatedTask
from tailrace.log import Head
from tailrace.owner import owner_within

logger = logging.getLogger("tailrace.delegations")

# Time limit for cancelling all of them.
_CANCEL_S = 3.0


async def cancel_delegated_tasks(
    http: httpx.AsyncClient, head: Head, delegations: Iterable[DelegatedTask], settings: Settings
) -> None:
    """Cancel the delegated tasks of the head's task. An error is logged and not raised: the run ends all the same."""

    async def cancel(delegated: DelegatedTask) -> None:
        try:
            owner = owner_within(head.owner, head.task_id)
            client = AgentClient(http, delegated.url, owner=owner, settings=settings)
            await client.cancel(delegated.task)
        except AgentError as error:
            logger.warning("task %s at %s was not cancelled: %s", delegated.task, delegated.url, error)

    cancelling = [asyncio.create_task(cancel(delegated)) for delegated in delegations]
    if cancelling:
        _, late = await asyncio.wait(cancelling, timeout=_CANCEL_S)
        for task in late:
            task.cancel()
