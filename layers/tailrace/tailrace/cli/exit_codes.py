"""What the command's exit codes say (docs/CLIENT.md has the table)."""

from __future__ import annotations

from enum import IntEnum

from tailrace.errors import ClientError, ServerRefused, ServerUnreachable


class Exit(IntEnum):
    """How the command has ended."""

    COMPLETED = 0
    FAILED = 1
    USAGE = 2
    NEEDS_INPUT = 3
    CANCELED = 4
    UNREACHABLE = 5
    REFUSED = 6
    INTERRUPTED = 130


_OF_STATE = {
    "TASK_STATE_COMPLETED": Exit.COMPLETED,
    "TASK_STATE_FAILED": Exit.FAILED,
    "TASK_STATE_REJECTED": Exit.FAILED,
    "TASK_STATE_CANCELED": Exit.CANCELED,
    "TASK_STATE_INPUT_REQUIRED": Exit.NEEDS_INPUT,
    "TASK_STATE_AUTH_REQUIRED": Exit.NEEDS_INPUT,
}


def exit_of_state(state: str) -> Exit:
    """The code for a task that is in this state when nothing more comes."""
    return _OF_STATE.get(state, Exit.FAILED)


def exit_of_error(error: ClientError) -> Exit:
    """The code for what was not done: because of the server, or because of what the user named."""
    if isinstance(error, ServerUnreachable):
        return Exit.UNREACHABLE
    return Exit.REFUSED if isinstance(error, ServerRefused) else Exit.USAGE
