"""A task's events as the AI SDK's chunks: event in, chunks out, and all state in one object.

A step of a message begins where the run has a checkpoint: when a node of the graph itself begins after all others have
ended, and every call of a tool has its result. So what a takeover supersedes is in the message's current step, and
`reset-step` takes it back. A reply that answers approvals goes on with the message; any other one begins a new message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from gateway.chat import approvals, chunks
from gateway.chat.approvals import actions_of, decisions_in, question_data
from gateway.chat.chunks import Chunk, MessageMetadata, Tokens
from gateway.chat.files import artifact_chunks
from gateway.chat.messages import StoredMessage, of_user, stored_parts
from gateway.chat.parts import ToolPart
from gateway.chat.step import Step
from gateway.chat.values import arguments, cut, structured, text_of_parts, words_of
from tailrace.a2a.card import CONVERSATION
from tailrace.agent.questions import questions_in
from tailrace.authoring.ask import Question
from tailrace.events import INTERRUPTED, TERMINAL, Event, Message, Metadata, Usage
from tailrace.inputs.decode import text_in

# In the id of a reply that goes on with a message, between that message's id and the rest.
GOES_ON = "#"
# How much of what a step says is in its part.
_NEWEST = 240
_UNANSWERED = "The run ended before this call was answered."


class Projection:
    """What a page has been told of one task. `message_id` is the id of the message that is being written.

    `questions` are those that are open, `seen` has the seqs of the user's messages by their ids, and `began` is the seq
    with which the message began. `after` is the task after which this one begins (PROTOCOL.md, 5.11),
    UNSET if the first message names none. With `keeps` all messages are kept.
    """

    def __init__(self, task_id: str, *, keeps: bool = False) -> None:
        self.message_id = ""
        self.began = 0
        self.state = "TASK_STATE_SUBMITTED"
        self.questions: list[Question] = []
        self.seen: dict[str, int] = {}
        self.task_id = task_id
        self._step = Step(keeps=keeps)
        self._keeps = keeps
        self._written: list[StoredMessage] = []
        self._about = MessageMetadata()
        self.after: str | msgspec.UnsetType | None = msgspec.UNSET
        self._reported: dict[str, chunks.Report] = {}
        self._nodes: set[str] = set()  # the graph's own that run
        self._asking: set[str] = set()  # the graph's own that run again with the answer
        self._has_ended = False  # a node of the graph's own, in this step
        self._usage = Usage(calls=0)
        self._lost: chunks.Gap | None = None  # before the first message

    def begins_message(self, event: Event) -> bool:
        """Whether a new message of the assistant begins with the event."""
        if not self.message_id:
            return True
        return any(not reply.message_id.startswith(f"{self.message_id}{GOES_ON}") for reply in _replies(event))

    def chunks(self, event: Event) -> list[Chunk]:
        """What the event adds to what the page has."""
        told, begins, replies = event.metadata, self.begins_message(event), _replies(event)
        self.seen.update((reply.message_id, told.seq) for reply in replies)
        if event.task is not None:
            extension = ((replies[0].metadata or {}) if replies else {}).get(CONVERSATION)
            self.after = extension.get("after", msgspec.UNSET) if isinstance(extension, dict) else msgspec.UNSET
            return self._begin(self.task_id, told, replies, context_id=event.task.context_id)
        if not self.message_id:  # Event 1 has expired.
            return [*self._begin(self.task_id, told), *self.chunks(event)]
        if event.artifact_update is not None:
            update = event.artifact_update
            name, parts = update.artifact.artifact_id, update.artifact.parts
            text = text_of_parts(parts)
            if text is None:
                return self._step.give(name, artifact_chunks(name, parts), told.step)
            return self._step.write(name, text, told, append=update.append)
        assert event.status is not None, "an event without an artifact has a status"
        message = event.status.message
        if told.kind == "state" and told.origin is None:
            answered = [each for reply in replies for each in self._answered(reply)]
            self.state = event.status.state
            started = self._begin(f"{self.task_id}-{told.seq}", told, replies) if begins else answered
            return [*started, *self._state(message if not replies else None, told)]
        return self._step_event(told, message)

    def lose(self, first: int, last: int) -> list[Chunk]:
        """Say that the events `first` to `last` are gone for good."""
        if not self.message_id:
            self._lost = chunks.Gap(first, last)
            return []
        return [self._step.add(chunks.GapData(chunks.Gap(first, last)))]

    def finish(self) -> list[Chunk]:
        """The last chunks of a message whose task has ended or waits."""
        if self.state in INTERRUPTED:
            return [chunks.Finish("tool-calls" if any(map(actions_of, self.questions)) else "stop")]
        reasons: dict[str, Any] = {"TASK_STATE_COMPLETED": "stop", "TASK_STATE_CANCELED": "other"}
        return [chunks.Finish(reasons.get(self.state, "error"))]

    # Messages and steps

    @property
    def messages(self) -> list[StoredMessage]:
        """All messages of the task so far, for one that `keeps` them."""
        return [*self._written, *([self._current] if self.message_id else [])]

    @property
    def _current(self) -> StoredMessage:
        parts = stored_parts(self._step.all_parts)
        return StoredMessage(id=self.message_id, role="assistant", parts=parts, metadata=self._about)

    def _begin(
        self, message_id: str, told: Metadata, said: Sequence[Message] = (), *, context_id: str = ""
    ) -> list[Chunk]:
        if self._keeps:
            self._written += [*([self._current] if self.message_id else []), *map(of_user, said)]
        self._step.begin(message=True)
        self.message_id, self.began = message_id, told.seq
        self._has_ended = False
        self._about = MessageMetadata(task=self.task_id, agent=told.agent, context_id=context_id)
        lost, self._lost = self._lost, None
        gap = [self._step.add(chunks.GapData(lost))] if lost is not None else []
        return [chunks.Start(message_id, self._about), chunks.StartStep(), *gap]

    def _next_step(self) -> list[Chunk]:
        if self._nodes or self._asking or not self._has_ended:
            return []
        if not all(each.is_settled for each in self._step.tools.values()):
            return []
        self._has_ended = False
        closed = self._step.close()
        self._step.begin(message=False)
        return [*closed, chunks.FinishStep(), chunks.StartStep()]

    def _supersede(self, steps: set[str]) -> list[Chunk]:
        self._nodes -= steps
        self._asking -= steps
        running = [tool for tool in self._step.tools.values() if tool.runs in steps]
        again = [tool for tool in running if not isinstance(tool.ending, chunks.ToolDenied)]
        for tool in again:  # A model's call stays, and its tool runs again.
            tool.runs, tool.ending = None, None
        return self._step.take_back(lambda part: part.step in steps, changed=bool(again))

    # Nodes, tools and what they report

    def _step_event(self, told: Metadata, message: Message | None) -> list[Chunk]:
        own = told.origin is None
        text = words_of(message)
        match told.kind:
            case "node_start":
                return self._node_started(told, own=own)
            case "node_end":
                return self._node_ended(told, own=own)
            case "tool_start" if own:
                return self._tool_started(told)
            case "tool_complete" if own:
                return self._tool_ended(told)
            case "tool_start":
                self._reported.pop(told.step or "", None)
                return self._report(told, kind="tool", state="running")
            case "tool_complete":
                return self._report(told, state="failed" if told.error else "waiting" if told.interrupted else "done")
            case "tool_call" if own:
                return self._call_written(told)
            case "message" | "reasoning" if own and told.parent is None:
                return self._step.say(text, told, reasoning=told.kind == "reasoning") if text else []
            case "usage" if own and told.usage is not None:
                self._usage += told.usage
                return [self._metadata(told)]
            case "attempt" if own:
                return self._supersede(set(told.supersedes or ()))
            case "attempt":
                known = [step for step in told.supersedes or () if step in self._reported]
                return [each for step in known for each in self._update(step, state="superseded")]
            case "usage" | "handoff" | "tool_call":
                return []
        return self._report(told, text=text)

    def _node_started(self, told: Metadata, *, own: bool) -> list[Chunk]:
        before: list[Chunk] = []
        if own and told.parent is None and told.step is not None:
            before = [] if told.step in self._asking else self._next_step()
            self._asking.discard(told.step)
            self._nodes.add(told.step)
        self._reported.pop(told.step or "", None)  # It may begin again.
        return [*before, *self._report(told, kind="node", state="running")]

    def _node_ended(self, told: Metadata, *, own: bool) -> list[Chunk]:
        whole = [
            tool.give(arguments("".join(tool.written)))
            for tool in self._step.tools.values()
            if own and tool.step == told.step and not tool.is_whole
        ]
        if own and told.step in self._nodes:
            self._nodes.discard(told.step)
            if told.interrupted:
                self._asking.add(told.step)
            else:
                self._has_ended = True
        closed = self._step.close(lambda part: own and part.step == told.step)
        state: Any = "failed" if told.error else "waiting" if told.interrupted else "done"
        return [*whole, *closed, *self._report(told, state=state)]

    def _report(self, told: Metadata, *, text: str = "", **changes: Any) -> list[Chunk]:
        """A step's data part, with what the event says of it."""
        step = told.step or told.parent or "run"
        if step not in self._reported:
            name = told.name if told.step is not None else None
            kind: Literal["node", "tool"] = "tool" if step in self._step.runs else "node"
            parent = told.parent if told.step is not None else None
            known = chunks.Report(kind=kind, name=name or told.agent, agent=told.agent, state="running", parent=parent)
            if kind == "tool":
                known.name = self._step.runs[step].name
            self._reported[step] = known
        return self._update(step, text=text[-_NEWEST:], done=told.done, total=told.total, error=told.error, **changes)

    def _update(self, step: str, **changes: Any) -> list[Chunk]:
        given = {name: value for name, value in changes.items() if value not in (None, "")}
        self._reported[step] = msgspec.structs.replace(self._reported[step], **given)
        return [self._step.put(chunks.StepData(step, self._reported[step]), step)]

    def _call_written(self, told: Metadata) -> list[Chunk]:
        call = told.call or f"{told.message} {told.name}"
        tool = self._step.tools.get(call)
        closed = self._step.close(lambda part: part.step == told.step)
        if tool is None or tool.is_settled:
            tool = self._step.call(call, told.name or "tool", told.step, told.seq)
            closed.append(tool.start())
        return [*closed, *([tool.write(told.input)] if told.input else [])]

    def _tool_started(self, told: Metadata) -> list[Chunk]:
        step = told.step or str(told.seq)
        value = arguments(told.input or "")
        closed = self._step.close(lambda part: part.step == told.parent)
        tool = self._step.tools.get(told.call or step)
        is_denied = tool is not None and isinstance(tool.ending, chunks.ToolDenied)
        if tool is not None and (is_denied or not tool.is_settled) and tool.runs in (None, step):
            tool.runs, self._step.runs[step] = step, tool
            return closed if tool.is_whole else [*closed, tool.give(value)]
        tool = self._step.call(told.call or step, told.name or "tool", step, told.seq)
        tool.runs, self._step.runs[step] = step, tool
        return [*closed, tool.give(value)]

    def _tool_ended(self, told: Metadata) -> list[Chunk]:
        tool = self._step.runs.get(told.step or "")
        running = self._reported.get(told.step or "")
        state: Any = "failed" if told.error else "waiting" if told.interrupted else "done"
        reported = self._report(told, state=state) if running is not None else []
        if tool is None or told.interrupted or isinstance(tool.ending, chunks.ToolDenied):
            return reported
        if told.error is not None:
            tool.ending = chunks.ToolFailure(tool.id, cut(told.error, told.output_size))
        else:
            tool.ending = chunks.ToolOutput(tool.id, structured(cut(told.output or "", told.output_size)))
        return [*reported, tool.ending]

    # States, questions and answers

    def _metadata(self, told: Metadata, error: str | None = None) -> Chunk:
        usage = None
        if self._usage.calls:
            read, written = self._usage.input, self._usage.output
            usage = Tokens(read, written, read + written)
        state: Any = self.state.removeprefix("TASK_STATE_").lower().replace("_", "-")
        new = MessageMetadata(state=state, usage=usage, cost=told.cost, error=error)
        known = self._about
        self._about = msgspec.structs.replace(
            known, state=state, usage=usage or known.usage, cost=told.cost or known.cost, error=error
        )
        return chunks.Metadata(new)

    def _state(self, message: Message | None, told: Metadata) -> list[Chunk]:
        if told.usage is not None:
            self._usage = told.usage
        if self.state in INTERRUPTED:
            self.questions = questions_in(message)
            asked = [each for question in self.questions for each in self._ask(question, told.seq)]
            return [*self._step.close(), *asked, self._metadata(told)]
        self.questions = []
        if self.state not in TERMINAL:
            return [self._metadata(told)]
        words = text_in([message]) if message is not None else ""
        ended: list[Chunk] = []
        if self.state == "TASK_STATE_COMPLETED" and words.strip():
            ended += self._step.say(words, told)
        ended += self._step.close()
        for tool in self._step.tools.values():
            if not tool.is_settled:
                ended += [] if tool.is_whole else [tool.give(arguments("".join(tool.written)))]
                tool.ending = chunks.ToolFailure(tool.id, _UNANSWERED)
                ended.append(tool.ending)
        if self.state in ("TASK_STATE_COMPLETED", "TASK_STATE_CANCELED"):
            ended += [self._metadata(told), chunks.FinishStep()]
        else:
            error = words or "The task failed."
            ended += [self._metadata(told, error), chunks.FinishStep(), chunks.Failure(error)]
        if self.state == "TASK_STATE_CANCELED":
            ended.append(chunks.Abort(words or "The task was canceled."))
        return ended

    def _ask(self, question: Question, seq: int) -> list[Chunk]:
        actions = actions_of(question)
        if not actions:
            return [self._step.put(question_data(question, "open"))]
        told: list[Chunk] = []
        for action in actions:
            tool = self._approved_by(action.approval_id) or self._called(action)
            if tool is None:
                tool = self._step.call(action.approval_id, action.name, None, seq)
            if not tool.is_whole:
                told.append(tool.give(action.args))
            elif tool.decision is not None or tool.ending is not None:  # It is asked again.
                told.append(tool.give(tool.input))
            tool.decision = tool.ending = None
            tool.approval = chunks.ToolApproval(action.approval_id, tool.id, action.reason)
            told.append(tool.approval)
        return told

    def _called(self, action: approvals.Action) -> ToolPart | None:
        """The call that the action is about: the model's, which has no result yet."""
        if action.call:
            return self._step.tools.get(action.call)
        for tool in self._step.tools.values():
            asked = tool.approval is not None and tool.approval.approval_id != action.approval_id
            fits = not tool.is_whole or tool.input == action.args
            if tool.name == action.name and fits and not tool.is_settled and not asked:
                return tool
        return None

    def _answered(self, reply: Message) -> list[Chunk]:
        """What a reply that goes on with the message changes in it."""
        answers = approvals.answers_in(self.questions, reply)
        told: list[Chunk] = []
        for question in [each for each in self.questions if each.id in answers]:
            if not actions_of(question):
                told.append(self._step.put(question_data(question, "answered", answers[question.id])))
            for decision in decisions_in(question, answers[question.id]):
                tool = self._approved_by(decision.approval_id)
                if tool is not None:
                    told += _decide(tool, decision)
        return told

    def _approved_by(self, approval_id: str) -> ToolPart | None:
        tools = self._step.tools.values()
        return next((each for each in tools if each.approval and each.approval.approval_id == approval_id), None)


def _decide(tool: ToolPart, decision: approvals.Decision) -> list[Chunk]:
    edited = [] if decision.args is msgspec.UNSET else [tool.give(decision.args)]
    tool.decision = chunks.ToolDecision(decision.approval_id, decision.approved, decision.reason)
    if decision.kind != "reject":
        return [*edited, tool.decision]
    tool.ending = chunks.ToolDenied(tool.id)
    return [tool.decision, tool.ending]


def _replies(event: Event) -> list[Message]:
    """The user's messages in an event of the task itself."""
    is_own = event.metadata.kind == "state" and event.metadata.origin is None
    return event.user_messages if is_own else []
