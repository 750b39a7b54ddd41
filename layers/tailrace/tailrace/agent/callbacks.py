"""What LangGraph's stream does not say and callbacks do: tools, tokens, retries, breakpoints and the graph's result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import Command

from tailrace.agent.block_files import blocks_of, file_of, is_file
from tailrace.agent.graph_stream import GraphStream
from tailrace.agent.stops import stop_in
from tailrace.authoring.emission import EmittedArtifact, EmittedStatus
from tailrace.authoring.emit import current_step, send, step_of
from tailrace.errors import NotJson, TooDeep, shorten
from tailrace.events import Details, Kind, Part, Usage, as_text, plain

# What LangGraph has in the path of a task that is a node's error handler.
_ERROR_HANDLER = "node_error_handler"
# Maximum length of a tool's arguments, of its result, and of a piece of a call, in characters.
MAX_SHOWN = 16_384
# Maximum length of a file's URL in a tool's result.
_MAX_URL = 500


class RunCallbacks(AsyncCallbackHandler, GraphCallbackHandler):
    """Emits tool calls and the tokens of models through the graph's stream, which keeps their order.

    `parts` is told of the starts and ends that LangGraph's stream does not have.
    `live` says whether inputs and results of tools may be shown before the graph has ended. `steps_of` says which steps
    a checkpoint namespace has.

    - `output`: the graph's result, when it has ended.
    - `at_breakpoint`: whether the run has stopped at a breakpoint.
    - `ran`: the steps whose node was really called. A step that is not among them was answered from LangGraph's cache.
    - `tries`: by step, how often its node was started.
    - `failed`: the ids of messages whose model stopped with an error.
    """

    run_inline = True  # else LangChain makes a task for each callback, of each token too, and waits for it

    def __init__(self, parts: GraphStream, *, live: bool, steps_of: Callable[[str], list[str]]) -> None:
        self._parts = parts
        self._live = live
        self._steps_of = steps_of
        self.output: Any = None
        self.at_breakpoint = False
        self.ran: set[str] = set()
        self.tries: Counter[str] = Counter()
        self.failed: set[str] = set()
        self._root: Any = None
        self._nodes: dict[Any, str] = {}
        self._calls: set[str] = set()  # the steps of `@task`s
        self._running: dict[str, str] = {}  # by step, its checkpoint namespace
        self._tools: dict[Any, Details] = {}
        self._messages: dict[Any, str] = {}

    @property
    def only_step(self) -> str | None:
        """The step that runs now, inside those that enclose it; None if there are several."""
        around = {step for namespace in self._running.values() for step in self._steps_of(namespace)[:-1]}
        inmost = [step for step in self._running if step not in around]
        return inmost[0] if len(inmost) == 1 else None

    async def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: Any,
        *,
        run_id: Any,
        parent_run_id: Any = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if self._root is None and parent_run_id is None:
            self._root = run_id
        metadata = metadata or {}
        namespace = metadata.get("langgraph_checkpoint_ns", "")
        step = step_of(namespace)
        if step is not None and step not in self._running:  # a runnable inside the node has the same step
            self._running[step] = namespace
            self._nodes[run_id] = step
            self.ran.add(step)
            self.tries[step] += 1
            path = metadata.get("langgraph_path") or (None,)
            if path[-1] is True:
                self._calls.add(step)
            elif self.tries[step] == 1 and _ERROR_HANDLER in path:
                self._parts.error_handler_began(namespace, metadata["langgraph_node"])

    async def on_chain_end(self, outputs: Any, *, run_id: Any, **_: Any) -> None:
        self._running.pop(self._nodes.pop(run_id, ""), None)
        if run_id == self._root:
            self.output = outputs

    async def on_chain_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        step = self._nodes.pop(run_id, "")
        self._running.pop(step, None)
        stop = stop_in(error)
        if isinstance(stop, GraphInterrupt) and step in self._calls:
            self._parts.call_asks(step, stop.args[0])

    async def on_interrupt(self, event: GraphInterruptEvent) -> None:
        """Called by LangGraph when a run stops; at a breakpoint there are no interrupts."""
        self.at_breakpoint = not event.interrupts

    async def on_chat_model_start(self, serialized: dict[str, Any], messages: Any, *, run_id: Any, **_: Any) -> None:
        self._messages[run_id] = f"lc_run--{run_id}"  # LangChain's id of a message whose provider gives none

    async def on_llm_new_token(self, token: Any, *, run_id: Any, chunk: Any = None, **_: Any) -> None:
        if (message := getattr(chunk, "message", None)) is not None and message.id:
            self._messages[run_id] = message.id

    async def on_llm_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        if message := self._messages.pop(run_id, None):
            self.failed.add(message)

    async def on_llm_end(self, response: LLMResult, *, run_id: Any, **_: Any) -> None:
        self._messages.pop(run_id, None)
        generation = response.generations[0][0] if response.generations and response.generations[0] else None
        if not isinstance(generation, ChatGeneration) or not isinstance(message := generation.message, AIMessage):
            return
        if tokens := message.usage_metadata:
            details = Details(name=message.response_metadata.get("model_name"), message=message.id)
            details.usage = Usage(tokens["input_tokens"], tokens["output_tokens"])
            _emit("usage", details)

    async def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: Any,
        inputs: Any = None,
        tool_call_id: str | None = None,
        **_: Any,
    ) -> None:
        name = serialized.get("name") or "tool"
        details = self._tools[run_id] = Details(step=str(run_id), parent=current_step(), name=name, call=tool_call_id)
        shown, size = shown_of(inputs if inputs is not None else input_str) if self._live else (None, None)
        _emit("tool_start", msgspec.structs.replace(details, input=shown, input_size=size))

    async def on_tool_end(self, output: Any, *, run_id: Any, **_: Any) -> None:
        details = self._tool(run_id)
        if not self._live:
            _emit("tool_complete", details)
            return
        message = _tool_message(output, details.call)
        details.output, details.output_size = shown_content(message) if message is not None else shown_of(output)
        if message is not None and message.status == "error":
            details.error, details.output = details.output, None
        _emit("tool_complete", details)
        if message is not None and message.artifact is not None:
            _emit_artifact(details, message.artifact)

    async def on_tool_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        details = self._tool(run_id)
        if isinstance(stop_in(error), GraphBubbleUp):  # The tool asks the user, or hands over to another graph.
            details.interrupted = True
        elif not self._live:
            details.error = type(error).__name__
        else:
            details.error, details.output_size = shown_of(f"{type(error).__name__}: {error}")
        _emit("tool_complete", details)

    def _tool(self, run_id: Any) -> Details:
        known = self._tools.pop(run_id, None)
        return known if known is not None else Details(step=str(run_id), parent=current_step(), name="tool")


def shown_of(value: Any) -> tuple[str, int | None]:
    """A value as text: a text as it is, anything else as JSON. A long one is cut, and its length comes with it."""
    try:
        text = value if isinstance(value, str) else as_text(plain(value, "It"))
    except TooDeep:
        text = "(nested too deep to be shown)"
    except NotJson:
        text = str(value)
    return (text, None) if len(text) <= MAX_SHOWN else (text[:MAX_SHOWN], len(text))


def shown_content(message: ToolMessage) -> tuple[str, int | None]:
    """What a tool says to the model, as text. Tools of an MCP server say it in blocks. A file in them is only named."""
    if not isinstance(message.content, list):
        return shown_of(message.content)
    return shown_of("\n".join(map(_shown_block, blocks_of(message))))


def _shown_block(block: Any) -> str:
    file = file_of(block) if is_file(block) else None
    if file is not None:
        where = f"{file.media_type}, {file.size:,} bytes" if file.url is None else shorten(file.url, _MAX_URL)
        return f"({file.filename or file.kind}, {where})"
    return shown_of(block.get({"text": "text", "non_standard": "value"}.get(block["type"], ""), block))[0]


def _emit(kind: Kind, details: Details) -> None:
    if details.step is None:
        details.step = current_step()
    send(EmittedStatus(kind, None, None, details))


def _emit_artifact(details: Details, artifact: Any) -> None:
    """Emit what a tool has made for the caller, and not for the model."""
    try:
        data = plain(artifact, f"The artifact of the tool {details.name!r}")
    except (NotJson, TooDeep) as error:
        send(EmittedStatus("progress", str(error), None, Details(step=details.step)))
    else:
        send(EmittedArtifact(f"{details.name} {details.call or details.step}", Part(data=data), details.step))


def _tool_message(output: Any, call: str | None) -> ToolMessage | None:
    """The message to the model in what a tool has returned; None if there is none."""
    if isinstance(output, ToolMessage):
        return output
    if isinstance(output, Command) and isinstance(output.update, dict):
        for value in output.update.values():
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ToolMessage) and each.tool_call_id == call:
                    return each
    return None
