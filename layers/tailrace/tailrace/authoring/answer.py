"""What another agent has answered, and the error for a task that has no whole answer."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.a2a.incoming import Artifact, Message, Part, Task
from tailrace.authoring.emission import RESPONSE
from tailrace.errors import TailraceError, shorten
from tailrace.events import INTERRUPTED

# Maximum length of another agent's reason in an error.
_LONGEST_REASON = 500


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent has answered, as `tailrace.delegate` returns it.

    - `agent`: the agent's name.
    - `text`: the artifact `response` if it has text, else all texts of the answer, with blank lines in between.
    - `data`: the values of all data parts.
    - `files`: the parts that are files, with their content as base64 (`raw`) or with a `url`.
    - `artifacts`: all artifacts, and `message` what the agent said last.
    - `task_id` and `context_id`: the agent's ids; "" if it answered without a task.
    - `notes`: sentences about what is missing.

    Example:
        async def compare(state: MessagesState) -> None:
            first, second = await asyncio.gather(*(delegate("translator", word) for word in ("yes", "no")))
            write(f"{first.agent} says {first.text} and {second.text}. {' '.join(second.notes)}")
    """

    agent: str
    text: str = ""
    data: list[Any] = []
    files: list[Part] = []
    artifacts: list[Artifact] = []
    message: Message | None = None
    task_id: str = ""
    context_id: str = ""
    notes: list[str] = []


class DelegationFailed(TailraceError):
    """Another agent gave no answer, or only a part: `answer` is what came, and `reason` why there is no more.

    Example:
        async def translate(state: MessagesState) -> None:
            try:
                answer = await delegate("translator", state["messages"][-1].text)
            except DelegationFailed as error:
                write(f"There is no translation: {error.reason}")
            else:
                write(answer.text)
    """

    def __init__(self, answer: Answer, reason: str) -> None:
        super().__init__(f"The agent {answer.agent!r} gave no answer: {reason.rstrip('.')}.")
        self.answer = answer
        self.reason = reason


def answer_in(agent: str, task: Task | None, notes: list[str]) -> Answer:
    """The answer in an agent's task, whether it completed or not."""
    if task is None:
        return Answer(agent=agent, notes=notes)
    message = task.status.message
    # The last message of a task that did not complete says why it did not.
    spoken = message if task.status.state == "TASK_STATE_COMPLETED" else None
    parts = [part for artifact in task.artifacts for part in artifact.parts] + (spoken.parts if spoken else [])
    return Answer(
        agent=agent,
        text=_text_in(task.artifacts, spoken),
        data=[part.data for part in parts if part.data is not None],
        files=[part for part in parts if part.raw is not None or part.url is not None],
        artifacts=task.artifacts,
        message=message,
        task_id=task.id,
        context_id=task.context_id,
        notes=notes,
    )


def failure_of(task: Task | None) -> str | None:
    """Why an agent's task has no answer; None if it completed."""
    if task is None:
        return "it gave no answer"
    if task.status.state == "TASK_STATE_COMPLETED":
        return None
    reason = task.status.message.text.strip() if task.status.message is not None else ""
    state = task.status.state.removeprefix("TASK_STATE_").replace("_", " ").lower()
    how = f"as {shorten(state)}" if state else "without a state"
    return f"its task ended {how}" + (f": {shorten(reason, _LONGEST_REASON)}" if reason else "")


def is_waiting(task: Task | None) -> bool:
    """Whether the task waits for its user."""
    return task is not None and task.status.state in INTERRUPTED


def text_of(artifact: Artifact) -> str:
    """The text of an artifact's text parts, joined as they are."""
    return "".join(part.text for part in artifact.parts if part.text is not None)


def _text_in(artifacts: list[Artifact], message: Message | None) -> str:
    texts = {artifact.name or artifact.artifact_id: text_of(artifact).strip() for artifact in artifacts}
    if texts.get(RESPONSE):
        return texts[RESPONSE]
    spoken = message.text.strip() if message is not None else ""
    return "\n\n".join(filter(None, dict.fromkeys([*texts.values(), spoken])))
