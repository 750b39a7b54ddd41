"""What a task's state and an event's kind can be (A2A 1.0, section 4.1.3, and docs/PROTOCOL.md, section 2.3)."""

from __future__ import annotations

from typing import Literal

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
    "message",
    "reasoning",
    "tool_call",
    "usage",
    "result",
    "attempt",
    "handoff",
]

TERMINAL = frozenset({"TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"})
INTERRUPTED = frozenset({"TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED"})

# The resume extension: the key of our metadata in every event.
EXTENSION = "urn:tailrace:a2a:resume:1"
