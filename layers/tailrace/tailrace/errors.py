"""All errors that Tailrace raises on purpose.

    TailraceError
    ├── ConfigError                 a setting has a value it cannot have
    ├── LogError
    │   ├── TaskUnknown             there is no such task, or it is not the caller's
    │   ├── TaskFinished            the task has reached a terminal state
    │   ├── TaskConflict            another request has used the same idempotency key
    │   ├── ContextBusy             another task of the context is unfinished
    │   ├── ContextDamaged          nobody can read how the context's last task has ended
    │   ├── ConversationChanged     a conversation's record is not the one that was read
    │   ├── LeaseHeld               another attempt holds the lease
    │   ├── Fenced                  a newer attempt has written; this one must stop
    │   ├── EventTooLarge           one event does not fit into an item of the log
    │   ├── LogUnreadable           an event that is needed cannot be unpacked or decoded
    │   └── LogUnavailable          the store did not answer, or refused the operation
    │       └── CheckpointsUnavailable  the same for the store of checkpoints; the next attempt may succeed
    ├── StoreDamaged                a SQLite file is damaged, or is not a database
    ├── EventUnreadable             an event of the log is not JSON, or not of an event's shape
    ├── NotJson                     a value of an author's has no form in JSON
    ├── CheckpointTooLarge          a graph's state is too large for the store of checkpoints
    ├── StateUnsaveable             a graph's state has a value that no checkpoint can hold
    ├── CheckpointUnreadable        no attempt can resume from the checkpoint
    │   ├── CheckpointRefused       it contains a type that is not read
    │   ├── CheckpointLost          an S3 object that it names is missing
    │   └── ThreadLost              the checkpoint that a task starts from is gone
    ├── RequestError                the caller sent something that cannot be used
    │   ├── JsonError               it is not JSON
    │   │   └── TooDeep             it is nested too deep
    │   ├── RequestTooLarge
    │   └── UploadUnknown           there is no such upload, or it is not the caller's
    ├── UploadDamaged               an uploaded file is not what its reference says
    ├── UploadsUnavailable          the store of uploads did not answer, or refused the operation
    ├── ThreadUnknown               an author's function did not say which thread a task continues
    ├── StartTooSlow                an attempt took too long to start, so another one tries
    ├── Rejected                    an agent's author raises it: the agent does not do this task
    ├── AgentError                  another agent could not be reached, or answered with an error
    │   ├── TooMuch                 it streamed more than the limits allow (`tailrace.a2a.received`)
    │   └── Inside                  its host resolves to an address that is not public (`tailrace.network.addresses`)
    ├── ClientError                 what a client asked for was not done
    │   ├── ServerRefused           the server said no
    │   └── ServerUnreachable       the server did not answer
    └── RpcError                    an error with its JSON-RPC code, as a caller gets it (`tailrace.a2a.errors`)

Each message names the key, the value and what would be right. It may be shown to a user as it is.
"""

from __future__ import annotations


class TailraceError(Exception):
    """Base of all errors that are raised on purpose. Its `str()` may be shown to a user."""


class ConfigError(TailraceError):
    """A setting, or another value that an author or operator chose, cannot be used. `right` says what could be."""

    def __init__(self, key: str, value: object, right: str) -> None:
        super().__init__(f"{key} has value {value!r}, but must be {right}.")


# The log


class LogError(TailraceError):
    """An operation of the log failed."""


class TaskUnknown(LogError):
    """There is no such task. A task of another owner looks the same to a caller."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"There is no task {shorten(task_id)!r}.")
        self.task_id = task_id


class TaskFinished(LogError):
    """The task is in the terminal state `state`."""

    def __init__(self, task_id: str, state: str) -> None:
        super().__init__(f"Task {task_id!r} is finished: its state is {state}.")
        self.state = state


class TaskConflict(LogError):
    """A task with this id was created by a different request."""

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"Task {task_id!r} was created with the same idempotency key by a different request; "
            "use a new key for a new request."
        )


class ContextBusy(LogError):
    """A context takes one task at a time, and `task_id` is unfinished; or the context is being deleted."""

    def __init__(self, context_id: str, task_id: str, *, deleting: bool = False) -> None:
        super().__init__(
            f"Context {shorten(context_id)!r} is being deleted. Delete it again to go on, or use another contextId."
            if deleting
            else f"Context {shorten(context_id)!r} takes one task at a time, and its task {task_id!r} is not finished. "
            "Wait for its end, cancel it, or use another contextId."
        )
        self.task_id = task_id


class ContextDamaged(LogError):
    """A context cannot go on from its last task: the events that say how it has ended cannot be read."""

    def __init__(self, context_id: str, damage: LogUnreadable) -> None:
        super().__init__(
            f"Context {shorten(context_id)!r} cannot go on from its last task. {damage} Use another contextId, or name "
            "a COMPLETED task of the context that the message begins after."
        )


class ConversationChanged(LogError):
    """A task's conversation is not as it was read, so the task was not created."""

    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"The record of conversation {conversation_id!r} has changed since it was read.")


class LeaseHeld(LogError):
    """The process `owner` holds the task's lease. The lease expires at `until` (ms since the epoch)."""

    def __init__(self, task_id: str, owner: str, until: int) -> None:
        super().__init__(f"Process {owner!r} holds the lease of task {task_id!r} until {until} ms since the epoch.")
        self.until = until


class Fenced(LogError):
    """A newer attempt works on the task, so `attempt` must stop."""

    def __init__(self, task_id: str, attempt: int, seq: int) -> None:
        super().__init__(f"Attempt {attempt} of task {task_id!r} is fenced: seq {seq} was written by another attempt.")


class EventTooLarge(LogError):
    """An event takes `size` bytes in the log, and `limit` is the maximum."""

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
    """The store did not answer in time, or refused the operation. The message names the store."""


class StoreDamaged(TailraceError):
    """The SQLite file `path` is damaged. Nothing is deleted: its owner decides what to do with it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"The file {path} is damaged: SQLite says {reason!r}. Restore it from a backup, or move it and the files "
            f"beside it that begin with its name to another folder; then a new one is made at the next start."
        )


# Events


class EventUnreadable(TailraceError):
    """The message says what is wrong with the event's JSON, as a part of a sentence."""


class NotJson(TailraceError, ValueError):
    """A value of type `kind` at `path` has no form in JSON. `what` is the beginning of the sentence."""

    def __init__(self, what: str, path: str, kind: str) -> None:
        where = f" at {path.removeprefix('.')}" if path else ""
        super().__init__(
            f"{what} has a value of type {kind}{where}, which JSON cannot hold; use texts, numbers, lists, dicts with "
            "texts as keys, dates, dataclasses or pydantic models."
        )


# Checkpoints


class CheckpointsUnavailable(LogUnavailable):
    """The store of checkpoints did not answer in time, or refused the operation. The attempt stops, and the next one
    may succeed.
    """


class MemoryUnavailable(LogUnavailable):
    """The store of the agents' long-term memory did not answer in time, or refused the operation. The attempt stops,
    and the next one may succeed.
    """


class CheckpointTooLarge(TailraceError):
    """A graph's state is too large to be saved. `largest` is the name and the size in bytes of its largest part."""

    def __init__(self, what: str, size: int, limit: int, largest: tuple[str, int]) -> None:
        super().__init__(
            f"The graph's {what} would take {size:,} bytes in its checkpoint; the limit is {limit:,} bytes. "
            f"The largest part is {largest[0]!r}, with {largest[1]:,} bytes before compression. "
            "Keep large values out of the state, or set TAILRACE_BUCKET, so that large states go to S3."
        )
        self.size = size
        self.limit = limit


class StateUnsaveable(TailraceError):
    """A graph's state has a value of type `kind` at `path`, which cannot be saved in a checkpoint."""

    def __init__(self, path: str, kind: str) -> None:
        where = f" at {path.removeprefix('.')}" if path else ""
        super().__init__(
            f"The graph's state has a value of type {kind}{where}, which cannot be saved: keep texts, numbers, lists, "
            "dicts, messages, dates, dataclasses or pydantic models in the state, and make the rest where it is used."
        )


class CheckpointUnreadable(TailraceError):
    """No attempt can resume from the run's checkpoint. Trying again does not help."""


class CheckpointRefused(CheckpointUnreadable):
    """A checkpoint names a type that is not read: reading a value calls its type."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The run cannot go on from its checkpoint: {why}.")


class CheckpointLost(CheckpointUnreadable):
    """A checkpoint names the S3 object `name`, and that is missing."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The run cannot go on: there is no object {name!r}, which its checkpoint names.")


class ThreadLost(CheckpointUnreadable):
    """The checkpoint `checkpoint_id`, which a task starts from or goes on from, does not exist any more."""

    def __init__(self, checkpoint_id: str) -> None:
        super().__init__(
            f"The conversation cannot go on: its checkpoint {checkpoint_id!r} has expired or was deleted. "
            "Begin a new one with another contextId."
        )


# Callers


class RequestError(TailraceError):
    """A caller's request cannot be used. The message says what could be."""


class JsonError(RequestError):
    """The text is not JSON."""


class TooDeep(JsonError):
    """The JSON is nested deeper than the limit."""


class RequestTooLarge(RequestError):
    """`what` has more than `limit` bytes. `size` is None if it was not read to its end."""

    def __init__(self, what: str, size: int | None, limit: int) -> None:
        problem = "is too large" if size is None else f"has {size:,} bytes"
        super().__init__(f"{what} {problem}; the limit is {limit:,} bytes.")


class UploadUnknown(RequestError):
    """There is no such upload. An upload of another owner looks the same to a caller."""

    def __init__(self, url: str) -> None:
        super().__init__(f"There is no upload {shorten(url, 120)!r}, or it has expired; POST /api/uploads makes one.")


class UploadDamaged(TailraceError):
    """An uploaded file has another size or SHA-256 than its reference. The message has both values."""


class UploadsUnavailable(TailraceError):
    """The store of uploads did not answer in time, or refused the operation."""


# Agents


class ThreadUnknown(TailraceError):
    """The author's function `AgentApp(thread=…)` failed; `what` says how, as a part of a sentence."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The agent's function `thread` did not name a thread: {shorten(what, 1000)}.")


class StartTooSlow(TailraceError):
    """A store, or an author's function that names a task's thread, did not answer for `most_s` seconds."""

    def __init__(self, most_s: float) -> None:
        super().__init__(f"The start of an attempt did not end within {most_s:g} s (TAILRACE_STALL_S).")


class Rejected(TailraceError):
    """Raise it in a node to end the task as REJECTED. The text says why.

    Example:
        async def read_logs(state: MessagesState) -> None:
            if not request().files:
                raise Rejected("There is no log to read. Send it as a file.")
    """


class AgentError(TailraceError):
    """Another agent could not be reached or answered with an error.

    `code` is the JSON-RPC error code, None if there is none. `arrived` says whether the request has probably reached
    the agent, which may then have acted on it. `malformed` says that its answer could not be read; trying again does
    not help. `retry_after_s` is set if the agent, or who runs it, has no room for the request now: after so many
    seconds it may have.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        arrived: bool = False,
        malformed: bool = False,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.arrived = arrived or malformed
        self.malformed = malformed
        self.retry_after_s = retry_after_s


class EventBroken(AgentError):
    """The event `seq` of another agent's stream cannot be read. The stream may be read on after it."""

    def __init__(self, message: str, seq: int) -> None:
        super().__init__(message, malformed=True)
        self.seq = seq


class AgentDown(AgentError):
    """One of our own agents does not run. Who starts it says why: the message is for callers, and has no address."""


class AgentUnknown(AgentError):
    """No agent of this bundle that can be reached has the name. The message has no address."""


# Clients


class ClientError(TailraceError):
    """What a client asked for was not done. The text says why, and what would be right."""


class ServerRefused(ClientError):
    """The server refused the request, or answered with something that is no answer to it.

    `status` is the HTTP status and `code` the JSON-RPC error code, each None if there is none. With `retry_after_s` the
    server takes the same request after so many seconds.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


class ServerUnreachable(ClientError):
    """The server did not answer, or not for as long as the client tries."""


def shorten(text: str, limit: int = 80) -> str:
    """Cut a caller's text to `limit` characters, to quote it in an error."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
