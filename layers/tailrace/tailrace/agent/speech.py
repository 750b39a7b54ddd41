"""What models say: the answer becomes the artifact `response`, and everything else an event of the step that says it.

While the graph runs, the answer is not known yet. So a message is taken for the answer as it comes, unless the graph's
structure says that it cannot be: a tool's model, a node that another node always follows, a second speaker in parallel.
It is taken back when it calls a tool, when it does not come into the state, or when another message follows. At the end
the graph's state decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec
from langchain_core.messages import AIMessage, AIMessageChunk

from tailrace.agent.callbacks import MAX_SHOWN, shown_of
from tailrace.agent.graph import AgentGraph
from tailrace.agent.structure import keeps_messages, may_end_at
from tailrace.agent.texts import Texts
from tailrace.authoring.emission import RESPONSE
from tailrace.events import Details
from tailrace.stream.writer import Writer


class _Message(msgspec.Struct):
    """A message of a model. `steps` are the steps that enclose each other, the innermost last."""

    id: str
    name: str
    steps: tuple[str, ...]
    answers: bool
    ended: bool = False

    @property
    def details(self) -> Details:
        """The message's step, and who says it."""
        parent = self.steps[-2] if len(self.steps) > 1 else None
        return Details(step=self.steps[-1] if self.steps else None, parent=parent, message=self.id, name=self.name)


class Speech:
    """Writes the messages of one attempt.

    `failed` has the ids of messages whose model stopped with an error. `uses_tool` says whether a tool runs in a step,
    and `steps_of` which steps a checkpoint namespace has.
    """

    def __init__(
        self,
        writer: Writer,
        texts: Texts,
        agent: AgentGraph,
        *,
        failed: Collection[str],
        uses_tool: Callable[[str], bool],
        steps_of: Callable[[str], list[str]],
    ) -> None:
        self._writer = writer
        self._texts = texts
        self._agent = agent
        self._failed = failed
        self._uses_tool = uses_tool
        self._steps_of = steps_of
        self._messages: dict[str, _Message] = {}
        self._calls: dict[tuple[str, Any], Details] = {}
        self._shown: dict[str, int] = {}
        self.called: dict[str, str] = {}  # the names of the tools that models have called, by the call's id
        self._answer: _Message | None = None
        for passage in texts.passages(RESPONSE):
            if passage.message is not None:  # An earlier attempt took it for the answer.
                steps = tuple(step for step in (passage.parent, passage.step) if step is not None)
                self._answer = _Message(passage.message, agent.name, steps, answers=True, ended=True)

    def message(self, message: Any, metadata: dict[str, Any]) -> None:
        """Write a chunk of a message, or a whole one. Raises as `Writer.text` does."""
        if not isinstance(message, AIMessage | AIMessageChunk) or not message.id or "lc_source" in metadata:
            return
        live = self._agent.stream == "live"
        text = str(message.text)
        if live and text and (artifact := metadata.get("artifact")) is not None:  # The author has named it.
            *around, step = [None, *self._steps_of(metadata.get("langgraph_checkpoint_ns", ""))]
            self._texts.write(artifact, text, step=step, parent=around[-1] if around else None)
        elif live:
            if isinstance(message.content, list) or message.additional_kwargs:
                self._reason(message, metadata)
            if message.tool_calls or getattr(message, "tool_call_chunks", None):
                self._call(message, metadata)
            if text:
                self._say(self._message_of(message, metadata), text)
        known = self._messages.get(message.id)
        if known is not None and (not isinstance(message, AIMessageChunk) or message.chunk_position == "last"):
            known.ended = True

    def step_ended(self, step: str, result: Any, *, failed: bool) -> None:
        """Note that a step has ended with `result`. A message that did not come into the state is not the answer."""
        for message in [each for each in self._messages.values() if step in each.steps]:
            message.ended = True
            if message.steps[-1] == step and message is not self._answer:
                del self._messages[message.id]
        answer = self._answer
        if answer is None or step not in answer.steps or failed or not keeps_messages(self._agent.graph):
            return
        if answer.id not in _ids(result):
            self._move_out(answer)

    def settle(self, text: str | None, message: str | None) -> None:
        """Make `text`, of the message with that id, the answer: the graph's state has the last word.

        With None the state has no answer, so no message is the answer.
        """
        if self._answer is not None and self._answer.id != message:
            self._move_out(self._answer)
        passages = self._texts.passages(RESPONSE)
        spoken = [each for each in passages if each.message is not None]
        if text is None:
            return
        if any(each.message is None and each.text.strip() == text.strip() for each in passages):
            self._texts.take_back(lambda each: each.message is not None, RESPONSE)  # A node has written it itself.
        elif "".join(each.text for each in spoken) == text:
            return
        elif not spoken:
            self._texts.write(RESPONSE, text, message=message or "")
        else:
            spoken[0].content = bytearray(text.encode(errors="replace"))
            self._texts.replace(RESPONSE, [each for each in passages if each not in spoken[1:]])

    def _message_of(self, message: AIMessage, metadata: dict[str, Any]) -> _Message:
        assert message.id is not None
        known = self._messages.get(message.id)
        if known is None:
            namespace = metadata.get("langgraph_checkpoint_ns", "")
            nodes = [each.partition(":")[0] for each in namespace.split("|")]
            steps = tuple(self._steps_of(namespace))
            name = metadata.get("lc_agent_name") or message.name or metadata.get("langgraph_node") or self._agent.name
            known = _Message(message.id, name, steps, answers=self._may_answer(steps, nodes[0]))
            self._messages[message.id] = known
        return known

    def _may_answer(self, steps: tuple[str, ...], root: str) -> bool:
        if any(self._uses_tool(step) for step in steps) or (len(steps) > 1 and not may_end_at(self._agent.graph, root)):
            return False
        speaking = self._answer
        return speaking is None or speaking.ended or speaking.id in self._failed

    def _say(self, message: _Message, text: str) -> None:
        if not message.answers:
            self._writer.say("message", text, message.details)
            return
        if self._answer is not message and (self._answer is None or self._answer.id != message.id):
            if self._answer is not None:
                self._move_out(self._answer)
            self._answer = message
        details = message.details
        self._texts.write(RESPONSE, text, step=details.step, parent=details.parent, message=message.id)

    def _move_out(self, message: _Message) -> None:
        """Take a message out of the answer, and emit it on its step instead. A failed one is only taken out."""
        passages = [each for each in self._texts.passages(RESPONSE) if each.message == message.id]
        self._texts.take_back(lambda each: each.message == message.id, RESPONSE)
        message.answers = False
        if self._answer is message:
            self._answer = None
        if message.id not in self._failed:
            self._writer.say("message", "".join(each.text for each in passages), message.details)

    def _reason(self, message: AIMessage, metadata: dict[str, Any]) -> None:
        if text := "".join(_reasoning(message)):
            self._writer.say("reasoning", text, self._message_of(message, metadata).details)

    def _call(self, message: AIMessage, metadata: dict[str, Any]) -> None:
        """Write the arguments of a model's calls as they come. A message that calls a tool is not the answer."""
        known = self._message_of(message, metadata)
        if known.answers:
            if self._answer is known:
                self._move_out(known)
            known.answers = False
        if isinstance(message, AIMessageChunk):
            for chunk in message.tool_call_chunks:
                key = known.id, chunk["index"]
                if chunk["id"] or key not in self._calls:
                    self._calls[key] = msgspec.structs.replace(known.details, call=chunk["id"], name=chunk["name"])
                self._show(chunk["args"] or "", self._calls[key])
        else:
            for call in message.tool_calls:
                details = msgspec.structs.replace(known.details, call=call["id"], name=call["name"])
                self._show(shown_of(call["args"])[0], details)

    def _show(self, arguments: str, details: Details) -> None:
        call = details.call or ""
        shown = self._shown.get(call, 0)
        if shown < MAX_SHOWN:
            self._writer.say("tool_call", arguments[: MAX_SHOWN - shown], details)
        self._shown[call] = shown + len(arguments)
        self.called[call] = details.name or "tool"


def _reasoning(message: AIMessage) -> list[str]:
    """The texts of a model's reasoning, in the shapes of the providers that LangChain knows."""
    texts = [message.additional_kwargs.get("reasoning_content")]
    for block in message.content if isinstance(message.content, list) else ():
        if isinstance(block, dict):
            kind = block.get("type")
            if kind == "reasoning":
                texts.append(block.get("reasoning"))
                texts += [each.get("text") for each in block.get("summary") or () if isinstance(each, dict)]
            elif kind == "thinking":
                texts.append(block.get("thinking"))
            elif kind == "reasoning_content" and isinstance(inner := block.get("reasoning_content"), dict):
                texts.append(inner.get("text"))
    return [text for text in texts if isinstance(text, str)]


def _ids(result: Any) -> set[str | None]:
    """The ids of the messages in what a node has returned."""
    if isinstance(result, AIMessage):
        return {result.id}
    values = result.values() if isinstance(result, dict) else result if isinstance(result, list | tuple) else ()
    return {each for value in values for each in _ids(value)}
