"""Everything known about a finished task: its log, what readers saw, and the responses to callers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.chaos.inspector import TERMINAL, Entry
from tests.chaos.reader import Reader


@dataclass
class Violation:
    """A broken promise. `kind` is the column of the table that counts it."""

    kind: str
    task: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: task {self.task}: {self.what}"


@dataclass
class Reply:
    """A reply to a task's question: its message id, its text, and the HTTP status of the response."""

    message_id: str
    text: str
    status: int


@dataclass
class Cancel:
    """The HTTP status of a cancel, the newest seq at that time, and how long the task ran after it."""

    status: int
    at: int
    went_on_s: float = 0.0


@dataclass
class Saved:
    """A node whose outcome, in or before `attempt`, was in the log and in the checkpointer at `at` (monotonic)."""

    step: str
    attempt: int
    at: float


@dataclass
class Run:
    """A line of the side file: a node finished its work."""

    node: str
    step: str
    pid: int
    at: float


@dataclass
class History:
    task: str
    agent: str
    entries: list[Entry]
    # The entries as they were read while the log grew.
    glimpsed: list[Entry] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    # The artifacts of an undisturbed run of the same request, if there is one to compare with.
    expected: dict[str, Any] | None = None
    replies: list[Reply] = field(default_factory=list)
    cancel: Cancel | None = None
    saved: list[Saved] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    # The process id of each attempt.
    pids: dict[int, int] = field(default_factory=dict)
    # The tasks that this one delegated: agent and state.
    delegations: list[tuple[str, str]] = field(default_factory=list)
    # The name of its shape in the plan.
    shape: str = ""
    # The keys of its context's completed tasks in an undisturbed run, its own included.
    turns: list[str] = field(default_factory=list)

    @property
    def state(self) -> str | None:
        """The state in which the task ended, None if it has not ended."""
        ended = [entry.state for entry in self.entries if entry.state in TERMINAL]
        return ended[0] if ended else None

    @property
    def last_message(self) -> str:
        """The text of the message with which the task ended; empty if it has not ended."""
        for entry in self.entries:
            if entry.state in TERMINAL:
                message = (entry.body.get("statusUpdate") or entry.body["task"])["status"].get("message") or {}
                return " ".join(part.get("text", "") for part in message.get("parts", []))
        return ""

    @property
    def attempts(self) -> int:
        return max((entry.attempt for entry in self.entries), default=0)


def folded(entries: list[Entry]) -> dict[str, Any]:
    """The artifacts as A2A defines them: `append` adds a part, anything else replaces the artifact."""
    artifacts: dict[str, Any] = {}
    for entry in entries:
        update = entry.body.get("artifactUpdate")
        if update is None:
            continue
        name, part = update["artifact"]["artifactId"], update["artifact"]["parts"][0]
        if "text" not in part:
            artifacts[name] = part["data"]
        elif update["append"]:
            artifacts[name] = artifacts.get(name, "") + part["text"]
        else:
            artifacts[name] = part["text"]
    return artifacts
