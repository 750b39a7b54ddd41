"""Events: what happened to a task, as the A2A 1.0 JSON that is stored and sent (docs/PROTOCOL.md, section 2)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

State = Literal[
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_AUTH_REQUIRED",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_REJECTED",
]
Kind = Literal[
    "state",
    "route",
    "node_start",
    "node_end",
    "tool_start",
    "progress",
    "tool_complete",
    "token",
    "result",
    "attempt",
    "handoff",
]

TERMINAL = frozenset({"TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"})
INTERRUPTED = frozenset({"TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED"})

# The resume extension: the key of our metadata in every event.
EXTENSION = "urn:tailrace:a2a:resume:1"

encode = msgspec.json.Encoder().encode
# Inside a JSON string the quotes would be escaped, so these bytes stand in an event only as a key and a value.
_STATE_MARK = b'"kind":"state"'


class Source(msgspec.Struct, frozen=True):
    """What all events of one attempt have in common."""

    task_id: str
    context_id: str
    agent: str
    attempt: int


def timestamp(ms: int) -> str:
    """`ms` since the epoch as A2A writes times: ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def status_update(
    source: Source,
    seq: int,
    kind: Kind,
    *,
    state: State = "TASK_STATE_WORKING",
    text: str | None = None,
    message: dict[str, Any] | None = None,
    **details: Any,
) -> bytes:
    """A `statusUpdate`. `text` becomes the agent's message; `details` go into the metadata, None left out."""
    ts = now_ms()
    status: dict[str, Any] = {"state": state, "timestamp": timestamp(ts)}
    if text is not None:
        message = agent_message(source, seq, text)
    if message is not None:
        status["message"] = message
    return encode(
        {
            "statusUpdate": {
                "taskId": source.task_id,
                "contextId": source.context_id,
                "status": status,
                "metadata": {EXTENSION: _metadata(source, seq, ts, kind, details)},
            }
        }
    )


def artifact_update(
    source: Source,
    seq: int,
    kind: Kind,
    name: str,
    part: dict[str, Any],
    *,
    append: bool = False,
    last: bool = False,
    **details: Any,
) -> bytes:
    """An `artifactUpdate` with one part. `append` adds to the artifact `name`, else it is begun anew."""
    return encode(
        {
            "artifactUpdate": {
                "taskId": source.task_id,
                "contextId": source.context_id,
                "artifact": {"artifactId": name, "name": name, "parts": [part]},
                "append": append,
                "lastChunk": last,
                "metadata": {EXTENSION: _metadata(source, seq, now_ms(), kind, details)},
            }
        }
    )


def submitted(source: Source, message: dict[str, Any]) -> bytes:
    """Event 1 of a task: the task itself, with the user's message."""
    ts = now_ms()
    return encode(
        {
            "task": {
                "id": source.task_id,
                "contextId": source.context_id,
                "status": {"state": "TASK_STATE_SUBMITTED", "timestamp": timestamp(ts)},
                "history": [message],
                "metadata": {EXTENSION: _metadata(source, 1, ts, "state", {})},
            }
        }
    )


def agent_message(source: Source, seq: int, text: str) -> dict[str, Any]:
    return {
        "messageId": f"{source.task_id}-{seq}",
        "taskId": source.task_id,
        "contextId": source.context_id,
        "role": "ROLE_AGENT",
        "parts": [{"text": text}],
    }


class _Status(msgspec.Struct):
    state: State


class _Stated(msgspec.Struct):
    status: _Status


class _Event(msgspec.Struct):
    task: _Stated | None = None
    statusUpdate: _Stated | None = None


_decode_state = msgspec.json.Decoder(_Event).decode


def state_of(event: bytes) -> State | None:
    """The state an event puts its task in, or None when it is no change of state, or cannot be read.

    Costs a search of the bytes for an event that is none; only a change of state is decoded.
    """
    if _STATE_MARK not in event:
        return None
    try:
        decoded = _decode_state(event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # Whoever looks must be able to go on: the head tells the state too.
    stated = decoded.statusUpdate or decoded.task
    return stated.status.state if stated is not None else None


def ends(event: bytes) -> State | None:
    """The state of an event after which nothing more comes unasked: terminal, or waiting for input."""
    state = state_of(event)
    return state if state in TERMINAL or state in INTERRUPTED else None


def _metadata(source: Source, seq: int, ts: int, kind: Kind, details: dict[str, Any]) -> dict[str, Any]:
    metadata = {"seq": seq, "ts": ts, "attempt": source.attempt, "agent": source.agent, "kind": kind}
    for key, value in details.items():
        if value is not None:
            metadata[key] = value
    return metadata
