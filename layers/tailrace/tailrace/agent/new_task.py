"""A new task: what its creator knows of it, and what another process reads of it before the first attempt."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable

import msgspec

from tailrace import events
from tailrace.a2a.identity import conversation_id_of, fingerprint_of, task_id_of
from tailrace.a2a.types import UserMessage
from tailrace.agent.graph import AgentGraph
from tailrace.agent.recovery.history import History, history_of
from tailrace.agent.replies import message_id_taken
from tailrace.agent.threads import Created, Start, create, start, start_if_claimed
from tailrace.config import Settings
from tailrace.errors import TaskConflict
from tailrace.events import Message
from tailrace.log import EventLog, Head
from tailrace.tracing.spans import creation
from tailrace.uploads import open_uploads


class NewTask(msgspec.Struct, frozen=True):
    """A task that was created, or that its message had created before.

    `history` is the whole history of a task that was created just now. `start` says where it starts, if its
    conversation was claimed for it. Both are None if that has to be read.
    """

    head: Head
    history: History | None = None
    start: Start | None = None


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
    return NewTask(created.head, history, created.start)


async def claim_new(
    log: EventLog, agent: AgentGraph, settings: Settings, head: Head, claim: Awaitable[Head]
) -> tuple[Head, History | None, Start | None]:
    """Claim a task that another process has created, and meanwhile read what that process knew.

    Return the claimed head, the history and the start. The last two are None if they could not be read, or not before
    the lease has to be renewed, which nobody does here; the takeover reads them then. It also does so if an attempt has
    begun since: what was read before the claim counts only for the first attempt.

    Raises: as the `claim`.
    """
    reading = asyncio.wait_for(_known_of(log, agent, head), settings.renew_s)
    claimed, known = await asyncio.gather(claim, reading, return_exceptions=True)
    if isinstance(claimed, BaseException):
        raise claimed
    return (claimed, None, None) if isinstance(known, BaseException) else (claimed, *known)


async def _known_of(log: EventLog, agent: AgentGraph, head: Head) -> tuple[History, Start | None]:
    reading = history_of(log, head, only_first=True)
    if agent.thread != "context":
        return await reading, None
    record = log.conversations.get(conversation_id_of(head.owner, head.agent, head.context_id))
    history, conversation = await asyncio.gather(reading, record)
    if not history.messages:
        return history, None
    return history, await start_if_claimed(log, head, conversation, history.messages[0])


async def start_of(
    log: EventLog, agent: AgentGraph, settings: Settings, head: Head, known: Start | None, message: Message
) -> Start:
    """Where the head's task starts, which no attempt has begun. `message` is the one that it was created with.

    `known` is what was read or written before. Raises: as `threads.start` and `AgentGraph.thread_key`.
    """
    if known is not None:
        return known
    if agent.thread == "task":
        return Start(head.thread)
    key = head.context_id
    if agent.thread != "context":
        key = await agent.thread_key(message, head.owner, open_uploads(settings))
    return await start(log, head, key, message)
