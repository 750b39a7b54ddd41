"""Ends tasks for the gateway: a cancel with or without the agent, and the failure of a task that its agent refuses."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress

import httpx

from tailrace.a2a.bundle import Agents
from tailrace.agent.unowned import UnownedTasks
from tailrace.config import Settings
from tailrace.errors import AgentError, Fenced, LeaseHeld, TaskFinished
from tailrace.events import TERMINAL, State
from tailrace.log import EventLog, Head
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import wait_for_end

logger = logging.getLogger("tailrace.gateway")

# How long a cancel waits beyond the time of a lease.
_MARGIN_S = 1.0


class TaskEndings:
    """Ends tasks in the log."""

    def __init__(self, log: EventLog, settings: Settings, http: httpx.AsyncClient, agents: Agents) -> None:
        self._log = log
        self._settings = settings
        self._agents = agents
        self._http = http
        self._unowned = UnownedTasks(log, http, settings)
        self._feeds = Feeds(log, settings)  # without a watchdog: a cancel must not start the task

    async def cancel(self, task_id: str) -> None:
        """Cancel a task in whatever process it runs, whether its agent answers or not.

        The request is written into the task's head, where the process that runs the task sees it when it renews its
        lease. The agent is asked too, because it cancels at once. If the agent fails, or the lease expires, and the
        task has not ended, the gateway ends it.

        Returns when the task is cancelled, or earlier if a live process has not reacted within the time of a lease.

        Raises:
            TaskFinished: the task is finished, or was finished before it could be cancelled.
            TaskUnknown, LogUnavailable
        """
        head = await self._log.request_cancel(task_id)
        asked = asyncio.create_task(self._ask_agent(head))
        ended = asyncio.create_task(wait_for_end(self._log, self._feeds, task_id, past_input=True))
        try:
            # A live agent takes the lease, or renews it, within this time.
            patience_s = max(self._lease_left_s(head), self._settings.renew_s)
            await asyncio.wait([asked, ended], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and not (asked.done() and asked.result()):
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.lease_s + _MARGIN_S):
                        await self._until_unleased(task_id, ended)
                await self._cancel_unowned(task_id)
            state = ended.result() if ended.done() else (await self._log.head(task_id)).state
        finally:
            asked.cancel()
            ended.cancel()
            await asyncio.gather(asked, ended, return_exceptions=True)
        if state in TERMINAL and state != "TASK_STATE_CANCELED":
            raise TaskFinished(task_id, state)

    async def fail(self, task_id: str, reason: str) -> None:
        """End a task as FAILED. Raises as `EventLog.claim` and `UnownedTasks.finish` do."""
        await self._unowned.finish(await self._claim(task_id), "TASK_STATE_FAILED", reason)

    async def _ask_agent(self, head: Head) -> bool:
        """Send the agent a cancel; return whether it has accepted it."""
        try:
            await (await self._agents.client(head.agent, head.owner)).cancel(head.task_id)
        except AgentError as error:
            logger.info("task %s was not cancelled by its agent: %s", head.task_id, error)
            return False
        return True

    async def _until_unleased(self, task_id: str, ended: asyncio.Task[State]) -> None:
        """Return when nobody holds the task's lease, or the task has ended."""
        while not ended.done() and (left_s := self._lease_left_s(await self._log.head(task_id))):
            await asyncio.wait([ended], timeout=left_s)

    async def _cancel_unowned(self, task_id: str) -> None:
        """Cancel the task if it has not ended and nobody runs it. A process that runs it knows of the cancel."""
        with suppress(LeaseHeld, TaskFinished, Fenced):
            await self._unowned.cancel(await self._claim(task_id))

    async def _claim(self, task_id: str) -> Head:
        return await self._log.claim(task_id, f"gateway-{os.getpid()}", self._settings.lease_s)

    def _lease_left_s(self, head: Head) -> float:
        """How long the head's lease still holds, in seconds; 0 if nobody holds it."""
        now = self._log.now()
        return (head.lease_until - now) / 1000 if head.leased(now) else 0.0
