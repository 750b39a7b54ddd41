"""A new task: what its creator knows of it, and therefore need not read before the first attempt."""

from __future__ import annotations

import uuid

import msgspec

from tailrace import events
from tailrace.a2a.identity import fingerprint_of, task_id_of
from tailrace.a2a.types import UserMessage
from tailrace.agent.graph import AgentGraph
from tailrace.agent.recovery.history import History
from tailrace.agent.replies import message_id_taken
from tailrace.agent.threads import Created, Start, create
from tailrace.errors import TaskConflict
from tailrace.log import EventLog, Head


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
    head = Head(
        task_id=task_id,
        owner=owner,
        context_id=context_id,
        agent=agent.name,
        fingerprint=fingerprint_of(message),
    )
    stored = message.stored(task_id, context_id)
    try:
        if agent.thread == "context":
            created = await create(log, head, stored, new=message.context_id is None)
        else:
            created = Created(*await log.create_or_find(head, events.submitted(head.source, stored)))
    except TaskConflict:
        raise message_id_taken(message.message_id) from None
    if not created.by_us:
        return NewTask(created.head)
    history = History(last=1)
    history.reply(stored, events.now_ms())
    return NewTask(created.head, history, created.start)
