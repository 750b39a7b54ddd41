"""Conversations at an agent: the thread that a task continues, and the checkpoints that it starts from.

An agent's conversation has at most one unfinished task. A task claims the conversation's record after it was created,
and before its graph runs; `tailrace.log.conversations` has the records. A claim can be replaced only when its task has
ended. So the creators of two tasks may race: one task stays, and the creator of the other withdraws it.

Nothing here needs LangGraph: the gateway creates tasks too.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.a2a.card import CONVERSATION
from tailrace.a2a.identity import conversation_id_of
from tailrace.errors import ContextBusy, LogUnavailable, RequestError, TaskUnknown, shorten
from tailrace.events import TERMINAL, Event, Message, decode, submitted
from tailrace.log import EventLog, Head
from tailrace.log.conversations import Conversation

# A conversation's first title is the beginning of its first words.
_MAX_TITLE = 80


class Start(msgspec.Struct, frozen=True):
    """Where a task starts: the id of LangGraph's thread, and by namespace the ids of the checkpoints."""

    thread: str
    checkpoints: dict[str, str] = {}


class Created(msgspec.Struct, frozen=True):
    """The stored head of a task that exists now.

    `by_us` says whether this call has created it; if not, its message is repeated. `start` says where the task starts,
    if this call has also claimed its conversation for it.
    """

    head: Head
    by_us: bool
    start: Start | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """A conversation as it was read: its record, and the final checkpoints of its last task that was COMPLETED."""

    record: Conversation | None
    checkpoints: dict[str, str] = {}


async def create(log: EventLog, head: Head, message: Message, *, new: bool) -> Created:
    """Create a task that begins with the message in the conversation of the head's context.

    An attempt whose fence is the task's second event may start where this says: another task can claim the conversation
    only when this one has ended. `new` says that nobody has used the context before. A repeated message gets its task,
    whatever has happened in the context since.

    Raises:
        ContextBusy: another task has the conversation. No task was created.
        RequestError: as `checkpoints_after`. Nothing was written.
        TaskConflict: the task exists with another fingerprint.
    """
    key, event = head.context_id, submitted(head.source, message)
    try:
        snapshot = Snapshot(None) if new else await read_conversation(log, head, key)
        after = await checkpoints_after(log, head, key, message)
    except (ContextBusy, RequestError):
        if await _exists(log, head.task_id):
            return Created(await log.create(head, event), by_us=False)
        raise
    head, created = await log.create_or_find(head, event)
    if head.attempt > 0 or head.context_id != key:
        return Created(head, by_us=False)
    try:
        return Created(head, created, _start(await claim(log, head, key, message, snapshot), after))
    except LogUnavailable:
        pass  # The task's first attempt claims the conversation. If another task has it, this one ends as REJECTED.
    except ContextBusy:
        # Another task was faster. Only the request that has created this one withdraws it: others may have accepted it.
        if await log.withdraw(head.task_id) if created else not await _exists(log, head.task_id):
            raise
    return Created(head, created)


async def read_conversation(log: EventLog, head: Head, key: str) -> Snapshot:
    """Read the conversation `key` of the head's owner and agent. Usually the key is the context's id.

    Raises:
        ContextBusy: another task has the conversation.
    """
    record = await log.conversations.get(conversation_id_of(head.owner, head.agent, key))
    if record is None:
        return Snapshot(None)
    if record.deleting is not None:
        raise ContextBusy(record.context_id, record.task, deleting=True)
    if record.version == 0:
        return Snapshot(record)  # No task has the conversation.
    if record.task == head.task_id:
        return Snapshot(record, record.checkpoints)
    end = await _newest(log, record.task)
    if end is None:
        return Snapshot(record)  # The conversation's last task has expired, and the checkpoints before it too.
    state = end.status.state if end.status is not None else None
    if state not in TERMINAL:
        raise ContextBusy(record.context_id, record.task)
    if state == "TASK_STATE_COMPLETED" and end.metadata.checkpoints:
        return Snapshot(record, end.metadata.checkpoints)
    return Snapshot(record, record.checkpoints)


async def claim(
    log: EventLog, head: Head, key: str, message: Message, snapshot: Snapshot | None = None
) -> Conversation:
    """Claim the conversation `key` for the head's task, which exists; return the record that names the task.

    `snapshot` is the conversation as the caller has read it.

    Raises:
        ContextBusy: another task has the conversation.
    """
    while True:
        snapshot = snapshot or await read_conversation(log, head, key)
        if snapshot.record is not None and snapshot.record.claimed_by(head.task_id):
            return snapshot.record
        claimed = _record(head, key, message, checkpoints=snapshot.checkpoints)
        record = await log.conversations.claim(claimed, snapshot.record)
        if record is not None and record.claimed_by(head.task_id):
            return record
        snapshot = None


async def note(log: EventLog, head: Head, message: Message) -> None:
    """Note the head's task, which exists, in the conversation of its context. Nothing is claimed.

    Raises:
        ContextBusy: the conversation is being deleted.
    """
    record = await log.conversations.note(_record(head, head.context_id, message, updated=head.created))
    if record is not None and record.deleting is not None:
        raise ContextBusy(record.context_id, record.task, deleting=True)


async def start(log: EventLog, head: Head, key: str, message: Message) -> Start:
    """Claim the conversation `key` for the head's task, and say where the task starts.

    `message` is the one that the task was created with.

    Raises:
        ContextBusy: another task has the conversation.
        RequestError: as `checkpoints_after`.
    """
    record = await claim(log, head, key, message)
    return _start(record, await checkpoints_after(log, head, key, message))


async def checkpoints_after(log: EventLog, head: Head, key: str, message: Message) -> dict[str, str] | None:
    """The checkpoints to start from if the message says after which task it begins; None if it does not say that.

    Raises:
        RequestError: it names no COMPLETED task of the conversation `key`.
    """
    extension = (message.metadata or {}).get(CONVERSATION)
    if extension is None:
        return None
    after = extension.get("after", 0) if isinstance(extension, dict) else 0
    if after is None:
        return {}
    event = await _newest(log, after) if isinstance(after, str) else None
    completed = event is not None and event.status is not None and event.status.state == "TASK_STATE_COMPLETED"
    if event is not None and completed and event.metadata.thread == conversation_id_of(head.owner, head.agent, key):
        return event.metadata.checkpoints or {}
    raise RequestError(
        f"metadata[{CONVERSATION!r}] has value {shorten(repr(extension))}, but must be {{'after': ID}} with the id of "
        "a COMPLETED task of the same conversation, or {'after': None} to begin it anew."
    )


async def conversation_to_delete(log: EventLog, owner: str, agent: str, context_id: str) -> Conversation:
    """The record of the owner's conversation, which is being deleted.

    Raises:
        RequestError: nobody deletes such a conversation.
    """
    record = await log.conversations.get(conversation_id_of(owner, agent, context_id))
    if record is None or record.deleting is None:
        raise RequestError(
            f"contextId has value {shorten(context_id)!r}, but must be that of a conversation that is being deleted."
        )
    return record


async def _exists(log: EventLog, task_id: str) -> bool:
    try:
        await log.head(task_id)
    except TaskUnknown:
        return False
    return True


async def _newest(log: EventLog, task_id: str) -> Event | None:
    """The task's newest event; None if the task does not exist or has expired.

    Raises:
        LogUnreadable, EventUnreadable: the event is damaged.
    """
    event = await log.newest(task_id)
    return decode(event) if event is not None else None


def _record(head: Head, key: str, message: Message, **fields: Any) -> Conversation:
    return Conversation(
        id=conversation_id_of(head.owner, head.agent, key),
        owner=head.owner,
        agent=head.agent,
        context_id=head.context_id,
        task=head.task_id,
        title=_title(message),
        **fields,
    )


def _start(record: Conversation, after: dict[str, str] | None) -> Start:
    """Where the record's task starts. `after` are the checkpoints that its message asks for, if it does."""
    return Start(record.id, record.checkpoints if after is None else after)


def _title(message: Message) -> str:
    words = " ".join(" ".join(part.text for part in message.parts if part.text is not None).split())
    return shorten(words, _MAX_TITLE)
