"""Conversations at an agent: the thread that a task continues, and the checkpoints that it starts from.

An agent's conversation has at most one unfinished task. The transaction that creates a task also claims the
conversation's record for it; `tailrace.log.conversations` has the records. A claim can be replaced only when its task
has ended. So of two tasks whose creators race, one is never created. If the creator does not know the agent's card, or
an author's function names the thread, the task's first attempt claims the record before its graph runs, or ends the
task as REJECTED.

Nothing here needs LangGraph: the gateway creates tasks too.
"""

from __future__ import annotations

import msgspec

from tailrace.a2a.card import CONVERSATION
from tailrace.a2a.identity import conversation_id_of
from tailrace.errors import (
    ContextBusy,
    ContextDamaged,
    ConversationChanged,
    EventUnreadable,
    LogUnreadable,
    RequestError,
    TaskUnknown,
    shorten,
)
from tailrace.events import TERMINAL, Event, Message, decode, submitted
from tailrace.log import EventLog, Head
from tailrace.log.conversations import Conversation, Entry

# A conversation's first title is the beginning of its first words, or the names of the files without any.
_MAX_TITLE = 80


class Start(msgspec.Struct, frozen=True):
    """Where a task starts: the id of LangGraph's thread, and by namespace the ids of the checkpoints."""

    thread: str
    checkpoints: dict[str, str] = {}


class Created(msgspec.Struct, frozen=True):
    """The stored head of a task that exists now. `by_us` says whether this call has created it, or an earlier one."""

    head: Head
    by_us: bool


class Snapshot(msgspec.Struct, frozen=True):
    """A conversation as it was read: its record, and the final checkpoints of its last task that was COMPLETED."""

    record: Conversation | None
    checkpoints: dict[str, str] = {}


async def create(log: EventLog, head: Head, message: Message, *, new: bool, exclusive: bool = True) -> Created:
    """Create a task that begins with the message in the conversation of the head's context.

    The head says where the task starts (`start_in`). `new` says that nobody has used the context before. A repeated
    message gets its task, whatever has happened in the context since.

    Without `exclusive` the task is only noted in the conversation, which may have other unfinished tasks.

    Raises:
        ContextBusy: another task has the conversation, or it is being deleted. No task was created.
        ContextDamaged: as `read_conversation`. No task was created.
        RequestError: as `checkpoints_after`. No task was created.
        TaskConflict: the task exists with another fingerprint.
    """
    key, event = head.context_id, submitted(head.source, message)
    snapshot = Snapshot(None) if new else None
    while True:
        try:
            after = await checkpoints_after(log, head, key, message) if exclusive else None
            if snapshot is None:
                snapshot = await (read_conversation(log, head, key, after) if exclusive else _record_of(log, head, key))
        except (ContextBusy, ContextDamaged, RequestError):
            if await _exists(log, head.task_id):
                return Created(await log.create(head, event), by_us=False)
            raise
        record = _record(head, key, message, snapshot.checkpoints)
        start = msgspec.json.encode(_start(record, after).checkpoints).decode() if exclusive else ""
        entry = Entry(record=record, seen=snapshot.record, exclusive=exclusive)
        try:
            return Created(*await log.create_or_find(msgspec.structs.replace(head, start=start), event, entry))
        except ConversationChanged:
            snapshot = None


async def read_conversation(log: EventLog, head: Head, key: str, after: dict[str, str] | None) -> Snapshot:
    """Read the conversation `key` of the head's owner and agent. Usually the key is the context's id.

    `after` are the checkpoints that the message asks for, if it does.

    Raises:
        ContextBusy: another task has the conversation, or it is being deleted.
        ContextDamaged: the final checkpoints of its last task cannot be read, and the message does not ask for others.
    """
    snapshot = await _record_of(log, head, key)
    record = snapshot.record
    if record is None or record.version == 0:
        return snapshot  # No task has the conversation.
    if record.task == head.task_id:
        return Snapshot(record, record.checkpoints)
    try:
        end = await _newest(log, record.task)
    except LogUnreadable as damage:
        return Snapshot(record, await _checkpoints_before(log, record, damage, after))
    if end is None:
        return snapshot  # The conversation's last task has expired, and the checkpoints before it too.
    state = end.status.state if end.status is not None else None
    if state not in TERMINAL:
        raise ContextBusy(record.context_id, record.task)
    if state == "TASK_STATE_COMPLETED" and end.metadata.checkpoints:
        return Snapshot(record, end.metadata.checkpoints)
    return Snapshot(record, record.checkpoints)


async def claim(log: EventLog, head: Head, key: str, message: Message, after: dict[str, str] | None) -> Conversation:
    """Claim the conversation `key` for the head's task, which exists; return the record that names the task.

    Raises: as `read_conversation`.
    """
    while True:
        snapshot = await read_conversation(log, head, key, after)
        if snapshot.record is not None and snapshot.record.claimed_by(head.task_id):
            return snapshot.record
        record = await log.conversations.claim(_record(head, key, message, snapshot.checkpoints), snapshot.record)
        if record is not None and record.claimed_by(head.task_id):
            return record


async def start(log: EventLog, head: Head, key: str, message: Message) -> Start:
    """Claim the conversation `key` for the head's task, and say where the task starts.

    `message` is the one that the task was created with.

    Raises: as `read_conversation` and `checkpoints_after`.
    """
    after = await checkpoints_after(log, head, key, message)
    return _start(await claim(log, head, key, message, after), after)


def start_in(head: Head) -> Start | None:
    """Where the head's task starts, if its creator has claimed its conversation for it; else None.

    This counts for the first attempt: another task can claim the conversation only when this one has ended.
    """
    if not head.start:
        return None
    thread = conversation_id_of(head.owner, head.agent, head.context_id)
    return Start(thread, msgspec.json.decode(head.start, type=dict[str, str]))


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
    damage = ""
    try:
        event = await _newest(log, after) if isinstance(after, str) else None
    except LogUnreadable as error:
        event, damage = None, f" {error}"
    completed = event is not None and event.status is not None and event.status.state == "TASK_STATE_COMPLETED"
    if event is not None and completed and event.metadata.thread == conversation_id_of(head.owner, head.agent, key):
        return event.metadata.checkpoints or {}
    raise RequestError(
        f"metadata[{CONVERSATION!r}] has value {shorten(repr(extension))}, but must be {{'after': ID}} with the id of "
        f"a COMPLETED task of the same conversation, or {{'after': None}} to begin it anew.{damage}"
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
        LogUnreadable: the event is damaged.
    """
    event = await log.newest(task_id)
    try:
        return decode(event) if event is not None else None
    except EventUnreadable as error:
        raise LogUnreadable(task_id, await log.last(task_id), error) from None


async def _record_of(log: EventLog, head: Head, key: str) -> Snapshot:
    """The record of the conversation `key`, without what its last task has left.

    Raises:
        ContextBusy: the conversation is being deleted.
    """
    record = await log.conversations.get(conversation_id_of(head.owner, head.agent, key))
    if record is not None and record.deleting is not None:
        raise ContextBusy(record.context_id, record.task, deleting=True)
    return Snapshot(record)


async def _checkpoints_before(
    log: EventLog, record: Conversation, damage: LogUnreadable, after: dict[str, str] | None
) -> dict[str, str]:
    """The checkpoints that a conversation goes on from if the newest event of its last task is damaged.

    The task's head says how it ended. A task that was not COMPLETED has left the thread as it was. If it was, its final
    checkpoints are lost, and a thread without its turn would be another one than the user sees.

    Raises:
        ContextBusy: the task is not finished.
        ContextDamaged: it was COMPLETED, and the message does not say where else it begins.
    """
    try:
        state = (await log.head(record.task)).state
    except TaskUnknown:
        return {}  # It has expired since.
    if state not in TERMINAL:
        raise ContextBusy(record.context_id, record.task) from None
    if state != "TASK_STATE_COMPLETED":
        return record.checkpoints
    if after is None:
        raise ContextDamaged(record.context_id, damage) from None
    return after


def _record(head: Head, key: str, message: Message, checkpoints: dict[str, str]) -> Conversation:
    return Conversation(
        id=conversation_id_of(head.owner, head.agent, key),
        owner=head.owner,
        agent=head.agent,
        context_id=head.context_id,
        task=head.task_id,
        title=_title(message),
        checkpoints=checkpoints,
    )


def _start(record: Conversation, after: dict[str, str] | None) -> Start:
    """Where the record's task starts. `after` are the checkpoints that its message asks for, if it does."""
    return Start(record.id, record.checkpoints if after is None else after)


def _title(message: Message) -> str:
    texts = [part.text for part in message.parts if part.text is not None and not part.filename]
    words = " ".join(texts).split() or [", ".join(part.filename for part in message.parts if part.filename)]
    return shorten(" ".join(words), _MAX_TITLE)
