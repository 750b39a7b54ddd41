"""Every error Tailrace raises on purpose.

    TailraceError
    ├── ConfigError                 a setting has a value it cannot have
    ├── LogError
    │   ├── TaskUnknown             no such task (or not the caller's: the two look the same)
    │   ├── TaskFinished            the task has reached a terminal state
    │   ├── TaskConflict            the same idempotency key came with another request
    │   ├── LeaseHeld               another attempt holds the lease
    │   ├── Fenced                  a newer attempt has written; this one must stop
    │   ├── EventTooLarge           one event does not fit into an item of the log
    │   ├── LogUnreadable           an event that is needed cannot be unpacked or decoded
    │   └── LogUnavailable          the store did not answer, or refused for a reason of its own
    │       └── CheckpointsUnavailable  the same of the graphs' checkpoints: the next attempt may fare better
    ├── StoreDamaged                a SQLite file is damaged, or is no database
    ├── EventUnreadable             an event of the log is not JSON, or not of an event's shape
    ├── CheckpointTooLarge          the state of a graph does not fit into what keeps its checkpoints
    ├── CheckpointLost              a checkpoint is there, and what it names is not
    ├── RequestError                the caller sent something that cannot be used
    │   ├── JsonError               it cannot be read as JSON
    │   │   └── TooDeep             it is nested too deep
    │   ├── RequestTooLarge
    │   └── UploadUnknown           no such upload (or not the caller's: the two look the same)
    ├── UploadDamaged               what was uploaded is not what its reference says
    ├── UploadsUnavailable          the store of uploads did not answer, or refused for a reason of its own
    ├── Rejected                    an agent will not do what it was asked to; raised by its author
    └── AgentError                  another agent could not be reached, or answered with an error

Each message names the key, the value and what would be right, so that it can be shown as it is.
"""

from __future__ import annotations


class TailraceError(Exception):
    """Base of all errors raised on purpose; `str()` of it may be shown to a user."""


class ConfigError(TailraceError):
    def __init__(self, key: str, value: object, right: str) -> None:
        super().__init__(f"{key} has value {value!r}, but must be {right}.")


# The log


class LogError(TailraceError):
    pass


class TaskUnknown(LogError):
    def __init__(self, task_id: str) -> None:
        super().__init__(f"There is no task {shorten(task_id)!r}.")
        self.task_id = task_id


class TaskFinished(LogError):
    def __init__(self, task_id: str, state: str) -> None:
        super().__init__(f"Task {task_id!r} is finished: its state is {state}.")
        self.state = state


class TaskConflict(LogError):
    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"Task {task_id!r} was created with the same idempotency key by a different request; "
            "use a new key for a new request."
        )


class LeaseHeld(LogError):
    def __init__(self, task_id: str, owner: str, until: int) -> None:
        super().__init__(f"Attempt {owner!r} holds the lease of task {task_id!r} until {until} ms.")
        self.until = until


class Fenced(LogError):
    def __init__(self, task_id: str, attempt: int, seq: int) -> None:
        super().__init__(f"Attempt {attempt} of task {task_id!r} is fenced: seq {seq} was written by another attempt.")


class EventTooLarge(LogError):
    def __init__(self, task_id: str, seq: int, size: int, limit: int) -> None:
        super().__init__(
            f"Event {seq} of task {task_id!r} takes {size:,} bytes in the log; the limit is {limit:,} bytes."
        )
        self.size = size
        self.limit = limit


class LogUnreadable(LogError):
    """The events `first` to `last` of a task are stored, but what is stored cannot be read."""

    def __init__(self, task_id: str, first: int, reason: object, *, last: int | None = None) -> None:
        self.first = first
        self.last = first if last is None else last
        which = f"Event {first}" if self.last == first else f"Events {first} to {self.last}"
        super().__init__(f"{which} of task {task_id!r} cannot be read: {shorten(str(reason), 200)}.")


class LogUnavailable(LogError):
    pass


class StoreDamaged(TailraceError):
    """A file of a data folder cannot be opened. Nothing is deleted: what to do with it is for its owner to decide."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"The file {path} is damaged: SQLite says {reason!r}. Restore it from a backup, or move it and the files "
            f"beside it that begin with its name to another folder; then a new one is made at the next start."
        )


class EventUnreadable(TailraceError):
    """The message says what is wrong with the event's JSON, as a part of a sentence."""


# Checkpoints


class CheckpointsUnavailable(LogUnavailable):
    pass


class CheckpointTooLarge(TailraceError):
    """What a graph would save is too large. `largest` is the name of its largest part, and that part's bytes."""

    def __init__(self, what: str, size: int, limit: int, largest: tuple[str, int]) -> None:
        super().__init__(
            f"The graph's {what} would take {size:,} bytes in its checkpoint; the limit is {limit:,} bytes. "
            f"The largest part is {largest[0]!r}, with {largest[1]:,} bytes before compression. "
            "Keep large things out of the state, or set TAILRACE_BUCKET, so that large states go to S3."
        )
        self.size = size
        self.limit = limit


class CheckpointUnreadable(TailraceError):
    """No attempt can go on from the run's checkpoint, however often it is tried."""


class CheckpointRefused(CheckpointUnreadable):
    """A checkpoint holds what is not read from one, because reading would call what it names."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The run cannot go on from its checkpoint: {why}.")


class CheckpointLost(CheckpointUnreadable):
    def __init__(self, name: str) -> None:
        super().__init__(f"The run cannot go on: there is no object {name!r}, which its checkpoint names.")


# Callers


class RequestError(TailraceError):
    """What a caller sent cannot be used; the message says what could."""


class JsonError(RequestError):
    pass


class TooDeep(JsonError):
    pass


class RequestTooLarge(RequestError):
    """`size` is None where it is only known to be over the limit: nobody counts to the end of what is refused."""

    def __init__(self, what: str, size: int | None, limit: int) -> None:
        told = "is too large" if size is None else f"has {size:,} bytes"
        super().__init__(f"{what} {told}; the limit is {limit:,} bytes.")


class UploadUnknown(RequestError):
    def __init__(self, url: str) -> None:
        super().__init__(f"There is no upload {shorten(url, 120)!r} (any more); POST /api/uploads makes one.")


class UploadDamaged(TailraceError):
    """The message says what there should be, and what there is."""


class UploadsUnavailable(TailraceError):
    pass


# Agents


class Rejected(TailraceError):
    """Raise it in a node to end the task as REJECTED. The text says why.

    Example:
        async def read_logs(state: MessagesState) -> None:
            if not request().files:
                raise Rejected("There is no log to read. Send it as a file.")
    """


class AgentError(TailraceError):
    """Another agent could not be reached or answered with an error.

    `code` is the JSON-RPC error code when there was one. `arrived` is whether the agent has answered: what it was asked
    to do may have been done. `malformed` is whether it sent something that could not be read, and would
    do so again.
    """

    def __init__(
        self, message: str, *, code: int | None = None, arrived: bool = False, malformed: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.arrived = arrived or malformed
        self.malformed = malformed


def shorten(text: str, limit: int = 80) -> str:
    """A caller's text, short enough to be quoted in an error."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
