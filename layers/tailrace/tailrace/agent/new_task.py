"""A new task: what its creator knows of it, and what another process reads of it before the first attempt."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable

import msgspec

from tailrace import events
from tailrace.a2a.identity import fingerprint_of, task_id_of
from tailrace.a2a.types import UserMessage
from tailrace.agent.graph import AgentGraph
from tailrace.agent.recovery.history import History, history_of
from tailrace.agent.replies import message_id_taken
from tailrace.agent.threads import Created, Start, create, start, start_in
from tailrace.config import Settings
from tailrace.errors import TaskConflict
from tailrace.events import Message
from tailrace.log import EventLog, Head
from tailrace.tracing.spans import creation
from tailrace.uploads import open_uploads


class NewTask(msgspec.Struct, frozen=True):
    """A task that was created, or that its message had created before.

    `history` is the whole history of a task that was created just now. It is None if it has to be read.
    """

    head: Head
    history: History | None = None


async def create_task(log: EventLog, agent: AgentGraph, message: UserMessage, owner: str, key: str) -> NewTask:
    """Create the owner's task that begins with the message. The same `key` again gets the same task.

    Raises:
        ContextBusy, ContextDamaged, RequestError: as `threads.create`. Nothing was written.
        RequestError: another message has used the key.
    """
    task_id = task_id_of(owner, agent.name, key)
    context_id = message.context_id or str(uuid.uuid4())
    stored = message.stored(task_id, context_id)
    try:
        with creation(agent.name, task_id, context_id) as span:
            head = Head(
                task_id=task_id,
                owner=owner,
                context_id=context_id,
                agent=agent.name,
                fingerprint=fingerprint_of(message),
                trace=span.trace,
            )
            if agent.thread == "context":
                created = await create(log, head, stored, new=message.context_id is None)
            else:
                created = Created(*await log.create_or_find(head, events.submitted(head.source, stored)))
            span.found(created.head.trace)
    except TaskConflict:
        raise message_id_taken(message.message_id) from None
    if not created.by_us:
        return NewTask(created.head)
    history = History(last=1)
    history.reply(stored, events.now_ms())
    return NewTask(created.head, history)


async def claim_new(
    log: EventLog, settings: Settings, head: Head, claim: Awaitable[Head]
) -> tuple[Head, History | None]:
    """Claim a task that another process has created, and meanwhile read its first event.

    Of the `head` only the task's id and its agent need be known. Return the claimed head and the history. This is None
    if it could not be read, or not before the lease has to be renewed, which nobody does here; the takeover reads it
    then. It also does so if an attempt has begun since: what was read before the claim counts only for the first one.

    Raises: as the `claim`.
    """
    reading = asyncio.wait_for(history_of(log, head, only_first=True), settings.renew_s)
    claimed, history = await asyncio.gather(claim, reading, return_exceptions=True)
    if isinstance(claimed, BaseException):
        raise claimed
    return claimed, None if isinstance(history, BaseException) else history


async def start_of(log: EventLog, agent: AgentGraph, settings: Settings, head: Head, message: Message) -> Start:
    """Where the head's task starts, which no attempt has begun. `message` is the one that it was created with.

    Raises: as `threads.start` and `AgentGraph.thread_key`.
    """
    if agent.thread == "task":
        return Start(head.thread)
    key = head.context_id
    if agent.thread != "context":
        key = await agent.thread_key(message, head.owner, open_uploads(settings))
    elif known := start_in(head):
        return known
    return await start(log, head, key, message)
