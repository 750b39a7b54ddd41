"""Begins to delete conversations: a conversation whose tasks are all finished is noted as one that is being deleted.

This is one conditional write, with the ids of its tasks. From then on nobody sees the conversation, and nobody begins a
task in it. `tailrace.agent.deletions` does the rest.
"""

from __future__ import annotations

import asyncio

from gateway.problems import Problem
from tailrace.agent.deletions import Deletions
from tailrace.errors import LogUnreadable, TaskUnknown
from tailrace.events import TERMINAL, ends
from tailrace.log import EventLog
from tailrace.log.conversations import Conversation

_HEADS_PER_PAGE = 1000
# So many ids fit into the record, which is one item of DynamoDB.
_MAX_TASKS = 5000
# How long a task that has ended may take to note that in its head.
_RELEASE_S, _POLL_S = 2.0, 0.05


class Deletion:
    """Deletes conversations."""

    def __init__(self, log: EventLog, deletions: Deletions) -> None:
        self._log = log
        self._deletions = deletions

    async def delete(self, record: Conversation) -> None:
        """Delete the conversation, or go on with its deletion.

        Raises:
            Problem: 409, a task of it is not finished or was begun meanwhile; or it has too many tasks.
            AgentError, LogUnavailable, UploadsUnavailable: as `Deletions.finish`.
        """
        if record.deleting is not None:
            await self._deletions.finish(record)
        elif not await self._deletions.delete(record, await self._finished_tasks(record)):
            raise Problem(409, f"A task began in context {record.context_id!r} meanwhile. Wait for its end.")

    async def _finished_tasks(self, record: Conversation) -> list[str]:
        """The ids of the conversation's tasks.

        Raises:
            Problem: 409, one of them is not finished, or they are too many.
        """
        # The index may not have the latest one yet.
        tasks, token = {record.task: None}, ""
        while True:
            page = await self._log.list(record.owner, limit=_HEADS_PER_PAGE, token=token)
            for head in page.heads:
                if (head.agent, head.context_id) == (record.agent, record.context_id):
                    tasks[head.task_id] = None
                    if head.state not in TERMINAL:
                        await self._check_finished(head.task_id)
            token = page.next_token
            if not token:
                break
        await self._check_finished(record.task)
        if len(tasks) > _MAX_TASKS:
            raise Problem(
                409,
                f"The conversation has {len(tasks):,} tasks, but at most {_MAX_TASKS:,} can be deleted. "
                "Wait until the oldest have expired.",
            )
        return list(tasks)

    async def _check_finished(self, task_id: str) -> None:
        """Raise 409 if the task has not ended. Its last event comes a moment before the state of its head."""
        try:
            event = await self._log.newest(task_id)
        except LogUnreadable:
            event = b""  # It is damaged, so the head decides.
        if event is None or await self._is_noted_as_ended(task_id):
            return
        if ends(event) not in TERMINAL:
            raise Problem(
                409,
                f"Task {task_id!r} of the conversation is not finished. Wait for its end, or cancel it, then delete.",
            )
        for _ in range(int(_RELEASE_S / _POLL_S)):
            await asyncio.sleep(_POLL_S)
            if await self._is_noted_as_ended(task_id):
                return

    async def _is_noted_as_ended(self, task_id: str) -> bool:
        """Whether the task's head says that it has ended, or there is none any more."""
        try:
            return (await self._log.head(task_id)).state in TERMINAL
        except TaskUnknown:
            return True
