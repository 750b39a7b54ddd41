"""LangGraph's stream as our events.

The stream modes are `custom`, `messages` and `tasks`. A task of LangGraph is an execution of a node. The stream has its
start and its end, with an id that stays the same when the node runs again after a resume; that id is our `step`. (The
mode `updates` has only the end, without an id.)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, cast

import msgspec
from langchain_core.messages import ToolMessage
from langgraph.types import Interrupt, TaskPayload, TaskResultPayload

from tailrace.agent.barrier import NodeBarrier
from tailrace.agent.callbacks import RunCallbacks, shown_content
from tailrace.agent.checkpoints.attempt_saver import is_lasting
from tailrace.agent.failure import text_of
from tailrace.agent.graph import AgentGraph
from tailrace.agent.graph_stream import CALL_ASKS, CALLED_IN, ERROR_HANDLER, OUTSIDE, GraphStream, caller_in
from tailrace.agent.output import is_light, outcome_of
from tailrace.agent.questions import question_of
from tailrace.agent.recovery.history import Step, add_tokens
from tailrace.agent.recovery.takeover import Takeover
from tailrace.agent.speech import Speech
from tailrace.agent.texts import Texts
from tailrace.authoring.ask import Question
from tailrace.authoring.emission import EmittedArtifact, EmittedStatus, EmittedText
from tailrace.authoring.emit import places_in
from tailrace.errors import EventTooLarge, NotJson, TailraceError, TooDeep, shorten
from tailrace.events import DelegatedTask, Details, Usage, plain
from tailrace.naming import is_error_handler
from tailrace.stream.writer import Writer

# Maximum length of an error of a node. It is for showing.
_SHOWN = 500


class Translator:
    """Writes the parts of a graph's stream as events, and its result when it has ended.

    `delegated` has the open delegated tasks, by the tool step that waits for them, and is kept up to date. `questions`
    collects what the graph asks. `usage` sums up the tokens of this attempt and earlier ones, and `models` those
    of each model.
    """

    def __init__(
        self, writer: Writer, agent: AgentGraph, takeover: Takeover, delegated: dict[str, DelegatedTask]
    ) -> None:
        self._writer = writer
        self._agent = agent
        self._done = takeover.plan.done
        self._results = set(takeover.history.results)
        self._texts = Texts(writer, {**takeover.history.texts, **takeover.plan.replaced})
        self.parts = GraphStream(self._part)
        self.callbacks = RunCallbacks(self.parts, live=agent.stream == "live", steps_of=self._steps_of)
        self._speech = Speech(
            writer,
            self._texts,
            agent,
            failed=self.callbacks.failed,
            uses_tool=self._uses_tool,
            steps_of=self._steps_of,
        )
        self._nodes: defaultdict[str | None, dict[str, Details]] = defaultdict(dict)  # open ones, by parent
        self._tools: defaultdict[str | None, dict[str, Details]] = defaultdict(dict)
        self._parents: dict[str, str | None] = {}  # of the open nodes
        self._cached: set[str] = set()
        self._calls: set[str] = set()
        self._node = ""
        self._failed = ""
        self._failed_steps: set[str] = set()
        # All steps so far, with those that they are inside.
        self._around = {step.id: step.around for step in takeover.history.steps.values()}
        # In which try of the step around it a step has begun, or was found to have ended, if that was in this attempt.
        self._within_try: dict[str, int] = {}
        # The steps of earlier attempts, by the step around them.
        self._earlier: defaultdict[str | None, list[Step]] = defaultdict(list)
        for step in takeover.history.steps.values():
            self._earlier[step.around].append(step)
        self.delegated = delegated
        self.barrier = NodeBarrier()
        self._questions: dict[str, Question] = {}
        self.usage: Usage = takeover.history.usage
        self.models = dict(takeover.history.models)

    @property
    def node(self) -> str:
        """The node in which the graph failed, or the last one that began."""
        return self._failed or self._node

    @property
    def questions(self) -> list[Question]:
        """What the graph has asked in this attempt, in order."""
        return list(self._questions.values())

    def ask(self, question: Question) -> None:
        """Add what the run asks; a question that is known already stays as it is."""
        self._questions.setdefault(question.id, question)

    def _part(self, namespace: tuple[str, ...], kind: str, data: Any) -> None:
        """Emit what a part of the stream says, if it says anything. Raises as `Writer.status` does."""
        if kind == "custom":
            self._custom(data, self._innermost(namespace))
        elif kind == "messages":
            message, metadata = data
            if isinstance(message, ToolMessage):
                self._tool_message(message, metadata)
            else:
                self._speech.message(message, metadata)
        elif kind == "tasks":
            self._task(data, namespace)
        elif kind == ERROR_HANDLER:
            self._error_handler(namespace, *data)
        elif kind == CALL_ASKS:
            self._call_asks(*data)
        elif kind == OUTSIDE:
            self._outside(data)

    def _custom(self, data: Any, parent: str | None) -> None:
        """Emit what a node or a tool has given to LangGraph's stream writer."""
        if isinstance(data, EmittedText):
            self._text(data, parent)
        elif isinstance(data, EmittedArtifact):
            self._results.add(data.artifact)
            self._writer.artifact(data.artifact, data.part, step=data.step, parent=parent)
        elif isinstance(data, EmittedStatus):
            self._status(data, parent)
        else:
            self._own(data, parent)

    def _outside(self, emission: Any) -> None:
        """Emit what a thread without LangGraph's context has given. If one node runs, it is that node's."""
        step = self.callbacks.only_step
        if step is not None and isinstance(emission, EmittedText | EmittedArtifact):
            emission = msgspec.structs.replace(emission, step=step)
        with contextlib.suppress(TailraceError):  # A writer that is broken ends the attempt by itself.
            self._custom(emission, self._parents.get(step or ""))

    async def finish(self, earlier: Collection[str]) -> None:
        """Emit the result of the graph, which has ended. `earlier` has the ids of the messages of earlier tasks.

        Raises:
            TailraceError: the result cannot be written, or the author's `output` failed.
        """
        result = self._agent, self.callbacks.output, earlier
        light = is_light(self._agent, self.callbacks.output)
        outcome = outcome_of(*result) if light else await asyncio.to_thread(outcome_of, *result)
        if outcome.decides:
            self._speech.settle(outcome.answer, outcome.message)
        has_output = self._results or self._texts.any()
        artifacts = outcome.artifacts | ({} if has_output else outcome.spare)
        for name, part in artifacts.items():
            if part.text is not None:
                self._texts.replace(name, [])
                self._texts.write(name, part.text)
            elif name not in self._results or self._agent.output is not None:
                self._writer.artifact(name, part)

    def _text(self, data: EmittedText, parent: str | None) -> None:
        if data.tried > 1:
            self._take_back(data.step, data.tried)
        if data.replaces:
            self._texts.take_back(lambda each: each.step == data.step and each.message is None, data.artifact)
        self._texts.write(data.artifact, data.text, step=data.step, parent=parent, tried=data.tried)

    def _take_back(self, step: str | None, tried: int) -> None:
        """Take back what a node wrote in the tries before this one."""
        self._texts.take_back(lambda each: each.step == step and each.message is None and each.tried < tried)

    def _status(self, status: EmittedStatus, parent: str | None) -> None:
        details = status.details
        if details.parent is None:
            details = msgspec.structs.replace(details, parent=parent)
        if details.origin is None:  # The delegated tasks and tools of a forwarded event are the other agent's.
            self._note(status.kind, details)
        self._writer.status(status.kind, details, text=status.text, agent=status.agent)

    def _note(self, kind: str, details: Details) -> None:
        if details.usage is not None:
            self.usage += details.usage
            add_tokens(self.models, details.name, details.usage)
        if details.step is None:
            return
        if details.asked is not None:
            self.delegated[details.step] = msgspec.structs.replace(details.asked)  # its cursor will change
        if kind == "tool_start":
            self._tools[details.parent][details.step] = details
            if details.call is not None:
                self._calls.add(details.call)
        elif kind == "tool_complete":
            self._tools[details.parent].pop(details.step, None)
            if not details.interrupted:  # The other agent's task waits for its user.
                self.delegated.pop(details.step, None)

    def _own(self, data: Any, parent: str | None) -> None:
        """The author's own use of LangGraph's stream writer. LangGraph names the subgraph, but not the step."""
        details = Details(parent=parent)
        if isinstance(data, str):
            self._writer.status("progress", details, text=data)
            return
        try:
            self._writer.status("progress", details, data=plain(data, "An event of the graph"))
        except (NotJson, TooDeep, EventTooLarge) as error:
            self._writer.status("progress", details, text=f"An event is left out: {error}")

    def _tool_message(self, message: ToolMessage, metadata: dict[str, Any]) -> None:
        """Emit a call that no tool has run: it was answered from a cache, rejected, or there is no such tool."""
        call = message.tool_call_id
        if call in self._calls:
            return
        self._calls.add(call)
        parent, node = [None, None, *self._steps_of(metadata.get("langgraph_checkpoint_ns", ""))][-2:]
        name = message.name or self._speech.called.get(call, "tool")
        details = Details(step=f"{node or parent}/{call}", parent=node or parent, name=name, call=call)
        self._writer.status("tool_start", details)
        if self._agent.stream == "live":
            shown, size = shown_content(message)
            key = "error" if message.status == "error" else "output"
            details = msgspec.structs.replace(details, output_size=size, **{key: shown})
        self._writer.status("tool_complete", details)

    def _task(self, task: TaskPayload | TaskResultPayload, namespace: tuple[str, ...]) -> None:
        called_in = cast(dict[str, Any], task).get(CALLED_IN)
        step, parent = task["id"], self._innermost(namespace, called_in)
        details = Details(step=step, parent=parent, name=task["name"], caller=caller_in(called_in, namespace))
        self.barrier.begin("|".join(namespace), step)
        if step in self._done:
            if details.caller is not None:
                self._within_try[step] = self.callbacks.tries[details.caller]
            self.barrier.end(step)
            return
        if "triggers" in task:
            if is_error_handler(task["name"]):
                return  # `_error_handler` emits its start, also where LangGraph has one: after a takeover.
            if namespace and namespace[-1].isdecimal():
                details.graph = int(namespace[-1])
            self._begin(details, parent)
            if step in self._cached:
                self.cached(step)
            return
        details.parent = self._parent_of(step, parent)
        for interrupt in task["interrupts"]:
            self.ask(question_of(Interrupt(**interrupt), task["name"]))  # before the nodes around the one that asks
        details.error = None if task["error"] is None else _words_of(task["error"])
        details.interrupted = True if task["interrupts"] else None
        # The first to fail is the innermost. A node that ends well has handled the failures of its inner nodes.
        self._failed = (self._failed or task["name"]) if details.error is not None else ""
        if details.error is not None:
            self._failed_steps.add(step)
        unfinished = details.error is not None or details.interrupted is not None
        if not unfinished and (tried := self.callbacks.tries[step]) > 1:
            self._take_back(step, tried)
            self._texts.take_back(lambda each: each.message is None and self._is_within(each.step, step, before=tried))
        self._end_inside(details)
        self._speech.step_ended(step, task["result"], failed=unfinished)
        self._end(details)

    def _error_handler(self, namespace: tuple[str, ...], step: str, name: str, failed: str) -> None:
        """Emit the start of a node's error handler. It is inside the step that has failed."""
        self.barrier.begin("|".join(namespace), step)
        self._begin(Details(step=step, parent=failed, name=name), self._innermost(namespace))

    def _call_asks(self, step: str, interrupts: Sequence[Interrupt]) -> None:
        """Emit the end of a `@task` that asks the user."""
        begun = self._nodes[self._parents[step]][step]
        assert begun.name is not None
        for interrupt in interrupts:
            self.ask(question_of(interrupt, begun.name))
        details = Details(step=step, parent=begun.parent, name=begun.name, interrupted=True)
        self._end_inside(details)
        self._speech.step_ended(step, None, failed=True)
        self._end(details)

    def _begin(self, details: Details, around: str | None) -> None:
        """Emit the start of a node in the graph that the step `around` calls."""
        assert details.step is not None
        assert details.name is not None
        self._node = details.name
        self._nodes[around][details.step] = details
        self._parents[details.step] = around
        within = self._around[details.step] = details.caller or details.parent
        if within is not None:
            tried = self._within_try[details.step] = self.callbacks.tries[within]
            details.tried = tried if tried > 1 else None
            for earlier in self._earlier.get(within, ()) if tried > 1 and details.caller is None else ():
                # A later try has begun again what this step was a part of.
                if earlier.caller is None and earlier.graph < (details.graph or 0):
                    self._within_try.setdefault(earlier.id, 0)
        self._writer.status("node_start", details)

    def _parent_of(self, step: str, around: str | None) -> str | None:
        """What the start of a node named as its parent; `around` is the step that calls its graph."""
        begun = self._nodes[around].get(step)
        return around if begun is None else begun.parent

    def saves(self, step: str) -> None:
        """Note that the result of a step, which has ended, is being saved.

        If the step has failed, its error handler goes on, and what the step and those inside it have written is void.
        """
        if step in self._failed_steps:
            self._failed = ""
            self._texts.take_back(lambda each: each.message is None and self._is_within(each.step, step))
            self._speech.step_ended(step, None, failed=False)

    def _is_within(self, step: str | None, outer: str, *, before: int | None = None) -> bool:
        """Whether a step is the step `outer`, inside it, or a `@task` that it has called.

        With `before`, only what began in a try of `outer` before that one counts.
        """
        seen = set[str | None]()  # A step would enclose itself only in a damaged log.
        tried: int | None = None
        while step != outer and step is not None and step not in seen:
            seen.add(step)
            tried, step = self._within_try.get(step), self._around.get(step)
        return step == outer and (before is None or (tried is not None and tried < before))

    def cached(self, step: str) -> None:
        """Emit the end of a step that LangGraph has answered from its cache: the stream has only its start."""
        self._cached.add(step)
        if step in self._parents:
            self._end(msgspec.structs.replace(self._nodes[self._parents[step]][step], cached=True))

    def _end_inside(self, outer: Details) -> None:
        """Emit the ends of tools and nodes in a step that ends: an inner node that left by a `Command` has no own."""
        for tool in self._tools.pop(outer.step, {}).values():
            self._writer.status("tool_complete", _ending(tool, outer))  # its delegated task may still be open
        for node in list(self._nodes.get(outer.step, {}).values()):
            details = _ending(node, outer)
            self._end_inside(details)
            self._end(details)

    def _end(self, details: Details) -> None:
        assert details.step is not None
        self._nodes[self._parents.pop(details.step, details.parent)].pop(details.step, None)
        self._nodes.pop(details.step, None)
        self._writer.status("node_end", details)
        self.barrier.end(details.step)

    def _uses_tool(self, step: str) -> bool:
        return bool(self._tools.get(step))

    def _innermost(self, namespace: tuple[str, ...], called_in: str | None = None) -> str | None:
        """The step that calls the graph of a namespace; None for the graph itself.

        `called_in` is the namespace of the node that calls it, or of one inside it.
        """
        graph = "|".join(namespace)
        steps = self._steps_of(called_in if called_in and is_lasting(graph) else graph)[: len(places_in(graph))]
        return steps[-1] if steps else None

    def _steps_of(self, namespace: str) -> list[str]:
        """All steps of a checkpoint namespace `node:step|node:step…`, the innermost last.

        Of the steps around a subgraph with `checkpointer=True` the namespace has only the names: `node|node:step`. If
        none of its nodes has begun, the steps are the newest ones with these names.
        """
        places = places_in(namespace)
        steps = [step for _, step in places if step is not None]
        around = self._parents.get(steps[0]) if steps else None
        if len(steps) < len(places) and around is not None:
            while around is not None:
                steps.insert(0, around)
                around = self._parents.get(around)
            return steps
        named: list[str] = []
        for name, _ in places[: len(places) - len(steps)]:
            called = self._nodes.get(named[-1] if named else None, {}).values()
            step = next((each.step for each in reversed(called) if each.name == name), None)
            named += [] if step is None else [step]
        return named + steps


def _ending(inner: Details, outer: Details) -> Details:
    """The end of a step that ends because the step around it does."""
    return Details(
        step=inner.step, parent=inner.parent, name=inner.name, error=outer.error, interrupted=outer.interrupted
    )


def _words_of(error: Any) -> str:
    """What is shown of a node's error. LangGraph cancels the other nodes of a step when one has failed."""
    if isinstance(error, asyncio.CancelledError):
        return "It was cancelled."
    return shorten(text_of(error) or type(error).__name__, _SHOWN)
