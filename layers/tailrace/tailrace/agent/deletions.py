"""Deletes what belongs to a conversation: its checkpoints, its tasks, and their webhooks and uploads.

1. The conversation's record says that it is being deleted, and names its tasks.
2. The agent deletes the checkpoints: only the agent can reach them, and who deletes needs neither LangGraph nor a right
   to their table.
3. Each task's head is deleted, then what it refers to, then its events.
4. The record is deleted last. If the process dies before, the same request or the sweeper goes on from the ids in the
   record.
"""

from __future__ import annotations

import asyncio
import logging
from functools import cached_property

from tailrace.a2a.bundle import Agents
from tailrace.a2a.errors import METHOD_NOT_FOUND
from tailrace.config import Settings
from tailrace.errors import AgentError, EventUnreadable, LogUnreadable, RequestError
from tailrace.events import Part, decode
from tailrace.log import Batch, EventLog
from tailrace.log.conversations import Conversation
from tailrace.push import Webhooks, open_webhooks
from tailrace.uploads import Upload, Uploads, open_uploads
from tailrace.uploads.reference import upload_in

logger = logging.getLogger("tailrace.deletions")

# How many tasks are deleted at the same time.
_AT_ONCE = 8


class Deletions:
    """Carries out deletions in the stores of the settings."""

    def __init__(self, settings: Settings, log: EventLog, agents: Agents) -> None:
        self._settings = settings
        self._log = log
        self._agents = agents

    async def delete(self, record: Conversation, tasks: list[str]) -> bool:
        """Note that the conversation is being deleted with these tasks, and delete it. Raises as `finish` does.

        Return False, and do nothing, if somebody has changed the record since it was read.
        """
        if not await self._log.conversations.begin_delete(record, tasks):
            return False
        marked = await self._log.conversations.get(record.id)
        if marked is not None and marked.deleting is not None:  # else another process was faster
            await self.finish(marked)
        return True

    async def finish(self, record: Conversation) -> None:
        """Delete what belongs to the conversation, which is noted as one that is being deleted, and then its record.

        Raises:
            AgentError: the agent cannot be reached. The deletion goes on when this is called again.
            LogUnavailable, UploadsUnavailable: likewise.
        """
        await self._delete_checkpoints(record)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def delete(task_id: str) -> None:
            async with slots:
                await self._delete_task(task_id, record.owner)

        await asyncio.gather(*(delete(task_id) for task_id in record.deleting or ()))
        await self._log.conversations.delete(record)

    async def _delete_checkpoints(self, record: Conversation) -> None:
        agent = await self._agents.client(record.agent, record.owner)
        try:
            await agent.call("DeleteThread", {"contextId": record.context_id})
        except AgentError as error:
            if error.code != METHOD_NOT_FOUND:  # An agent without this method keeps no checkpoints for us.
                raise

    async def close(self) -> None:
        if "_webhooks" in self.__dict__:
            await self._webhooks.close()

    async def _delete_task(self, task_id: str, owner: str) -> None:
        await self._log.delete_head(task_id)
        for upload in await self._uploads_of(task_id):
            if upload.readable_by(owner):
                await asyncio.to_thread(self._uploads.delete, upload)
        for hook in await self._webhooks.list(task_id):
            await self._webhooks.delete(task_id, hook.id)
        await self._log.delete_events(task_id)

    async def _uploads_of(self, task_id: str) -> list[Upload]:
        """The uploads that the user's messages refer to. Those in a damaged event stay until they expire."""
        uploads: list[Upload] = []
        cursor = 0
        while True:
            try:
                batches = await self._log.read(task_id, cursor)
            except LogUnreadable as error:
                logger.warning("%s The uploads that it refers to stay until they expire.", error)
                cursor = error.last
                continue
            if not batches:
                return uploads
            for batch in batches:
                uploads += _uploads_in(batch, task_id)
            cursor = batches[-1].last

    @cached_property
    def _webhooks(self) -> Webhooks:
        return open_webhooks(self._settings)

    @cached_property
    def _uploads(self) -> Uploads:
        return open_uploads(self._settings)


def _uploads_in(batch: Batch, task_id: str) -> list[Upload]:
    uploads: list[Upload] = []
    for seq, event in enumerate(batch.events, batch.seq):
        if b"urn:tailrace:upload:" not in event:
            continue
        try:
            parts = [part for message in decode(event).user_messages for part in message.parts]
        except EventUnreadable as error:
            logger.warning("task %s: the uploads of event %d stay until they expire: %s", task_id, seq, error)
            continue
        uploads += [upload for part in parts if (upload := _upload(part)) is not None]
    return uploads


def _upload(part: Part) -> Upload | None:
    try:
        return upload_in(part)
    except RequestError:
        return None
