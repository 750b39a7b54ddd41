"""What an agent has streamed of its task so far, within limits."""

from __future__ import annotations

import asyncio

from tailrace.a2a.incoming import Artifact, ArtifactUpdate, Status, Task
from tailrace.a2a.streamed_text import join_text
from tailrace.errors import AgentError

# Limits of what one agent may stream for one task, unless it is our own. The client counts the bytes, with comments.
MAX_EVENTS = 100_000
MAX_BYTES = 64_000_000
# A faster agent is read at this pace. What it sends ahead waits in its connection, not in our memory.
EVENTS_A_SECOND = 1_000
# Limits of its artifacts.
MAX_ARTIFACT_BYTES = 16_000_000
MAX_ARTIFACTS = 1_000


class TooMuch(AgentError):
    """An agent has sent more than one of the limits allows."""


class Received:
    """Counts an agent's events and adds them up to a task. For our own agents (`trusted`) there are no limits."""

    def __init__(self, *, trusted: bool) -> None:
        self._trusted = trusted
        self._events = 0
        self._artifact_bytes = 0
        self._newest_bytes = 0
        self._artifacts: dict[str, Artifact] = {}
        self._may_go_on_at = 0.0
        self.slowed = False
        self._context_id = ""
        self.status = Status(state="")

    def count(self, size: int) -> None:
        """Count an event of `size` bytes.

        Raises:
            TooMuch: the agent has sent too many events.
        """
        self._events += 1
        self._newest_bytes = size
        self._may_go_on_at += 1 / EVENTS_A_SECOND
        if self._trusted:
            return
        if self._events > MAX_EVENTS:
            raise TooMuch(f"it sent more than {MAX_EVENTS:,} events, and was given up")

    async def pause(self) -> None:
        """Wait while the agent is ahead of its pace. Then `slowed` is set."""
        if self._trusted:
            return
        now = asyncio.get_running_loop().time()
        # After a pause the agent may send up to one second's worth of events at once.
        self._may_go_on_at = max(self._may_go_on_at, now - 1.0)
        if (ahead := self._may_go_on_at - now) > 0:
            self.slowed = True
            await asyncio.sleep(ahead)

    def begin(self, task: Task) -> None:
        """Begin with the newest event, which is a task, and with its artifacts. Raises as `add` does."""
        self._context_id = task.context_id
        if task.artifacts:
            self._artifact_bytes = self._newest_bytes
            self._artifacts = {artifact.artifact_id: artifact for artifact in task.artifacts}
            self._check_room()

    def add(self, update: ArtifactUpdate) -> None:
        """Add the newest event, which is an artifact update.

        Raises:
            TooMuch: the artifacts have too many bytes, or there are too many of them.
        """
        artifact = update.artifact
        self._artifact_bytes += self._newest_bytes
        present = self._artifacts.get(artifact.artifact_id)
        if present is not None and update.append:
            present.parts += artifact.parts
        else:
            self._artifacts[artifact.artifact_id] = artifact
        self._check_room()

    @property
    def artifacts(self) -> list[Artifact]:
        """The artifacts so far, each with its streamed text put together."""
        for artifact in self._artifacts.values():
            artifact.parts = join_text(artifact.parts)
        return list(self._artifacts.values())

    def task(self, task_id: str) -> Task:
        """The task, as far as it was streamed."""
        return Task(id=task_id, context_id=self._context_id, status=self.status, artifacts=self.artifacts)

    def _check_room(self) -> None:
        if self._artifact_bytes > MAX_ARTIFACT_BYTES:
            raise TooMuch(f"its artifacts have more than {MAX_ARTIFACT_BYTES:,} bytes, and it was given up")
        if len(self._artifacts) > MAX_ARTIFACTS:
            raise TooMuch(f"it has more than {MAX_ARTIFACTS:,} artifacts, and was given up")
