"""What an agent has streamed of its task so far, and no more than there is room for."""

from __future__ import annotations

import asyncio

from tailrace.a2a.incoming import Artifact, ArtifactUpdate, Part, Status, Task
from tailrace.errors import AgentError

# What one agent may stream for one task, unless it is our own. Bytes are counted by the client, comments too.
MOST_EVENTS = 100_000
MOST_BYTES = 64_000_000
# A faster agent is read no faster: it fills its own connection, and nothing here.
EVENTS_A_SECOND = 1_000
# What is kept of artifacts.
MOST_ARTIFACT_BYTES = 16_000_000
MOST_ARTIFACTS = 1_000


class TooMuch(AgentError):
    """An agent has sent more than is taken of one task."""


class Received:
    """Counts what is streamed, and adds it up to a task. `trusted` is whether it comes from one of our own agents."""

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
        """Note an event of so many bytes.

        Raises:
            AgentError: it is one too many.
        """
        self._events += 1
        self._newest_bytes = size
        self._may_go_on_at += 1 / EVENTS_A_SECOND
        if self._trusted:
            return
        if self._events > MOST_EVENTS:
            raise TooMuch(f"it sent more than {MOST_EVENTS:,} events, and was given up")

    async def pause(self) -> None:
        """Wait for as long as the agent is ahead of its pace."""
        if self._trusted:
            return
        now = asyncio.get_running_loop().time()
        # What it did not send before, it may send at once, as far as that is a second's worth.
        self._may_go_on_at = max(self._may_go_on_at, now - 1.0)
        if (ahead := self._may_go_on_at - now) > 0:
            self.slowed = True
            await asyncio.sleep(ahead)

    def begin(self, task: Task) -> None:
        """Take what the newest event, a task, has by now."""
        self._context_id = task.context_id
        if task.artifacts:
            self._artifact_bytes = self._newest_bytes
            self._artifacts = {artifact.artifact_id: artifact for artifact in task.artifacts}
            self._check_room()

    def add(self, update: ArtifactUpdate) -> None:
        """Add the newest event, which is an artifact's.

        Raises:
            AgentError: there is no room for it.
        """
        artifact = update.artifact
        self._artifact_bytes += self._newest_bytes
        there = self._artifacts.get(artifact.artifact_id)
        if there is not None and update.append:
            there.parts += artifact.parts
        else:
            self._artifacts[artifact.artifact_id] = artifact
        self._check_room()

    @property
    def artifacts(self) -> list[Artifact]:
        for artifact in self._artifacts.values():
            artifact.parts = _joined(artifact.parts)
        return list(self._artifacts.values())

    def task(self, task_id: str) -> Task:
        """The task as it was streamed."""
        return Task(id=task_id, context_id=self._context_id, status=self.status, artifacts=self.artifacts)

    def _check_room(self) -> None:
        if self._artifact_bytes > MOST_ARTIFACT_BYTES:
            raise TooMuch(f"its artifacts have more than {MOST_ARTIFACT_BYTES:,} bytes, and it was given up")
        if len(self._artifacts) > MOST_ARTIFACTS:
            raise TooMuch(f"it has more than {MOST_ARTIFACTS:,} artifacts, and was given up")


def _joined(parts: list[Part]) -> list[Part]:
    """The parts, with the pieces in which a text was streamed put together."""
    joined: list[Part] = []
    texts: list[str] = []
    for part in [*parts, Part()]:
        if part.text is not None and part.filename is None and part.media_type is None:
            texts.append(part.text)
            continue
        if texts:
            joined.append(Part(text="".join(texts)))
            texts = []
        joined.append(part)
    return joined[:-1]
