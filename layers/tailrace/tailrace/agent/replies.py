"""Replies: whether a task takes a message, and the claim on a task that waits for one."""

from __future__ import annotations

import asyncio

from tailrace.a2a.errors import RpcError, unsupported_operation
from tailrace.agent.recovery.history import History
from tailrace.errors import LeaseHeld, RequestError, TaskFinished
from tailrace.events import INTERRUPTED, Message, ends
from tailrace.log import EventLog, Head

# Pause between tries to claim a task whose attempt is about to release its lease.
_RELEASE_POLL_S = 0.02


def has_message(history: History, message: Message) -> bool:
    """Whether the task has this message already.

    Raises:
        RequestError: it has another message with the same id.
    """
    for earlier in history.messages:
        if earlier.message_id == message.message_id:
            if earlier != message:
                raise message_id_taken(message.message_id)
            return True
    return False


async def claim_waiting(log: EventLog, task_id: str, process: str, lease_s: float) -> Head | None:
    """Claim a task that waits for input, for `lease_s` seconds; None if it does not wait any more.

    Its newest event says whether it waits. The head's state follows a moment later, and until then the attempt that
    asked still holds the lease.
    """
    while True:  # Ends when that lease expires, at the latest.
        try:
            return await log.claim(task_id, process, lease_s)
        except TaskFinished:
            return None
        except LeaseHeld:
            if not await _is_waiting(log, task_id):
                return None
            await asyncio.sleep(_RELEASE_POLL_S)


async def _is_waiting(log: EventLog, task_id: str) -> bool:
    event = await log.newest(task_id)
    return event is not None and ends(event) in INTERRUPTED


def not_waiting(head: Head, history: History) -> RpcError:
    """The error for a message to a task that does not wait for one."""
    return unsupported_operation(
        f"Task {head.task_id!r} takes no message: its state is {history.state}, not TASK_STATE_INPUT_REQUIRED."
    )


def message_id_taken(message_id: str) -> RequestError:
    """The error for a message whose id another message has."""
    return RequestError(
        f"messageId has value {message_id!r}, which another message has; use a new id for a new message."
    )
