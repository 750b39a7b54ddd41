"""What a client gets of tasks and agents as a whole."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.a2a import incoming
from tailrace.a2a.remote_task import seq_of
from tailrace.authoring.answer import answer_in
from tailrace.authoring.ask import Question, questions_among
from tailrace.events import EXTENSION, INTERRUPTED, TERMINAL


class Task(incoming.Task):
    """A task: its `id`, `context_id` (of its conversation), `status` and `artifacts`, and what these come to.

    A task that was just sent, or is one of a list, has no artifacts yet: `AsyncClient.task` gets them.
    """

    @classmethod
    def of(cls, task: incoming.Task) -> Task:
        """The task as the client shows it."""
        return cls(**{name: getattr(task, name) for name in task.__struct_fields__})

    @property
    def state(self) -> str:
        """Like "TASK_STATE_COMPLETED"."""
        return self.status.state

    @property
    def ended(self) -> bool:
        """Whether it is finished."""
        return self.state in TERMINAL

    @property
    def waits(self) -> bool:
        """Whether it waits for its user."""
        return self.state in INTERRUPTED

    @property
    def agent(self) -> str:
        """The agent that has it; "" if the server does not say."""
        agent = self._ours.get("agent")
        return agent if isinstance(agent, str) else ""

    @property
    def created(self) -> int:
        """When it was created, in ms since the epoch; 0 if the server does not say."""
        created = self._ours.get("created")
        return created if isinstance(created, int) else 0

    @property
    def seq(self) -> int:
        """The seq of the last event that is in it; 0 if the server does not say."""
        return seq_of(self)

    @property
    def text(self) -> str:
        """The agent's answer: the artifact `response` if it has text, else all texts."""
        return answer_in("", self, []).text

    @property
    def data(self) -> list[Any]:
        """The values of all data parts of the artifacts."""
        return answer_in("", self, []).data

    @property
    def files(self) -> list[incoming.Part]:
        """The files among the artifacts, with their content as base64 (`raw`) or with a `url`."""
        return answer_in("", self, []).files

    @property
    def message(self) -> str:
        """What its last status says: what it asks, or why it failed; "" if nothing."""
        return self.status.message.text if self.status.message is not None else ""

    @property
    def questions(self) -> list[Question]:
        """What it asks, if it waits and its server says so as data."""
        return questions_of(self.status)

    @property
    def _ours(self) -> dict[str, Any]:
        metadata = self.metadata.get(EXTENSION)
        return metadata if isinstance(metadata, dict) else {}


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that can be asked.

    `input_modes` are the media types that it takes. `error` says why it does not answer; "" if it does.
    """

    name: str
    description: str = ""
    skills: list[incoming.Skill] = []
    input_modes: list[str] = []
    error: str = ""

    @classmethod
    def of(cls, card: incoming.AgentCard) -> Agent:
        """The agent with this card."""
        return cls(
            name=card.name, description=card.description, skills=card.skills, input_modes=card.default_input_modes
        )


def questions_of(status: incoming.Status) -> list[Question]:
    """The questions in the status of a task that waits; none if its server does not tell them as data."""
    if status.state not in INTERRUPTED or status.message is None:
        return []
    try:
        return questions_among(part.data for part in status.message.parts)
    except msgspec.ValidationError:
        return []
