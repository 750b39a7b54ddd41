"""A task's events as the events of AG-UI runs: an event of the log goes in, and what a client is told of it comes out.

A run is what a client waits for: it begins with the user's message or reply, and ends with the task, or with a
question. So a task is one run, and one more for each reply. What a run is told follows from the log alone, so any
process can go on anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.agui import events as ag
from gateway.agui.questions import interrupt_of, is_resume, run_id_of
from gateway.agui.transcript import Transcript
from tailrace.a2a.card import CONVERSATION
from tailrace.agent.questions import questions_in
from tailrace.events import (
    INTERRUPTED,
    TERMINAL,
    ArtifactUpdate,
    Event,
    Message,
    Metadata,
    State,
    Status,
    Usage,
)
from tailrace.inputs.decode import data_in, text_in

# The key of the state that has the task's artifacts.
ARTIFACTS = "artifacts"
_CODES: dict[str, str] = {"TASK_STATE_FAILED": "failed", "TASK_STATE_REJECTED": "rejected"}


class Run(msgspec.Struct):
    """A run: it begins with the event `begins`, and has ended with `outcome`."""

    id: str
    begins: int
    outcome: ag.Event | None = None


class Projection(msgspec.Struct):
    """What a client has been told. `state` is what the client had before, and `shared` with the artifacts.

    `after` is the task after which this one begins, if its message says so (docs/PROTOCOL.md, 5.11).
    """

    thread_id: str
    task_id: str
    transcript: Transcript
    state: Any = None
    runs: list[Run] = []
    artifacts: dict[str, Any] = {}
    steps: dict[str, str] = {}
    tools: dict[str, str] = {}
    usage: dict[str | None, Usage] = {}
    agent: str = ""
    task_state: State = "TASK_STATE_SUBMITTED"
    asked: Message | None = None
    after: str | msgspec.UnsetType | None = msgspec.UNSET
    has_untold: bool = False

    @classmethod
    def of(cls, task_id: str, thread_id: str, *, earlier: list[Any], state: Any) -> Projection:
        """That of a client which has the `earlier` messages and this state."""
        return cls(thread_id, task_id, Transcript(task_id, earlier=earlier), state)

    @property
    def run(self) -> Run | None:
        """The run that is under way."""
        return self.runs[-1] if self.runs and self.runs[-1].outcome is None else None

    @property
    def open_interrupts(self) -> list[str]:
        """The ids of the questions with which the latest run has ended."""
        ended = self.runs[-1].outcome if self.runs else None
        outcome = ended.outcome if isinstance(ended, ag.RunFinished) else None
        return [each.id for each in outcome.interrupts] if isinstance(outcome, ag.Interrupted) else []

    def run_named(self, run_id: str) -> Run | None:
        return next((each for each in self.runs if each.id == run_id), None)

    @property
    def shared(self) -> dict[str, Any]:
        """The state as the client has it: its own, and the artifacts that are no text."""
        own = self.state if isinstance(self.state, dict) else {}
        return {**own, ARTIFACTS: dict(self.artifacts)}

    def events(self, event: Event) -> Iterator[ag.Event]:
        """What a client is told of the next event: nothing while the task waits, when no run is under way."""
        is_open = self.run is not None
        told = list(self._told(event))
        if is_open or any(isinstance(each, ag.RunStarted) for each in told):
            yield from told
        elif told:
            self.has_untold = True

    def _told(self, event: Event) -> Iterator[ag.Event]:
        if not self.runs and not event.user_messages:  # Event 1 has expired.
            yield from self._run_begins([], event.metadata.seq)
        about, transcript = event.metadata, self.transcript
        if about.kind != "reasoning":
            yield from transcript.thought()
        if about.kind not in ("token", "message"):
            yield from transcript.settled()
        if event.artifact_update is not None:
            yield from self._artifact(event.artifact_update, about)
        elif about.kind == "state" and event.status is not None:
            yield from self._state(event, event.status, about)
        elif event.status is not None:
            yield from self._status(event.status, about)

    def joined(self, run: Run) -> Iterator[ag.Event]:
        """For a client that has nothing of the run: where it is now."""
        yield from self._begun(run)
        yield self.transcript.snapshot()
        if run.outcome is not None:
            yield run.outcome
            return
        yield from map(ag.StepStarted, self.steps.values())
        yield from self.transcript.reopened()

    # States

    def _begun(self, run: Run) -> Iterator[ag.Event]:
        about = ag.RunMetadata(ag.OfRun(self.task_id, self.agent))
        yield ag.RunStarted(self.thread_id, run.id, ag.VERSION, about)
        yield ag.StateSnapshot(self.shared)

    def _state(self, event: Event, status: Status, about: Metadata) -> Iterator[ag.Event]:
        self.task_state = status.state
        if not event.metadata.origin:
            self.agent = about.agent
        messages = event.user_messages
        if messages or not self.runs:
            yield from self._run_begins(messages, about.seq)
        if status.state in INTERRUPTED:
            self.asked = status.message
            yield from self._ends(ag.Interrupted(self._interrupts(status)))
        elif status.state == "TASK_STATE_COMPLETED":
            yield from self._ends(ag.Success())
        elif status.state == "TASK_STATE_CANCELED":
            yield from self._ends(ag.Cancelled())
        elif status.state in TERMINAL:
            reason = text_in([status.message]) if status.message is not None else ""
            yield from self._ends(None, reason or "The agent gave no reason.", _CODES[status.state])

    def _run_begins(self, messages: list[Message], seq: int) -> Iterator[ag.Event]:
        name = f"{self.task_id}-{seq}" if self.runs else self.task_id
        for message in messages:
            extension = (message.metadata or {}).get(CONVERSATION)
            if not self.runs and isinstance(extension, dict):
                self.after = extension.get("after", msgspec.UNSET)
            name = run_id_of(message) or name
            if not is_resume(message):
                self.transcript.add_user(message.message_id, _content_of(message))
        self.asked = None
        self.runs.append(Run(name, seq))
        yield from self._begun(self.runs[-1])
        if self.has_untold:
            self.has_untold = False
            yield self.transcript.snapshot()

    def _ends(
        self, outcome: ag.Success | ag.Interrupted | ag.Cancelled | None, reason: str = "", code: str = ""
    ) -> Iterator[ag.Event]:
        yield from self.transcript.ended()
        yield from self._steps_over()
        run = self.runs[-1]
        usage = [
            ag.TokenUsage(each.input, each.output, each.input + each.output, model)
            for model, each in self.usage.items()
        ]
        self.usage = {}
        run.outcome = (
            ag.RunError(reason, code, usage)
            if outcome is None
            else ag.RunFinished(self.thread_id, run.id, outcome, usage)
        )
        yield run.outcome

    def _interrupts(self, status: Status) -> list[ag.Interrupt]:
        questions = questions_in(status.message)
        if questions:
            return [interrupt_of(each, status.state) for each in questions]
        message = status.message
        text = text_in([message]) if message is not None else ""
        return [ag.Interrupt(message.message_id if message is not None else self.task_id, "input_required", text)]

    # Steps, tools and what is said

    def _status(self, status: Status, about: Metadata) -> Iterator[ag.Event]:
        # A piece of what a model says may begin or end with a space.
        text = "".join(part.text or "" for part in status.message.parts) if status.message is not None else ""
        transcript = self.transcript
        match about.kind:
            case "node_start":
                yield from self._step_begins(about)
            case "node_end":
                yield from transcript.ended(about.step)
                yield from self._step_ends(about.step)
            case "message":
                speaker = about.message or f"{self.task_id}-{about.seq}"
                yield from transcript.say(speaker, text, step=about.step, name=about.name or "")
            case "reasoning":
                yield from transcript.think(f"{about.message or about.step}-reasoning", text, about.step)
            case "tool_call":
                call = about.call or f"{about.message or about.step}-{about.name}"
                yield from transcript.call(
                    call, about.name or "tool", about.input or "", message=about.message, step=about.step
                )
            case "tool_start":
                yield from self._tool_begins(about)
            case "tool_complete":
                yield from self._tool_answers(about)
            case "usage":
                used = self.usage.get(about.name, Usage(calls=0))
                self.usage[about.name] = used + (about.usage or Usage())
            case "attempt":
                yield from self._superseded(about)
                yield self._custom(about, text, status)
            case _:
                yield self._custom(about, text, status)

    def _step_begins(self, about: Metadata) -> Iterator[ag.Event]:
        if about.step is None or about.step in self.steps:
            return
        plain = about.name or "step"
        plain = plain if about.agent == self.agent else f"{about.agent}: {plain}"
        name, number, open_ones = plain, 2, set(self.steps.values())
        while name in open_ones:  # AG-UI knows steps by their names
            name, number = f"{plain} ({number})", number + 1
        self.steps[about.step] = name
        yield ag.StepStarted(name)

    def _step_ends(self, step: str | None) -> Iterator[ag.Event]:
        if step is not None and (name := self.steps.pop(step, None)) is not None:
            yield ag.StepFinished(name)

    def _steps_over(self) -> Iterator[ag.Event]:
        for step in list(self.steps):
            yield from self._step_ends(step)

    def _tool_begins(self, about: Metadata) -> Iterator[ag.Event]:
        call_id = about.call or about.step or ""
        if about.step is not None:
            self.tools[about.step] = call_id
        if call_id not in self.transcript.calls:
            name, arguments = about.name or "tool", _cut(about.input or "{}", about.input_size)
            yield from self.transcript.call(call_id, name, arguments, message=None, step=about.step)
        yield from self.transcript.called(call_id)

    def _tool_answers(self, about: Metadata) -> Iterator[ag.Event]:
        call_id = self.tools.pop(about.step or "", "") or about.call or about.step or ""
        if about.interrupted or call_id not in self.transcript.calls:
            return
        result = _cut(about.error or about.output or "", about.output_size)
        yield from self.transcript.answered(call_id, result, failed=about.error is not None)

    def _superseded(self, about: Metadata) -> Iterator[ag.Event]:
        steps = about.supersedes or []
        if about.origin is None:
            yield from self.transcript.ended()
            yield from self._steps_over()
        else:
            for step in steps:
                yield from self._step_ends(step)
        yield from self.transcript.void(steps)

    def _custom(self, about: Metadata, text: str, status: Status) -> ag.Custom:
        """What AG-UI has no event for, by its kind."""
        known = msgspec.to_builtins(about)
        value = {key: each for key, each in known.items() if key not in ("seq", "ts", "attempt", "kind", "checkpoints")}
        data = data_in([status.message]) if status.message is not None else []
        more = {**({"text": text} if text else {}), **({"data": data[0]} if data else {})}
        return ag.Custom(about.kind, {**value, **more})

    # Artifacts

    def _artifact(self, update: ArtifactUpdate, about: Metadata) -> Iterator[ag.Event]:
        name = update.artifact.name or update.artifact.artifact_id
        if about.kind == "token":
            text = "".join(part.text or "" for part in update.artifact.parts)
            yield from self.transcript.artifact_text(
                name, text, append=update.append, step=about.step, message=about.message
            )
            return
        parts = [_shown(part) for part in update.artifact.parts]
        self.artifacts[name] = parts[0] if len(parts) == 1 else parts
        path = name.replace("~", "~0").replace("/", "~1")  # RFC 6901
        yield ag.StateDelta([ag.Add(f"/{ARTIFACTS}/{path}", self.artifacts[name])])


def _content_of(message: Message) -> str:
    """A message of the user as text: its data is JSON, and a file is its name."""
    texts = []
    for part in message.parts:
        if part.filename or part.raw is not None or part.url is not None:
            texts.append(f"[{part.filename or part.media_type or 'file'}]")
        elif part.text is not None:
            texts.append(part.text)
        else:
            texts.append(msgspec.json.encode(part.data).decode())
    return "\n".join(texts)


def _shown(part: Any) -> Any:
    """A part of an artifact in the state: data and text as they are. Of a file the state has no content."""
    if part.data is not msgspec.UNSET:
        return part.data
    if part.text is not None and not part.filename:
        return part.text
    shown = {"filename": part.filename, "mediaType": part.media_type, "url": part.url}
    return {key: value for key, value in shown.items() if value is not None}


def _cut(text: str, size: int | None) -> str:
    return text if size is None else f"{text}… ({size:,} characters)"
