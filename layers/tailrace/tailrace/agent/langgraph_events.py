"""LangGraph's stream as our events.

The stream modes are `custom`, `messages` and `tasks`. A task of LangGraph is an execution of a node. The stream has its
start and its end, with an id that stays the same when the node runs again after a resume; that id is our `step`. (The
mode `updates` has only the end, without an id.)
"""

from __future__ import annotations

from typing import Any

import msgspec
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk
from langgraph.types import TaskPayload, TaskResultPayload

from tailrace.agent.barrier import NodeBarrier
from tailrace.authoring.emission import EmittedArtifact, EmittedStatus, EmittedText
from tailrace.authoring.emit import current_step, emit, step_of
from tailrace.errors import shorten
from tailrace.events import DelegatedTask, Details
from tailrace.stream.writer import Writer

# Maximum length of a tool's arguments, of its result, and of an error. They are for showing.
_SHOWN = 500


class Translator:
    """Writes the parts of one `astream(version="v2")` as events.

    `delegated` has the open delegated tasks, by the tool step that waits for them, and is kept up to date. `done` has
    the steps that an older attempt has finished: LangGraph streams their ends again, and no event is written for them.
    `written` is whether the response has text. `interrupts` collects what the graph asks, by the interrupt's id.
    """

    def __init__(self, writer: Writer, delegated: dict[str, DelegatedTask], done: set[str], *, written: bool) -> None:
        self._writer = writer
        self._done = done
        self._message_id: str | None = None
        self._written = written
        self.delegated = delegated
        self.barrier = NodeBarrier()
        self._node = ""
        self._failed = ""
        self.interrupts: dict[str, Any] = {}

    @property
    def node(self) -> str:
        """The node in which the graph failed, or the last one that began."""
        return self._failed or self._node

    def part(self, part: Any) -> None:
        """Emit what `part` says, if it says anything. Raises as `Writer.status` does."""
        kind, data = part["type"], part["data"]
        if kind == "custom":
            self._custom(data, part["ns"])
        elif kind == "messages":
            self._message(*data)
        elif kind == "tasks":
            self._task(data, part["ns"])

    def _custom(self, data: Any, namespace: tuple[str, ...]) -> None:
        parent = _innermost(namespace)
        if isinstance(data, EmittedText):
            self._writer.text(data.artifact, _utf8(data.text), step=data.step, parent=parent)
            self._written = self._written or data.artifact == "response"
        elif isinstance(data, EmittedArtifact):
            self._writer.artifact(data.artifact, data.part, step=data.step, parent=parent)
        elif isinstance(data, EmittedStatus):
            self._status(data, parent)
        else:
            # The author's own use of LangGraph's stream writer. LangGraph names the subgraph, but not the step.
            text = data if isinstance(data, str) else _shown(data)
            self._writer.status("progress", Details(parent=parent), text=text)

    def _status(self, status: EmittedStatus, parent: str | None) -> None:
        details = status.details
        if details.parent is None:
            details = msgspec.structs.replace(details, parent=parent)
        if details.origin is None:  # The delegated tasks of a forwarded event are the other agent's.
            self._note_delegated(status.kind, details)
        self._writer.status(status.kind, details, text=status.text, agent=status.agent)

    def _note_delegated(self, kind: str, details: Details) -> None:
        if details.step is None:
            return
        if details.asked is not None:
            self.delegated[details.step] = msgspec.structs.replace(details.asked)  # its cursor will change
        elif kind == "tool_complete":
            self.delegated.pop(details.step, None)

    def _message(self, message: Any, metadata: dict[str, Any]) -> None:
        # A model that cannot stream gives one whole AIMessage instead of chunks.
        if not isinstance(message, AIMessage | AIMessageChunk):
            return
        text = str(message.text)
        if not text:
            return
        artifact = metadata.get("artifact", "response")
        if artifact == "response":
            if self._written and message.id != self._message_id:
                text = "\n\n" + text
            self._message_id, self._written = message.id, True
        outer, _, inner = metadata.get("langgraph_checkpoint_ns", "").rpartition("|")
        self._writer.text(artifact, _utf8(text), step=step_of(inner), parent=step_of(outer))

    def _task(self, task: TaskPayload | TaskResultPayload, namespace: tuple[str, ...]) -> None:
        parent = _innermost(namespace)
        details = Details(step=task["id"], parent=parent, name=task["name"])
        if task["id"] in self._done:
            self.barrier.end(parent, task["id"])
            return
        if "triggers" in task:
            self._node = task["name"]
            self.barrier.begin(parent, task["id"])
            self._writer.status("node_start", details)
            return
        for interrupt in task["interrupts"]:
            self.interrupts[interrupt["id"]] = interrupt["value"]
        details.error = shorten(str(task["error"]), _SHOWN) if task["error"] else None
        details.interrupted = True if task["interrupts"] else None
        # The first to fail is the innermost. A node that ends well has handled the failures of its inner nodes.
        self._failed = (self._failed or task["name"]) if details.error is not None else ""
        self._writer.status("node_end", details)
        self.barrier.end(parent, task["id"])


class ToolEvents(AsyncCallbackHandler):
    """Emits the start and the end of each tool call. It uses the graph's stream, which keeps the order."""

    def __init__(self) -> None:
        self._names: dict[Any, str] = {}

    async def on_tool_start(
        self, serialized: dict[str, Any], input_str: str, *, run_id: Any, inputs: Any = None, **_: Any
    ) -> None:
        name = self._names[run_id] = serialized.get("name") or "tool"
        shown = _shown(inputs if inputs is not None else input_str)
        emit("tool_start", step=str(run_id), parent=current_step(), name=name, input=shown)

    async def on_tool_end(self, output: Any, *, run_id: Any, **_: Any) -> None:
        name = self._names.pop(run_id, "tool")
        shown = _shown(getattr(output, "content", output))
        emit("tool_complete", step=str(run_id), parent=current_step(), name=name, output=shown)

    async def on_tool_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        name = self._names.pop(run_id, "tool")
        text = f"{type(error).__name__}: {error}"
        emit("tool_complete", step=str(run_id), parent=current_step(), name=name, error=text)


def question(interrupts: dict[str, Any]) -> str:
    """What an interrupted graph asks, as text: each interrupt's value, or the value's `question`; JSON if not text."""
    texts = []
    for value in interrupts.values():
        content = value.get("question", value) if isinstance(value, dict) else value
        texts.append(content if isinstance(content, str) else _shown(content))
    return "\n\n".join(texts)


def _utf8(text: str) -> str:
    """`text` as it can be written: a lone surrogate becomes a question mark."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _innermost(namespace: tuple[str, ...]) -> str | None:
    return step_of(namespace[-1]) if namespace else None


def _shown(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    except RecursionError:
        text = "(nested too deep to be shown)"
    except (TypeError, ValueError):
        text = str(value)
    return shorten(text, _SHOWN)
