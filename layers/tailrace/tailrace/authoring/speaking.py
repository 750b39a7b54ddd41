"""Another agent's text, written into a text artifact of this task as it comes."""

from __future__ import annotations

from contextlib import suppress

from tailrace.a2a.client import AgentClient
from tailrace.a2a.incoming import Task
from tailrace.a2a.remote_task import AgentEvent, seq_of
from tailrace.authoring.answer import text_of
from tailrace.authoring.emission import RESPONSE, EmittedText
from tailrace.authoring.emit import current_step, send, tried
from tailrace.errors import AgentError
from tailrace.events import DelegatedTask


class Speaking:
    """Writes one of another agent's text artifacts to `artifact`: its `response`, until there is one the first."""

    def __init__(self, artifact: str) -> None:
        self._artifact = artifact
        self._heard = ""  # the other agent's artifact
        self._written: list[str] = []
        self._until = 0

    @classmethod
    async def begin(cls, artifact: str, client: AgentClient, before: DelegatedTask | None) -> Speaking:
        """Begin with the text that an agent's task has. What an earlier attempt has written of it was taken back."""
        speaking = cls(artifact)
        if before is not None and client.own:
            with suppress(AgentError):  # `settle` writes the text in the end.
                speaking._begin_with(await client.task(before.task))
        return speaking

    def hear(self, event: AgentEvent) -> None:
        """Write what an event adds to the text."""
        update = event.event.artifact_update
        if update is None or (event.seq or self._until + 1) <= self._until:
            return
        artifact = update.artifact.name or update.artifact.artifact_id
        text = text_of(update.artifact)
        if not self._heard or (artifact == RESPONSE and self._heard != RESPONSE and text):
            if text:
                self._heard = artifact
                self._write(text, replaces=True)
        elif artifact == self._heard:
            self._write(text, replaces=not update.append)

    def settle(self, text: str) -> None:
        """Replace what was written by `text`, if it is another one."""
        if "".join(self._written).strip() != text:
            self._write(text, replaces=True)

    def _begin_with(self, task: Task) -> None:
        self._until = seq_of(task)
        texts = {each.name or each.artifact_id: text for each in task.artifacts if (text := text_of(each))}
        if texts:
            self._heard = RESPONSE if RESPONSE in texts else next(iter(texts))
            self._write(texts[self._heard], replaces=True)

    def _write(self, text: str, *, replaces: bool) -> None:
        replaces = replaces and bool(self._written)
        if replaces:
            self._written.clear()
        self._written.append(text)
        send(EmittedText(self._artifact, text, current_step(), tried(), replaces))
