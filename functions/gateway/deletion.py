"""Deletes a conversation with its tasks' events, webhooks and uploads, and its checkpoints.

1. One conditional write notes that the conversation is being deleted, with the ids of its tasks. From then on nobody
   sees it, and nobody begins a task in it.
2. The agent deletes the checkpoints: only the agent can reach them, and the gateway needs neither LangGraph nor a right
   to their table.
3. Each task's head is deleted, then what it refers to, then its events.
4. The record is deleted last. If the gateway is killed before, the same request goes on from the ids in the record.
"""

from __future__ import annotations

import asyncio
from functools import cached_property

from gateway.agents import Agents
from gateway.problems import Problem
from tailrace.config import Settings
from tailrace.errors import AgentError, RequestError, TaskUnknown
from tailrace.events import TERMINAL, Part, decode, ends
from tailrace.log import EventLog
from tailrace.log.conversations import Conversation
from tailrace.push import Webhooks, open_webhooks
from tailrace.uploads import Upload, Uploads, open_uploads
from tailrace.uploads.reference import upload_in

_METHOD_NOT_FOUND = -32601
_HEADS_PER_PAGE = 1000
# So many ids fit into the record, which is one item of DynamoDB.
_MAX_TASKS = 5000
# How many tasks are deleted at the same time.
_AT_ONCE = 8
# How long a task that has ended may take to note that in its head.
_RELEASE_S, _POLL_S = 2.0, 0.05


class Deletion:
    """Deletes conversations from the stores of the settings."""

    def __init__(self, settings: Settings, log: EventLog, agents: Agents) -> None:
        self._settings = settings
        self._log = log
        self._agents = agents

    async def delete(self, record: Conversation) -> None:
        """Delete the conversation, or go on with its deletion.

        Raises:
            Problem: 409, a task of it is not finished or was begun meanwhile; or it has too many tasks.
            AgentError: the agent cannot be reached. The deletion goes on when it is asked for again.
            LogUnavailable, UploadsUnavailable: likewise.
        """
        if record.deleting is None:
            tasks = await self._finished_tasks(record)
            if not await self._log.conversations.begin_delete(record, tasks):
                raise Problem(409, f"A task began in context {record.context_id!r} meanwhile. Wait for its end.")
            marked = await self._log.conversations.get(record.id)
            if marked is None or marked.deleting is None:
                return  # Another request was faster.
            record = marked
        await self._delete_checkpoints(record)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def delete(task_id: str) -> None:
            async with slots:
                await self._delete_task(task_id, record.owner)

        await asyncio.gather(*(delete(task_id) for task_id in record.deleting or ()))
        await self._log.conversations.delete(record)

    async def close(self) -> None:
        if "_webhooks" in self.__dict__:
            await self._webhooks.close()

    async def _delete_checkpoints(self, record: Conversation) -> None:
        agent = await self._agents.client(record.agent, record.owner)
        try:
            await agent.call("DeleteThread", {"contextId": record.context_id})
        except AgentError as error:
            if error.code != _METHOD_NOT_FOUND:  # An agent without this method keeps no checkpoints for us.
                raise

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
        """Raise 409 if the task has no last event, which comes a moment before the state of its head."""
        event = await self._log.newest(task_id)
        if event is None:
            return
        if ends(event) not in TERMINAL:
            raise Problem(
                409,
                f"Task {task_id!r} of the conversation is not finished. Wait for its end, or cancel it, then delete.",
            )
        for _ in range(int(_RELEASE_S / _POLL_S)):
            try:
                if (await self._log.head(task_id)).state in TERMINAL:
                    return
            except TaskUnknown:
                return
            await asyncio.sleep(_POLL_S)

    async def _delete_task(self, task_id: str, owner: str) -> None:
        await self._log.delete_head(task_id)
        for upload in await self._uploads_of(task_id):
            if upload.readable_by(owner):
                await asyncio.to_thread(self._uploads.delete, upload)
        for hook in await self._webhooks.list(task_id):
            await self._webhooks.delete(task_id, hook.id)
        await self._log.delete_events(task_id)

    async def _uploads_of(self, task_id: str) -> list[Upload]:
        """The uploads that the user's messages refer to."""
        uploads: list[Upload] = []
        cursor = 0
        while batches := await self._log.read(task_id, cursor):
            for batch in batches:
                for event in batch.events:
                    if b"urn:tailrace:upload:" in event:
                        parts = [part for message in decode(event).user_messages for part in message.parts]
                        uploads += [upload for part in parts if (upload := _upload(part)) is not None]
            cursor = batches[-1].last
        return uploads

    @cached_property
    def _webhooks(self) -> Webhooks:
        return open_webhooks(self._settings)

    @cached_property
    def _uploads(self) -> Uploads:
        return open_uploads(self._settings)


def _upload(part: Part) -> Upload | None:
    try:
        return upload_in(part)
    except RequestError:
        return None
